//! One-time passwords against the published vectors, and otpauth URIs good and bad.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use proptest::prelude::*;
use quorate_protocol::otp::{Algorithm, MAX_NAME_BYTES, MAX_PERIOD, OtpError, OtpSecret, Parameter, Parameters};

const KEY: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("vectors/rfc6238.json")).unwrap()
}

fn rows<'a>(vectors: &'a serde_json::Value, name: &str) -> &'a Vec<serde_json::Value> {
    vectors[name].as_array().unwrap()
}

#[test]
fn every_code_of_rfc_6238() {
    let vectors = vectors();
    assert_eq!(rows(&vectors, "totp").len(), 18);
    for row in rows(&vectors, "totp") {
        let name = row["algorithm"].as_str().unwrap();
        let key = vectors["keys"][name].as_str().unwrap();
        let parameters = Parameters { algorithm: name.parse().unwrap(), digits: 8, period: 30 };
        let time = row["time"].as_u64().unwrap();
        let code = OtpSecret::new(key.as_bytes(), parameters).unwrap().code_at(time);
        assert_eq!(code.digits.as_str(), row["code"].as_str().unwrap(), "{row}");
        assert_eq!((code.step, code.expires_at), (time / 30, time / 30 * 30 + 30));
    }
}

#[test]
fn every_code_of_rfc_4226_whatever_the_period() {
    let vectors = vectors();
    assert_eq!(rows(&vectors, "hotp").len(), 10);
    let key = vectors["keys"]["SHA1"].as_str().unwrap();
    for period in [1, 7, 30, MAX_PERIOD] {
        let secret = OtpSecret::new(key.as_bytes(), Parameters { period, ..Parameters::default() }).unwrap();
        for row in rows(&vectors, "hotp") {
            let time = row["counter"].as_u64().unwrap() * u64::from(period);
            assert_eq!(secret.code_at(time).digits.as_str(), row["code"].as_str().unwrap(), "{row}");
            assert_eq!(secret.code_at(time), secret.code_at(time + u64::from(period) - 1));
        }
    }
}

#[test]
fn a_code_keeps_its_leading_zero_and_its_length() {
    let secret =
        |digits| OtpSecret::new(b"12345678901234567890", Parameters { digits, ..Parameters::default() }).unwrap();
    assert_eq!(secret(8).code_at(1_111_111_109).digits.as_str(), "07081804");
    assert_eq!(secret(7).code_at(1_111_111_109).digits.as_str(), "7081804");
    assert_eq!(secret(6).code_at(1_111_111_109).digits.as_str(), "081804");
}

#[test]
fn both_ends_of_time_are_safe() {
    for period in [1, 30, MAX_PERIOD] {
        let secret = OtpSecret::new(&[7; 20], Parameters { period, ..Parameters::default() }).unwrap();
        for time in [0, 1, u64::MAX - 1, u64::MAX] {
            let code = secret.code_at(time);
            assert_eq!(code.step, time / u64::from(period));
            assert!(code.expires_at > time || code.expires_at == u64::MAX);
            assert_eq!(secret.verify(&code.digits, time, 255), Some(code.step), "period {period}, time {time}");
        }
    }
}

#[test]
fn the_window_reaches_as_far_as_it_says() {
    let secret = OtpSecret::from_base32(KEY).unwrap();
    let now = 1_700_000_010;
    let step = now / 30;
    for distance in [0, 1, 2, 3] {
        let early = secret.code_at(now - 30 * distance);
        let late = secret.code_at(now + 30 * distance);
        for window in 0..=2u8 {
            let within = distance <= u64::from(window);
            assert_eq!(secret.verify(&early.digits, now, window), within.then_some(step - distance));
            assert_eq!(secret.verify(&late.digits, now, window), within.then_some(step + distance));
        }
    }
}

