//! Identities that are sealed to passkeys: which key is asked, when, how often, and what is said when it cannot help.

use super::*;
use crate::token::fido::soft::SoftFidoToken;
use crate::token::fido::{FidoError, HmacSecrets};
use crate::token::passkey::Passkey;
use crate::token::sealed_identity::SealedIdentity;
use hmac::{Hmac, KeyInit as _, Mac as _};
use quorate_protocol::fido2prf::salts;
use sha2::Sha256;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Has the passkeys with these numbers; fails as often as it is told to; writes down what it is asked.
#[derive(Default)]
struct Keyring {
    has: Vec<u8>,
    failures: Mutex<VecDeque<FidoError>>,
    asked: Mutex<Vec<String>>,
}

impl Keyring {
    fn with(has: &[u8]) -> Arc<Self> {
        Arc::new(Self { has: has.to_vec(), ..Self::default() })
    }

    fn failing(failures: impl IntoIterator<Item = FidoError>) -> Arc<Self> {
        let failures = Mutex::new(failures.into_iter().collect());
        Arc::new(Self { has: vec![1, 2], failures, ..Self::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().drain(..).collect()
    }
}

impl SecurityKeys for Keyring {
    fn secrets(&self, asked: &Asked<'_>) -> Result<HmacSecrets, FidoError> {
        let number = asked.passkey.credential[0];
        let named: Vec<_> = asked.named.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        let file = Path::new(asked.file).file_name().unwrap().to_string_lossy();
        self.asked.lock().unwrap().push(format!("{number} for {file}{}", named.concat()));
        match self.failures.lock().unwrap().pop_front() {
            Some(failure) => Err(failure),
            None if self.has.contains(&number) => Ok(secrets(number, asked.salts)),
            None => Err(FidoError::WrongKey),
        }
    }
}

/// What the passkey with this number makes of the salts.
fn secrets(number: u8, salts: &[[u8; 32]; 2]) -> HmacSecrets {
    HmacSecrets::new(salts.map(|salt| {
        let mac = Hmac::<Sha256>::new_from_slice(&[number; 32]).unwrap();
        mac.chain_update(salt).finalize().into_bytes().into()
    }))
}

fn passkey(number: u8) -> Passkey {
    Passkey { credential: vec![number; 16], rp_id: "example.com".to_owned(), transports: vec!["usb".to_owned()] }
}

/// A sealed identity in a file, and its recipient.
fn sealed_to_passkey(place: &Place, name: &str, number: u8) -> (PathBuf, x25519::Recipient) {
    let nonce = [number; 16];
    let outputs = secrets(number, &salts(&nonce));
    let oracle = Some("https://oracle.example");
    let (file, label) = SealedIdentity::seal(&passkey(number), oracle, nonce, outputs.expose()).unwrap();
    (place.write(name, file), label.recipient.parse().unwrap())
}

/// The same as typage writes it: without saying which passkey opens it.
fn sealed_without_label(place: &Place, name: &str, number: u8) -> (PathBuf, x25519::Recipient) {
    struct Bare(u8);
    impl Recipient for Bare {
        fn wrap_file_key(
            &self,
            file_key: &FileKey,
        ) -> Result<(Vec<Stanza>, std::collections::HashSet<String>), age::EncryptError> {
            let nonce = [self.0; 16];
            let outputs = secrets(self.0, &salts(&nonce));
            let sealed = quorate_protocol::fido2prf::Fido2PrfStanza::seal(file_key, nonce, outputs.expose());
            Ok((vec![sealed.to_stanza()], std::collections::HashSet::new()))
        }
    }
    let identity = x25519::Identity::generate();
    let text = identity.to_string();
    let file = quorate_protocol::sealing::age_seal(
        text.expose_secret().as_bytes(),
        std::iter::once(&Bare(number) as &dyn Recipient),
    );
    (place.write(name, file.unwrap()), identity.to_public())
}

#[test]
fn a_sealed_identity_opens_tocs_with_one_touch() {
    let place = Place::new(Script::default());
    let (path, recipient) = sealed_to_passkey(&place, "sealed", 1);
    let keys = Keyring::with(&[1]);
    let identities = place.loaded(&[path]).asking(Arc::clone(&keys) as _);
    let own: Vec<String> = identities.recipients().into_iter().map(|own| own.recipient).collect();
    assert_eq!(own, [recipient.to_string()]);
    let label = identities.sealed().next().unwrap().label.unwrap();
    assert_eq!((label.passkey, label.oracle.as_deref()), (passkey(1), Some("https://oracle.example")));
    identities.could_open(&sealed(&recipient)).unwrap();
    assert!(keys.asked().is_empty(), "nobody is touched before it must be");
    for _ in 0..2 {
        assert_eq!(identities.decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
        assert_eq!(identities.opener(), identities.sealed().next(), "it says what opened it");
    }
    assert_eq!(keys.asked(), ["1 for sealed"]);
}

#[test]
fn a_passkey_is_asked_only_for_what_it_may_open_and_after_all_that_costs_less() {
    let place = Place::new(Script::default());
    let (sealed_file, recipient) = sealed_to_passkey(&place, "sealed", 1);
    let (token, [piv, _]) = place.token("alice");
    let (_, [strangers, _]) = place.token("stranger");
    let (plain, x25519) = place.x25519("key.txt");
    let keys = Keyring::with(&[1]);
    let load = |files: &[PathBuf]| place.loaded(files).asking(Arc::clone(&keys) as _);
    let identities = load(&[sealed_file.clone(), plain.clone()]);
    assert_eq!(identities.decrypt(&sealed(&x25519)).unwrap().as_slice(), b"a Toc");
    let error = load(std::slice::from_ref(&sealed_file)).decrypt(&sealed(&strangers)).unwrap_err();
    assert!(matches!(error, IdentityError::NoneMatches(_)), "{error}");
    // The token refuses its PIN, which nobody knows; then the passkey is the way.
    let both = sealed_to(&[&piv, &recipient], Format::Binary);
    assert!(keys.asked().is_empty());
    assert_eq!(load(&[sealed_file.clone(), token]).decrypt(&both).unwrap().as_slice(), b"a Toc");
    assert_eq!((place.script.asked(), keys.asked()), (vec!["pin 3".to_owned()], vec!["1 for sealed".to_owned()]));
    // A file does not say whose age key it wants: this touch is in vain, and it is said that nothing fits.
    let error = load(&[sealed_file]).decrypt(&sealed(&x25519)).unwrap_err();
    assert_eq!(error.to_string(), "none of the identities opens it: it wants an age key (X25519)");
}

#[test]
fn the_second_sealed_identity_helps_when_the_passkey_of_the_first_is_not_there() {
    let place = Place::new(Script::default());
    let (first, _) = sealed_to_passkey(&place, "a", 1);
    let (second, recipient) = sealed_to_passkey(&place, "b", 2);
    let keys = Keyring::with(&[2]);
    let identities = place.loaded(&[first, second]).asking(Arc::clone(&keys) as _);
    assert_eq!(identities.decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
    assert_eq!(keys.asked(), ["1 for a", "2 for b"]);
}

#[test]
fn without_its_passkey_it_is_said_what_is_missing() {
    let place = Place::new(Script::default());
    let (path, recipient) = sealed_to_passkey(&place, "sealed", 1);
    let told = |keys: Option<Arc<Keyring>>| {
        let identities = place.loaded(std::slice::from_ref(&path));
        let identities = match keys {
            Some(keys) => identities.asking(keys),
            None => identities,
        };
        identities.decrypt(&sealed(&recipient)).unwrap_err().to_string()
    };
    let in_file = |what: &str| format!("{}: {what}", path.display());
    let absent = "none of the security keys that are connected has its passkey, which is bound to example.com";
    assert_eq!(told(Some(Keyring::with(&[2]))), in_file(absent));
    assert_eq!(told(None), in_file("no security key is connected"));
    assert_eq!(told(Some(Keyring::failing([FidoError::Timeout]))), in_file(&FidoError::Timeout.to_string()));
}

#[test]
fn a_pin_that_was_refused_is_not_tried_for_the_next_file() {
    let place = Place::new(Script::default());
    let (first, _) = sealed_to_passkey(&place, "a", 1);
    let (second, recipient) = sealed_to_passkey(&place, "b", 2);
    for (failure, goes_on) in
        [(FidoError::WrongPin { tries_left: 7 }, false), (FidoError::PinDeclined, false), (FidoError::Timeout, true)]
    {
        let said = failure.to_string();
        let keys = Keyring::failing([failure]);
        let identities = place.loaded(&[first.clone(), second.clone()]).asking(Arc::clone(&keys) as _);
        let opened = identities.decrypt(&sealed(&recipient));
        let asked: &[&str] = if goes_on { &["1 for a", "2 for b"] } else { &["1 for a"] };
        assert_eq!(keys.asked(), asked, "{said}");
        match opened {
            Ok(_) => assert!(goes_on, "{said}"),
            Err(error) => assert!(!goes_on && error.to_string().ends_with(&said), "{error}"),
        }
    }
}

#[test]
fn what_others_have_sealed_opens_when_a_line_names_the_passkey() {
    let place = Place::new(Script::default());
    let (path, recipient) = sealed_without_label(&place, "sealed", 1);
    let line = |number: u8| place.write(&format!("line{number}"), format!("# mine\n{}\n", passkey(number)));
    let keys = Keyring::with(&[1]);
    let load = |files: &[PathBuf]| place.loaded(files).asking(Arc::clone(&keys) as _);
    let error = load(std::slice::from_ref(&path)).decrypt(&sealed(&recipient)).unwrap_err();
    assert!(error.to_string().ends_with("it does not say which passkey opens it"), "{error}");
    let both = [path.clone(), line(2), line(1)];
    assert_eq!(load(&both).decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
    assert_eq!(keys.asked(), ["2 for sealed", "1 for sealed"]);
    assert_eq!(load(&both).sealed().next().unwrap().label, None);
    // And the line by itself opens the file as age would.
    let text = fs::read(&path).unwrap();
    let opened = load(&[line(1)]).decrypt(&text).unwrap();
    assert!(opened.starts_with(b"AGE-SECRET-KEY-1"));
    let error = load(&[line(2)]).decrypt(&text).unwrap_err();
    assert!(matches!(error, IdentityError::Passkey { source: PasskeyError::Absent(_), .. }), "{error}");
}

#[test]
fn security_keys_that_are_named_are_asked_and_are_no_identities() {
    let place = Place::new(Script::default());
    let (path, recipient) = sealed_to_passkey(&place, "sealed", 1);
    let soft = place.path(".soft");
    SoftFidoToken::create(&soft, "ann").unwrap();
    let keys = Keyring::with(&[1]);
    let identities = place.loaded(&[soft, path]).asking(Arc::clone(&keys) as _);
    assert_eq!(identities.decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
    assert_eq!(keys.asked(), ["1 for sealed.soft"]);
    let identities = place.loaded(&[PathBuf::from("/dev/null")]).asking(Arc::clone(&keys) as _);
    assert!(matches!(identities.decrypt(&sealed(&recipient)), Err(IdentityError::Nothing(_))));
}

#[test]
fn a_security_key_that_is_named_alone_opens_what_lies_in_the_folder() {
    let place = Place::new(Script::default());
    let (path, recipient) = sealed_to_passkey(&place, "sealed", 1);
    let soft = place.path(".soft");
    SoftFidoToken::create(&soft, "ann").unwrap();
    fs::create_dir_all(place.path("default")).unwrap();
    fs::rename(path, place.path("default/sealed.age")).unwrap();
    let keys = Keyring::with(&[1]);
    let identities = place.loaded(std::slice::from_ref(&soft)).asking(Arc::clone(&keys) as _);
    assert_eq!(identities.decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
    // Whoever names an identity besides means that one.
    let (other, _) = sealed_to_passkey(&place, "other", 2);
    let identities = place.loaded(&[soft, other]).asking(Arc::clone(&keys) as _);
    assert!(identities.decrypt(&sealed(&recipient)).is_err());
}

#[test]
fn a_damaged_file_is_refused_where_it_stands() {
    let place = Place::new(Script::default());
    let (path, _) = sealed_to_passkey(&place, "sealed", 1);
    let text = fs::read_to_string(&path).unwrap();
    let mut binary = Vec::new();
    ArmoredReader::new(text.as_bytes()).read_to_end(&mut binary).unwrap();
    let at = binary.windows(4).position(|window| window == b"age1").unwrap();
    binary[at] = b'A';
    let error = place.refused(&[place.write("damaged", &binary)]);
    assert!(error.to_string().ends_with("damaged: damaged: malformed quorate-passkey stanza"), "{error}");
}
