//! What the doctor says of the smart-card service, its readers, and the keys in them. It asks for no PIN and no touch, and must
//! not know how cards are reached.

use super::{Finding, State, ok, warning};
use crate::cli::error::token_hint;
use crate::token::readers::{Content, Readers, system_readers};
use crate::token::{FactoryCodes, PivToken, ServiceFault, TokenError};
use crate::ui::{shown, tries};

const SERVICE: &str = "smart-card service";

pub(super) fn findings() -> Vec<Finding> {
    match system_readers() {
        Some(readers) => of_readers(&*readers),
        None => vec![ok(SERVICE, "not part of this build, which knows soft tokens only".to_owned())],
    }
}

fn of_readers(readers: &dyn Readers) -> Vec<Finding> {
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
    let keys: Vec<String> = token.keys()?.iter().map(|key| format!("\"{}\"", shown(&key.label))).collect();
    let keys =
        if keys.is_empty() { "no keys for age".to_owned() } else { format!("keys for age: {}", keys.join(", ")) };
    let found = format!("{keys}; PIN: {}", tries(left));
    let cures = cures(token.factory_codes()?);
    Ok(if cures.is_empty() { ok(&what, found) } else { warning(&what, found, Some(cures.join("; "))) })
}

/// What to do about codes that everybody knows.
fn cures(codes: FactoryCodes) -> Vec<&'static str> {
    let cures = [
        (codes.pin, "the PIN is the factory's: `quorate key pin`, or `quorate key generate`, which asks for a new one"),
        (codes.puk, "the PUK is the factory's, so whoever finds the key can set a PIN: `quorate key pin --puk`"),
        (
            codes.management_key,
            "the management key is the factory's, so any program can erase and replace keys: `quorate key generate` puts one \
             under the PIN",
        ),
    ];
    cures.into_iter().filter(|(is_factory, _)| *is_factory == Some(true)).map(|(_, cure)| cure).collect()
}

