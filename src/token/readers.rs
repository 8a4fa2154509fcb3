//! Where connected tokens are found: the seam between those who look for a token and whatever it is plugged into.
//! It must not know PC/SC.

use std::time::Duration;

use super::{PivToken, TokenError};

/// A way to the tokens that are connected to this machine. Calls block, but never for long.
pub trait Readers: Send + Sync {
    /// Everything that a token could be in, and what is in it. [`TokenError::Service`] when nothing can be said.
    fn look(&self) -> Result<Vec<Reader>, TokenError>;

    /// The connected token with this serial number. `None` when it is not there; an error when it may be there, but cannot be
    /// used.
    fn open(&self, serial: u32) -> Result<Option<Box<dyn PivToken>>, TokenError>;

    /// The same, for a token that may be put in at any moment within `limit`.
    fn wait_for(&self, serial: u32, limit: Duration) -> Result<Option<Box<dyn PivToken>>, TokenError>;
}

/// Something that a token can be in.
pub struct Reader {
    /// As the system calls it.
    pub name: String,
    /// What is in it.
    pub content: Content,
}

/// What is in a reader.
pub enum Content {
    /// Nothing.
    Empty,
    /// A card that is no token of ours.
    Stranger,
    /// A token.
    Token(Box<dyn PivToken>),
    /// A card that cannot be used, or asked what it is.
    Unusable(TokenError),
}

/// The readers of this machine; `None` where this build has none.
pub fn system_readers() -> Option<Box<dyn Readers>> {
    #[cfg(feature = "piv")]
    let readers: Option<Box<dyn Readers>> = Some(Box::new(super::yubikey::YubiKeys::default()));
    #[cfg(not(feature = "piv"))]
    let readers = None;
    readers
}
