//! The seam between quorate and security keys (FIDO): what every one of them can do, whether U2F or CTAP2, in a file or behind
//! USB. It must not know sites, JSON, terminals or the oracle: whoever asks for a signature has decided that the relying party
//! may have it.

pub mod cbor;
#[cfg(feature = "fido")]
pub mod channel;
#[cfg(feature = "fido")]
mod ctap2;
mod error;
#[cfg(feature = "fido")]
mod hid;
#[cfg(feature = "fido")]
mod key;
mod pin;
pub mod ports;
mod secrets;
pub mod soft;
#[cfg(feature = "fido")]
mod u2f;

use super::{TokenInfo, TokenPrompts};
use cbor::Value;
use sha2::{Digest as _, Sha256};

pub use self::error::FidoError;
#[cfg(feature = "fido")]
pub use self::key::CtapKey;
pub use self::pin::FidoPin;
pub use self::secrets::HmacSecrets;

/// SHA-256, as both protocols hash whatever they sign for.
pub type Hash = [u8; 32];

/// Authenticator data up to the end of the counter (`WebAuthn` §6.1).
pub const AUTHENTICATOR_HEAD: usize = 37;
/// ECDSA with P-256 and SHA-256, in COSE's words: the only algorithm of U2F, and one that every FIDO2 key has.
pub const ES256: i64 = -7;
/// Flags of authenticator data: user present, user verified, attested credential data (`WebAuthn` §6.1).
pub const PRESENT: u8 = 0x01;
/// See [`PRESENT`].
pub const VERIFIED: u8 = 0x04;
/// See [`PRESENT`].
pub const ATTESTED: u8 = 0x40;
/// Flag of authenticator data: extensions included.
pub const EXTENDED: u8 = 0x80;
/// The extension by which applications get secrets of a credential (CTAP 2.1 §12.5).
pub const HMAC_SECRET: &str = "hmac-secret";

/// A security key. Calls block until the key or the person has answered, or the key has given up.
///
/// A key that was taken away answers [`FidoError::Removed`], for ever: a new one is looked for.
pub trait FidoToken: Send {
    /// What the key is and can do. Needs no PIN and no touch.
    fn info(&self) -> &FidoInfo;

    /// How many wrong PINs the key will still bear; 0 is blocked. [`FidoError::NotSupported`] of a key without PINs.
    fn pin_tries(&mut self) -> Result<u8, FidoError>;

    /// Sets the first PIN, or, with the old one, another. A wrong old PIN costs a try.
    fn set_pin(&mut self, old: Option<&FidoPin>, new: &FidoPin) -> Result<(), FidoError>;

    /// Whether the key has this credential of this relying party, asked without a touch. `application` is the hash of its RP ID
    /// or app ID, `party` the text itself. `None` of a key that does not tell, such as one that wants its PIN for everything.
    fn holds(&mut self, party: &str, application: &Hash, credential: &[u8]) -> Result<Option<bool>, FidoError>;

