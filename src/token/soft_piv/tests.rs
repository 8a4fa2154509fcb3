//! What is special about a token in a file. That it behaves as a token is tested by the contract in `hw-tests`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;
use crate::token::NoPrompts;
use crate::token::testing::Script;

fn pin(text: &str) -> Pin {
    Pin::parse(text.into()).unwrap()
}

fn puk(text: &str) -> Puk {
    Puk::parse(text.into()).unwrap()
}

fn fresh() -> (TempDir, PathBuf, SoftPivToken) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.token");
    let mut token = SoftPivToken::create(&path, "alice", &pin("471108"), &puk("87654321")).unwrap();
    // Whatever the environment of this run says.
    token.touch = None;
    (folder, path, token)
}

fn with_key(token: &mut SoftPivToken, pin_policy: PinPolicy, touch_policy: TouchPolicy) -> Slot {
    token.verify_pin(&pin("471108")).unwrap();
    let new = NewKey { slot: None, label: "key".to_owned(), pin_policy, touch_policy };
    token.generate(&new, &NoPrompts).unwrap().slot
}

fn peer() -> PublicKey {
    SecretKey::generate().public_key()
}

#[test]
fn the_file_is_private_readable_and_has_no_private_key() {
    let (_folder, path, mut token) = fresh();
    with_key(&mut token, PinPolicy::Once, TouchPolicy::Always);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(is_soft_token(&text) && text.starts_with("# A soft token of quorate"), "{text}");
    let recipient = token.keys().unwrap()[0].recipients()[0].to_string();
    assert!(text.contains(&recipient));
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["alice.token"], "nothing is left behind");
}

#[test]
fn never_over_an_existing_file() {
    let (_folder, path, _token) = fresh();
    let before = fs::read(&path).unwrap();
    let again = SoftPivToken::create(&path, "bob", &pin("471108"), &puk("87654321"));
    assert!(matches!(again, Err(TokenError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn factory_defaults_and_one_code_for_both_make_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    for (pin_text, puk_text) in [("123456", "87654321"), ("471108", "12345678")] {
        let made = SoftPivToken::create(&path, "alice", &pin(pin_text), &puk(puk_text));
        assert!(matches!(made, Err(TokenError::DefaultCode(_))));
    }
    let made = SoftPivToken::create(&path, "alice", &pin("471108"), &puk("471108"));
    assert!(matches!(made, Err(TokenError::SameCode)));
    assert!(!path.exists());
}

#[test]
fn processes_share_one_count_and_never_get_a_fourth_try() {
    let (_folder, path, mut token) = fresh();
    let (wrong, blocked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| match SoftPivToken::open(&path).unwrap().verify_pin(&pin("000000")) {
                Err(TokenError::WrongPin { .. }) => wrong.fetch_add(1, Ordering::SeqCst),
                Err(TokenError::PinBlocked) => blocked.fetch_add(1, Ordering::SeqCst),
                other => panic!("{other:?}"),
            });
        }
    });
    // The third wrong PIN is told at once that it blocked the token.
    assert_eq!((wrong.into_inner(), blocked.into_inner()), (2, 6));
    assert!(matches!(token.verify_pin(&pin("471108")), Err(TokenError::PinBlocked)));
}

#[test]
fn a_process_that_never_lets_go_is_given_up() {
    let (_folder, path, mut token) = fresh();
    token.patience = Duration::from_millis(20);
    let stopped = fs::File::open(&path).unwrap();
    stopped.lock().unwrap();
    assert!(matches!(token.verify_pin(&pin("471108")), Err(TokenError::Busy(None))));
    assert!(matches!(token.change_pin(&pin("471108"), &pin("815815")), Err(TokenError::Busy(None))));
    assert_eq!(token.pin_tries().unwrap(), 3, "what needs nothing is answered, and no try was spent");
    drop(stopped);
    token.verify_pin(&pin("471108")).unwrap();
}

#[test]
fn altering_what_is_open_about_a_key_makes_it_useless() {
    let (_folder, path, mut token) = fresh();
    let slot = with_key(&mut token, PinPolicy::Once, TouchPolicy::Always);
    let good = fs::read_to_string(&path).unwrap();
    let other = NativeRecipientText::of(&peer());
    let own = NativeRecipientText::of(&token.keys().unwrap()[0].public);
    for (what, text) in [
        ("touch policy", good.replace("touch_policy = \"always\"", "touch_policy = \"never\"")),
        ("label", good.replace("label = \"key\"", "label = \"kez\"")),
        ("public key", good.replace(&own.0, &other.0)),
        ("slot", good.replace("slot = \"82\"", "slot = \"83\"")),
    ] {
        assert_ne!(text, good, "{what}");
        fs::write(&path, text).unwrap();
        let slot = if what == "slot" { "83".parse().unwrap() } else { slot };
        let mut token = SoftPivToken::open(&path).unwrap().with_touch(Touch::Given);
        token.verify_pin(&pin("471108")).unwrap();
        let result = token.ecdh(slot, &peer(), &NoPrompts);
        assert!(matches!(result, Err(TokenError::Malformed { .. })), "{what}: {result:?}");
        fs::write(&path, &good).unwrap();
    }
}

