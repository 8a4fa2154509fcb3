//! The grounds behind the smart-card service: virtual cards, and real keys that a person agreed to lose. Whoever pulls out,
//! puts in, touches and wipes is a [`Hand`]: a virtual card's own, or a person's. It must not know the cards' insides.

use std::io::{Write, stderr, stdin};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate::token::readers::Readers;
use quorate::token::yubikey::YubiKeys;
use quorate::token::{Pin, PivToken, Puk, Touch};

use crate::card::{Finger, VirtualCard};
use crate::contract::{Ground, PIN, PUK, Person, TouchPlan};

/// How long a key may take to be seen after it was put in.
const SEEN: Duration = Duration::from_secs(60);

/// What hands do to a key.
pub trait Hand {
    /// Makes the key as it came from the factory.
    fn wipe(&mut self);
    /// Pulls it out.
    fn remove(&mut self);
    /// Puts it in.
    fn insert(&mut self);
    /// What happens when it blinks, from now on.
    fn plan(&mut self, finger: Finger);
}

impl Hand for Arc<VirtualCard> {
    fn wipe(&mut self) {
        VirtualCard::wipe(self);
        VirtualCard::insert(self);
    }

    fn remove(&mut self) {
        VirtualCard::remove(self);
    }

    fn insert(&mut self) {
        VirtualCard::insert(self);
    }

    fn plan(&mut self, finger: Finger) {
        self.set_touch(finger);
    }
}

/// The person at a real key, asked on stderr. Taking it out and putting it in are seen by their effect; what they will do at
/// the next touch is not, so they press Enter when they have read it.
pub struct PersonsHand {
    serial: u32,
    told: Option<Finger>,
}

impl PersonsHand {
    /// `serial` must have been agreed to: everything in the key's PIV application will be erased.
    pub fn new(serial: u32) -> Self {
        Self { serial, told: None }
    }

    fn ask(&self, what: &str) {
        // Who closed stderr does not want to be asked.
        let _ = writeln!(stderr(), ">>> key {}: {what}", self.serial);
    }

    fn is_there(&self) -> bool {
        matches!(YubiKeys::default().open(self.serial), Ok(Some(_)))
    }
}

impl Hand for PersonsHand {
    fn wipe(&mut self) {
        if !self.is_there() {
            self.insert();
        }
        // By its number: whatever is in its reader by then is not what was agreed to.
        let reset =
            Command::new("ykman").args(["--device", &self.serial.to_string(), "piv", "reset", "--force"]).output();
        let reset = reset.expect("ykman (package yubikey-manager) is installed");
        let said = String::from_utf8_lossy(&reset.stderr);
        assert!(reset.status.success(), "ykman did not reset the key {}: {said}", self.serial);
    }

    fn remove(&mut self) {
        self.ask("take it out");
        let deadline = Instant::now() + SEEN;
        while self.is_there() {
            assert!(Instant::now() < deadline, "it was not taken out");
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    fn insert(&mut self) {
        self.ask("put it in");
        let there = YubiKeys::default().wait_for(self.serial, SEEN);
        assert!(there.is_ok_and(|token| token.is_some()), "it was not put in");
    }

    fn plan(&mut self, finger: Finger) {
        if self.told.replace(finger) == Some(finger) {
            return;
        }
        self.ask(match finger {
            Finger::Touches => "from now on touch it whenever it blinks; Enter when you have read this",
            Finger::StaysAway => "from now on do NOT touch it, blink as it may; Enter when you have read this",
            Finger::Hesitates => "do not touch it until you are told to; Enter when you have read this",
            Finger::PullsOut => "from now on pull it out as soon as it blinks; Enter when you have read this",
        });
        let read = stdin().read_line(&mut String::new());
        assert!(read.is_ok_and(|length| length > 0), "nobody is there to read this");
    }
}

/// One key, virtual or real.
pub struct HardwareGround<H> {
    hand: H,
    name: String,
    serial: u32,
    readers: YubiKeys,
    person: Arc<Person>,
}

impl<H: Hand> HardwareGround<H> {
    /// The key with this serial number, wherever it is put in.
    pub fn new(name: impl Into<String>, serial: u32, hand: H) -> Self {
        Self { hand, name: name.into(), serial, readers: YubiKeys::default(), person: Arc::default() }
    }
}

impl<H: Hand> Ground for HardwareGround<H> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fresh(&mut self) -> Box<dyn PivToken> {
        self.hand.wipe();
        let mut token = self.reopen();
        let codes = "the contract's codes are well-formed";
        let pin = |text: &str| Pin::parse(text.into()).expect(codes);
        let puk = |text: &str| Puk::parse(text.into()).expect(codes);
        token.change_pin(&pin("123456"), &pin(PIN)).expect("a wiped key has the factory's PIN");
        token.change_puk(&puk("12345678"), &puk(PUK)).expect("a wiped key has the factory's PUK");
        token
    }

    fn reopen(&mut self) -> Box<dyn PivToken> {
        let token = self.readers.wait_for(self.serial, SEEN).expect("the service works");
        token.expect("the key is in a reader")
    }

    fn person(&self) -> Arc<Person> {
        Arc::clone(&self.person)
    }

    fn plan_touch(&mut self, plan: TouchPlan) {
        self.hand.plan(match plan {
            TouchPlan::Answer(Touch::Given) => Finger::Touches,
            TouchPlan::Answer(_) => Finger::StaysAway,
            TouchPlan::Pull => Finger::PullsOut,
        });
    }

    fn can_refuse(&self) -> bool {
        false
    }

    fn remove(&mut self) {
        self.hand.remove();
    }

    fn insert(&mut self) {
        self.hand.insert();
        self.reopen();
    }
}
