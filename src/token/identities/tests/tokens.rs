//! Connected tokens: which are tried, for what they are asked, which are waited for. Soft tokens stand in for hardware.

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::token::readers::{Content, Reader};
use crate::token::stub::Stub;
use crate::token::{Slot, TokenError};
use quorate_protocol::recipient::NativeRecipient;

/// Readers with soft tokens in them, some of which are put in only after a while.
#[derive(Default)]
struct Drawer {
    /// Each token's file, and after how many looks it is there.
    tokens: Vec<(PathBuf, usize)>,
    fault: Option<fn() -> TokenError>,
    looks: Mutex<usize>,
}

impl Drawer {
    fn with(mut self, file: &Path, from: usize) -> Self {
        self.tokens.push((file.to_owned(), from));
        self
    }

    fn there(&self) -> Vec<SoftPivToken> {
        let mut looks = self.looks.lock().unwrap();
        *looks += 1;
        let there = self.tokens.iter().filter(|(_, from)| *from < *looks);
        there.map(|(file, _)| SoftPivToken::open(file).unwrap()).collect()
    }

    fn looks(&self) -> usize {
        *self.looks.lock().unwrap()
    }
}

impl Readers for Drawer {
    fn look(&self) -> Result<Vec<Reader>, TokenError> {
        let tokens = self.there().into_iter().map(|token| Content::Token(Box::new(token)));
        let faults = self.fault.iter().map(|fault| Content::Unusable(fault()));
        let contents = tokens.chain(faults).chain([Content::Empty, Content::Stranger]);
        Ok(contents.map(|content| Reader { name: "drawer".to_owned(), content }).collect())
    }

    fn open(&self, serial: u32) -> Result<Option<Box<dyn PivToken>>, TokenError> {
        let found = self.there().into_iter().find(|token| token.info().serial == serial);
        Ok(found.map(|token| Box::new(token) as _))
    }

    fn wait_for(&self, serial: u32, _: Duration) -> Result<Option<Box<dyn PivToken>>, TokenError> {
        self.open(serial)
    }
}

/// What opens a file, with these readers and no named identity.
fn identities(place: &Place, readers: &Arc<Drawer>) -> Identities {
    let readers: Arc<dyn Readers> = Arc::<Drawer>::clone(readers);
    let prompts = Arc::clone(&place.script) as _;
    Identities::load(&[], &place.path("default"), prompts, Some(readers)).unwrap_or_else(|error| panic!("{error}"))
}

fn stub(file: &Path) -> String {
    let mut token = SoftPivToken::open(file).unwrap();
    let key = token.keys().unwrap().remove(0);
    Stub::of(token.info().serial, &key).unwrap().to_string()
}

#[test]
fn of_several_connected_tokens_only_the_one_that_is_named_asks_for_its_pin() {
    let place = Place::new(Script::default().pin("471108"));
    let (one, _) = place.token("one");
    let (two, recipients) = place.token("two");
    let drawer = Arc::new(Drawer::default().with(&one, 0).with(&two, 0));
    let identities = identities(&place, &drawer);
    for recipient in &recipients {
        assert_eq!(identities.decrypt(&sealed(recipient)).unwrap().as_slice(), b"a Toc");
    }
    assert_eq!(place.script.asked(), ["pin 3"]);
    assert_eq!(drawer.looks(), 1, "readers are looked into once");
}

/// Tries that are left on the token in `file`.
fn tries_left(file: &Path) -> u8 {
    SoftPivToken::open(file).unwrap().pin_tries().unwrap()
}

#[test]
fn a_programs_wrong_pin_costs_one_try_however_often_the_token_is_named() {
    let place = Place::new(Script::default().pin("000000").pin("000000").pin("000000"));
    let (token, recipients) = place.token("mine");
    let copy = place.path("copy");
    fs::copy(&token, &copy).unwrap();
    let identities = place.loaded(&[token.clone(), token.clone(), copy, token.clone()]);
    assert_eq!(identities.tokens().count(), 1);
    for recipient in recipients.iter().chain(&recipients) {
        let error = identities.decrypt(&sealed(recipient)).unwrap_err();
        assert!(
            matches!(error, IdentityError::Token { source: TokenError::WrongPin { tries_left: 2 }, .. }),
            "{error}"
        );
    }
    assert_eq!(place.script.asked(), ["pin 3", "refused: wrong PIN, tries left: 2"]);
    assert_eq!(tries_left(&token), 2);
}

