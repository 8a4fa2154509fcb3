//! Which key is asked, and which gets a PIN, among devices of which some do not open, say nothing, or say whatever they like.

use super::*;
use crate::token::fido::{Assertion, Attestation, Ctap2Info, FidoInfo, FidoPin, HmacSecrets, NewCredential, Wanted};
use crate::token::{TokenInfo, TokenKind, TokenPrompts};

/// Says of each credential what it is told to, and wants its PIN.
struct Says(FidoInfo, Result<Option<bool>, ()>);

/// What a device does when it is opened and asked.
#[derive(Clone, Copy)]
enum Does {
    Says(Option<bool>),
    Fails,
    StaysShut,
    MustNotBeOpened,
}

use Does::{Fails, MustNotBeOpened, StaysShut};

const YES: Does = Does::Says(Some(true));
const NO: Does = Does::Says(Some(false));
const NOTHING: Does = Does::Says(None);

fn says(place: &str, answer: Result<Option<bool>, ()>) -> Box<dyn FidoToken> {
    let token = TokenInfo { kind: TokenKind::SecurityKey, name: "key".to_owned(), serial: 0, firmware: None };
    let ctap2 = Some(Ctap2Info { pin_set: Some(true), always_verifies: true, ..Ctap2Info::default() });
    Box::new(Says(FidoInfo { token, place: place.to_owned(), u2f: false, ctap2 }, answer))
}

/// What is connected, at /dev/hidraw0 and so on.
fn devices(does: &[Does]) -> Vec<Found> {
    let found = |(does, number): (&Does, usize)| {
        let (does, place) = (*does, format!("/dev/hidraw{number}"));
        let open = place.clone();
        Found::new(place, "key".to_owned(), move || match does {
            Does::Says(answer) => Ok(says(&open, Ok(answer))),
            Fails => Ok(says(&open, Err(()))),
            StaysShut => Err(FidoError::Silent),
            MustNotBeOpened => panic!("{open} hangs for ever"),
        })
    };
    does.iter().zip(0..).map(found).collect()
}

impl FidoToken for Says {
    fn info(&self) -> &FidoInfo {
        &self.0
    }

    fn pin_tries(&mut self) -> Result<u8, FidoError> {
        panic!("it is not asked for a PIN")
    }

    fn set_pin(&mut self, _: Option<&FidoPin>, _: &FidoPin) -> Result<(), FidoError> {
        panic!("it gets no PIN")
    }

    fn holds(&mut self, _: &str, _: &Hash, _: &[u8]) -> Result<Option<bool>, FidoError> {
        self.1.map_err(|()| FidoError::Refused)
    }

    fn register(
        &mut self,
        _: &NewCredential<'_>,
        _: Option<&FidoPin>,
        _: &dyn TokenPrompts,
    ) -> Result<Attestation, FidoError> {
        Err(FidoError::Refused)
    }

    fn sign(&mut self, _: &Wanted<'_>, _: Option<&FidoPin>, _: &dyn TokenPrompts) -> Result<Assertion, FidoError> {
        Err(FidoError::Refused)
    }

    fn hmac_secret(
        &mut self,
        _: &Wanted<'_>,
        _: [&[u8; 32]; 2],
        _: Option<&FidoPin>,
        _: &dyn TokenPrompts,
    ) -> Result<HmacSecrets, FidoError> {
        Err(FidoError::Refused)
    }

    fn u2f_register(&mut self, _: &Hash, _: &Hash, _: &dyn TokenPrompts) -> Result<Vec<u8>, FidoError> {
        Err(FidoError::Refused)
    }

    fn u2f_sign(&mut self, _: &Hash, _: &Hash, _: &[u8], _: &dyn TokenPrompts) -> Result<Vec<u8>, FidoError> {
        Err(FidoError::Refused)
    }
}

/// The place of the key that is chosen among `does`, for a PIN that it would get.
fn chosen(does: &[Does], device: Option<&str>) -> Result<String, FidoError> {
    let allow = [b"id".to_vec()];
    let (key, _) = Keys::of(devices(does), device)?.chosen(&["example.com"], &allow, Verification::Required)?;
    Ok(key.info().place.clone())
}

#[test]
fn a_key_that_was_not_named_is_not_even_opened() {
    let both = [MustNotBeOpened, YES];
    assert_eq!(chosen(&both, Some("/dev/hidraw1")).expect("one is left"), "/dev/hidraw1");
    assert!(matches!(chosen(&both, Some("/dev/hidraw9")), Err(FidoError::Unknown(_))));
    let named = only(devices(&both), Some("/dev/hidraw1")).map(|key| key.info().place.clone());
    assert_eq!(named.expect("it opens"), "/dev/hidraw1");
}

