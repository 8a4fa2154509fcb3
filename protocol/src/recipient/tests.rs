//! Tests of recipients: every form, every way to spell one wrongly, and that the `age` crate opens what we seal.

use std::io::{Read, Write};

use p256::SecretKey;
use p256::elliptic_curve::Generate;
use proptest::prelude::*;

use super::*;

/// A post-quantum recipient made with a known point: any bytes decode as an ML-KEM key, zeros are canonical.
fn tag_pq(point: &PublicKey) -> String {
    let mut bytes = vec![0; 1184];
    bytes.extend_from_slice(point.to_sec1_point(false).as_bytes());
    bech32_encode(Hrp::parse_unchecked(TAG_PQ_HRP), &bytes)
}

fn point() -> PublicKey {
    SecretKey::generate().public_key()
}

fn parsed(text: &str) -> NativeRecipient {
    text.parse().unwrap()
}

fn refused(text: &str) -> RecipientError {
    text.parse::<NativeRecipient>().unwrap_err()
}

#[test]
fn every_form_keeps_its_string() {
    let point = point();
    let x25519 = age::x25519::Identity::generate().to_public().to_string();
    let tag = NativeRecipient::tag(&point).to_string();
    let yubikey = NativeRecipient::yubikey(&point).to_string();
    let pq = tag_pq(&point);
    assert!(tag.starts_with("age1tag1") && yubikey.starts_with("age1yubikey1") && pq.starts_with("age1tagpq1"));
    for text in [&x25519, &tag, &yubikey, &pq] {
        assert_eq!(&parsed(text).to_string(), text);
    }
}

#[test]
fn one_key_is_recognised_in_every_spelling() {
    let (point, other) = (point(), point());
    let yubikey = NativeRecipient::yubikey(&point);
    let tag = NativeRecipient::tag(&point);
    assert_eq!(yubikey.key_id(), tag.key_id());
    assert_eq!(yubikey.key_id(), parsed(&tag_pq(&point)).key_id());
    assert_eq!(yubikey.key_id(), parsed(&yubikey.to_string().to_uppercase()).key_id());
    assert_ne!(yubikey.key_id(), NativeRecipient::yubikey(&other).key_id());
    assert_ne!(yubikey, tag);

    let x25519 = age::x25519::Identity::generate().to_public().to_string();
    assert_eq!(parsed(&x25519), parsed(&x25519.to_uppercase()));
}

#[test]
fn kinds_are_never_mixed() {
    let (classic, pq) = (NativeRecipient::tag(&point()), parsed(&tag_pq(&point())));
    let x25519 = parsed(&age::x25519::Identity::generate().to_public().to_string());
    assert_eq!(check_kinds(&[classic, x25519.clone()]), Ok(RecipientKind::Classic));
    assert_eq!(check_kinds(std::slice::from_ref(&pq)), Ok(RecipientKind::PostQuantum));
    assert_eq!(check_kinds(&[]), Err(RecipientError::None));
    let mixed = check_kinds(&[x25519, pq]).unwrap_err();
    assert!(matches!(mixed, RecipientError::Mixed { .. }));
    let mixed = mixed.to_string();
    assert!(mixed.len() < 250, "an error fits a few lines: {mixed}");
}

#[test]
fn plugins_are_named() {
    let text = bech32_encode(Hrp::parse_unchecked("age1se"), &[1, 2, 3]);
    assert_eq!(refused(&text), RecipientError::Plugin("se".to_owned()));
    assert_eq!(refused(&text.to_uppercase()), RecipientError::Plugin("se".to_owned()));
    let path = bech32_encode(Hrp::parse_unchecked("age1../x"), &[1]);
    assert!(matches!(refused(&path), RecipientError::Unknown(_)));
}

#[test]
fn identities_are_refused_and_not_repeated() {
    use age::secrecy::ExposeSecret;
    let secret = age::x25519::Identity::generate().to_string();
    let secret = secret.expose_secret();
    for text in [secret, &secret[..60], &bech32_encode(Hrp::parse_unchecked("age-plugin-yubikey-"), &[0; 9])] {
        assert_eq!(refused(text), RecipientError::Identity);
    }
}

