//! Tests of the identities of a command: every kind of file, the order of trying, and what people are told.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use age::armor::{ArmoredWriter, Format};
use age::secrecy::{ExposeSecret, SecretString};
use age::{Encryptor, Recipient, scrypt, x25519};
use age_core::primitives::bech32_encode;
use bech32::Hrp;
use tempfile::TempDir;

use super::*;
use crate::token::soft_piv::SoftPivToken;
use crate::token::testing::Script;
use crate::token::{NewKey, NoPrompts, Pin, PinPolicy, PivToken, Puk, TouchPolicy};

mod passkeys;
mod tokens;

fn sealed_to(recipients: &[&dyn Recipient], format: Format) -> Vec<u8> {
    let encryptor = Encryptor::with_recipients(recipients.iter().copied()).unwrap();
    let armor = ArmoredWriter::wrap_output(Vec::new(), format).unwrap();
    let mut writer = encryptor.wrap_output(armor).unwrap();
    writer.write_all(b"a Toc").unwrap();
    writer.finish().and_then(ArmoredWriter::finish).unwrap()
}

fn sealed(recipient: &dyn Recipient) -> Vec<u8> {
    sealed_to(&[recipient], Format::AsciiArmor)
}

struct Place {
    folder: TempDir,
    script: Arc<Script>,
    readers: Option<Arc<dyn Readers>>,
}

impl Place {
    fn new(script: Script) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), script: Arc::new(script), readers: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn x25519(&self, name: &str) -> (PathBuf, x25519::Recipient) {
        let identity = x25519::Identity::generate();
        let text = format!("# a key\n\n{}\r\n", identity.to_string().expose_secret());
        (self.write(name, text), identity.to_public())
    }

    /// A token with one key that never wants a touch, and the key's recipients.
    fn token(&self, name: &str) -> (PathBuf, [quorate_protocol::recipient::NativeRecipient; 2]) {
        let pin = Pin::parse("471108".into()).unwrap();
        let puk = Puk::parse("87654321".into()).unwrap();
        let mut token = SoftPivToken::create(&self.path(name), name, &pin, &puk).unwrap();
        token.verify_pin(&pin).unwrap();
        let (pin_policy, touch_policy) = (PinPolicy::Once, TouchPolicy::Never);
        let new = NewKey { slot: None, label: "key".to_owned(), pin_policy, touch_policy };
        (self.path(name), token.generate(&new, &NoPrompts).unwrap().recipients())
    }

    fn load(&self, files: &[PathBuf]) -> Result<Identities, IdentityError> {
        Identities::load(files, &self.path("default"), Arc::clone(&self.script) as _, self.readers.clone())
    }

    fn loaded(&self, files: &[PathBuf]) -> Identities {
        self.load(files).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(&self, files: &[PathBuf]) -> IdentityError {
        self.load(files).err().expect("it must not load")
    }
}

#[test]
fn keys_in_files_open_armored_and_binary_files() {
    let place = Place::new(Script::default());
    let (path, recipient) = place.x25519("key.txt");
    let identities = place.loaded(&[path]);
    for format in [Format::AsciiArmor, Format::Binary] {
        assert_eq!(identities.decrypt(&sealed_to(&[&recipient], format)).unwrap().as_slice(), b"a Toc");
    }
}

#[test]
fn a_token_opens_both_of_its_recipients_with_one_pin() {
    let place = Place::new(Script::default().pin("471108"));
    let (path, recipients) = place.token("alice");
    let identities = place.loaded(&[path]);
    for recipient in &recipients {
        assert_eq!(identities.decrypt(&sealed(recipient)).unwrap().as_slice(), b"a Toc");
    }
    assert_eq!(place.script.asked(), ["pin 3"]);
}

#[test]
fn who_cannot_help_is_not_asked_and_a_key_in_a_file_goes_before_a_pin() {
    let place = Place::new(Script::default());
    let (token, [own, _]) = place.token("alice");
    let (_, [strangers, _]) = place.token("stranger");
    let (key, x25519) = place.x25519("key.txt");
    let identities = place.loaded(&[token, key]);
    let error = identities.decrypt(&sealed(&strangers)).unwrap_err();
    assert_eq!(error.to_string(), "none of the identities opens it: it wants a YubiKey or soft token (piv-p256)");
    let both = sealed_to(&[&own, &x25519], Format::Binary);
    assert_eq!(identities.decrypt(&both).unwrap().as_slice(), b"a Toc");
    assert!(place.script.asked().is_empty());
}

