//! What `ctap-hid-fido2` means when it says no: its errors are words, in which it quotes the key's status (CTAP 2.1 §8.2) as a
//! number. Of its words nothing is passed on.

use super::super::FidoError;

/// How it begins where it quotes a status, in hexadecimal.
const QUOTES: &str = "response_status err = 0x";
/// How it begins where the device takes or gives nothing, and where the device cannot be opened a second time.
const GONE: [&str; 3] = ["read err", "write error", "Failed to open device"];
/// What it says when the first report that it sees is not for it.
const NOT_FOR_US: &str = "Nonce verification failed";

/// Why a key says no, as far as somebody acts upon it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Status {
    NotHere,
    PinInvalid,
    Other(u8),
}

/// What the crate said: a status of the key, or why there was none.
pub(super) fn read(command: &'static str, words: &str) -> Result<Status, FidoError> {
    if let Some(quoted) = words.strip_prefix(QUOTES) {
        let digits = quoted.split(|digit: char| !digit.is_ascii_hexdigit()).next().unwrap_or_default();
        return u8::from_str_radix(digits, 16).map(Status::of).map_err(|_| FidoError::unreadable(command));
    }
    if GONE.iter().any(|beginning| words.starts_with(beginning)) {
        return Err(FidoError::Removed);
    }
    Err(if words == NOT_FOR_US { FidoError::Busy } else { FidoError::unreadable(command) })
}

impl Status {
    fn of(status: u8) -> Self {
        match status {
            // No credentials, or none that are valid.
            0x22 | 0x2e => Self::NotHere,
            0x31 => Self::PinInvalid,
            status => Self::Other(status),
        }
    }

    /// What it means to a person who wanted `command`.
    pub(in super::super) fn error(self, command: &'static str) -> FidoError {
        let status = match self {
            Self::NotHere => return FidoError::WrongKey,
            Self::PinInvalid => 0x31,
            Self::Other(status) => status,
        };
        match status {
            // Another channel has the key's attention, or has locked it.
            0x06 | 0x0a => FidoError::Busy,
            0x19 => FidoError::Excluded,
            0x26 => FidoError::NO_SUCH_SIGNATURES,
            // Denied, or cancelled at the key or by another program.
            0x27 | 0x2d => FidoError::Refused,
            0x28 => FidoError::Full,
            0x2b | 0x2c => FidoError::NotSupported("what is asked for"),
            0x05 | 0x2f | 0x3a => FidoError::Timeout,
            0x32 => FidoError::PinBlocked,
            0x34 => FidoError::PinBarred,
            0x35 => FidoError::PinNotSet,
            // Wrong, not given, or given too long ago.
            0x31 | 0x33 | 0x36 | 0x38 => FidoError::PinRequired,
            0x37 => FidoError::PinRefused,
            0x3c | 0x3f => FidoError::VerificationBlocked,
            status => FidoError::Unexpected { command, answer: format!("{status:02x}") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(words: &str) -> FidoError {
        match read("x", words) {
            Ok(status) => status.error("x"),
            Err(error) => error,
        }
    }

    /// That the crate quotes them so is seen where it runs, with every status that there is.
    #[test]
    fn a_status_is_read_out_of_the_words_about_it() {
        let quoted = |rest: &str| error(&format!("response_status err = {rest}"));
        assert!(matches!(quoted("0x2E CTAP2_ERR_NO_CREDENTIALS    No valid credentials."), FidoError::WrongKey));
        assert!(matches!(quoted("0xB7"), FidoError::Unexpected { answer, .. } if answer == "b7"));
        assert!(matches!(quoted("0x7"), FidoError::Unexpected { answer, .. } if answer == "07"));
        for nonsense in ["0x", "0x123", "0xyes", "31", ""] {
            assert!(
                matches!(quoted(nonsense), FidoError::Unexpected { answer, .. } if answer == "unreadable"),
                "{nonsense}"
            );
        }
    }

    #[test]
    fn other_words_are_of_a_key_that_is_gone_or_of_nonsense() {
        for gone in ["read err = 0xFE", "read error", "write error", "Failed to open device."] {
            assert!(matches!(error(gone), FidoError::Removed), "{gone}");
        }
        assert!(matches!(error("Nonce verification failed"), FidoError::Busy));
        let told = error("Cast Error: Value 'secret' is not Bytes.").to_string();
        assert!(told.contains("unreadable") && !told.contains("secret"), "{told}");
    }
}
