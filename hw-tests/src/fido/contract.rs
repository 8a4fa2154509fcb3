//! The contract of [`FidoToken`]: what every security key does, whoever made it. Knows no particular key.

use crate::contract::Person;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use quorate::token::Touch;
use quorate::token::fido::cbor::Value;
use quorate::token::fido::{
    AUTHENTICATOR_HEAD, Assertion, Attestation, ES256, EXTENDED, FidoError, FidoPin, FidoToken, NewCredential, PRESENT,
    VERIFIED, Wanted, hash,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The relying party, and one that is another's.
const PARTY: &str = "example.com";
const OTHER: &str = "example.org";
const APP_ID: &str = "https://example.com";
const PIN: &str = "471108";
/// What is registered for, and what is signed for.
pub const CREATING: &[u8] = br#"{"type":"webauthn.create","challenge":"AAAA","origin":"https://example.com"}"#;
/// See [`CREATING`].
pub const GETTING: &[u8] = br#"{"type":"webauthn.get","challenge":"BBBB","origin":"https://example.com"}"#;

/// Makes a key without credentials and without a PIN.
pub type Fresh<'a> = &'a mut dyn FnMut() -> Box<dyn FidoToken>;

/// A case: its name says what holds.
pub struct Case {
    /// A sentence with underscores.
    pub name: &'static str,
    /// What a key has to have for it.
    pub wants: Wants,
    run: fn(Fresh<'_>),
}

/// What a key has to have for a case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wants {
    /// Every key has it.
    Nothing,
    /// Another key beside it.
    Another,
    /// CTAP2.
    Ctap2,
    /// CTAP2, and a PIN that the case sets: only a reset takes that away again.
    Pin,
}

impl Wants {
    /// Whatever there is.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Another, Self::Ctap2, Self::Pin];
    /// What U2F alone has.
    pub const OF_U2F: [Self; 2] = [Self::Nothing, Self::Another];
}

macro_rules! cases {
    ($($case:ident: $wants:ident),+ $(,)?) => {
        /// All cases, each independent of the others.
        pub const CASES: &[Case] = &[$(Case { name: stringify!($case), wants: Wants::$wants, run: $case }),+];
    };
}

cases![
    a_fresh_key_says_what_it_is: Ctap2,
    a_credential_signs_for_its_party_alone: Nothing,
    a_u2f_key_signs_for_its_application_alone: Nothing,
    what_u2f_made_signs_in_the_words_of_webauthn: Nothing,
    a_credential_of_one_key_is_unknown_to_another: Another,
    counters_rise: Nothing,
    with_a_pin_set_registering_wants_it: Pin,
    wrong_pins_count_down_and_three_in_a_row_bar: Pin,
    a_changed_pin_replaces_the_old_one: Pin,
    a_credential_that_must_not_be_there_is_found: Another,
    algorithms_that_it_does_not_know_are_refused: Nothing,
    secrets_for_applications_are_of_the_credential_and_the_salts: Ctap2,
    secrets_of_a_verified_user_are_others: Pin,
];

/// How many cases want one of these.
pub fn count(wants: &[Wants]) -> usize {
    CASES.iter().filter(|case| wants.contains(&case.wants)).count()
}

/// Runs every case; panics at the end with the names of those that failed, if any. How many ran.
pub fn run(fresh: impl FnMut() -> Box<dyn FidoToken>) -> usize {
    run_those(&Wants::ALL, fresh)
}

/// The same for the cases that want one of these.
pub fn run_those(wants: &[Wants], mut fresh: impl FnMut() -> Box<dyn FidoToken>) -> usize {
    let mut failed = Vec::new();
    for case in CASES.iter().filter(|case| wants.contains(&case.wants)) {
        // A failed assertion has told its place on stderr already.
        if catch_unwind(AssertUnwindSafe(|| (case.run)(&mut fresh))).is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), count(wants));
    count(wants)
}

fn person() -> Person {
    let person = Person::default();
    person.confirm_with(|| Touch::Given);
    person
}

