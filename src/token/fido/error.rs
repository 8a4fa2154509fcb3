//! What can go wrong with a security key. Knows causes; what to do about them is said by the command line.

use super::super::TokenError;

/// Why a security key did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FidoError {
    /// The system does not let this person open the key's device.
    #[error("the system does not let you use the security key at {0}")]
    Access(String),
    /// Another program talks to the key.
    #[error("another program is using the security key")]
    Busy,
    /// The key has a credential of this user already.
    #[error("this security key is registered there already")]
    Excluded,
    /// A soft token's file.
    #[error(transparent)]
    File(#[from] TokenError),
    /// No room for another credential.
    #[error("the security key is full")]
    Full,
    /// Another program talked to the key while it did something that stays.
    #[error("another program talked to the security key meanwhile: it may have been done, or not")]
    InDoubt,
    /// A program would have spent the last try.
    #[error("only one try is left for the PIN, and a program does not get it")]
    LastTry,
    /// Nothing to ask.
    #[error("no security key is connected")]
    NoKey,
    /// What was asked is beyond this key. Holds what that is.
    #[error("the security key does not support {0}")]
    NotSupported(&'static str),
    /// Too many wrong PINs since it was put in.
    #[error("three wrong PINs in a row: the security key takes no more until it is put in again")]
    PinBarred,
    /// Too many wrong PINs in all: nothing but a reset helps, which forgets every credential.
    #[error("the PIN of the security key is blocked")]
    PinBlocked,
    /// Nobody entered a PIN.
    #[error("no PIN was entered")]
    PinDeclined,
    /// A PIN that no key could have.
    #[error("the PIN of a security key has 4 to 63 bytes, and at least 4 characters")]
    PinFormat,
    /// Verification is wanted, and the key has no PIN yet.
    #[error("the security key has no PIN yet, and one is asked for")]
    PinNotSet,
    /// The key has a PIN of its own to ask for first.
    #[error("the security key wants its PIN")]
    PinRequired,
    /// A new PIN that the key does not take: too short, or one it has had.
    #[error("the security key does not take this as its new PIN")]
    PinRefused,
    /// The person, or the key for them, said no.
    #[error("the touch was refused")]
    Refused,
    /// The key is gone.
    #[error("the security key was pulled out")]
    Removed,
    /// Several keys where one is meant.
    #[error("{0} security keys are connected, and one is wanted")]
    Several(usize),
    /// The key says nothing.
    #[error("the security key does not answer")]
    Silent,
    /// Nobody touched the key in time.
    #[error("nobody touched the security key in time")]
    Timeout,
    /// The device could not be reached, in the system's words.
    #[error("the security key cannot be reached: {0}")]
    Transport(String),
    /// The key answered something that the standard does not have here, in hexadecimal where it is a status.
    #[error("the security key did not do as it was told ({command}): {answer}")]
    Unexpected {
        /// What it was asked.
        command: &'static str,
        /// What came back.
        answer: String,
    },
    /// Whoever has the key would have what its PIN should guard.
    #[error("this security key gives the same secret without its PIN: nothing is sealed to it")]
    Unguarded,
    /// No key of that name or place.
    #[error("no security key is called {0}")]
    Unknown(String),
    /// A key that was not named wants a PIN, and does not say whether it has what is asked for. Holds its device.
    #[error("the security key at {0} does not say whether it is registered there, and gets no PIN before it is named")]
    Unsaid(String),
    /// It was told to, and answers as if it need not.
    #[error("the security key did not verify its user, and its answer is not taken")]
    Unverified,
    /// Verification by finger or the like has failed too often.
    #[error("the security key does not know its user any more")]
    VerificationBlocked,
    /// The key that is there has none of the credentials that are asked for.
    #[error("this security key is not registered there")]
    WrongKey,
    /// The PIN was wrong.
    #[error("wrong PIN, tries left: {tries_left}")]
    WrongPin {
        /// At least 1.
        tries_left: u8,
    },
}

impl FidoError {
    /// No credential can be found without its id.
    pub(crate) const NO_RESIDENT: Self = Self::NotSupported("credentials that are found by themselves");
    /// None of the algorithms is known.
    pub(super) const NO_SUCH_SIGNATURES: Self = Self::NotSupported("the kinds of signatures that are asked for");
    /// No user is verified.
    pub(super) const NO_VERIFICATION: Self = Self::NotSupported("verifying its user");
    /// The credential was made without secrets for applications.
    pub(super) const NO_SECRETS_OF_IT: Self = Self::NotSupported("secrets of this credential");
    /// No secrets are made for applications.
    #[cfg(feature = "fido")]
    pub(super) const NO_SECRETS: Self = Self::NotSupported("secrets for applications");

    /// An answer that nobody understands.
    #[cfg(feature = "fido")]
    pub(super) fn unreadable(command: &'static str) -> Self {
        Self::Unexpected { command, answer: "unreadable".to_owned() }
    }
}
