//! What to do when a security key does not answer, or a site may not ask it.

use super::hints;
use crate::token::fido::FidoError;
use crate::webauthn::SiteError;

/// The hint of `error`, where there is one.
pub(super) fn hint(error: &FidoError) -> Option<String> {
    let hint = match error {
        FidoError::Access(_) => {
            "at a seat it should: log in there, or install udev/70-quorate-tokens.rules as udev/README.md says, and put the key in again"
        }
        FidoError::Busy => "end the browser or the program that asks it, and try again",
        FidoError::Excluded => "it works as it is; to have a spare, register another key",
        FidoError::File(error) => return hints::token(error),
        FidoError::Full => "use another key, or remove credentials that you do not need with its maker's program",
        FidoError::LastTry => {
            "enter it yourself on a terminal, without that program: the right one brings all tries back"
        }
        FidoError::NoKey => {
            "put it in and try again; `quorate fido list` shows what is seen, `--soft FILE` names a key in a file"
        }
        FidoError::NotSupported(_) => "use another key, or a browser",
        FidoError::PinBarred => "take the key out, put it in again, and try again: the right PIN brings all tries back",
        FidoError::PinBlocked => {
            "use another key; a reset with its maker's program makes this one usable again, and forgets every registration"
        }
        FidoError::PinDeclined => "enter it on the terminal, or name a program that prints it in QUORATE_PIN_COMMAND",
        FidoError::PinNotSet => "`quorate fido pin` sets one",
        FidoError::PinFormat | FidoError::PinRefused => "choose 4 to 63 characters, not those it has now",
        FidoError::Removed => "put it back and try again: nothing was used up",
        FidoError::Several(_) => "leave one in, or name it with --key DEVICE: `quorate fido list` shows them",
        FidoError::Silent | FidoError::Transport(_) => "take it out, put it in again, and try again",
        FidoError::Timeout => "try again, and touch the key when it blinks",
        FidoError::Unknown(_) => "`quorate fido list` shows those that are connected",
        FidoError::VerificationBlocked => "`quorate fido pin` asks for its PIN, which makes it know you again",
        FidoError::WrongKey => "try your other key, or look at the right site",
        FidoError::WrongPin { .. } => "check whose PIN it is: when no try is left, the key forgets everything",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// The hint for what a site may not ask.
pub(super) fn site_hint(error: &SiteError) -> String {
    let hint = match error {
        SiteError::Foreign { .. } => {
            "ask its operator: the RP ID of the configuration has to be the oracle's own domain, or one above it"
        }
        SiteError::Malformed(_) => "is it an oracle of quorate, and the right address?",
        SiteError::NoName(_) => "use its name in the place of its number, such as http://localhost:8080",
        SiteError::Plain(_) => "use https; http is for this machine, by the name of localhost",
    };
    hint.to_owned()
}