fn pin(text: &str) -> FidoPin {
    FidoPin::parse(text.into()).expect("the contract's PINs are well-formed")
}

fn register_with(key: &mut dyn FidoToken, pin: Option<&FidoPin>, algorithms: &[i64]) -> Result<Attestation, FidoError> {
    register_beside(key, &[], pin, algorithms)
}

fn register_beside(
    key: &mut dyn FidoToken,
    exclude: &[Vec<u8>],
    pin: Option<&FidoPin>,
    algorithms: &[i64],
) -> Result<Attestation, FidoError> {
    key.register(&NewCredential { algorithms, exclude, ..new_credential() }, pin, &person())
}

/// A credential of P-256 for the relying party of the contract.
pub fn new_credential() -> NewCredential<'static> {
    NewCredential::plain(PARTY, CREATING, "ann")
}

/// A signature by `credential` for the relying party of the contract, without the user verified.
pub fn wanted(credential: &[u8]) -> Wanted<'_> {
    Wanted { party: PARTY, client_data: GETTING, credential, verify: false }
}

fn register(key: &mut dyn FidoToken) -> Attestation {
    register_with(key, None, &[ES256]).expect("a fresh key registers")
}

fn sign(key: &mut dyn FidoToken, party: &str, credential: &[u8]) -> Result<Assertion, FidoError> {
    key.sign(&Wanted { party, ..wanted(credential) }, None, &person())
}

fn counter(authenticator_data: &[u8]) -> u32 {
    let bytes = authenticator_data[AUTHENTICATOR_HEAD - 4..AUTHENTICATOR_HEAD].try_into().expect("four bytes");
    u32::from_be_bytes(bytes)
}

/// The public key of a new credential.
fn public_key(made: &Attestation) -> VerifyingKey {
    let id = made.credential_id().expect("an id");
    let key = Value::parse(&made.authenticator_data[AUTHENTICATOR_HEAD + 18 + id.len()..]).expect("one item");
    let coordinate = |at| key.at(at).and_then(Value::bytes).expect("a coordinate");
    VerifyingKey::from_sec1_bytes(&[&[4], coordinate(-2), coordinate(-3)].concat()).expect("a point")
}

/// The key that a certificate vouches for, by the head of its `SubjectPublicKeyInfo` (RFC 5480 §2).
fn vouched_for(statement: &Value) -> VerifyingKey {
    const HEAD: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let certificate = statement.named("x5c").and_then(Value::items).and_then(<[Value]>::first);
    let certificate = certificate.and_then(Value::bytes).expect("a certificate");
    let at = certificate.windows(HEAD.len()).position(|window| window == HEAD).expect("a key of P-256") + HEAD.len();
    VerifyingKey::from_sec1_bytes(&certificate[at..at + 65]).expect("a point")
}

/// Asserts that the maker of a key signed for [`CREATING`] that the key made this credential.
pub fn assert_attested(made: &Attestation) {
    let client_data_hash = &hash(CREATING);
    let data = &made.authenticator_data;
    let message = match made.format.as_str() {
        "packed" => [data, &client_data_hash[..]].concat(),
        // What U2F signs (`WebAuthn` §8.6).
        "fido-u2f" => {
            let point = public_key(made).to_sec1_point(false);
            let id = made.credential_id().expect("an id");
            [&[0], &data[..32], client_data_hash, id, point.as_bytes()].concat()
        }
        format => panic!("nobody asked for {format}"),
    };
    let signature = made.statement.named("sig").and_then(Value::bytes).expect("a signature");
    let signature = DerSignature::from_bytes(signature).expect("DER");
    vouched_for(&made.statement).verify(&message, &signature).expect("the maker signed for it");
}

/// Asserts that a credential signed what was asked of it.
pub fn assert_signed_by(made: &Attestation, signed: &Assertion) {
    assert_signed(&public_key(made), signed);
}

