//! The seam between quorate and security tokens: what every PIV token can do, and how it talks to people. Security keys (FIDO) have
//! a seam of their own, [`fido`].
//!
//! Commands know [`PivToken`] and [`TokenPrompts`] only. Which token it is (a file, a YubiKey) is decided where it
//! is opened; nothing here knows PC/SC, files, terminals or age files.

mod error;
pub mod fido;
pub mod identities;
pub mod identity;
pub mod passkey;
mod pin;
mod prompts;
pub mod readers;
pub mod sealed_identity;
mod slot;
mod soft;
pub mod soft_piv;
pub mod stub;
#[cfg(feature = "piv")]
pub mod yubikey;

use std::fmt;
use std::str::FromStr;

use p256::PublicKey;
use quorate_protocol::recipient::NativeRecipient;
use zeroize::Zeroizing;

pub use self::error::{ServiceFault, TokenError};
pub use self::pin::{Pin, Puk};
pub use self::prompts::{NoPrompts, PinRequest, TokenPrompts, Touch, TouchRequest};
pub use self::slot::Slot;

/// The x-coordinate of a point that a token computed, big-endian.
pub type SharedX = Zeroizing<[u8; 32]>;

/// Longest label of a key, in bytes: what a certificate's common name can hold.
pub const LABEL_BYTES: usize = 64;

/// A token with P-256 keys in PIV slots (NIST SP 800-73). Calls block until the token or the person has answered.
///
/// A token that was taken away answers [`TokenError::Removed`]; put back, it works again and wants its PIN again.
pub trait PivToken: Send {
    /// What the token is. Needs no PIN and no touch.
    fn info(&self) -> &TokenInfo;

    /// The P-256 keys in the retired slots and in 9d, by slot. Needs no PIN.
    fn keys(&mut self) -> Result<Vec<PivKey>, TokenError>;

    /// Makes a key on the token. The PIN must have been verified: what protects writing hangs on it.
    ///
    /// [`TokenError::SlotOccupied`] rather than replacing a key, [`TokenError::NoFreeSlot`] when no slot was named
    /// and all retired ones are taken.
    fn generate(&mut self, new: &NewKey, prompts: &dyn TokenPrompts) -> Result<PivKey, TokenError>;

    /// How many wrong PINs the token will still bear; 0 is blocked.
    fn pin_tries(&mut self) -> Result<u8, TokenError>;

    /// How many wrong PUKs the token will still bear; 0 is blocked for ever. `None` when the token does not tell.
    fn puk_tries(&mut self) -> Result<Option<u8>, TokenError>;

    /// Which codes are still those that everybody knows.
    fn factory_codes(&mut self) -> Result<FactoryCodes, TokenError> {
        Ok(FactoryCodes { pin: Some(false), puk: Some(false), management_key: None })
    }

    /// Whether keys with PIN policy "once" work without asking again.
    fn pin_verified(&mut self) -> Result<bool, TokenError>;

    /// [`TokenError::WrongPin`] says how many tries are left, [`TokenError::PinBlocked`] that none is.
    fn verify_pin(&mut self, pin: &Pin) -> Result<(), TokenError>;

    /// Refuses a factory default as the new PIN. A wrong old PIN costs a try.
    fn change_pin(&mut self, old: &Pin, new: &Pin) -> Result<(), TokenError>;

    /// Refuses a factory default as the new PUK. A wrong old PUK costs a try.
    fn change_puk(&mut self, old: &Puk, new: &Puk) -> Result<(), TokenError>;

    /// Sets a new PIN, with all its tries, for whoever has the PUK.
    fn unblock_pin(&mut self, puk: &Puk, new: &Pin) -> Result<(), TokenError>;

    /// Multiplies `peer` with the private key in `slot`, after the touch that the key's policy wants. `peer` is on
    /// the curve by its type, so no token ever computes with a point chosen to leak its key.
    ///
    /// [`TokenError::PinRequired`] when the policy wants a PIN first: verified since the token was inserted ("once")
    /// or for this very operation ("always").
    fn ecdh(&mut self, slot: Slot, peer: &PublicKey, prompts: &dyn TokenPrompts) -> Result<SharedX, TokenError>;

    /// Where the private key in `slot` comes from, with the token's proof where it can give one.
    /// [`TokenError::Attestation`] when the proof says otherwise.
    fn origin(&mut self, slot: Slot) -> Result<KeyOrigin, TokenError> {
        let key = self.keys()?.into_iter().find(|key| key.slot == slot);
        key.map(|key| key.origin).ok_or(TokenError::NoKey(slot))
    }
}

/// Which codes of a token are still as they came from the factory; `None` where the token does not tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FactoryCodes {
    /// The PIN is 123456.
    pub pin: Option<bool>,
    /// The PUK is 12345678.
    pub puk: Option<bool>,
    /// The management key, which protects writing, is the one that every token comes with.
    pub management_key: Option<bool>,
}

/// What a token says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenInfo {
    /// What it is made of.
    pub kind: TokenKind,
    /// What people call it: the name in a soft token's file, the model of a key.
    pub name: String,
    /// Tells tokens of one name apart.
    pub serial: u32,
    /// Firmware version, where there is one.
    pub firmware: Option<String>,
}