#[test]
fn stubs_of_one_token_share_what_became_of_its_pin() {
    let place = Place::new(Script::default().pin("000000").pin("471108"));
    let (token, [recipient, _]) = place.token("mine");
    let first = Stub::parse(&stub(&token)).unwrap();
    let other = Stub { slot: Slot::KEY_MANAGEMENT, ..first };
    let lines = place.write("stubs.txt", format!("{first}\n{other}\n{first}\n"));
    let drawer: Arc<dyn Readers> = Arc::new(Drawer::default().with(&token, 0));
    let prompts = Arc::clone(&place.script) as _;
    let identities = Identities::load(&[lines], &place.path("default"), prompts, Some(drawer));
    let identities = identities.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(identities.sources.len(), 2);
    assert!(identities.decrypt(&sealed(&recipient)).is_err());
    assert_eq!(place.script.asked(), ["pin 3", "refused: wrong PIN, tries left: 2"]);
    assert_eq!(tries_left(&token), 2);
}

#[test]
fn a_spare_that_opens_everything_does_not_hide_that_the_first_refused_a_pin() {
    let place = Place::new(Script::default().pin("000000").pin("471108"));
    let (first, [one, _]) = place.token("first");
    let (spare, [two, _]) = place.token("spare");
    let drawer = Arc::new(Drawer::default().with(&first, 0).with(&spare, 0));
    let identities = identities(&place, &drawer);
    let file = sealed_to(&[&one, &two], Format::Binary);
    for _ in 0..4 {
        assert_eq!(identities.decrypt(&file).unwrap().as_slice(), b"a Toc");
    }
    assert_eq!(place.script.asked(), ["pin 3", "refused: wrong PIN, tries left: 2", "pin 3"]);
    assert_eq!((tries_left(&first), tries_left(&spare)), (2, 3));
}

#[test]
fn readers_are_left_alone_when_no_token_can_help_or_identities_are_named() {
    let place = Place::new(Script::default());
    let (token, [piv, _]) = place.token("mine");
    let (key, x25519) = place.x25519("default");
    let drawer = Arc::new(Drawer::default().with(&token, 0));
    let unnamed = identities(&place, &drawer);
    assert_eq!(unnamed.decrypt(&sealed_to(&[&piv, &x25519], Format::Binary)).unwrap().as_slice(), b"a Toc");
    let stranger = x25519::Identity::generate().to_public();
    assert!(matches!(unnamed.decrypt(&sealed(&stranger)), Err(IdentityError::NoneMatches(_))));

    let readers: Arc<dyn Readers> = Arc::<Drawer>::clone(&drawer);
    let named = Identities::load(&[key], &place.path("default"), Arc::clone(&place.script) as _, Some(readers));
    let named = named.unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(named.decrypt(&sealed(&piv)), Err(IdentityError::NoneMatches(_))));
    assert_eq!(named.tokens().count(), 0);
    assert_eq!(drawer.looks(), 0);
}