#[test]
fn what_is_no_code_never_matches() {
    let secret = OtpSecret::from_base32(KEY).unwrap();
    let right = secret.code_at(59).digits;
    let wrong = format!("{:06}", (right.parse::<u32>().unwrap() + 1) % 1_000_000);
    for typed in ["", "0", &wrong, &right[..5], &format!("{}0", *right), &format!("+{}", &right[1..]), "١٢٣٤٥٦"] {
        assert_eq!(secret.verify(typed, 59, 0), None, "{typed}");
    }
}

#[test]
fn a_bare_key_is_read_as_people_type_it() {
    let plain = OtpSecret::from_base32(KEY).unwrap();
    assert_eq!(plain.parameters(), Parameters { algorithm: Algorithm::Sha1, digits: 6, period: 30 });
    for text in
        ["jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp", "JBSWY3DP-EHPK3PXP-JBSWY3DP-EHPK3PXP\n", &format!("{KEY}======")]
    {
        assert_eq!(OtpSecret::from_base32(text).unwrap(), plain);
    }
}

#[test]
fn keys_have_a_least_and_a_greatest_length() {
    assert_eq!(OtpSecret::from_base32("JBSWY3DPEHPK3PX").unwrap_err(), OtpError::TooShort { bits: 72 });
    assert_eq!(OtpSecret::from_base32("").unwrap_err(), OtpError::TooShort { bits: 0 });
    assert!(OtpSecret::from_base32("JBSWY3DPEHPK3PXP").is_ok());
    assert!(OtpSecret::new(&[1; 1024], Parameters::default()).is_ok());
    assert_eq!(OtpSecret::new(&[1; 1025], Parameters::default()).unwrap_err(), OtpError::TooLong);
}

#[test]
fn a_uri_is_read_whole() {
    let secret = OtpSecret::from_uri(&format!(
        "OTPAUTH://TOTP/ACME%20Co:john%40example.com?secret={KEY}&issuer=ACME+Co&algorithm=SHA256&digits=8&period=60&image=x"
    ))
    .unwrap();
    assert_eq!((secret.issuer(), secret.account()), (Some("ACME Co"), "john@example.com"));
    assert_eq!(secret.parameters(), Parameters { algorithm: Algorithm::Sha256, digits: 8, period: 60 });
    assert_eq!(secret.to_base32().as_str(), KEY);
    assert_eq!(
        secret.to_uri().as_str(),
        format!(
            "otpauth://totp/ACME%20Co:john@example.com?secret={KEY}&issuer=ACME%20Co&algorithm=SHA256&digits=8&period=60"
        )
    );
}

#[test]
fn labels_are_split_into_issuer_and_account() {
    let names = |label: &str, query: &str| {
        let secret = OtpSecret::from_uri(&format!("otpauth://totp/{label}?secret={KEY}{query}")).unwrap();
        (secret.issuer().map(String::from), secret.account().to_owned())
    };
    let expect = |issuer: Option<&str>, account: &str| (issuer.map(String::from), account.to_owned());
    assert_eq!(names("bob", ""), expect(None, "bob"));
    assert_eq!(names("", ""), expect(None, ""));
    assert_eq!(names("AWS:bob", ""), expect(Some("AWS"), "bob"));
    assert_eq!(names("AWS%3A%20bob", ""), expect(Some("AWS"), "bob"));
    assert_eq!(names("bob", "&issuer=AWS"), expect(Some("AWS"), "bob"));
    // They differ: the parameter wins and the prefix does not end up in the account.
    assert_eq!(names("Amazon:bob", "&issuer=AWS"), expect(Some("AWS"), "bob"));
    assert_eq!(names("AWS:bob", "&issuer="), expect(Some("AWS"), "bob"));
    assert_eq!(names("a:b:bob", "&issuer=a%3Ab"), expect(Some("a:b"), "bob"));
    assert_eq!(names("Z%C3%BCrich:Zo%C3%AB", ""), expect(Some("Zürich"), "Zoë"));
    assert_eq!(names("%E0%A4%B9/x", ""), expect(None, "ह/x"));
}