impl fmt::Display for TokenInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TokenKind::SecurityKey => f.write_str(&self.name),
            TokenKind::Soft => write!(f, "soft token {} (serial {})", self.name, self.serial),
            TokenKind::YubiKey => write!(f, "{} (serial {})", self.name, self.serial),
        }
    }
}

/// What a token is made of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TokenKind {
    /// A security key, which has no serial number that it tells.
    SecurityKey,
    /// A file: for trying out, testing and low stakes.
    Soft,
    /// A `YubiKey`.
    YubiKey,
}

/// A key on a token, as anyone may see it.
#[derive(Clone, Debug)]
pub struct PivKey {
    /// Where it is.
    pub slot: Slot,
    /// The name its owner gave it; not unique.
    pub label: String,
    /// Its public half.
    pub public: PublicKey,
    /// When it wants the PIN; `None` when the token cannot say.
    pub pin_policy: Option<PinPolicy>,
    /// When it wants a touch; `None` when the token cannot say.
    pub touch_policy: Option<TouchPolicy>,
    /// When it was made, where that is recorded.
    pub created: Option<jiff::Timestamp>,
    /// Where its private half comes from.
    pub origin: KeyOrigin,
}

impl PivKey {
    /// Both recipients of the key: `age1yubikey1…`, understood by age-plugin-yubikey too, and `age1tag1…`,
    /// understood by age without a plugin when encrypting.
    pub fn recipients(&self) -> [NativeRecipient; 2] {
        [NativeRecipient::yubikey(&self.public), NativeRecipient::tag(&self.public)]
    }
}

/// Where a private key comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyOrigin {
    /// Made on hardware, as the hardware has signed with an attestation key of its own. Who gave it that key is not checked.
    Attested,
    /// Made outside and put in: copies may exist.
    Imported,
    /// Made on hardware that never lets it out, as the hardware says without proof.
    OnDevice,
    /// Lives in a file; whoever has file and PIN has the key.
    Software,
    /// Neither says the token anything of it: only a certificate does, which anybody who once could write to it has written.
    Unknown,
}

impl fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attested => "on-device, attested by the token",
            Self::Imported => "imported",
            Self::OnDevice => "on-device, says the token",
            Self::Software => "software",
            Self::Unknown => "unproved, only a certificate says so",
        })
    }
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// `None` takes the first free retired slot. 9d is used only when named.
    pub slot: Option<Slot>,
    /// Shown to its owner; at most [`LABEL_BYTES`] bytes, no control characters.
    pub label: String,
    /// When the key will want the PIN.
    pub pin_policy: PinPolicy,
    /// When the key will want a touch.
    pub touch_policy: TouchPolicy,
}

impl NewKey {
    /// A key with the policies quorate recommends: PIN once, touch always.
    pub fn recommended(label: impl Into<String>) -> Self {
        Self { slot: None, label: label.into(), pin_policy: PinPolicy::Once, touch_policy: TouchPolicy::Always }
    }

    /// [`TokenError::Label`] when the label cannot be written into a certificate.
    pub fn check_label(&self) -> Result<(), TokenError> {
        let fits = (1..=LABEL_BYTES).contains(&self.label.len()) && !self.label.chars().any(char::is_control);
        if fits { Ok(()) } else { Err(TokenError::Label) }
    }
}

/// When a key wants the PIN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PinPolicy {
    /// For every operation.
    Always,
    /// Never: whoever has the token can use the key.
    Never,
    /// Once, until the token is removed or reset. A card remembers it for every program that is let in, not for one.
    Once,
}

/// When a key wants a touch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TouchPolicy {
    /// For every operation.
    Always,
    /// For the first operation in 15 seconds.
    Cached,
    /// Never: software on the person's machine can use the key unseen.
    Never,
}

/// A policy's name that is none of `always`, `once`, `cached`, `never`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{given}` is none of {expected}")]
pub struct UnknownPolicy {
    given: String,
    expected: &'static str,
}

macro_rules! named {
    ($policy:ident, $expected:literal, $($variant:ident = $name:literal),+) => {
        impl fmt::Display for $policy {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $name),+ })
            }
        }

        impl FromStr for $policy {
            type Err = UnknownPolicy;

            fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownPolicy { given: text.to_owned(), expected: $expected }),
                }
            }
        }
    };
}

named!(PinPolicy, "always, once, never", Always = "always", Never = "never", Once = "once");
named!(TouchPolicy, "always, cached, never", Always = "always", Cached = "cached", Never = "never");

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_keep_their_names() {
        for policy in [PinPolicy::Always, PinPolicy::Never, PinPolicy::Once] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for policy in [TouchPolicy::Always, TouchPolicy::Cached, TouchPolicy::Never] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        let error = "cached".parse::<PinPolicy>().unwrap_err();
        assert_eq!(error.to_string(), "`cached` is none of always, once, never");
    }

    #[test]
    fn labels_fit_a_certificate() {
        for (label, fits) in
            [("bob", true), ("", false), ("a\nb", false), (&*"x".repeat(64), true), (&*"x".repeat(65), false)]
        {
            assert_eq!(NewKey::recommended(label).check_label().is_ok(), fits, "{label}");
        }
    }
}