#[test]
fn damaged_and_foreign_text_is_refused() {
    let good = NativeRecipient::tag(&point()).to_string();
    let mut swapped = good.clone().into_bytes();
    swapped.swap(20, 21);
    let swapped = String::from_utf8(swapped).unwrap();
    if swapped != good {
        assert!(matches!(refused(&swapped), RecipientError::Bech32 { .. }));
    }
    for text in
        ["", "age1", "bob", "age1tag1", &good[..good.len() - 1], &good.replacen('a', "A", 1), "é".repeat(99).as_str()]
    {
        assert!(matches!(refused(text), RecipientError::Bech32 { .. }), "{text}");
    }
    let bitcoin = bech32_encode(Hrp::parse_unchecked("bc"), &[0; 20]);
    assert!(matches!(refused(&bitcoin), RecipientError::Unknown(_)));
}

#[test]
fn keys_that_cannot_be_used_are_refused() {
    let encode = |hrp, bytes: &[u8]| bech32_encode(Hrp::parse_unchecked(hrp), bytes);
    let uncompressed = point().to_sec1_point(false);
    let mut off_curve = [0xff; 33];
    off_curve[0] = 2;
    let mut bad_pq = vec![0; 1184];
    bad_pq.extend_from_slice(&[4; 65]);
    // All ones are coefficients above the modulus of ML-KEM: a second spelling of another key.
    let mut unreduced = vec![0xff; 1152];
    unreduced.extend_from_slice(&[0; 32]);
    unreduced.extend_from_slice(uncompressed.as_bytes());
    for text in [
        encode("age", &[0; 32]),
        encode("age", &[0xff; 32]),
        encode("age", &[9; 31]),
        encode("age1tag", uncompressed.as_bytes()),
        encode("age1tag", &off_curve),
        encode("age1tag", &[0]),
        encode("age1yubikey", uncompressed.as_bytes()),
        encode("age1yubikey", &off_curve),
        encode("age1yubikey", &[]),
        encode("age1tagpq", &[9; 64]),
        encode("age1tagpq", &bad_pq),
        encode("age1tagpq", &unreduced),
    ] {
        assert!(matches!(refused(&text), RecipientError::Key { .. }), "{text}");
    }
}

#[test]
fn the_age_crate_opens_what_is_sealed_to_x25519() {
    let identity = age::x25519::Identity::generate();
    let recipient = parsed(&identity.to_public().to_string());
    let mut sealed = Vec::new();
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn Recipient)).unwrap();
    let mut writer = encryptor.wrap_output(&mut sealed).unwrap();
    writer.write_all(b"a Toc").unwrap();
    writer.finish().unwrap();
    let mut opened = Vec::new();
    let decryptor = age::Decryptor::new(sealed.as_slice()).unwrap();
    decryptor.decrypt(std::iter::once(&identity as _)).unwrap().read_to_end(&mut opened).unwrap();
    assert_eq!(opened, b"a Toc");
}

#[test]
fn post_quantum_recipients_carry_their_label() {
    let file_key = FileKey::new(Box::new([1; 16]));
    let (stanzas, labels) = parsed(&tag_pq(&point())).wrap_file_key(&file_key).unwrap();
    assert_eq!(stanzas[0].tag, "mlkem768p256tag");
    assert!(labels.contains("postquantum"));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC*") {
        let _ = text.parse::<NativeRecipient>();
    }

    #[test]
    fn any_bytes_under_our_names_are_parsed_or_refused(
        hrp in prop::sample::select(vec![X25519_HRP, TAG_HRP, TAG_PQ_HRP, YUBIKEY_HRP]),
        bytes in prop::collection::vec(any::<u8>(), 0..1300),
    ) {
        let text = bech32_encode(Hrp::parse_unchecked(hrp), &bytes);
        if let Ok(recipient) = text.parse::<NativeRecipient>() {
            prop_assert_eq!(recipient.to_string(), text);
        }
    }
}