#[test]
fn the_token_that_is_missing_can_be_put_in_or_given_up_once_for_all() {
    let place = Place::new(Script::default().confirmation(true).confirmation(true).pin("471108"));
    let (late, [recipient, _]) = place.token("late");
    let drawer = Arc::new(Drawer::default().with(&late, 3));
    assert_eq!(identities(&place, &drawer).decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
    assert_eq!(place.script.asked(), ["confirm", "confirm", "pin 3"]);

    let place = Place::new(Script::default().confirmation(false));
    let (_, [recipient, _]) = place.token("elsewhere");
    let drawer = Arc::new(Drawer::default());
    let identities = identities(&place, &drawer);
    for _ in 0..2 {
        assert!(matches!(identities.decrypt(&sealed(&recipient)), Err(IdentityError::Nothing(_))));
    }
    assert_eq!(place.script.asked(), ["confirm"]);
}

#[test]
fn a_plugin_identity_waits_for_its_token_asks_no_other_and_can_be_skipped() {
    let place = Place::new(Script::default().confirmation(true).pin("471108"));
    let (other, _) = place.token("other");
    let (late, [recipient, tag]) = place.token("late");
    let line = place.write("stub.txt", stub(&late));
    let drawer: Arc<dyn Readers> = Arc::new(Drawer::default().with(&other, 0).with(&late, 1));
    let load = |place: &Place| {
        let prompts = Arc::clone(&place.script) as _;
        let identities =
            Identities::load(std::slice::from_ref(&line), &place.path("default"), prompts, Some(Arc::clone(&drawer)));
        identities.unwrap_or_else(|error| panic!("{error}"))
    };
    let identities = load(&place);
    for recipient in [&recipient, &tag] {
        assert_eq!(identities.decrypt(&sealed(recipient)).unwrap().as_slice(), b"a Toc");
    }
    assert_eq!(place.script.asked(), ["confirm", "pin 3"]);

    let place = Place::new(Script::default().confirmation(false));
    let drawer = Arc::new(Drawer::default());
    let prompts = Arc::clone(&place.script) as _;
    let skipped = Identities::load(&[line], &place.path("default"), prompts, Some(drawer));
    let skipped = skipped.unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(skipped.decrypt(&sealed(&recipient)), Err(IdentityError::NoneMatches(_))));
    assert_eq!(place.script.asked(), ["confirm"]);
}

#[test]
fn a_stub_whose_key_is_gone_names_the_slot() {
    let place = Place::new(Script::default());
    let (token, [recipient, _]) = place.token("mine");
    let (other, _) = place.token("other");
    let mut moved = Stub::parse(&stub(&token)).unwrap();
    moved.serial = SoftPivToken::open(&other).unwrap().info().serial;
    let line = place.write("stub.txt", moved.to_string());
    let drawer = Arc::new(Drawer::default().with(&other, 0));
    let prompts = Arc::clone(&place.script) as _;
    let identities = Identities::load(&[line], &place.path("default"), prompts, Some(drawer));
    let error = identities.unwrap_or_else(|error| panic!("{error}")).decrypt(&sealed(&recipient)).unwrap_err();
    let first = Slot::retired().next().unwrap();
    assert!(matches!(error, IdentityError::Token { source: TokenError::NoKey(slot), .. } if slot == first));
    assert!(place.script.asked().is_empty());
}

#[test]
fn a_token_that_cannot_be_used_is_told_when_nothing_else_helps() {
    let place = Place::new(Script::default().confirmation(true));
    let (_, x25519) = place.x25519("default");
    let (_, [recipient, _]) = place.token("held");
    let busy = || TokenError::Busy(Some("scdaemon".to_owned()));
    let drawer = Arc::new(Drawer { fault: Some(busy), ..Drawer::default() });
    let identities = identities(&place, &drawer);
    assert_eq!(identities.decrypt(&sealed(&x25519)).unwrap().as_slice(), b"a Toc");
    let error = identities.decrypt(&sealed(&recipient)).unwrap_err();
    assert_eq!(error.to_string(), "drawer: another program holds the token: scdaemon");
    assert!(place.script.asked().is_empty());
    assert_eq!(identities.look_for_tokens().len(), 1);
}

#[test]
fn connected_tokens_are_listed_with_their_recipients() {
    let place = Place::new(Script::default());
    let (token, recipients) = place.token("mine");
    let drawer = Arc::new(Drawer::default().with(&token, 0));
    let identities = identities(&place, &drawer);
    assert_eq!(identities.tokens().count(), 1);
    let told: Vec<String> = identities.recipients().into_iter().map(|own| own.recipient).collect();
    assert_eq!(told, recipients.map(|recipient: NativeRecipient| recipient.to_string()));
}
