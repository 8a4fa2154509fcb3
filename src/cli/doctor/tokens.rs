//! What the doctor says of the smart-card service, its readers, and the keys in them. It asks for no PIN and no touch, and must
//! not know how cards are reached.

use super::{Finding, State, ok, warning};
use crate::cli::error::token_hint;
use crate::token::readers::{Content, system_readers};
use crate::token::{PivToken, ServiceFault, TokenError};
use crate::ui::{shown, tries};

const SERVICE: &str = "smart-card service";

pub(super) fn findings() -> Vec<Finding> {
    let Some(readers) = system_readers() else {
        return vec![ok(SERVICE, "not part of this build, which knows soft tokens only".to_owned())];
    };
    let readers = match readers.look() {
        Ok(readers) => readers,
        // Who has no key in hardware needs no service.
        Err(error @ TokenError::Service(ServiceFault::NotInstalled | ServiceFault::Stopped)) => {
            return vec![warning(SERVICE, error.to_string(), token_hint(&error))];
        }
        Err(error) => return vec![wrong(SERVICE, &error)],
    };
    let mut findings = vec![ok(SERVICE, format!("runs, {} readers", readers.len()))];
    let mut seen = false;
    for reader in readers {
        let name = format!("reader {}", shown(&reader.name));
        match reader.content {
            Content::Empty => {}
            Content::Stranger => findings.push(ok(&name, "holds a card that is no key of ours".to_owned())),
            Content::Unusable(error) => findings.push(wrong(&name, &error)),
            Content::Token(mut token) => {
                seen = true;
                findings.push(of_token(&mut *token).unwrap_or_else(|error| wrong(&name, &error)));
            }
        }
    }
    if !seen && findings.len() == 1 {
        let cure = "put it in; over USB, `lsusb` must list it; \"CCID\" must be on (`ykman config usb`)";
        findings.push(warning("keys in readers", "none".to_owned(), Some(cure.to_owned())));
    }
    findings
}

fn of_token(token: &mut dyn PivToken) -> Result<Finding, TokenError> {
    let info = token.info().clone();
    let firmware = info.firmware.as_ref().map(|firmware| format!(", firmware {firmware}")).unwrap_or_default();
    let what = format!("{}{firmware}", shown(&info.to_string()));
    let left = token.pin_tries()?;
    let puk_left = token.puk_tries()?;
    if left == 0 {
        let error = if puk_left == Some(0) { TokenError::PukBlocked } else { TokenError::PinBlocked };
        return Ok(wrong(&what, &error));
    }
    let keys = token.keys()?.len();
    let found = format!("{keys} keys for age, PIN: {}", tries(left));
    let codes = token.factory_codes()?;
    let cure = match (codes.pin, codes.puk) {
        (Some(true), _) => {
            "the PIN is the factory's: `quorate key pin`, or `quorate key generate`, which asks for a new one"
        }
        (_, Some(true)) => "the PUK is the factory's, so whoever finds the key can set a PIN: `quorate key pin --puk`",
        _ => return Ok(ok(&what, found)),
    };
    Ok(warning(&what, found, Some(cure.to_owned())))
}

fn wrong(what: &str, error: &TokenError) -> Finding {
    let found = shown(&error.to_string());
    Finding { what: what.to_owned(), state: State::Wrong, found, cure: token_hint(error) }
}
