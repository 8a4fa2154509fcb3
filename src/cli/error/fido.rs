//! What to do when a security key does not answer, or a site may not ask it.

use super::hints;
use crate::token::fido::FidoError;
use crate::ui::shown;
use crate::webauthn::SiteError;
use url::Url;

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
        FidoError::InDoubt => {
            "end the browser or the program that asks it, and look before you try again: a PIN may be the new one, and what was made may be in the key"
        }
        FidoError::LastTry => {
            "enter it yourself on a terminal, without that program: the right one brings all tries back"
        }
        FidoError::NoKey => {
            "put it in and try again; `quorate fido list` shows what is seen, `--soft FILE` names a key in a file"
        }
        FidoError::NotSupported("PINs") => "U2F has none; a key that speaks FIDO2 does: `quorate fido list` shows it",
        FidoError::NotSupported(_) => "use another key, or a browser",
        FidoError::PinBarred => "take the key out, put it in again, and try again: the right PIN brings all tries back",
        FidoError::PinBlocked => {
            "use another key; a reset with its maker's program makes this one usable again, and forgets every registration"
        }
        FidoError::PinDeclined => {
            "enter it on the terminal, or name a program that prints it in QUORATE_FIDO_PIN_COMMAND: no other program is asked"
        }
        FidoError::PinNotSet => "`quorate fido pin` sets one",
        FidoError::PinFormat => "a PIN has 4 to 63 characters; no try was used up",
        FidoError::PinRefused => "choose another one, of 4 to 63 characters",
        FidoError::Removed => "put it back and try again: nothing was used up",
        FidoError::Several(_) => "leave one in, or name it with --key DEVICE: `quorate fido list` shows them",
        FidoError::Silent | FidoError::Transport(_) => "take it out, put it in again, and try again",
        FidoError::Timeout => {
            "try again, and touch the key when it blinks; a soft one is touched at the terminal, or by QUORATE_SOFT_TOUCH=yes"
        }
        FidoError::Unsaid(_) => "if it is yours, name it with --key DEVICE: what plugs in may be anything",
        FidoError::Unguarded => {
            "take a key that knows CTAP 2.1 (`quorate fido list` shows FIDO_2_1), or a PIV token: `quorate key generate`"
        }
        FidoError::Unverified => "use another key: this one does not do what its PIN promises",
        FidoError::Unknown(_) => "`quorate fido list` shows those that are connected",
        FidoError::VerificationBlocked => "`quorate fido pin` asks for its PIN, which makes it know you again",
        FidoError::WrongKey => "try your other key, or look at the right site",
        FidoError::WrongPin { .. } => {
            "check whose PIN it is: when no try is left it is blocked, until a reset that makes the key forget everything"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// The hint for what a site may not ask.
pub(super) fn site_hint(error: &SiteError) -> String {
    let hint = match error {
        SiteError::Declined(_) => "--oracle names another; --yes leaves the question out",
        SiteError::Foreign { .. } => {
            "ask its operator: the RP ID of the configuration has to be the oracle's own domain, or one above it"
        }
        SiteError::Malformed(_) => "is it an oracle of quorate, and the right address?",
        SiteError::NoName(_) => "use its name in the place of its number, such as http://localhost:8080",
        SiteError::Other { party, named } if Url::parse(party).is_ok_and(|at| at.host_str() == Some(named)) => {
            return format!(
                "the user has keys from the time of U2F, which are bound to that address: add --app-id {}",
                shown(party)
            );
        }
        SiteError::Other { .. } => {
            "ask the oracle's operator: what it asks for is good for another site than the one that you named"
        }
        SiteError::Plain(_) => "use https; http is for this machine, by the name of localhost",
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests {
    use crate::cli::CliError;
    use crate::token::fido::FidoError;
    use crate::token::identities::{IdentityError, PasskeyError};
    use crate::token::sealed_identity::SealedIdentityError;
    use crate::webauthn::SiteError;

    #[test]
    fn what_a_passkey_does_not_open_has_a_line_and_a_cure() {
        let device = || "/dev/hidraw3".to_owned();
        for (source, line, cure) in [
            (PasskeyError::Absent("example.com".to_owned()), "its passkey, which is bound to example.com", "put in"),
            (FidoError::NoKey.into(), "no security key is connected", "that it was sealed with"),
            (FidoError::Unsaid(device()).into(), "the security key at /dev/hidraw3 does not say", "-i DEVICE"),
            (FidoError::Several(2).into(), "2 security keys are connected", "-i DEVICE"),
            (FidoError::WrongPin { tries_left: 3 }.into(), "wrong PIN, tries left: 3", "whose PIN it is"),
            (FidoError::NotSupported("it").into(), "does not support it", "another key"),
            (PasskeyError::GivenUp, "is not asked again", "the PIN"),
            (PasskeyError::Unnamed, "does not say which passkey opens it", "AGE-PLUGIN-FIDO2PRF-1"),
            (SealedIdentityError::Key.into(), "sealed to another one, or altered", "your copy"),
            (SealedIdentityError::Other.into(), "another identity than it says", "your copy"),
            (SealedIdentityError::NotAnIdentity.into(), "does not hold an identity", "your copy"),
            (SealedIdentityError::Damaged("here".to_owned()).into(), "damaged: here", "your copy"),
        ] {
            let error = CliError::from(IdentityError::Passkey { file: "ann.age".to_owned(), source });
            assert!(error.to_string().starts_with("ann.age: ") && error.to_string().contains(line), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains(cure)), "{error}: {:?}", error.hint());
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn each_thing_that_goes_wrong_has_a_line_and_a_cure() {
        let place = || "/dev/hidraw3".to_owned();
        for (error, line, cure) in [
            (FidoError::NoKey, "no security key is connected", "put it in"),
            (FidoError::WrongKey, "this security key is not registered there", "your other key"),
            (FidoError::Timeout, "nobody touched the security key in time", "when it blinks"),
            (FidoError::Removed, "the security key was pulled out", "put it back"),
            (FidoError::WrongPin { tries_left: 3 }, "wrong PIN, tries left: 3", "whose PIN it is"),
            (FidoError::PinBarred, "three wrong PINs in a row", "put it in again"),
            (FidoError::PinBlocked, "the PIN of the security key is blocked", "another key"),
            (FidoError::PinNotSet, "the security key has no PIN yet", "quorate fido pin"),
            (FidoError::PinDeclined, "no PIN was entered", "QUORATE_FIDO_PIN_COMMAND"),
            (FidoError::LastTry, "only one try is left for the PIN", "yourself on a terminal"),
            (FidoError::Excluded, "this security key is registered there already", "another key"),
            (FidoError::NotSupported("U2F"), "the security key does not support U2F", "another key, or a browser"),
            (FidoError::Busy, "another program is using the security key", "the browser"),
            (FidoError::Silent, "the security key does not answer", "take it out"),
            (FidoError::Several(2), "2 security keys are connected, and one is wanted", "--key DEVICE"),
            (FidoError::Unknown(place()), "no security key is called /dev/hidraw3", "quorate fido list"),
            (FidoError::Access(place()), "use the security key at /dev/hidraw3", "udev/README.md"),
            (FidoError::Unsaid(place()), "does not say whether it is registered there", "--key DEVICE"),
            (FidoError::Full, "the security key is full", "another key"),
            (FidoError::InDoubt, "it may have been done, or not", "look before you try again"),
            (FidoError::Unguarded, "gives the same secret without its PIN", "CTAP 2.1"),
            (FidoError::Unverified, "did not verify its user", "another key"),
        ] {
            let error = CliError::from(error);
            assert!(error.to_string().contains(line), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains(cure)), "{error}: {:?}", error.hint());
            assert_eq!(error.exit_code(), 1);
        }
        let foreign = SiteError::Foreign { site: "a.example".to_owned(), party: "b.example".to_owned() };
        let other = SiteError::Other { party: "b.example".to_owned(), named: "a.example".to_owned() };
        let of_u2f = SiteError::Other { party: "https://a.example/app.json".to_owned(), named: "a.example".to_owned() };
        assert!(
            CliError::from(of_u2f).hint().is_some_and(|hint| hint.ends_with("--app-id https://a.example/app.json"))
        );
        let [declined, nameless, plain] =
            [SiteError::Declined, SiteError::NoName, SiteError::Plain].map(|error| error("x".to_owned()));
        for error in [foreign, other, declined, nameless, plain] {
            assert!(CliError::from(error).hint().is_some());
        }
    }
}
