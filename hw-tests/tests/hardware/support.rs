//! What tests on virtual cards stand on: a smart-card service with cards in it, and people who have keys on them. Nothing here
//! knows what a test is about.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate::token::readers::Readers;
use quorate::token::yubikey::YubiKeys;
use quorate::token::{NewKey, NoPrompts, Pin, PinPolicy, PivKey, PivToken, Puk, TouchPolicy};
use quorate_hw_tests::card::VirtualCard;
use quorate_hw_tests::contract::{PIN, PUK};
use quorate_hw_tests::isolation::{is_installed, isolated, leave_out};
use quorate_hw_tests::service::{PORTS, Service};
use tempfile::TempDir;

use super::people::{self, Person, Program};

/// How long anything may take before a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Of the first card.
pub(crate) const SERIAL: u32 = 16_777_321;
/// Of the second card.
pub(crate) const OTHER: u32 = 16_777_322;
/// The firmware of tests that are not about firmware.
pub(crate) const FIRMWARE: [u8; 3] = [5, 4, 3];

/// A smart-card service and the cards in its readers.
pub(crate) struct Bench {
    pub(crate) service: Service,
    pub(crate) cards: Vec<Arc<VirtualCard>>,
}

impl Bench {
    /// The only card, or the first.
    pub(crate) fn card(&self) -> Arc<VirtualCard> {
        Arc::clone(&self.cards[0])
    }
}

/// Runs a test with one card.
pub(crate) fn with_card(firmware: [u8; 3], test: impl FnOnce(&mut Bench)) {
    with_cards(&[(firmware, SERIAL)], test);
}

/// Runs a test with several cards, on a machine of its own. They are in their readers when it begins.
#[expect(clippy::print_stdout, reason = "which ground was exercised is said")]
pub(crate) fn with_cards(cards: &[([u8; 3], u32)], test: impl FnOnce(&mut Bench)) {
    isolated(|| {
        let service = Service::start();
        let made = cards.iter().zip(PORTS);
        let made = made.map(|((firmware, serial), port)| Arc::new(VirtualCard::new(port, *firmware, *serial)));
        let mut bench = Bench { service, cards: made.collect() };
        for (_, serial) in cards {
            token(*serial);
        }
        let firmware = |card: &([u8; 3], u32)| card.0.map(|part| part.to_string()).join(".");
        println!(
            "virtual cards behind pcscd, firmware {}",
            cards.iter().map(firmware).collect::<Vec<_>>().join(" and ")
        );
        test(&mut bench);
    });
}

/// The token in a reader, as a program opens it.
pub(crate) fn token(serial: u32) -> Box<dyn PivToken> {
    let token = YubiKeys::default().wait_for(serial, LIMIT).expect("the service works");
    token.expect("the card is in a reader")
}

pub(crate) fn pin(text: &str) -> Pin {
    Pin::parse(text.into()).expect("a PIN of a test")
}

pub(crate) fn puk(text: &str) -> Puk {
    Puk::parse(text.into()).expect("a PUK of a test")
}

/// The same with the contract's codes, the PIN verified.
pub(crate) fn own_token(serial: u32) -> Box<dyn PivToken> {
    let mut token = token(serial);
    token.change_pin(&pin("123456"), &pin(PIN)).expect("the factory's PIN");
    token.change_puk(&puk("12345678"), &puk(PUK)).expect("the factory's PUK");
    token.verify_pin(&pin(PIN)).expect("the new PIN");
    token
}

/// A key that wants the PIN once and never a touch.
pub(crate) fn make_key(token: &mut dyn PivToken, label: &str) -> PivKey {
    let (pin_policy, touch_policy) = (PinPolicy::Once, TouchPolicy::Never);
    let new = NewKey { slot: None, label: label.to_owned(), pin_policy, touch_policy };
    token.generate(&new, &NoPrompts).expect("a free slot")
}

/// Gives a card from the factory the codes of a person.
pub(crate) fn give_to_person(serial: u32) {
    let mut token = token(serial);
    token.change_pin(&pin("123456"), &pin(people::PIN)).expect("the factory's PIN");
    token.change_puk(&puk("12345678"), &puk(people::PIN)).expect("the factory's PUK");
}

/// Takes a card out and puts it back: no PIN and no touch is remembered, and its log is empty.
pub(crate) fn rest(card: &VirtualCard) {
    card.remove();
    card.insert();
    token(card.serial());
    card.take_log();
}

/// Whether other people's programs are all here, which is said either way; a test that misses one is left out.
#[expect(clippy::print_stdout, reason = "which programs were met is said")]
pub(crate) fn are_here(programs: &[&str]) -> bool {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    if let Some(missing) = programs.iter().find(|program| !is_installed(program)) {
        leave_out(test, &format!("{missing} not installed"));
        return false;
    }
    println!("{test}: with {}", programs.join(", "));
    true
}

/// Tocs of a group of two: one encrypted to `recipient` and its spares, one to nobody in particular.
pub(crate) struct Dealt {
    folder: TempDir,
}

impl Dealt {
    /// `recipients`: one, or several with commas between them.
    pub(crate) fn to(dealer: &Person, recipients: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("tocs");
        let player = format!("ann={recipients}");
        let stranger = format!("bob={}", age::x25519::Identity::generate().to_public());
        let out = out.to_str().expect("UTF-8");
        let arguments = ["deal", "-t", "2", "-p", &player, "-p", &stranger, "-o", out, "--otpauth", "-"];
        Program::start_with_input(&mut dealer.command(&arguments), &people::otpauth()).end().ok();
        Self { folder }
    }

    /// The Toc of the first.
    pub(crate) fn toc(&self) -> PathBuf {
        self.folder.path().join("tocs/ann.toc.age")
    }

    /// The same, for a command line.
    pub(crate) fn toc_name(&self) -> String {
        self.toc().to_str().expect("UTF-8").to_owned()
    }
}

/// Writes a file that `person` can name on a command line.
pub(crate) fn write(person: &Person, name: &str, text: &str) -> String {
    let path = person.path(name);
    fs::write(&path, text).expect("written");
    as_text(&path)
}

pub(crate) fn as_text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}