#[test]
fn bad_uris_are_told_apart() {
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    for (uri, error) in [
        ("https://example.com/?secret=KEY", OtpError::NotOtpauth),
        ("otpauth:/totp/x?secret=KEY", OtpError::NotOtpauth),
        ("", OtpError::NotOtpauth),
        ("otpaut\u{df}://", OtpError::NotOtpauth),
        ("otpauth://totp/a#b?secret=KEY", OtpError::NotOtpauth),
        ("otpauth://hotp/x?secret=KEY&counter=1", OtpError::Hotp),
        ("otpauth://steam/x?secret=KEY", OtpError::Steam),
        ("otpauth://totp/x?secret=KEY&encoder=steam", OtpError::Steam),
        ("otpauth://motp/x?secret=KEY", OtpError::UnknownKind { name: Some("motp".into()) }),
        ("otpauth://KEY", OtpError::UnknownKind { name: None }),
        ("otpauth://totp/x", OtpError::MissingSecret),
        ("otpauth://totp/x?secret=", OtpError::MissingSecret),
        ("otpauth://totp/x?secret", OtpError::MissingSecret),
        ("otpauth://totp/x?secret=KEY&secret=KEY", OtpError::Repeated { parameter: Parameter::Secret }),
        ("otpauth://totp/x?secret=KEY&SECRET=KEY", OtpError::Repeated { parameter: Parameter::Secret }),
        ("otpauth://totp/x?secret=KEY&digits=6&digits=8", OtpError::Repeated { parameter: Parameter::Digits }),
        ("otpauth://totp/x?KEY&secret=KEY&KEY", OtpError::Repeated { parameter: Parameter::Unknown }),
        ("otpauth://totp/x?secret=KEY1", OtpError::NotBase32),
        ("otpauth://totp/x?secret=KEYA", OtpError::Base32Length),
        ("otpauth://totp/x?secret=GEZDGNBV", OtpError::TooShort { bits: 40 }),
        ("otpauth://totp/x?secret=KEY&digits=5", OtpError::Digits { found: 5 }),
        ("otpauth://totp/x?secret=KEY&digits=10", OtpError::Digits { found: 10 }),
        ("otpauth://totp/x?secret=KEY&digits=262", OtpError::Digits { found: 262 }),
        ("otpauth://totp/x?secret=KEY&digits=%2B6", OtpError::NotANumber { parameter: Parameter::Digits }),
        ("otpauth://totp/x?secret=KEY&digits=", OtpError::NotANumber { parameter: Parameter::Digits }),
        ("otpauth://totp/x?secret=KEY&period=KEY", OtpError::NotANumber { parameter: Parameter::Period }),
        ("otpauth://totp/x?secret=KEY&period=-30", OtpError::NotANumber { parameter: Parameter::Period }),
        ("otpauth://totp/x?secret=KEY&period=0", OtpError::PeriodZero),
        ("otpauth://totp/x?secret=KEY&period=31536001", OtpError::PeriodTooLong { found: 31_536_001 }),
        ("otpauth://totp/x?secret=KEY&period=4294967326", OtpError::PeriodTooLong { found: 4_294_967_326 }),
        ("otpauth://totp/x?secret=KEY&algorithm=MD5", OtpError::UnknownAlgorithm { name: Some("MD5".into()) }),
        ("otpauth://totp/x?secret=KEY&algorithm=KEY", OtpError::UnknownAlgorithm { name: None }),
        ("otpauth://totp/%FF?secret=KEY", OtpError::NotUtf8),
        ("otpauth://totp/x?secret=KEY&issuer=%C3", OtpError::NotUtf8),
        ("otpauth://totp/LONG?secret=KEY", OtpError::NameTooLong),
        ("otpauth://totp/x?secret=KEY&issuer=LONG", OtpError::NameTooLong),
    ] {
        let uri = uri.replace("KEY", KEY).replace("LONG", &long);
        let found = OtpSecret::from_uri(&uri).unwrap_err();
        assert_eq!(found, error, "{uri}");
        assert!(!found.to_string().contains(KEY) && !format!("{found:?}").contains(KEY), "{found} holds the secret");
    }
    let huge = format!("otpauth://totp/x?secret={KEY}&image={}", "y".repeat(9000));
    assert_eq!(OtpSecret::from_uri(&huge).unwrap_err(), OtpError::UriTooLong);
}