fn assert_signed(key: &VerifyingKey, signed: &Assertion) {
    let message = [&signed.authenticator_data[..], &hash(GETTING)].concat();
    let signature = DerSignature::from_bytes(&signed.signature).expect("DER");
    key.verify(&message, &signature).expect("it signed what was asked");
}

/// Handle and public key of a registration message of U2F.
fn parts(message: &[u8]) -> (Vec<u8>, VerifyingKey) {
    let handle = message[67..67 + usize::from(message[66])].to_vec();
    (handle, VerifyingKey::from_sec1_bytes(&message[1..66]).expect("a point"))
}

fn u2f_register(key: &mut dyn FidoToken) -> (Vec<u8>, VerifyingKey) {
    parts(&key.u2f_register(&[7; 32], &hash(APP_ID.as_bytes()), &person()).expect("a fresh key registers"))
}

fn a_fresh_key_says_what_it_is(fresh: Fresh<'_>) {
    let mut key = fresh();
    let info = key.info().clone();
    let ctap2 = info.ctap2.expect("it speaks CTAP2");
    assert!(info.u2f && ctap2.versions.iter().any(|version| version == "FIDO_2_0"), "{:?}", ctap2.versions);
    assert_eq!(ctap2.pin_set, Some(false));
    assert_eq!(key.pin_tries().expect("counting needs nothing"), 8);
}

fn a_credential_signs_for_its_party_alone(fresh: Fresh<'_>) {
    let mut key = fresh();
    let made = register(key.as_mut());
    let id = made.credential_id().expect("an id").to_vec();
    let format = if key.info().ctap2.is_some() { "packed" } else { "fido-u2f" };
    assert_eq!(made.format, format);
    assert!(made.authenticator_data.starts_with(&hash(PARTY.as_bytes())));
    assert_attested(&made);
    assert_eq!(key.holds(PARTY, &hash(PARTY.as_bytes()), &id).expect("it says"), Some(true));
    assert_eq!(key.holds(OTHER, &hash(OTHER.as_bytes()), &id).expect("it says"), Some(false));
    let signed = sign(key.as_mut(), PARTY, &id).expect("it signs");
    assert_signed(&public_key(&made), &signed);
    assert_eq!(signed.authenticator_data[32] & (PRESENT | VERIFIED), PRESENT);
    let foreign = sign(key.as_mut(), OTHER, &id);
    assert!(matches!(foreign, Err(FidoError::WrongKey)), "{foreign:?}");
}

fn a_u2f_key_signs_for_its_application_alone(fresh: Fresh<'_>) {
    let mut key = fresh();
    let (handle, public) = u2f_register(key.as_mut());
    let application = hash(APP_ID.as_bytes());
    let signed = key.u2f_sign(&[9; 32], &application, &handle, &person()).expect("it signs");
    let message = [&application[..], &signed[..5], &[9; 32]].concat();
    public.verify(&message, &DerSignature::from_bytes(&signed[5..]).expect("DER")).expect("what was asked");
    let foreign = key.u2f_sign(&[9; 32], &hash(OTHER.as_bytes()), &handle, &person());
    assert!(matches!(foreign, Err(FidoError::WrongKey)), "{foreign:?}");
}

fn what_u2f_made_signs_in_the_words_of_webauthn(fresh: Fresh<'_>) {
    let mut key = fresh();
    let (handle, public) = u2f_register(key.as_mut());
    assert_eq!(key.holds(APP_ID, &hash(APP_ID.as_bytes()), &handle).expect("it says"), Some(true));
    let signed = sign(key.as_mut(), APP_ID, &handle).expect("it signs");
    assert!(signed.authenticator_data.starts_with(&hash(APP_ID.as_bytes())));
    assert_signed(&public, &signed);
}

fn a_credential_of_one_key_is_unknown_to_another(fresh: Fresh<'_>) {
    let (mut key, mut other) = (fresh(), fresh());
    let id = register(key.as_mut()).credential_id().expect("an id").to_vec();
    assert_eq!(other.holds(PARTY, &hash(PARTY.as_bytes()), &id).expect("it says"), Some(false));
    let signed = sign(other.as_mut(), PARTY, &id);
    assert!(matches!(signed, Err(FidoError::WrongKey)), "{signed:?}");
}

