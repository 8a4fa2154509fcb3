//! What the doctor says of the security keys (FIDO) that are connected: whether they can be used, and what stands in the way. It asks
//! for no PIN and no touch. Who has none needs none, so that nothing is said then.

use super::{Finding, ok, warning};
use crate::cli::CliError;
use crate::token::fido::ports::{Found, connected};
use crate::token::fido::{FidoError, FidoToken};
use crate::ui::{shown, tries};

pub(super) fn findings() -> Vec<Finding> {
    match connected() {
        Ok(found) => found.into_iter().map(of_key).collect(),
        Err(error) => vec![amiss("security keys", error)],
    }
}

fn of_key(found: Found) -> Finding {
    let what = format!("security key {} at {}", shown(&found.name), shown(&found.place));
    match found.open().and_then(|mut key| pin_of(key.as_mut())) {
        Ok(pin) => ok(&what, format!("answers; PIN: {pin}")),
        Err(error) => amiss(&what, error),
    }
}

fn pin_of(key: &mut dyn FidoToken) -> Result<String, FidoError> {
    match key.info().ctap2.as_ref().and_then(|ctap2| ctap2.pin_set) {
        Some(true) => match key.pin_tries()? {
            0 => Err(FidoError::PinBlocked),
            left => Ok(tries(left)),
        },
        Some(false) => Ok("none set".to_owned()),
        None => Ok("it knows none".to_owned()),
    }
}

/// Somebody who has a Toc in another key can do without this one.
fn amiss(what: &str, error: FidoError) -> Finding {
    let error = CliError::from(error);
    warning(what, shown(&error.to_string()), error.hint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::fido::FidoPin;
    use crate::token::fido::soft::SoftFidoToken;

    fn said(token: Result<Box<dyn FidoToken>, FidoError>) -> String {
        let (place, name) = ("/dev/hidraw3".to_owned(), "Example\u{1b} Key".to_owned());
        super::super::line(&of_key(Found::new(place, name, || token)))
    }

    #[test]
    fn what_stands_in_the_way_of_a_key_has_its_cure() {
        let locked = said(Err(FidoError::Access("/dev/hidraw3".to_owned())));
        assert!(locked.starts_with("warning  security key Example\\u{1b} Key at /dev/hidraw3: "), "{locked}");
        assert!(locked.contains("does not let you use") && locked.contains("udev/README.md"), "{locked}");
        assert!(said(Err(FidoError::Busy)).contains("cure: end the browser"));
    }

    #[test]
    fn a_key_that_answers_is_shown_with_the_tries_of_its_pin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.key");
        let mut key = SoftFidoToken::create(&path, "my").unwrap();
        let told = || said(SoftFidoToken::open(&path).map(|key| Box::new(key) as Box<dyn FidoToken>));
        assert!(told().starts_with("ok ") && told().contains("answers; PIN: none set"), "{}", told());
        let pin = |text: &str| FidoPin::parse(text.into()).unwrap();
        key.set_pin(None, &pin("471108")).unwrap();
        assert!(told().contains("PIN: 8 tries left"), "{}", told());
        while key.pin_tries().unwrap() > 0 {
            let mut other = SoftFidoToken::open(&path).unwrap();
            assert!(other.set_pin(Some(&pin("0000")), &pin("1111")).is_err());
        }
        assert!(
            told().starts_with("warning") && told().contains("the PIN of the security key is blocked"),
            "{}",
            told()
        );
    }
}