#[test]
fn a_device_may_be_named_by_a_link_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap().join("hidraw1");
    std::fs::write(&place, "").unwrap();
    let link = folder.path().join("my-key");
    std::os::unix::fs::symlink(&place, &link).unwrap();
    let found = vec![Found::new(place.to_str().unwrap().to_owned(), "key".to_owned(), || Ok(says("linked", Ok(None))))];
    assert_eq!(only(found, link.to_str()).map(|key| key.info().place.clone()).unwrap(), "linked");
}

#[test]
fn a_key_that_says_yes_comes_before_one_that_says_nothing() {
    let allow = [b"id".to_vec()];
    let held = |does: &[Does]| {
        let held = Keys::of(devices(does), None)?.holder(&["example.com"], &allow);
        held.map(|(key, held)| (key.info().place.clone(), held.sure))
    };
    assert_eq!(held(&[NOTHING, NO, YES]).unwrap(), ("/dev/hidraw2".to_owned(), true));
    assert_eq!(held(&[NO, NOTHING, NOTHING]).unwrap(), ("/dev/hidraw1".to_owned(), false));
    assert!(matches!(held(&[NO]), Err(FidoError::WrongKey)));
    assert!(matches!(held(&[]), Err(FidoError::NoKey)));
    // One that fails does not stand in the way of the others, and is told of when none of them can help.
    assert!(held(&[Fails, StaysShut, YES]).unwrap().1);
    assert!(!held(&[Fails, NOTHING]).unwrap().1);
    assert!(matches!(held(&[NO, Fails]), Err(FidoError::Refused)));
    assert!(matches!(held(&[StaysShut, NO]), Err(FidoError::Silent)));
}

#[test]
fn only_a_key_that_was_named_or_is_alone_and_says_yes_gets_a_pin() {
    let pin_for = |does: &[Does]| chosen(does, None);
    assert!(matches!(pin_for(&[NOTHING]), Err(FidoError::Unsaid(place)) if place == "/dev/hidraw0"));
    assert!(matches!(pin_for(&[YES, NOTHING]), Err(FidoError::Several(2))));
    assert!(matches!(pin_for(&[NO, YES]), Err(FidoError::Several(2))));
    assert!(matches!(pin_for(&[Fails, YES]), Err(FidoError::Several(2))));
    pin_for(&[YES]).expect("there is no other, and it says so itself");
    chosen(&[NOTHING, MustNotBeOpened], Some("/dev/hidraw0")).expect("its owner says that it is theirs");
}

/// A gadget says yes to everything, and the owner's key is kept from opening: the gadget is not the only one for that.
#[test]
fn a_key_that_alone_opens_is_not_alone() {
    for does in [[StaysShut, YES], [YES, StaysShut]] {
        assert!(matches!(chosen(&does, None), Err(FidoError::Several(2))));
    }
    let only = |does: &[Does]| only(devices(does), None).map(|key| key.info().place.clone());
    assert!(matches!(only(&[MustNotBeOpened, MustNotBeOpened]), Err(FidoError::Several(2))));
    assert!(matches!(only(&[StaysShut]), Err(FidoError::Silent)));
    assert!(matches!(only(&[]), Err(FidoError::NoKey)));
    assert_eq!(only(&[YES]).unwrap(), "/dev/hidraw0");
}

/// The owner's key says nothing before it has its PIN, and a gadget says yes to everything.
#[test]
fn where_keys_were_named_the_others_have_no_say() {
    let allow = [b"id".to_vec()];
    let first = |named: &[Does], others: Option<&[Does]>| {
        let named = named.iter().zip(0..).map(|(does, number)| match does {
            Does::Says(answer) => Keys::named(says(&format!("named{number}"), Ok(*answer))),
            _ => panic!("what is named opens"),
        });
        let others = others.map(|others| move || Keys::of(devices(others), None));
        let keys = named.fold(Keys::default(), Keys::and);
        let chosen = keys.first_or(others, &["example.com"], &allow, Verification::Required);
        chosen.map(|(key, _)| key.info().place.clone())
    };
    assert_eq!(first(&[NOTHING], None).unwrap(), "named0");
    assert_eq!(first(&[NOTHING], Some(&[MustNotBeOpened])).unwrap(), "named0");
    assert_eq!(first(&[NO, YES], Some(&[MustNotBeOpened])).unwrap(), "named1");
    assert!(matches!(first(&[NO], None), Err(FidoError::WrongKey)));
    // A soft key among the identities has another passkey: the only one that is connected is asked, as if that were not there.
    assert_eq!(first(&[NO], Some(&[YES])).unwrap(), "/dev/hidraw0");
    assert!(matches!(first(&[NO], Some(&[YES, NO])), Err(FidoError::Several(2))));
    assert!(matches!(first(&[NO], Some(&[])), Err(FidoError::WrongKey)));
    assert!(matches!(first(&[], Some(&[])), Err(FidoError::NoKey)));
}