fn counters_rise(fresh: Fresh<'_>) {
    let mut key = fresh();
    let id = register(key.as_mut()).credential_id().expect("an id").to_vec();
    let mut sign = || counter(&sign(key.as_mut(), PARTY, &id).expect("it signs").authenticator_data);
    let counters = [sign(), sign(), sign()];
    assert!(counters.is_sorted_by(|a, b| a < b), "{counters:?}");
}

fn with_a_pin_set_registering_wants_it(fresh: Fresh<'_>) {
    let mut key = fresh();
    key.set_pin(None, &pin(PIN)).expect("the first PIN needs nothing");
    assert_eq!(key.info().ctap2.as_ref().and_then(|ctap2| ctap2.pin_set), Some(true));
    if key.info().wants_pin(false, true).expect("it can") {
        let without = register_with(key.as_mut(), None, &[ES256]);
        assert!(matches!(without, Err(FidoError::PinRequired)), "{without:?}");
    }
    let made = register_with(key.as_mut(), Some(&pin(PIN)), &[ES256]).expect("with its PIN");
    assert_eq!(made.authenticator_data[32] & VERIFIED, VERIFIED);
    let id = made.credential_id().expect("an id").to_vec();
    assert_eq!(key.holds(PARTY, &hash(PARTY.as_bytes()), &id).expect("it says"), Some(true));
    sign(key.as_mut(), PARTY, &id).expect("a second factor signs without");
    let wanted = Wanted { verify: true, ..wanted(&id) };
    let without = key.sign(&wanted, None, &person());
    assert!(matches!(without, Err(FidoError::PinRequired)), "{without:?}");
    let signed = key.sign(&wanted, Some(&pin(PIN)), &person()).expect("with its PIN");
    assert_eq!(signed.authenticator_data[32] & VERIFIED, VERIFIED);
}

fn wrong_pins_count_down_and_three_in_a_row_bar(fresh: Fresh<'_>) {
    let mut key = fresh();
    key.set_pin(None, &pin(PIN)).expect("the first PIN needs nothing");
    let mut attempt = |text: &str| register_with(key.as_mut(), Some(&pin(text)), &[ES256]);
    assert!(matches!(attempt("000000"), Err(FidoError::WrongPin { tries_left: 7 })));
    attempt(PIN).expect("the right one");
    assert!(matches!(attempt("000000"), Err(FidoError::WrongPin { tries_left: 7 })), "the right one gave all back");
    assert!(matches!(attempt("000000"), Err(FidoError::WrongPin { tries_left: 6 })));
    let third = attempt("000000");
    assert!(matches!(third, Err(FidoError::PinBarred)), "{third:?}");
    let barred = attempt(PIN);
    assert!(matches!(barred, Err(FidoError::PinBarred)), "{barred:?}");
    assert_eq!(key.pin_tries().expect("counting needs nothing"), 5);
}

fn a_changed_pin_replaces_the_old_one(fresh: Fresh<'_>) {
    let mut key = fresh();
    key.set_pin(None, &pin(PIN)).expect("the first PIN needs nothing");
    let wrong = key.set_pin(Some(&pin("000000")), &pin("815815"));
    assert!(matches!(wrong, Err(FidoError::WrongPin { tries_left: 7 })), "{wrong:?}");
    key.set_pin(Some(&pin(PIN)), &pin("815815")).expect("with the old one");
    let old = register_with(key.as_mut(), Some(&pin(PIN)), &[ES256]);
    assert!(matches!(old, Err(FidoError::WrongPin { .. })), "{old:?}");
    register_with(key.as_mut(), Some(&pin("815815")), &[ES256]).expect("with the new one");
}