#[test]
fn the_second_token_helps_when_the_first_is_declined() {
    let place = Place::new(Script::default());
    let (first, [one, _]) = place.token("first");
    let (second, [two, _]) = place.token("second");
    let file = sealed_to(&[&one, &two], Format::Binary);
    let identities = place.loaded(&[first.clone(), second.clone()]);
    let error = identities.decrypt(&file).unwrap_err();
    assert!(
        matches!(&error, IdentityError::Token { token, source: TokenError::PinDeclined } if token.contains("first"))
    );
    assert_eq!(place.script.asked(), ["pin 3", "pin 3"]);

    let script: Arc<Script> = Arc::new(Script::default().pin("1").pin("471108"));
    let identities = Identities::load(&[first, second], &place.path("default"), Arc::clone(&script) as _, None);
    assert_eq!(identities.unwrap_or_else(|error| panic!("{error}")).decrypt(&file).unwrap().as_slice(), b"a Toc");
}

#[test]
fn the_default_is_a_file_a_folder_or_nothing() {
    let place = Place::new(Script::default());
    let (path, recipient) = place.x25519("key.txt");
    let file = sealed(&recipient);
    let error = place.loaded(&[]).decrypt(&file).unwrap_err();
    assert!(matches!(&error, IdentityError::Nothing(path) if path.ends_with("default")));

    fs::create_dir(place.path("default")).unwrap();
    assert!(matches!(place.loaded(&[]).decrypt(&file), Err(IdentityError::Nothing(_))));
    fs::copy(&path, place.path("default/key.txt")).unwrap();
    place.write("default/.quorate-left-by-a-crash", "format = \"half");
    fs::create_dir(place.path("default/folder")).unwrap();
    assert_eq!(place.loaded(&[]).decrypt(&file).unwrap().as_slice(), b"a Toc");

    fs::remove_dir_all(place.path("default")).unwrap();
    fs::rename(path, place.path("default")).unwrap();
    assert_eq!(place.loaded(&[]).decrypt(&file).unwrap().as_slice(), b"a Toc");
}