    /// Makes a credential, after a touch. [`FidoError::PinRequired`] when [`FidoInfo::wants_pin`] and there is none.
    fn register(
        &mut self,
        new: &NewCredential<'_>,
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Attestation, FidoError>;

    /// Signs with a credential, after a touch. [`FidoError::WrongKey`] when it is another key's.
    fn sign(
        &mut self,
        wanted: &Wanted<'_>,
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Assertion, FidoError>;

    /// Two secrets out of a credential that was made with [`NewCredential::hmac_secret`], one for each salt, after a touch: the same
    /// for the same salts, whatever the client data is. They are others without the user verified: `prf` of `WebAuthn` has those of
    /// the verified user, so ask for that. [`FidoError::WrongKey`] when the credential is another key's,
    /// [`FidoError::NotSupported`] when it was made without, and the key does not give them of any credential.
    fn hmac_secret(
        &mut self,
        wanted: &Wanted<'_>,
        salts: [&[u8; 32]; 2],
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<HmacSecrets, FidoError>;

    /// U2F: makes a key pair, after a touch. Gives the raw registration message (FIDO U2F Raw Message Formats 1.2 §4.3).
    fn u2f_register(
        &mut self,
        challenge: &Hash,
        application: &Hash,
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError>;

    /// U2F: signs, after a touch. Gives presence, counter and signature (§5.4). [`FidoError::WrongKey`] when the handle is
    /// another key's.
    fn u2f_sign(
        &mut self,
        challenge: &Hash,
        application: &Hash,
        handle: &[u8],
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError>;
}

/// What a key says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FidoInfo {
    /// What people call it.
    pub token: TokenInfo,
    /// Where it is: a device, or a file. Tells keys of one name apart.
    pub place: String,
    /// Whether it speaks U2F (CTAP1).
    pub u2f: bool,
    /// What it says of CTAP2, if it speaks that.
    pub ctap2: Option<Ctap2Info>,
}

/// What a CTAP2 key says of itself (CTAP 2.1 §6.4).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the options of the standard, each on its own")]
pub struct Ctap2Info {
    /// Such as `FIDO_2_0`.
    pub versions: Vec<String>,
    /// Such as `hmac-secret`.
    pub extensions: Vec<String>,
    /// Whether a PIN is set; `None` when it knows no PINs.
    pub pin_set: Option<bool>,
    /// Whether it can know its user in another way, such as by finger, and has been taught to.
    pub verifies: bool,
    /// Whether it keeps credentials that are found without their id.
    pub resident: bool,
    /// Whether it wants its user verified for whatever it does.
    pub always_verifies: bool,
    /// Whether credentials are made without the PIN, although one is set.
    pub registers_without_pin: bool,
    /// PIN protocols, the one that it likes best first.
    pub pin_protocols: Vec<i64>,
}

impl FidoInfo {
    /// Whether it names a version of CTAP that has two secrets for applications in each credential, one for users who were verified and
    /// one for all others (CTAP 2.1 §12.5). Before, there was one.
    pub fn tells_users_apart(&self) -> bool {
        let is_later = |version: &String| {
            let later = version.strip_prefix("FIDO_2_").and_then(|minor| minor.parse::<u32>().ok());
            later.is_some_and(|minor| minor >= 1)
        };
        self.ctap2.as_ref().is_some_and(|ctap2| ctap2.versions.iter().any(is_later))
    }

    /// Whether applications can have secrets of its credentials: [`FidoToken::hmac_secret`].
    pub fn gives_secrets(&self) -> bool {
        self.ctap2.as_ref().is_some_and(|ctap2| ctap2.extensions.iter().any(|known| known == HMAC_SECRET))
    }

    /// Whether a PIN has to go along. `verify` when the relying party wants the user verified, `registering` when a credential is
    /// made. [`FidoError::PinNotSet`] when verification is wanted from a key that has no PIN yet.
    pub fn wants_pin(&self, verify: bool, registering: bool) -> Result<bool, FidoError> {
        let Some(ctap2) = &self.ctap2 else {
            return if verify { Err(FidoError::NO_VERIFICATION) } else { Ok(false) };
        };
        let verify = verify || ctap2.always_verifies;
        match ctap2.pin_set {
            Some(true) => Ok((verify && !ctap2.verifies) || (registering && !ctap2.registers_without_pin && !verify)),
            _ if !verify || ctap2.verifies => Ok(false),
            Some(false) => Err(FidoError::PinNotSet),
            None => Err(FidoError::NO_VERIFICATION),
        }
    }
}

/// A credential to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewCredential<'a> {
    /// For which relying party.
    pub rp_id: &'a str,
    /// What people call that. Keys behind USB are not told: `ctap-hid-fido2` has no place for it.
    pub rp_name: &'a str,
    /// The client data (`WebAuthn` §5.8.1), of which the key gets the hash.
    pub client_data: &'a [u8],
    /// The user's handle.
    pub user_id: &'a [u8],
    /// The user's name.
    pub user_name: &'a str,
    /// The user's name for people.
    pub user_display_name: &'a str,
    /// COSE's numbers of algorithms that are taken, the best first.
    pub algorithms: &'a [i64],
    /// Credentials of which the key must have none, as far as [`FidoToken::holds`] did not tell.
    pub exclude: &'a [Vec<u8>],
    /// Whether it has to be found without its id later.
    pub resident: bool,
    /// Whether the user has to be verified.
    pub verify: bool,
    /// Whether [`FidoToken::hmac_secret`] has to work with it. A key that cannot do that answers [`FidoError::NotSupported`].
    pub hmac_secret: bool,
}

/// A signature that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The RP ID, or for credentials made by U2F the app ID, whose hash is signed.
    pub party: &'a str,
    /// The client data (`WebAuthn` §5.8.1), of which the key gets the hash.
    pub client_data: &'a [u8],
    /// With which credential.
    pub credential: &'a [u8],
    /// Whether the user has to be verified.
    pub verify: bool,
}

/// What a key says of a credential that it has made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attestation {
    /// `packed`, `fido-u2f`, `none`.
    pub format: String,
    /// As the statement signs it (`WebAuthn` §6.1).
    pub authenticator_data: Vec<u8>,
    /// The attestation statement, as the format has it.
    pub statement: Value,
}

/// A signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assertion {
    /// With which credential.
    pub credential: Vec<u8>,
    /// As it was signed (`WebAuthn` §6.1).
    pub authenticator_data: Vec<u8>,
    /// DER, for ECDSA.
    pub signature: Vec<u8>,
    /// Whose credential it is, of a key that keeps that.
    pub user_handle: Option<Vec<u8>>,
}