fn a_credential_that_must_not_be_there_is_found(fresh: Fresh<'_>) {
    let (mut key, mut other) = (fresh(), fresh());
    let id = register(key.as_mut()).credential_id().expect("an id").to_vec();
    let twice = register_beside(key.as_mut(), std::slice::from_ref(&id), None, &[ES256]);
    assert!(matches!(twice, Err(FidoError::Excluded)), "{twice:?}");
    register_beside(other.as_mut(), &[id], None, &[ES256]).expect("it is another's");
}

fn algorithms_that_it_does_not_know_are_refused(fresh: Fresh<'_>) {
    let mut key = fresh();
    let refused = register_with(key.as_mut(), None, &[-257]);
    assert!(matches!(refused, Err(FidoError::NotSupported(_))), "{refused:?}");
    register_with(key.as_mut(), None, &[-257, ES256]).expect("one of them is known");
}

type Secrets = Result<[[u8; 32]; 2], FidoError>;

/// Makes a credential that gives secrets.
fn make_with_secrets(key: &mut dyn FidoToken, pin: Option<&FidoPin>) -> Vec<u8> {
    assert!(key.info().gives_secrets(), "{:?}", key.info());
    let new = NewCredential { hmac_secret: true, ..new_credential() };
    let made = key.register(&new, pin, &person()).expect("it registers");
    assert_eq!(made.authenticator_data[32] & EXTENDED, EXTENDED);
    assert_attested(&made);
    made.credential_id().expect("an id").to_vec()
}

fn secrets(key: &mut dyn FidoToken, wanted: &Wanted<'_>, salts: [u8; 2], pin: Option<&FidoPin>) -> Secrets {
    let [first, second] = salts.map(|salt| [salt; 32]);
    key.hmac_secret(wanted, [&first, &second], pin, &person()).map(|secrets| *secrets.expose())
}

fn secrets_for_applications_are_of_the_credential_and_the_salts(fresh: Fresh<'_>) {
    let mut key = fresh();
    let (one, other) = (make_with_secrets(key.as_mut(), None), make_with_secrets(key.as_mut(), None));
    let mut ask = |wanted: &Wanted<'_>, salts| secrets(key.as_mut(), wanted, salts, None);
    let [first, second] = ask(&wanted(&one), [1, 2]).expect("it has them");
    let later = Wanted { client_data: b"another day", ..wanted(&one) };
    assert_eq!(ask(&later, [1, 2]).expect("it has them"), [first, second]);
    assert_eq!(ask(&wanted(&one), [2, 1]).expect("it has them"), [second, first]);
    assert_ne!(first, second);
    assert_ne!(ask(&wanted(&other), [1, 2]).expect("it has them")[0], first);
    let foreign = ask(&Wanted { party: OTHER, ..wanted(&one) }, [1, 2]);
    assert!(matches!(foreign, Err(FidoError::WrongKey)), "{foreign:?}");
}

fn secrets_of_a_verified_user_are_others(fresh: Fresh<'_>) {
    let mut key = fresh();
    key.set_pin(None, &pin(PIN)).expect("the first PIN needs nothing");
    let one = make_with_secrets(key.as_mut(), Some(&pin(PIN)));
    let verified = Wanted { verify: true, ..wanted(&one) };
    let mut ask =
        |wanted: &Wanted<'_>, entered: Option<&str>| secrets(key.as_mut(), wanted, [1, 2], entered.map(pin).as_ref());
    let of_the_user = ask(&verified, Some(PIN)).expect("with its PIN");
    assert_eq!(ask(&verified, Some(PIN)).expect("with its PIN"), of_the_user);
    assert_ne!(ask(&wanted(&one), None).expect("a touch is enough")[0], of_the_user[0], "whoever finds the key");
    let without = ask(&verified, None);
    assert!(matches!(without, Err(FidoError::PinRequired)), "{without:?}");
    let wrong = ask(&verified, Some("000000"));
    assert!(matches!(wrong, Err(FidoError::WrongPin { tries_left: 7 })), "{wrong:?}");
}