#[test]
fn hostile_names_in_errors_are_escaped() {
    let error = OtpSecret::from_uri(&format!("otpauth://totp/x?secret={KEY}&algorithm=%1B%5B2J")).unwrap_err();
    assert_eq!(error.to_string(), "unknown algorithm \"\\u{1b}[2J\"; it must be SHA1, SHA256 or SHA512");
}

#[test]
fn algorithms_have_several_spellings() {
    for (text, algorithm) in [
        ("sha1", Algorithm::Sha1),
        ("SHA-256", Algorithm::Sha256),
        ("HmacSHA512", Algorithm::Sha512),
        ("hmac-sha-1", Algorithm::Sha1),
    ] {
        assert_eq!(text.parse(), Ok(algorithm));
    }
    assert!("SHA384".parse::<Algorithm>().is_err());
}

#[test]
fn debug_output_keeps_the_secret_and_the_code() {
    let secret = OtpSecret::from_uri(&format!("otpauth://totp/AWS:root?secret={KEY}")).unwrap();
    let code = secret.code_at(59);
    let shown = format!("{secret:?} {code:?}");
    assert!(shown.contains("root") && shown.contains("expires_at: 60"), "{shown}");
    for hidden in [KEY, &hex::encode(secret.key()), &format!("{:?}", secret.key()), &code.digits] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn a_name_is_shown_on_one_line() {
    let shown =
        |label: &str| OtpSecret::from_uri(&format!("otpauth://totp/{label}?secret={KEY}")).unwrap().display_name();
    assert_eq!(shown(""), "unnamed");
    assert_eq!(shown("root"), "root");
    assert_eq!(shown("AWS:root"), "AWS: root");
    assert_eq!(shown("AWS:"), "AWS");
    assert_eq!(shown("A%0AB:%E2%80%AEtoor"), "A\\nB: \\u{202e}toor");
}

fn parameters() -> impl Strategy<Value = Parameters> {
    let algorithm = prop_oneof![Just(Algorithm::Sha1), Just(Algorithm::Sha256), Just(Algorithm::Sha512)];
    (algorithm, 6..=8u8, 1..=MAX_PERIOD).prop_map(|(algorithm, digits, period)| Parameters {
        algorithm,
        digits,
        period,
    })
}

proptest! {
    #[test]
    fn a_written_uri_reads_back(
        key in proptest::collection::vec(any::<u8>(), 10..200),
        parameters in parameters(),
        issuer in proptest::option::of("[\\PC:%+&=#?/ ]{0,20}"),
        account in "[\\PC:%+&=#?/ ]{0,20}",
    ) {
        let secret = OtpSecret::new(&key, parameters).unwrap().with_names(issuer.as_deref(), &account).unwrap();
        let uri = secret.to_uri();
        prop_assert!(uri.is_ascii());
        let back = OtpSecret::from_uri(&uri).unwrap();
        prop_assert_eq!(back.to_uri(), uri);
        prop_assert_eq!(back, secret);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = OtpSecret::from_uri(&text);
        let _ = OtpSecret::from_uri(&format!("otpauth://totp/{text}"));
        let _ = OtpSecret::from_uri(&format!("otpauth://totp/x?secret={KEY}&{text}"));
        let _ = OtpSecret::from_base32(&text);
    }

    #[test]
    fn every_code_verifies_at_its_own_time(key in proptest::collection::vec(any::<u8>(), 10..200), parameters in parameters(), time: u64) {
        let secret = OtpSecret::new(&key, parameters).unwrap();
        let code = secret.code_at(time);
        prop_assert_eq!(code.digits.len(), usize::from(parameters.digits));
        prop_assert_eq!(secret.verify(&code.digits, time, 0), Some(code.step));
    }
}