impl<'a> NewCredential<'a> {
    /// The plainest: of P-256, not kept, without secrets, its user not verified.
    pub fn plain(rp_id: &'a str, client_data: &'a [u8], user: &'a str) -> Self {
        Self {
            rp_id,
            rp_name: rp_id,
            client_data,
            user_id: user.as_bytes(),
            user_name: user,
            user_display_name: user,
            algorithms: &[ES256],
            exclude: &[],
            resident: false,
            verify: false,
            hmac_secret: false,
        }
    }

    /// That a key can make it which keeps no credentials and knows P-256 alone: one of U2F, or a soft one.
    fn fits_plain_keys(&self) -> Result<(), FidoError> {
        match self {
            Self { resident: true, .. } => Err(FidoError::NO_RESIDENT),
            Self { algorithms, .. } if !algorithms.contains(&ES256) => Err(FidoError::NO_SUCH_SIGNATURES),
            _ => Ok(()),
        }
    }

    /// What the key signs.
    pub fn client_data_hash(&self) -> Hash {
        hash(self.client_data)
    }
}

impl Wanted<'_> {
    /// What the key signs.
    pub fn client_data_hash(&self) -> Hash {
        hash(self.client_data)
    }
}

impl Attestation {
    /// The attestation object (`WebAuthn` §6.5.4), in CBOR.
    pub fn object(&self) -> Vec<u8> {
        let text = |text: &str| Value::Text(text.to_owned());
        let map = vec![
            (text("fmt"), text(&self.format)),
            (text("attStmt"), self.statement.clone()),
            (text("authData"), Value::Bytes(self.authenticator_data.clone())),
        ];
        Value::Map(map).encode()
    }

    /// The same without what says which make of key it is: for whoever did not ask for an attestation (`WebAuthn` §5.1.3, step 28).
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        const AAGUID_END: usize = AUTHENTICATOR_HEAD + 16;
        if let Some(make) = self.authenticator_data.get_mut(AUTHENTICATOR_HEAD..AAGUID_END) {
            make.fill(0);
        }
        Self { format: "none".to_owned(), statement: Value::Map(Vec::new()), ..self }
    }

    /// The id of the credential, out of the authenticator data.
    pub fn credential_id(&self) -> Option<&[u8]> {
        let attested = self.authenticator_data.get(AUTHENTICATOR_HEAD + 16..)?;
        let (length, rest) = attested.split_first_chunk::<2>()?;
        rest.get(..usize::from(u16::from_be_bytes(*length)))
    }
}

