//! Security keys by way of `ctap-hid-fido2`, as it is, on the double of `hidapi`: the contract on the firmware of keys that are
//! sold, and each thing that goes wrong between a key and us.

use quorate::token::fido::cbor::Value;
use quorate::token::fido::channel::{CBOR, MSG};
use quorate::token::fido::ports::Patience;
use quorate::token::fido::{AUTHENTICATOR_HEAD, FidoPin, PRESENT, VERIFIED, Wanted};
use quorate::token::fido::{FidoError, FidoToken, hash};
use quorate::ui::Ui;
use quorate_hidapi_double::{Port, plug, plug_at};
use quorate_hw_tests::contract::Person;
use quorate_hw_tests::fido::contract::{CASES, Wants, count, new_credential, run, run_those, wanted};
use quorate_hw_tests::fido::double::{Firmware, Reaction};
use quorate_hw_tests::fido::firmware::{VirtualKey, program};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// CTAP2 and no U2F, and both.
const CTAP2_ONLY: u8 = 0x0c;
const BOTH: u8 = 0x05;

const GET_INFO: u8 = 4;
const CLIENT_PIN: u8 = 6;
/// Tries for the PIN of a scripted key.
const TRIES: u8 = 5;

/// Short where a test waits for its end; long enough not to end on whatever machine.
const SOON: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3);
const NEVER: Duration = Duration::from_secs(500);
const PATIENT: Patience = Patience { answer: NEVER, quiet: NEVER, touch: NEVER };

#[test]
fn the_firmware_of_keys_that_are_sold_keeps_the_contract() {
    let Some(program) = program("the_firmware_of_keys_that_are_sold_keeps_the_contract") else { return };
    let mut ports = Vec::new();
    let ran = run(|| {
        ports.push(plug(VirtualKey::start(&program)));
        ports[ports.len() - 1].open_with(PATIENT).expect("it opens")
    });
    assert_eq!(ran, CASES.len());
}

/// The same, as it was before there was a second PIN protocol.
struct FirstProtocol(VirtualKey);

impl Firmware for FirstProtocol {
    fn capabilities(&self) -> u8 {
        self.0.capabilities()
    }

    fn message(&mut self, command: u8, message: &[u8]) -> Reaction {
        let reaction = self.0.message(command, message);
        let Reaction::Touched(answer) = &reaction else { return reaction };
        if (command, message) != (CBOR, &[GET_INFO]) {
            return reaction;
        }
        let Some(Value::Map(mut entries)) = Value::parse(&answer[1..]) else { panic!("it says what it is") };
        for (key, value) in &mut entries {
            if *key == Value::Int(6) {
                *value = Value::Array(vec![Value::Int(1)]);
            }
        }
        Reaction::Answer([&[0], &Value::Map(entries).encode()[..]].concat())
    }
}

#[test]
fn the_first_pin_protocol_keeps_the_contract_as_well() {
    let Some(program) = program("the_first_pin_protocol_keeps_the_contract_as_well") else { return };
    let mut ports = Vec::new();
    let ran = run_those(&[Wants::Pin], || {
        ports.push(plug(FirstProtocol(VirtualKey::start(&program))));
        let key = ports[ports.len() - 1].open_with(PATIENT).expect("it opens");
        assert_eq!(key.info().ctap2.as_ref().expect("it speaks CTAP2").pin_protocols, [1]);
        key
    });
    assert!(ran > 0 && ran == count(&[Wants::Pin]), "{ran}");
}

/// The same, while another program has the key talk to it whenever a PIN is set or changed.
struct AmongOthers(VirtualKey, Arc<Mutex<bool>>);

impl Firmware for AmongOthers {
    fn capabilities(&self) -> u8 {
        self.0.capabilities()
    }