#[test]
fn a_damaged_file_among_the_others_keeps_none_of_them_from_opening() {
    let place = Place::new(Script::default());
    let (path, recipient) = place.x25519("key.txt");
    fs::create_dir(place.path("default")).unwrap();
    place.write("default/a-damaged.age", &sealed(&recipient)[..200]);
    place.write("default/b-typo.txt", "AGE-SECRET-KEY-1\n");
    std::os::unix::fs::symlink("/nowhere", place.path("default/c-link")).unwrap();
    fs::copy(&path, place.path("default/key.txt")).unwrap();
    for identities in [place.loaded(&[]), place.loaded(&[place.path("default")])] {
        assert_eq!(identities.decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
        let damaged = identities.damaged();
        assert_eq!(damaged.len(), 3, "{damaged:?}");
        assert!(damaged[0].contains("a-damaged.age") && damaged[2].contains("c-link"), "{damaged:?}");
    }
    let other = sealed(&x25519::Identity::generate().to_public());
    assert!(matches!(place.loaded(&[]).decrypt(&other), Err(IdentityError::NoneMatches(_))));
    // Where there is nothing else, it may be what would.
    for rest in ["default/b-typo.txt", "default/c-link", "default/key.txt"] {
        fs::remove_file(place.path(rest)).unwrap();
    }
    for refused in [place.loaded(&[]).decrypt(&other).map(drop), place.loaded(&[]).could_open(&other)] {
        assert!(refused.unwrap_err().to_string().contains("a-damaged.age"));
    }
    // One that was named has to be what it was named for.
    assert!(place.load(&[place.path("default/a-damaged.age")]).is_err());
}

#[test]
fn named_files_replace_the_default_and_must_exist() {
    let place = Place::new(Script::default());
    let (default, recipient) = place.x25519("default");
    let (other, _) = place.x25519("other.txt");
    assert!(default.exists());
    assert!(matches!(place.loaded(&[other]).decrypt(&sealed(&recipient)), Err(IdentityError::NoneMatches(_))));
    assert!(matches!(place.refused(&[place.path("none")]), IdentityError::Read { .. }));
}

#[test]
fn junk_is_refused_by_line_and_never_repeated() {
    let place = Place::new(Script::default());
    let secret = x25519::Identity::generate().to_string();
    let typo = format!("# mine\n{}x\n", secret.expose_secret());
    let error = place.refused(&[place.write("typo.txt", typo)]);
    assert!(matches!(error, IdentityError::NotAnIdentity { line: 2, .. }));
    assert!(!format!("{error} {error:?}").contains(&secret.expose_secret()[20..40]));

    for (name, bytes) in [("png", &[0x89, 0x50, 0xff][..]), ("ssh", b"-----BEGIN OPENSSH PRIVATE KEY-----\n")] {
        assert!(matches!(place.refused(&[place.write(name, bytes)]), IdentityError::NotAnIdentity { line: 1, .. }));
    }
    let large = vec![b'#'; (1 << 20) + 1];
    assert!(matches!(place.refused(&[place.write("large", large)]), IdentityError::TooLarge { .. }));
    let token = place.write("token", "format = \"quorate-soft-piv/9\"\n");
    assert!(matches!(place.refused(&[token]), IdentityError::Token { source: TokenError::Malformed { .. }, .. }));
}

#[test]
fn files_that_are_not_age_or_damaged_are_told_apart_from_foreign_ones() {
    let place = Place::new(Script::default());
    let (path, recipient) = place.x25519("key.txt");
    let identities = place.loaded(&[path]);
    let good = sealed_to(&[&recipient], Format::Binary);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut header = good.clone();
    header[30] ^= 1;
    let truncated = &good[..good.len() - 1];
    let large = vec![0; MAX_SEALED_BYTES + 1];
    for (what, file) in
        [("empty", &[][..]), ("text", b"hello"), ("flipped", &flipped), ("truncated", truncated), ("large", &large)]
    {
        assert!(matches!(identities.decrypt(file), Err(IdentityError::Damaged(_))), "{what}");
    }
    assert!(identities.decrypt(&header).is_err());
    let mut passphrase = scrypt::Recipient::new(SecretString::from("horse"));
    passphrase.set_work_factor(2);
    assert!(matches!(identities.decrypt(&sealed(&passphrase)), Err(IdentityError::Passphrase)));
}

/// An identity file under the passphrase "horse".
fn encrypted(plain: &str, work_factor: u8) -> Vec<u8> {
    let mut recipient = scrypt::Recipient::new(SecretString::from("horse"));
    recipient.set_work_factor(work_factor);
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
    let mut writer = encryptor.wrap_output(armor).unwrap();
    writer.write_all(plain.as_bytes()).unwrap();
    writer.finish().and_then(ArmoredWriter::finish).unwrap()
}

#[test]
fn an_encrypted_identity_file_asks_for_its_passphrase_once_and_last() {
    let place = Place::new(Script::default().passphrase("horse"));
    let identity = x25519::Identity::generate();
    let locked = place.write("locked.age", encrypted(identity.to_string().expose_secret(), 2));
    let (key, recipient) = place.x25519("key.txt");
    let identities = place.loaded(&[locked, key]);
    assert_eq!(identities.decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
    assert!(place.script.asked().is_empty());
    for _ in 0..2 {
        assert_eq!(identities.decrypt(&sealed(&identity.to_public())).unwrap().as_slice(), b"a Toc");
    }
    assert_eq!(place.script.asked(), ["passphrase"]);
}

#[test]
fn a_wrong_passphrase_and_a_hostile_work_factor_are_told() {
    let identity = x25519::Identity::generate();
    for passphrase in [Some("cow"), None] {
        let script = passphrase.into_iter().fold(Script::default(), Script::passphrase);
        let place = Place::new(script);
        let locked = place.write("locked.age", encrypted(identity.to_string().expose_secret(), 2));
        let error = place.loaded(&[locked]).decrypt(&sealed(&identity.to_public())).unwrap_err();
        assert!(matches!(error, IdentityError::Locked { .. }), "{error}");
    }
    // Sixteen gigabytes of work, claimed by changing two digits of the header.
    let place = Place::new(Script::default().passphrase("horse"));
    let hostile = [
        "age-encryption.org/v1\n-> scrypt bMXNOCMVDUvkLt4ZbhP2Ag 24\n",
        "fhZDwA4qHKlpwL1iN0mSTt4rfDMX2sjWXCtEk9MNxRU\n--- QdM0oBSdw3NdFsjbOnPSqO1ZKsDPHY7EuYzZqLqmMtM\n0123456789abcdef",
    ]
    .concat();
    let locked = place.write("hostile.age", hostile);
    let error = place.loaded(&[locked]).decrypt(&sealed(&identity.to_public())).unwrap_err();
    assert!(matches!(&error, IdentityError::Locked { cause, .. } if cause.contains("work")), "{error}");
}

fn plugin_identity(name: &str, bytes: &[u8]) -> String {
    bech32_encode(Hrp::parse_unchecked(&format!("age-plugin-{name}-")), bytes).to_uppercase()
}

#[test]
fn a_missing_plugin_is_named_only_when_it_might_help() {
    let place = Place::new(Script::default());
    let (key, recipient) = place.x25519("key.txt");
    let line = plugin_identity("quoratenosuchplugin", &[1, 2, 3]);
    let identities = place.loaded(&[place.write("plugin.txt", line), key]);
    assert_eq!(identities.decrypt(&sealed(&recipient)).unwrap().as_slice(), b"a Toc");
    let error = identities.decrypt(&sealed(&x25519::Identity::generate().to_public())).unwrap_err();
    assert_eq!(error.to_string(), "age-plugin-quoratenosuchplugin: not found in PATH");
}

#[test]
fn a_yubikey_plugin_runs_only_for_a_key_that_the_file_names() {
    let place = Place::new(Script::default());
    let (_, [piv, tag]) = place.token("stand-in");
    let quorate_protocol::recipient::KeyId::P256(point) = piv.key_id() else { panic!("a P-256 key") };
    let key_tag = quorate_protocol::p256_stanza::key_tag(&p256::PublicKey::from_sec1_bytes(&point).unwrap());
    let ours = [&[1, 0, 0, 0, 0x82], &key_tag[..]].concat();
    let other = [1, 0, 0, 0, 0x82, 9, 9, 9, 9];
    let cost = |bytes: &[u8], recipient: &dyn Recipient| {
        let identities = place.loaded(&[place.write("plugin.txt", plugin_identity("yubikey", bytes))]);
        let stanzas = recipient.wrap_file_key(&FileKey::new(Box::new([1; 16]))).unwrap().0;
        identities.sources[0].cost(&stanzas)
    };
    assert_eq!(cost(&ours, &piv), Some(Cost::NamedPlugin));
    assert_eq!(cost(&other, &piv), None);
    // It does not know this type, whatever the key.
    assert_eq!(cost(&ours, &tag), None);
}

#[test]
fn recipients_of_files_and_tokens_are_told() {
    let place = Place::new(Script::default());
    let (key, x25519) = place.x25519("key.txt");
    let (token, [piv, tag]) = place.token("alice");
    let locked = place.write("locked.age", encrypted("", 2));
    let told: Vec<_> = place.loaded(&[key, token, locked]).recipients();
    let told: Vec<_> = told.into_iter().map(|own| own.recipient).collect();
    assert_eq!(told, [x25519.to_string(), piv.to_string(), tag.to_string()]);
    assert!(place.script.asked().is_empty());
}

#[test]
fn an_unreadable_file_is_named() {
    let place = Place::new(Script::default());
    let (path, _) = place.x25519("key.txt");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads it all the same.
    if fs::read(&path).is_err() {
        assert!(matches!(place.refused(&[path]), IdentityError::Read { .. }));
    }
}
