//! Links whose fragment is signed: `ADDRESS#PAYLOAD.SIGNATURE`, both in base64url. It must not know what a payload says.

use crate::encoding::{base64url, from_base64url};

/// Characters of a link that are read at most.
pub(crate) const MAX_LINK: usize = 256 * 1024;
/// Times in payloads are before this second (Unix time, the year 36812): sums with them cannot overflow.
pub(crate) const MAX_TIME: i64 = 1 << 40;

/// A link taken apart. Nothing is verified.
pub(crate) struct Parts<'a> {
    /// What stands before `#`; absent when only the fragment was given.
    pub(crate) address: Option<&'a str>,
    /// The exact bytes that are signed.
    pub(crate) payload: Vec<u8>,
    /// The signature.
    pub(crate) signature: Vec<u8>,
}

/// Takes a whole link, or only its fragment, apart; else says what is wrong with it.
pub(crate) fn split(text: &str) -> Result<Parts<'_>, &'static str> {
    const CUT: &str = "it is damaged or cut off";
    if text.len() > MAX_LINK {
        return Err("too long");
    }
    let text = text.trim();
    let (address, fragment) = match text.split_once('#') {
        Some((address, fragment)) => (Some(address), fragment),
        None if text.contains('/') => return Err("the part behind # is missing"),
        None => (None, text),
    };
    let (payload, signature) = fragment.split_once('.').ok_or(CUT)?;
    let decode = |part| from_base64url(part).ok_or(CUT);
    Ok(Parts { address, payload: decode(payload)?, signature: decode(signature)? })
}

/// The whole link.
pub(crate) fn join(address: &str, payload: &[u8], signature: &[u8]) -> String {
    format!("{address}#{}.{}", base64url(payload), base64url(signature))
}

/// Whether `created` and `expires` (Unix seconds) can be.
pub(crate) fn times_can_be(created: i64, expires: i64) -> bool {
    0 <= created && created < expires && expires < MAX_TIME
}