    fn message(&mut self, command: u8, message: &[u8]) -> Reaction {
        let asked = message.split_first().filter(|(first, _)| (command, **first) == (CBOR, CLIENT_PIN));
        let subcommand = asked.and_then(|(_, map)| Value::parse(map)).and_then(|map| map.at(2).cloned());
        // setPIN and changePIN (CTAP 2.1 §6.5.5).
        if !matches!(subcommand, Some(Value::Int(3 | 4))) {
            return self.0.message(command, message);
        }
        if *self.1.lock().expect("nobody panics with it") {
            return Reaction::AmongOthers(vec![0x06]);
        }
        match self.0.message(command, message) {
            Reaction::Touched(answer) => Reaction::AmongOthers(answer),
            reaction => panic!("{reaction:?}"),
        }
    }
}

#[test]
fn whether_a_pin_was_set_among_other_programs_words_is_found_out() {
    let Some(program) = program("whether_a_pin_was_set_among_other_programs_words_is_found_out") else { return };
    let refuses = Arc::new(Mutex::new(false));
    let port = plug(AmongOthers(VirtualKey::start(&program), Arc::clone(&refuses)));
    let mut key = port.open_with(PATIENT).expect("it opens");
    let pin = |text: &str| FidoPin::parse(text.into()).expect("well-formed");
    key.set_pin(None, &pin("471108")).expect("it was set");
    key.set_pin(Some(&pin("471108")), &pin("815815")).expect("it was changed");
    assert_eq!(key.info().ctap2.as_ref().and_then(|ctap2| ctap2.pin_set), Some(true));
    *refuses.lock().expect("nobody panics with it") = true;
    let busy = key.set_pin(Some(&pin("815815")), &pin("471108"));
    assert!(matches!(busy, Err(FidoError::Busy)), "{busy:?}");
    key.register(&new_credential(), Some(&pin("815815")), &Person::default()).expect("the old one holds");
}

/// A CTAP2 key that says what it is, counts the tries for its PIN, and reacts to everything else as it is told.
struct Scripted {
    capabilities: u8,
    reaction: Arc<Mutex<Reaction>>,
}

impl Firmware for Scripted {
    fn capabilities(&self) -> u8 {
        self.capabilities
    }

    fn message(&mut self, command: u8, message: &[u8]) -> Reaction {
        match (command, message) {
            (CBOR, [GET_INFO]) => answer(vec![
                (int(1), Value::Array(vec![text("FIDO_2_0")])),
                (int(2), Value::Array(vec![text("hmac-secret")])),
                (
                    int(4),
                    Value::Map(vec![
                        (text("clientPin"), Value::Bool(true)),
                        (text("makeCredUvNotRqd"), Value::Bool(true)),
                        (text("uv"), Value::Bool(true)),
                    ]),
                ),
                // Of a later standard.
                (int(0x30), text("something new")),
            ]),
            (CBOR, [CLIENT_PIN, ..]) => answer(vec![(int(3), int(TRIES.into()))]),
            (MSG, [0, 3, ..]) => Reaction::Answer(b"U2F_V2\x90\x00".to_vec()),
            _ => self.reaction.lock().expect("nobody panics with it").clone(),
        }
    }
}