fn wrong(what: &str, error: &TokenError) -> Finding {
    let found = shown(&error.to_string());
    Finding { what: what.to_owned(), state: State::Wrong, found, cure: token_hint(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::readers::Reader;
    use crate::token::soft_piv::SoftPivToken;
    use crate::token::{NewKey, NoPrompts, Pin, Puk, TouchPolicy};
    use std::sync::Mutex;
    use std::time::Duration;

    /// Readers that say once what they were told to.
    struct Told(Mutex<Option<Result<Vec<Content>, TokenError>>>);

    impl Readers for Told {
        fn look(&self) -> Result<Vec<Reader>, TokenError> {
            let contents = self.0.lock().unwrap().take().expect("looked at once")?;
            Ok(contents.into_iter().map(|content| Reader { name: "Example 00 00".to_owned(), content }).collect())
        }

        fn open(&self, _: u32) -> Result<Option<Box<dyn PivToken>>, TokenError> {
            unreachable!("the doctor looks, and asks for no token")
        }

        fn wait_for(&self, _: u32, _: Duration) -> Result<Option<Box<dyn PivToken>>, TokenError> {
            unreachable!("the doctor does not wait")
        }
    }

    fn said(looked: Result<Vec<Content>, TokenError>) -> Vec<String> {
        let findings = of_readers(&Told(Mutex::new(Some(looked))));
        findings.iter().map(super::super::line).collect()
    }

    #[test]
    fn every_fault_of_the_service_has_its_cure() {
        for (fault, state, cure) in [
            (ServiceFault::NoPermission, "WRONG", "polkit allow it"),
            (ServiceFault::NotInstalled, "warning", "`apt-get install pcscd`"),
            (ServiceFault::StaleSocket, "WRONG", "`systemctl restart pcscd.socket"),
            (ServiceFault::Stopped, "warning", "`systemctl enable --now pcscd.socket`"),
            (ServiceFault::Unwell, "WRONG", "`journalctl -u pcscd`"),
        ] {
            let lines = said(Err(TokenError::Service(fault)));
            assert!(lines.len() == 1 && lines[0].starts_with(state) && lines[0].contains(cure), "{fault:?}: {lines:?}");
        }
    }

    #[test]
    fn readers_without_a_key_of_ours_are_told_apart() {
        let none = said(Ok(Vec::new()));
        assert!(none[0].contains("runs, 0 readers") && none[1].contains("keys in readers: none"), "{none:?}");
        assert!(none[1].contains("lsusb") && none[1].contains("CCID"), "{none:?}");
        let empty = said(Ok(vec![Content::Empty]));
        assert!(empty[0].contains("runs, 1 readers") && empty[1].contains("keys in readers: none"), "{empty:?}");
        let stranger = said(Ok(vec![Content::Stranger]));
        assert!(stranger.len() == 2 && stranger[1].starts_with("ok") && stranger[1].contains("no key of ours"));
    }

    #[test]
    fn a_card_that_cannot_be_used_has_its_cure() {
        let holder = || Some("scdaemon".to_owned());
        for (error, found, cure) in [
            (TokenError::Busy(holder()), "holds the token: scdaemon", "`gpgconf --kill scdaemon`"),
            (TokenError::Firmware("3.4.1".to_owned()), "firmware 3.4.1 is too old", "firmware 4 or newer"),
            (TokenError::Frozen(Duration::from_secs(5)), "not answered for 5 seconds", "take it out"),
        ] {
            let lines = said(Ok(vec![Content::Unusable(error)]));
            assert!(lines[1].starts_with("WRONG    reader Example 00 00"), "{lines:?}");
            assert!(lines[1].contains(found) && lines[1].contains(cure), "{lines:?}");
        }
    }

    #[test]
    fn every_code_that_everybody_knows_is_named() {
        let told = |pin, puk, management_key| cures(FactoryCodes { pin, puk, management_key }).join("; ");
        assert_eq!(told(Some(false), None, Some(false)), "");
        let all = told(Some(true), Some(true), Some(true));
        assert!(
            all.contains("the PIN is") && all.contains("the PUK is") && all.contains("the management key is"),
            "{all}"
        );
        assert!(told(Some(false), Some(false), Some(true)).starts_with("the management key is the factory's"));
    }

    #[test]
    fn a_key_is_shown_with_its_tries_and_a_blocked_one_with_its_cure() {
        let folder = tempfile::tempdir().unwrap();
        let (pin, puk) = (Pin::parse("471108".into()).unwrap(), Puk::parse("87654321".into()).unwrap());
        let path = folder.path().join("my.token");
        let mut token = SoftPivToken::create(&path, "my", &pin, &puk).unwrap();
        let token_said = || said(Ok(vec![Content::Token(Box::new(SoftPivToken::open(&path).unwrap()))]));
        assert!(token_said()[1].contains("no keys for age; PIN: 3 tries left"), "{:?}", token_said());

        token.verify_pin(&pin).unwrap();
        let new = NewKey { touch_policy: TouchPolicy::Never, ..NewKey::recommended("ann\u{1b}") };
        assert!(token.generate(&new, &NoPrompts).is_err(), "no label acts on a terminal");
        token.generate(&NewKey { label: "ann".to_owned(), ..new }, &NoPrompts).unwrap();
        let wrong = Pin::parse("000000".into()).unwrap();
        assert!(token.verify_pin(&wrong).is_err());
        assert!(token_said()[1].contains("keys for age: \"ann\"; PIN: 2 tries left"), "{:?}", token_said());

        while token.pin_tries().unwrap() > 0 {
            assert!(token.verify_pin(&wrong).is_err());
        }
        let blocked = token_said();
        assert!(blocked[1].starts_with("WRONG") && blocked[1].contains("`quorate key pin --unblock`"), "{blocked:?}");
        while token.puk_tries().unwrap() != Some(0) {
            assert!(token.unblock_pin(&Puk::parse("00000000".into()).unwrap(), &pin).is_err());
        }
        let lost = token_said();
        assert!(lost[1].contains("the PUK is blocked") && lost[1].contains("redeal"), "{lost:?}");
    }
}