/// SHA-256 of `bytes`.
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Authenticator data with a new credential (`WebAuthn` §6.5.1) of P-256. `point` is uncompressed, with its leading 4.
fn attested_data(
    application: &Hash,
    flags: u8,
    counter: u32,
    aaguid: &[u8; 16],
    id: &[u8],
    point: &[u8; 65],
) -> Vec<u8> {
    let length = u16::try_from(id.len()).expect("a credential id fits a message").to_be_bytes();
    let head = [&application[..], &[flags | ATTESTED], &counter.to_be_bytes(), aaguid, &length, id].concat();
    let int = Value::Int;
    // COSE_Key (RFC 9052 §7, RFC 9053 §7.1.1): EC2, ES256, P-256, x, y.
    let key = Value::Map(vec![
        (int(1), int(2)),
        (int(3), int(ES256)),
        (int(-1), int(1)),
        (int(-2), Value::Bytes(point[1..33].to_vec())),
        (int(-3), Value::Bytes(point[33..].to_vec())),
    ]);
    [head, key.encode()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenKind;

    fn info(ctap2: Option<Ctap2Info>) -> FidoInfo {
        let token = TokenInfo { kind: TokenKind::SecurityKey, name: "key".to_owned(), serial: 0, firmware: None };
        FidoInfo { token, place: "here".to_owned(), u2f: true, ctap2 }
    }

    #[test]
    fn a_pin_is_asked_for_when_it_must_and_never_else() {
        let bare = info(None);
        assert!(matches!(bare.wants_pin(false, true), Ok(false)));
        assert!(matches!(bare.wants_pin(true, false), Err(FidoError::NotSupported(_))));
        let unset = info(Some(Ctap2Info { pin_set: Some(false), ..Ctap2Info::default() }));
        assert!(matches!(unset.wants_pin(false, true), Ok(false)));
        assert!(matches!(unset.wants_pin(true, true), Err(FidoError::PinNotSet)));
        let set = Ctap2Info { pin_set: Some(true), ..Ctap2Info::default() };
        for (verify, registering, wanted) in
            [(false, false, false), (false, true, true), (true, false, true), (true, true, true)]
        {
            assert_eq!(info(Some(set.clone())).wants_pin(verify, registering).ok(), Some(wanted));
        }
        let later = Ctap2Info { registers_without_pin: true, ..set.clone() };
        assert!(matches!(info(Some(later)).wants_pin(false, true), Ok(false)));
        let strict = Ctap2Info { always_verifies: true, ..set.clone() };
        assert!(matches!(info(Some(strict)).wants_pin(false, false), Ok(true)));
        let finger = Ctap2Info { verifies: true, ..set };
        assert!(matches!(info(Some(finger)).wants_pin(true, false), Ok(false)));
    }

    #[test]
    fn keys_before_ctap_2_1_may_have_one_secret_for_everybody() {
        for (versions, two) in [
            (&["U2F_V2", "FIDO_2_0"][..], false),
            (&["FIDO_2_0", "FIDO_2_1_PRE"], false),
            (&["FIDO_2_0", "FIDO_2_1"], true),
            (&["FIDO_2_3"], true),
            (&[], false),
        ] {
            let versions = versions.iter().map(|version| (*version).to_owned()).collect();
            let told = info(Some(Ctap2Info { versions, ..Ctap2Info::default() })).tells_users_apart();
            assert_eq!(told, two);
        }
        assert!(!info(None).tells_users_apart());
    }

    #[test]
    fn whoever_asked_for_no_attestation_is_not_told_the_make() {
        let data = attested_data(&[1; 32], PRESENT, 0, &[7; 16], b"id", &[4; 65]);
        let statement = Value::Map(vec![(Value::Text("sig".to_owned()), Value::Bytes(vec![1]))]);
        let made = Attestation { format: "packed".to_owned(), authenticator_data: data, statement };
        assert_eq!(made.credential_id(), Some(&b"id"[..]));
        let anonymous = made.clone().anonymous();
        assert_eq!(anonymous.authenticator_data[37..53], [0; 16]);
        assert_eq!(anonymous.authenticator_data[53..], made.authenticator_data[53..]);
        assert!(anonymous.object().starts_with(b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData"));
    }
}
