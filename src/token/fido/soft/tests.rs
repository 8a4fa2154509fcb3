//! What is special about a security key in a file. That it behaves as a key is tested by the contract in `hw-tests`.

use super::*;
use crate::token::NoPrompts;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

fn fresh() -> (TempDir, PathBuf, SoftFidoToken) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ann.key");
    let key = SoftFidoToken::create(&path, "ann").unwrap().with_touch(Touch::Given);
    (folder, path, key)
}

fn pin(text: &str) -> FidoPin {
    FidoPin::parse(text.into()).unwrap()
}

#[test]
fn the_file_is_private_and_never_overwritten() {
    let (_folder, path, mut key) = fresh();
    key.set_pin(None, &pin("471108")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# A soft security key of quorate") && !text.contains("471108"), "{text}");
    assert!(matches!(SoftFidoToken::create(&path, "bob"), Err(FidoError::File(TokenError::Exists(_)))));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(matches!(SoftFidoToken::create(&path.with_extension("2"), ""), Err(FidoError::File(TokenError::Label))));
}

#[test]
fn tries_are_counted_across_processes_and_three_in_a_row_bar() {
    let (_folder, path, mut key) = fresh();
    key.set_pin(None, &pin("471108")).unwrap();
    let wrong = |key: &mut SoftFidoToken| key.set_pin(Some(&pin("0000")), &pin("9999")).unwrap_err();
    assert!(matches!(wrong(&mut key), FidoError::WrongPin { tries_left: 7 }));
    assert!(matches!(wrong(&mut key), FidoError::WrongPin { tries_left: 6 }));
    assert!(matches!(wrong(&mut key), FidoError::PinBarred));
    assert!(matches!(key.set_pin(Some(&pin("471108")), &pin("9999")), Err(FidoError::PinBarred)));
    let mut again = SoftFidoToken::open(&path).unwrap();
    assert_eq!(again.pin_tries().unwrap(), 5);
    again.set_pin(Some(&pin("471108")), &pin("815815")).unwrap();
    assert_eq!(again.pin_tries().unwrap(), 8);
    for left in (1..8).rev() {
        let mut other = SoftFidoToken::open(&path).unwrap();
        assert!(matches!(wrong(&mut other), FidoError::WrongPin { tries_left } if tries_left == left));
    }
    let mut other = SoftFidoToken::open(&path).unwrap();
    assert!(matches!(wrong(&mut other), FidoError::PinBlocked));
    assert!(matches!(other.set_pin(Some(&pin("815815")), &pin("9999")), Err(FidoError::PinBlocked)));
}

#[test]
fn counters_rise_across_processes() {
    let (_folder, path, mut key) = fresh();
    let message = key.u2f_register(&[1; 32], &[2; 32], &NoPrompts).unwrap();
    let handle = &message[67..67 + usize::from(message[66])];
    let mut counters = Vec::new();
    for _ in 0..3 {
        let mut key = SoftFidoToken::open(&path).unwrap().with_touch(Touch::Given);
        let signed = key.u2f_sign(&[1; 32], &[2; 32], handle, &NoPrompts).unwrap();
        counters.push(u32::from_be_bytes(signed[1..5].try_into().unwrap()));
    }
    assert_eq!(counters, [1, 2, 3]);
}

#[test]
fn hostile_and_broken_files_are_refused() {
    let (folder, path, mut key) = fresh();
    key.set_pin(None, &pin("471108")).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let broken = folder.path().join("broken.key");
    let secret = good.lines().find(|line| line.starts_with("secret")).unwrap();
    for (what, text) in [
        ("empty", String::new()),
        ("later version", good.replace("soft-fido/1", "soft-fido/2")),
        ("gigabytes", good.replace("memory_kib = 2048", "memory_kib = 4194304")),
        ("nine tries", good.replace("tries_left = 8", "tries_left = 9")),
        ("unknown field", good.replace("serial =", "colour = 1\nserial =")),
        ("short secret", good.replace(secret, "secret = \"AAAA\"")),
        ("truncated", good[..good.len() / 2].to_owned()),
    ] {
        assert_ne!(text, good, "{what}");
        fs::write(&broken, text).unwrap();
        let opened = SoftFidoToken::open(&broken).map(|key| key.info);
        assert!(matches!(opened, Err(FidoError::File(TokenError::Malformed { .. }))), "{what}: {opened:?}");
    }
    assert!(matches!(SoftFidoToken::open(&folder.path().join("none")), Err(FidoError::File(TokenError::Io { .. }))));
}

#[test]
fn another_key_under_the_same_name_is_another_key() {
    let (_folder, path, mut key) = fresh();
    fs::remove_file(&path).unwrap();
    assert!(matches!(key.pin_tries(), Err(FidoError::Removed)));
    SoftFidoToken::create(&path, "mallory").unwrap();
    assert!(matches!(key.u2f_register(&[1; 32], &[2; 32], &NoPrompts), Err(FidoError::Removed)));
}

/// Releases that knew nothing of secrets for applications sealed the private key alone.
#[test]
fn keys_and_credentials_of_earlier_releases_are_still_good() {
    let (_folder, _path, mut key) = fresh();
    let file = key.read().unwrap();
    let scalar = SecretKey::generate().to_bytes();
    let id = seal::seal(&file.secret(), &context(&hash(b"example.com")), &scalar);
    assert_eq!(id.len(), 72);
    assert!(key.holds("example.com", &hash(b"example.com"), &id).unwrap().unwrap());
    let wanted = Wanted { party: "example.com", client_data: b"data", credential: &id, verify: false };
    key.sign(&wanted, None, &NoPrompts).unwrap();
    let refused = key.hmac_secret(&wanted, [&[1; 32], &[2; 32]], None, &NoPrompts);
    assert!(matches!(refused, Err(FidoError::NotSupported(_))), "{refused:?}");
}

#[test]
fn secrets_are_the_same_in_another_process_and_gone_with_the_file() {
    let (_folder, path, mut key) = fresh();
    let new = NewCredential { hmac_secret: true, ..NewCredential::plain("example.com", b"data", "ann") };
    let made = key.register(&new, None, &NoPrompts).unwrap();
    let id = made.credential_id().unwrap();
    let wanted = Wanted { party: "example.com", client_data: b"data", credential: id, verify: false };
    let ask = |key: &mut SoftFidoToken| key.hmac_secret(&wanted, [&[1; 32], &[2; 32]], None, &NoPrompts);
    let secrets = ask(&mut key).unwrap();
    let mut again = SoftFidoToken::open(&path).unwrap().with_touch(Touch::Given);
    assert_eq!(ask(&mut again).unwrap(), secrets);
    let mut refusing = SoftFidoToken::open(&path).unwrap().with_touch(Touch::Refused);
    assert!(matches!(ask(&mut refusing), Err(FidoError::Refused)));
    fs::remove_file(&path).unwrap();
    assert!(matches!(ask(&mut again), Err(FidoError::Removed)));
}