/// The text of a recipient, as it stands in the file.
struct NativeRecipientText(String);

impl NativeRecipientText {
    fn of(point: &PublicKey) -> Self {
        Self(quorate_protocol::recipient::NativeRecipient::yubikey(point).to_string())
    }
}

#[test]
fn a_key_cannot_be_talked_into_doing_without_a_pin() {
    let (_folder, path, mut token) = fresh();
    let slot = with_key(&mut token, PinPolicy::Once, TouchPolicy::Never);
    let text = fs::read_to_string(&path).unwrap().replace("pin_policy = \"once\"", "pin_policy = \"never\"");
    fs::write(&path, text).unwrap();
    let result = SoftPivToken::open(&path).unwrap().ecdh(slot, &peer(), &NoPrompts);
    assert!(matches!(result, Err(TokenError::Malformed { .. })));
}

#[test]
fn hostile_and_broken_files_are_refused() {
    let (folder, path, mut token) = fresh();
    with_key(&mut token, PinPolicy::Once, TouchPolicy::Always);
    let good = fs::read_to_string(&path).unwrap();
    let key_table = good[good.find("[[key]]").unwrap()..].to_owned();
    let broken = folder.path().join("broken.token");
    for (what, text) in [
        ("empty", String::new()),
        ("other text", "hello".to_owned()),
        ("later version", good.replace("soft-piv/1", "soft-piv/2")),
        ("gigabytes", good.replace("memory_kib = 2048", "memory_kib = 4194304")),
        ("hours", good.replace("passes = 1", "passes = 1000000")),
        ("four tries", good.replace("tries_left = 3", "tries_left = 4")),
        ("unknown field", good.replace("serial =", "colour = 1\nserial =")),
        ("foreign slot", good.replace("slot = \"82\"", "slot = \"9a\"")),
        ("slot twice", format!("{good}{key_table}")),
        ("truncated", good[..good.len() / 2].to_owned()),
        ("short open key", short_open_key(&good)),
        ("large", format!("{good}#{}", "x".repeat(70_000))),
    ] {
        assert_ne!(text, good, "{what}");
        fs::write(&broken, text).unwrap();
        let opened = SoftPivToken::open(&broken).map(|token| token.info);
        assert!(matches!(opened, Err(TokenError::Malformed { .. })), "{what}: {opened:?}");
    }
    fs::write(&broken, [0xff, 0xfe, 0x00]).unwrap();
    assert!(matches!(SoftPivToken::open(&broken), Err(TokenError::Malformed { .. })));
    assert!(matches!(SoftPivToken::open(&folder.path().join("none")), Err(TokenError::Io { .. })));
}

fn short_open_key(good: &str) -> String {
    let line = good.lines().find(|line| line.starts_with("open_key")).unwrap();
    good.replace(line, "open_key = \"AAAA\"")
}

#[test]
fn another_token_under_the_same_name_is_another_card() {
    let (_folder, path, mut token) = fresh();
    let slot = with_key(&mut token, PinPolicy::Once, TouchPolicy::Never);
    fs::remove_file(&path).unwrap();
    SoftPivToken::create(&path, "mallory", &pin("471108"), &puk("87654321")).unwrap();
    assert!(matches!(token.ecdh(slot, &peer(), &NoPrompts), Err(TokenError::Removed)));
    assert!(matches!(token.verify_pin(&pin("471108")), Err(TokenError::Removed)));
}

#[test]
fn a_touch_serves_a_cached_key_for_fifteen_seconds() {
    let (_folder, _path, mut token) = fresh();
    let slot = with_key(&mut token, PinPolicy::Once, TouchPolicy::Cached);
    let prompts = Script::default().touch(Touch::Given).touch(Touch::Given);
    token.ecdh(slot, &peer(), &prompts).unwrap();
    token.ecdh(slot, &peer(), &prompts).unwrap();
    assert_eq!(prompts.asked(), ["touch"]);
    let touched = token.session.touched.get_mut(&slot).unwrap();
    *touched = touched.checked_sub(TOUCH_LASTS).unwrap();
    token.ecdh(slot, &peer(), &prompts).unwrap();
    assert_eq!(prompts.asked(), ["touch", "touch"]);
}

#[test]
fn a_link_keeps_pointing_at_the_token() {
    let (folder, path, _token) = fresh();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    SoftPivToken::open(&link).unwrap().verify_pin(&pin("471108")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}