fn int(number: i64) -> Value {
    Value::Int(number)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn answer(entries: Vec<(Value, Value)>) -> Reaction {
    Reaction::Answer([&[0], &Value::Map(entries).encode()[..]].concat())
}

/// A scripted key that is plugged in and open.
struct Script {
    reaction: Arc<Mutex<Reaction>>,
    key: Box<dyn FidoToken>,
    port: Port,
}

impl Script {
    fn new(capabilities: u8, answer: Duration, touch: Duration) -> Self {
        Self::with(capabilities, Patience { answer, touch, ..PATIENT })
    }

    fn with(capabilities: u8, patience: Patience) -> Self {
        let reaction = Arc::new(Mutex::new(Reaction::Nothing));
        let port = plug(Scripted { capabilities, reaction: Arc::clone(&reaction) });
        let from = Instant::now();
        let key = loop {
            match port.open_with(patience) {
                // A machine with other work may have been silent for so long.
                Err(FidoError::Silent) if from.elapsed() < NEVER => {}
                key => break key.expect("it says what it is"),
            }
        };
        Self { reaction, key, port }
    }

    fn patient() -> Self {
        Self::new(CTAP2_ONLY, NEVER, NEVER)
    }

    fn reacts(&mut self, reaction: Reaction) -> &mut Self {
        *self.reaction.lock().expect("nobody panics with it") = reaction;
        self
    }

    /// What comes of a registration, and what the person was asked for.
    fn register(&mut self) -> (FidoError, Vec<&'static str>) {
        let person = Person::default();
        let refused = self.key.register(&new_credential(), None, &person).expect_err("refused");
        (refused, person.asked())
    }

    fn sign(&mut self) -> FidoError {
        self.key.sign(&wanted(b"id"), None, &Person::default()).expect_err("refused")
    }

    /// What comes of it in the end, where a machine with other work may have been silent for a while.
    fn patiently<T>(&mut self, mut ask: impl FnMut(&mut Self) -> Result<T, FidoError>) -> Result<T, FidoError> {
        let from = Instant::now();
        loop {
            match ask(self) {
                Err(FidoError::Silent) if from.elapsed() < NEVER => thread::yield_now(),
                told => return told,
            }
        }
    }

    /// Waits until nothing goes on with the key that nobody waits for.
    fn opens_again(&self) {
        let from = Instant::now();
        while let Err(error) = self.port.open_with(PATIENT).map(drop) {
            assert!(matches!(error, FidoError::Silent) && from.elapsed() < NEVER, "{error:?}");
            thread::yield_now();
        }
    }

    fn holds(&mut self) -> Result<Option<bool>, FidoError> {
        self.key.holds("example.com", &hash(b"example.com"), b"id")
    }
}

#[test]
fn each_status_of_a_key_has_a_name() {
    let mut script = Script::patient();
    for status in 0..=u8::MAX {
        let name = match status {
            0x06 | 0x0a => "Busy",
            0x19 => "Excluded",
            0x22 | 0x2e => "WrongKey",
            0x26 | 0x2b | 0x2c => "NotSupported",
            0x27 | 0x2d => "Refused",
            0x28 => "Full",
            0x05 | 0x2f | 0x3a => "Timeout",
            0x31 => "WrongPin { tries_left: 5 }",
            0x32 => "PinBlocked",
            0x33 | 0x36 | 0x38 => "PinRequired",
            0x34 => "PinBarred",
            0x35 => "PinNotSet",
            0x37 => "PinRefused",
            0x3c | 0x3f => "VerificationBlocked",
            0 => "Unexpected { command: \"register\", answer: \"unreadable\" }",
            _ => "Unexpected { command: \"register\", answer: \"",
        };
        let (refused, asked) = script.reacts(Reaction::Answer(vec![status])).register();
        let told = format!("{refused:?}");
        assert!(told.starts_with(name), "{status:02x}: {told}");
        if name.ends_with(": \"") {
            assert!(told.contains(&format!("\"{status:02x}\"")), "{status:02x}: {told}");
        }
        assert!(asked.is_empty(), "it did not wait for a touch");
    }
}

#[test]
fn a_touch_is_asked_for_when_the_key_waits_for_it_and_once() {
    let mut script = Script::patient();
    let (refused, asked) = script.reacts(Reaction::Touched(vec![0x27])).register();
    assert!(matches!(refused, FidoError::Refused), "{refused:?}");
    assert_eq!(asked, ["touch"]);
}

#[test]
fn a_key_that_nobody_touches_is_told_to_stop_and_good_for_more() {
    let mut script = Script::new(CTAP2_ONLY, NEVER, SOON);
    let (waited, asked) = script.reacts(Reaction::Waits).register();
    assert!(matches!(waited, FidoError::Timeout), "{waited:?}");
    assert_eq!((asked, script.port.cancelled()), (vec!["touch"], 1));
    assert_eq!(script.reacts(Reaction::Answer(vec![0x2e])).holds().expect("it answers again"), Some(false));
}

#[test]
fn a_key_that_does_not_stop_is_left_alone_until_it_does() {
    let mut script = Script::new(BOTH, LONG, SOON);
    let (waited, _) = script.reacts(Reaction::WaitsForEver).register();
    // Silent is one that a slow machine did not hear in time.
    assert!(matches!(waited, FidoError::Timeout | FidoError::Silent), "{waited:?}");
    script.reacts(Reaction::Answer(vec![0x2e]));
    assert!(matches!(script.holds(), Err(FidoError::Silent)), "what it says may be about what it was asked before");
    let by_u2f = script.key.u2f_register(&[1; 32], &[2; 32], &Person::default());
    assert!(matches!(by_u2f, Err(FidoError::Silent)), "{by_u2f:?}");
    let again = script.port.open().map(|key| key.info().clone());
    assert!(matches!(again, Err(FidoError::Silent)), "{again:?}");
    script.port.ends_with(&[0x27]);
    // It opens, and the key that was open all the time answers as well, about what it is asked now.
    script.opens_again();
    let tells = script.reacts(Reaction::Answer(vec![0x36])).patiently(Script::holds);
    assert_eq!(tells.expect("it answers again"), None);
}

/// It says again and again that it is at it, and in the end that it wants its PIN; or blinks, though nobody shall touch it.
#[test]
fn a_key_that_only_keeps_us_waiting_is_given_up_before_anybody_takes_part() {
    for reaction in [Reaction::Works, Reaction::Waits] {
        let mut script = Script::with(CTAP2_ONLY, Patience { quiet: LONG, ..PATIENT });
        let told = script.reacts(reaction.clone()).holds();
        assert!(matches!(told, Err(FidoError::Silent | FidoError::Timeout)), "{reaction:?}: {told:?}");
    }
    // However many questions there are, they have one end.
    let mut script = Script::with(CTAP2_ONLY, Patience { quiet: LONG, ..PATIENT });
    script.reacts(Reaction::Answer(vec![0x36]));
    let from = Instant::now();
    let given_up = loop {
        assert!(from.elapsed() < NEVER, "it goes on for ever");
        match script.holds() {
            Ok(told) => assert_eq!(told, None, "it may have it"),
            Err(error) => break error,
        }
    };
    assert!(matches!(given_up, FidoError::Silent), "{given_up:?}");
    // What people take part in has a time of its own, and whoever took part may ask again.
    let again = script.patiently(|script| match script.sign() {
        FidoError::PinRequired => script.holds(),
        error => Err(error),
    });
    assert_eq!(again.expect("it says"), None);
}

/// Answers to whoever wanted the user verified.
#[test]
fn an_answer_without_the_user_verified_is_not_taken() {
    let mut script = Script::patient();
    let mut signs = |flags: u8, verify: bool| {
        let data = [&hash(b"example.com")[..], &[flags, 0, 0, 0, 9]].concat();
        let signed = answer(vec![(int(2), Value::Bytes(data)), (int(3), Value::Bytes(vec![1]))]);
        let wanted = Wanted { verify, ..wanted(b"id") };
        script.reacts(signed).key.sign(&wanted, None, &Person::default())
    };
    assert!(matches!(signs(PRESENT, true), Err(FidoError::Unverified)));
    let signed = signs(PRESENT | VERIFIED, true).expect("its user was verified");
    assert_eq!(signed.authenticator_data.len(), AUTHENTICATOR_HEAD);
    signs(PRESENT, false).expect("nobody asked for that");
}

/// The system gives a place to whatever is plugged in next.
#[test]
fn another_device_at_the_place_of_a_key_is_not_taken_for_it() {
    let scripted = || Scripted { capabilities: CTAP2_ONLY, reaction: Arc::new(Mutex::new(Reaction::Nothing)) };
    let port = plug(scripted());
    let (found, place) = (port.found(), port.place().to_owned());
    drop(port);
    let other = plug_at(&place, "Gadget", scripted());
    let opened = found.open_with(PATIENT).map(|key| key.info().clone());
    assert!(matches!(opened, Err(FidoError::Removed)), "{opened:?}");
    other.open_with(PATIENT).expect("it is found by its own name");
}

#[test]
fn a_key_that_says_nothing_or_nothing_new_is_given_up() {
    let endless = |reaction: Reaction| {
        let mut script = Script::new(CTAP2_ONLY, LONG, SOON);
        (script.reacts(reaction).register().0, script.holds())
    };
    let garbage = vec![0x90, 0xff, 0xff, 0, 0xa1];
    for reaction in [Reaction::Nothing, Reaction::Works, Reaction::Says(vec![garbage])] {
        let (refused, then) = endless(reaction.clone());
        assert!(matches!(refused, FidoError::Silent), "{reaction:?}: {refused:?}");
        assert!(matches!(then, Err(FidoError::Silent)), "{reaction:?}: {then:?}");
    }
}

/// One signature was asked for, and each answer promises a million more.
#[test]
fn signatures_without_end_are_given_up() {
    let mut script = Script::new(CTAP2_ONLY, LONG, SOON);
    let data = [&hash(b"example.com")[..], &[1, 0, 0, 0, 9]].concat();
    let endless = answer(vec![
        (int(1), Value::Map(vec![(text("id"), Value::Bytes(b"id".to_vec()))])),
        (int(2), Value::Bytes(data)),
        (int(3), Value::Bytes(vec![1])),
        (int(5), int(1_000_000)),
    ]);
    let refused = script.reacts(endless).sign();
    assert!(matches!(refused, FidoError::Silent), "{refused:?}");
}

#[test]
fn a_key_that_is_pulled_out_is_gone_for_ever() {
    let mut script = Script::patient();
    let (refused, asked) = script.reacts(Reaction::Pulled).register();
    assert!(matches!(refused, FidoError::Removed), "{refused:?}");
    assert_eq!(asked, ["touch"]);
    assert!(matches!(script.holds(), Err(FidoError::Removed)));

    let Script { mut key, port, .. } = Script::new(BOTH, NEVER, NEVER);
    drop(port);
    let tries = key.pin_tries();
    assert!(matches!(tries, Err(FidoError::Removed)), "{tries:?}");
    let by_u2f = key.u2f_register(&[1; 32], &[2; 32], &Person::default());
    assert!(matches!(by_u2f, Err(FidoError::Removed)), "{by_u2f:?}");
}

#[test]
fn refusals_of_the_line_and_words_to_others_are_told_apart() {
    let mut script = Script::patient();
    assert!(matches!(script.reacts(Reaction::Refuses(6)).register().0, FidoError::Busy));
    let refused = script.reacts(Reaction::Refuses(1)).register().0;
    assert!(matches!(&refused, FidoError::Unexpected { answer, .. } if answer == "01"), "{refused:?}");
    // Which of the two was for us, the library does not look at.
    let among_others = script.reacts(Reaction::AmongOthers(vec![0x2e])).holds();
    assert!(matches!(among_others, Err(FidoError::Busy)), "{among_others:?}");
    // A credential may have been made.
    let among_others = script.reacts(Reaction::AmongOthers(vec![0x2e])).register().0;
    assert!(matches!(among_others, FidoError::InDoubt), "{among_others:?}");
    assert_eq!(script.reacts(Reaction::Answer(vec![0x2e])).holds().expect("alone again"), Some(false));
}

/// Each of these makes the library panic or take nonsense for an answer.
#[test]
fn answers_of_hostile_keys_are_errors() {
    let mut script = Script::patient();
    let bytes = |length: usize| Value::Bytes(vec![0x41; length]);
    for length in [0, 1, 32, 36, 37, 53, 54, 200] {
        let made = answer(vec![(int(1), text("packed")), (int(2), bytes(length)), (int(3), Value::Map(Vec::new()))]);
        let refused = script.reacts(made).register().0;
        assert!(matches!(refused, FidoError::Unexpected { .. }), "{length}: {refused:?}");
        let signed = answer(vec![(int(2), bytes(length)), (int(3), bytes(70))]);
        let refused = script.reacts(signed).sign();
        assert!(matches!(refused, FidoError::Unexpected { .. }), "{length}: {refused:?}");
    }
    for nonsense in [
        Reaction::Answer(b"\x00\xa1\x01\x64none".to_vec()),
        Reaction::Answer(b"\x00\x83\x01".to_vec()),
        Reaction::Answer(b"\x00\xff".to_vec()),
        Reaction::Answer([&[0][..], &[0x81; 3000]].concat()),
        Reaction::Says(vec![vec![0; 60]]),
        Reaction::Says(vec![vec![0xbf, 0, 1, 0]]),
        Reaction::Says(vec![vec![0x83, 0, 0]]),
    ] {
        let refused = script.reacts(nonsense.clone()).register().0;
        assert!(matches!(refused, FidoError::Unexpected { .. }), "{nonsense:?}: {refused:?}");
    }
    assert_eq!(script.reacts(Reaction::Answer(vec![0x2e])).holds().expect("nothing is left of it"), Some(false));
}

#[test]
fn a_key_that_wants_its_pin_first_does_not_tell_what_it_has() {
    let mut script = Script::patient();
    let mut tells = |status| script.reacts(Reaction::Answer(vec![status])).holds();
    assert_eq!(tells(0x2e).expect("it says"), Some(false));
    assert_eq!(tells(0x00).expect("it says"), Some(true));
    assert_eq!(tells(0x36).expect("it says"), None, "it may have it");
}

/// The library prints what it does not know, and that it panicked. The test is run once more where its output can be read.
#[test]
fn nothing_is_printed_where_data_is_expected() {
    const INSIDE: &str = "QUORATE_PRINTING_TEST";
    const NAME: &str = "nothing_is_printed_where_data_is_expected";
    if std::env::var_os(INSIDE).is_some() {
        let data = |text: &str| Ui::new(false, false).data(text).expect("it is printed");
        data("data before");
        let mut script = Script::new(CTAP2_ONLY, LONG, SOON);
        let short = answer(vec![(int(1), text("packed")), (int(2), Value::Bytes(vec![1]))]);
        assert!(matches!(script.reacts(short).register().0, FidoError::Unexpected { .. }));
        data("data in between");
        // A call that nobody waits for goes on, and prints in the end.
        let (waited, _) = script.reacts(Reaction::WaitsForEver).register();
        assert!(matches!(waited, FidoError::Timeout | FidoError::Silent), "{waited:?}");
        data("data meanwhile");
        let unknown = vec![(int(1), text("packed")), (int(0x30), text("something new"))];
        let Reaction::Answer(unknown) = answer(unknown) else { panic!("it is an answer") };
        script.port.ends_with(&unknown);
        script.opens_again();
        return data("data after");
    }
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--exact", NAME, "--nocapture", "--test-threads", "1"]).env(INSIDE, "1");
    let output = command.output().expect("it runs");
    let [out, err] = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "{out}{err}");
    let data: Vec<&str> = out.lines().filter_map(|line| line.find("data ").map(|at| &line[at..])).collect();
    assert_eq!(data, ["data before", "data in between", "data meanwhile", "data after"], "{out}");
    for printed in ["something new", "anything error"] {
        assert!(err.contains(printed) && !out.contains(printed), "{printed}: {out}{err}");
    }
    assert!(!err.contains("panicked"), "{err}");
}
