//! Forged and damaged answers of `WebAuthn`: each refused by name, and none uses up the challenge that it was made for.

use crate::token::{Format, Token, b64, client_data, flip, flip_last, unb64, with_bytes};
use crate::webauthn::{Ground, LOGIN, OBJECT, ORIGIN, REGISTER, RP_ID};
use reqwest::{Method, StatusCode};
use serde_json::Value;

const CLIENT_DATA: &str = "/response/clientDataJSON";
const AUTHENTICATOR_DATA: &str = "/response/authenticatorData";
const SIGNATURE: &str = "/response/signature";

/// A registration and a login that wait for their answers: `token` is registered, `new` is not.
struct Scene {
    ground: Ground,
    token: Token,
    new: Token,
    registration: Value,
    login: Value,
}

impl Scene {
    async fn new() -> Self {
        let ground = Ground::new().await;
        let mut token = Token::new(b"credential");
        ground.registered(&token).await;
        ground.assert_logs_in(&mut token).await;
        let (registration, login) = (ground.options(REGISTER).await, ground.options(LOGIN).await);
        Self { ground, token, new: Token::new(b"new"), registration, login }
    }

    /// An answer to a registration with client data of the test's own.
    fn creation(&self, act: &str, challenge: &Value, origin: &str) -> Value {
        let data = client_data(act, challenge, origin);
        self.created_around(&self.new.attested(RP_ID, None), &data)
    }

    /// One around authenticator data of the test's own.
    fn created(&self, authenticator_data: &[u8]) -> Value {
        let data = client_data("webauthn.create", &self.registration["challenge"], ORIGIN);
        self.created_around(authenticator_data, &data)
    }

    fn created_around(&self, authenticator_data: &[u8], data: &[u8]) -> Value {
        self.new.created(&self.new.attestation_object(Format::None, authenticator_data, data), data)
    }

    /// An answer to a login with client data of the test's own.
    fn assertion(&self, act: &str, challenge: &Value, origin: &str) -> Value {
        self.token.signed(&self.token.head(RP_ID, 1), &client_data(act, challenge, origin))
    }

    /// One around authenticator data of the test's own.
    fn signed(&self, authenticator_data: &[u8]) -> Value {
        self.token.signed(authenticator_data, &client_data("webauthn.get", &self.login["challenge"], ORIGIN))
    }

    async fn refuses(&self, path: &str, what: &str, answer: &Value, word: &str) {
        let refused = self.ground.call(Method::PUT, path, answer).await;
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, word), "{what}: {}", refused.text);
    }

    /// Both challenges still wait for an honest answer.
    async fn goes_on(mut self) {
        let answer = self.token.get(&self.login, ORIGIN);
        let answer = self.ground.call(Method::PUT, LOGIN, &answer).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let listed = self.ground.options(LOGIN).await;
        let registered = listed["allowCredentials"].as_array().expect("a list").len();
        assert_eq!(registered, 1, "nothing was registered");
        let answer = self.new.create(&self.registration, ORIGIN, Format::None);
        let answer = self.ground.call(Method::PUT, REGISTER, &answer).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
}

#[tokio::test]
async fn an_answer_to_another_challenge_is_refused() {
    let scene = Scene::new().await;
    let (invented, word) = (b64(&[7; 32]).into(), "invalid_challenge");
    for (what, challenge) in [("invented", &invented), ("a login's", &scene.login["challenge"])] {
        scene.refuses(REGISTER, what, &scene.creation("webauthn.create", challenge, ORIGIN), word).await;
    }
    for (what, challenge) in [("invented", &invented), ("a registration's", &scene.registration["challenge"])] {
        scene.refuses(LOGIN, what, &scene.assertion("webauthn.get", challenge, ORIGIN), word).await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn an_answer_from_another_origin_is_refused() {
    let scene = Scene::new().await;
    for origin in [
        "https://www.example.com",
        "https://login.example.com:8443",
        "http://login.example.com",
        "https://example.org",
        "https://login.example.com/x?y",
        "https://user@login.example.com",
        "null",
        "",
    ] {
        let answer = scene.creation("webauthn.create", &scene.registration["challenge"], origin);
        scene.refuses(REGISTER, origin, &answer, "wrong_origin").await;
        let answer = scene.assertion("webauthn.get", &scene.login["challenge"], origin);
        scene.refuses(LOGIN, origin, &answer, "wrong_origin").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn an_answer_for_another_rp_id_is_refused() {
    let scene = Scene::new().await;
    for rp_id in ["example.org", "login.example.com", "https://example.com"] {
        scene.refuses(REGISTER, rp_id, &scene.created(&scene.new.attested(rp_id, None)), "wrong_rp_id").await;
        // The last one is an app ID, which nobody registered.
        scene.refuses(LOGIN, rp_id, &scene.signed(&scene.token.head(rp_id, 1)), "wrong_rp_id").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn an_answer_of_another_type_is_refused() {
    let scene = Scene::new().await;
    for act in ["webauthn.get", "navigator.id.finishEnrollment", ""] {
        let answer = scene.creation(act, &scene.registration["challenge"], ORIGIN);
        scene.refuses(REGISTER, act, &answer, "wrong_type").await;
    }
    for act in ["webauthn.create", "navigator.id.getAssertion", ""] {
        let answer = scene.assertion(act, &scene.login["challenge"], ORIGIN);
        scene.refuses(LOGIN, act, &answer, "wrong_type").await;
    }
    let mut password = scene.creation("webauthn.create", &scene.registration["challenge"], ORIGIN);
    password["type"] = "password".into();
    scene.refuses(REGISTER, "a password", &password, "invalid_answer").await;
    scene.goes_on().await;
}

#[tokio::test]
async fn flipped_bits_in_an_attestation_are_refused() {
    let scene = Scene::new().await;
    for format in [Format::PackedBasic, Format::PackedSelf, Format::FidoU2f] {
        let good = scene.new.create(&scene.registration, ORIGIN, format);
        let object = unb64(&good["response"]["attestationObject"]);
        // Behind the text `sig`, the head of a string of two bytes, and of DER a sequence's, an integer's and perhaps a zero.
        let name = object.windows(4).position(|window| window == b"csig").expect("a signature");
        for at in (name + 14..name + 40).step_by(6).chain([name + 60]) {
            let damaged = with_bytes(&good, OBJECT, flip(at));
            scene.refuses(REGISTER, &format!("{format:?} {at}"), &damaged, "wrong_signature").await;
        }
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn an_attestation_of_no_maker_is_refused() {
    let mut scene = Scene::new().await;
    scene.new.attested_by("Kitchen");
    let answer = scene.new.create(&scene.registration, ORIGIN, Format::PackedBasic);
    scene.refuses(REGISTER, "a certificate of another unit", &answer, "invalid_answer").await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let own = rcgen::CertificateParams::new(Vec::new()).expect("no names").self_signed(&pair);
    scene.new.certificate = own.expect("a certificate").der().to_vec();
    for format in [Format::PackedBasic, Format::FidoU2f] {
        let answer = scene.new.create(&scene.registration, ORIGIN, format);
        scene.refuses(REGISTER, "another key's certificate", &answer, "wrong_signature").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn flipped_bits_in_an_assertion_are_refused() {
    let mut scene = Scene::new().await;
    let good = scene.token.get(&scene.login, ORIGIN);
    for (what, field, change) in [
        ("the signature", SIGNATURE, flip(20)),
        ("the signature's other half", SIGNATURE, flip(60)),
        ("the counter", AUTHENTICATOR_DATA, flip(36)),
    ] {
        scene.refuses(LOGIN, what, &with_bytes(&good, field, change), "wrong_signature").await;
    }
    let spaced = with_bytes(&good, CLIENT_DATA, |bytes| bytes.insert(1, b' '));
    scene.refuses(LOGIN, "client data that mean the same", &spaced, "wrong_signature").await;
    let other = Token::new(b"credential");
    let answer = other.signed(&other.head(RP_ID, 1), &client_data("webauthn.get", &scene.login["challenge"], ORIGIN));
    scene.refuses(LOGIN, "another key", &answer, "wrong_signature").await;
    scene.refuses(LOGIN, "another id", &with_bytes(&good, "/rawId", flip_last()), "other_credential").await;
    scene.goes_on().await;
}

#[tokio::test]
async fn an_answer_that_nobody_touched_is_refused() {
    let mut scene = Scene::new().await;
    scene.new.flags = 0;
    scene.refuses(REGISTER, "a registration", &scene.created(&scene.new.attested(RP_ID, None)), "not_present").await;
    scene.new.flags = 1;
    let absent = scene.signed(&scene.token.head(RP_ID, 0));
    scene.refuses(LOGIN, "a login", &absent, "not_present").await;
    let claimed = with_bytes(&absent, AUTHENTICATOR_DATA, flip(32));
    scene.refuses(LOGIN, "a claim that was not signed", &claimed, "wrong_signature").await;
    scene.goes_on().await;
}

#[tokio::test]
async fn a_cose_key_of_another_curve_is_refused() {
    let scene = Scene::new().await;
    let key = |curve, algorithm| scene.new.cose_key(curve, algorithm);
    let mut beside = key(1, 0x26);
    flip_last()(&mut beside);
    for (what, key) in [
        ("P-384 under ES256", key(2, 0x26)),
        ("P-521 under ES256", key(3, 0x26)),
        ("secp256k1 under ES256", key(8, 0x26)),
        ("Ed25519's curve under ES256", key(6, 0x26)),
        ("P-256 under EdDSA", key(1, 0x27)),
        ("a point beside the curve", beside),
    ] {
        scene.refuses(REGISTER, what, &scene.created(&scene.new.attested(RP_ID, Some(key))), "invalid_key").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn trailing_cbor_is_refused() {
    let scene = Scene::new().await;
    let attested = scene.new.attested(RP_ID, None);
    let good = scene.created(&attested);
    for junk in [&[0][..], &[0xa0], &[0xf6, 0xf6]] {
        let behind = with_bytes(&good, OBJECT, |bytes| bytes.extend(junk));
        scene.refuses(REGISTER, "behind the object", &behind, "invalid_answer").await;
        let inside = scene.created(&[&attested, junk].concat());
        scene.refuses(REGISTER, "behind the key", &inside, "invalid_answer").await;
        let signed = scene.signed(&[&scene.token.head(RP_ID, 1), junk].concat());
        scene.refuses(LOGIN, "behind the counter", &signed, "invalid_answer").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn nested_cbor_is_refused() {
    let scene = Scene::new().await;
    for opening in [0x81, 0xa1] {
        let nested = [vec![opening; 5_000], vec![0]].concat();
        let mut extended = scene.new.attested(RP_ID, Some([scene.new.cose_key(1, 0x26), nested.clone()].concat()));
        extended[32] |= 0x80;
        scene.refuses(REGISTER, "in extensions", &scene.created(&extended), "invalid_answer").await;
        let alone =
            with_bytes(&scene.created(&scene.new.attested(RP_ID, None)), OBJECT, |bytes| *bytes = nested.clone());
        scene.refuses(REGISTER, "for an object", &alone, "invalid_answer").await;
        let signed = scene.signed(&[scene.token.head(RP_ID, 0x81), nested].concat());
        scene.refuses(LOGIN, "in a login's extensions", &signed, "invalid_answer").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn odd_cbor_is_refused() {
    let scene = Scene::new().await;
    let good = scene.created(&scene.new.attested(RP_ID, None));
    let splice = |needle: &'static [u8], keep: usize, put: &'static [u8]| {
        with_bytes(&good, OBJECT, |bytes| {
            let at = bytes.windows(needle.len()).position(|window| window == needle).expect("there");
            bytes.splice(at + keep..at + needle.len(), put.iter().copied());
        })
    };
    let twice = [&[0xa6][..], &scene.new.cose_key(1, 0x26)[1..], &[1, 2]].concat();
    for (what, answer, word) in [
        ("a key twice", scene.created(&scene.new.attested(RP_ID, Some(twice))), "invalid_answer"),
        ("a statement where there is none", splice(b"\x67attStmt\xa0", 8, &[0xa1, 0x61, b'x', 1]), "invalid_answer"),
        ("another format", splice(b"\x64none", 0, b"\x63tpm"), "attestation_not_taken"),
        ("no format", splice(b"\x63fmt", 0, b"\x63fmx"), "invalid_answer"),
        ("half an object", with_bytes(&good, OBJECT, |bytes| bytes.truncate(50)), "invalid_answer"),
        ("no object", with_bytes(&good, OBJECT, Vec::clear), "invalid_answer"),
        ("no client data", with_bytes(&good, CLIENT_DATA, Vec::clear), "invalid_answer"),
        ("client data that are no JSON", with_bytes(&good, CLIENT_DATA, |bytes| bytes.push(b'x')), "invalid_answer"),
    ] {
        scene.refuses(REGISTER, what, &answer, word).await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn oversized_base64_is_refused() {
    let scene = Scene::new().await;
    let creation = scene.created(&scene.new.attested(RP_ID, None));
    let assertion = scene.signed(&scene.token.head(RP_ID, 1));
    for (path, good, fields) in [
        (REGISTER, &creation, &[OBJECT, CLIENT_DATA][..]),
        (LOGIN, &assertion, &["/rawId", AUTHENTICATOR_DATA, CLIENT_DATA, SIGNATURE]),
    ] {
        for field in fields {
            let mut answer = good.clone();
            *answer.pointer_mut(field).expect("a field") = "A".repeat(30_000).into();
            scene.refuses(path, field, &answer, "invalid_body").await;
            *answer.pointer_mut(field).expect("a field") = "A".repeat(200_000).into();
            assert_eq!(scene.ground.call(Method::PUT, path, &answer).await.refusal().0, 413, "{field}");
            *answer.pointer_mut(field).expect("a field") = "*".into();
            scene.refuses(path, field, &answer, "invalid_body").await;
        }
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn ids_longer_than_any_token_makes_are_refused() {
    let mut scene = Scene::new().await;
    let honest = std::mem::take(&mut scene.new.handle);
    for length in [1024, 4096, 4097, 9000] {
        scene.new.handle = vec![7; length];
        let answer = scene.created(&scene.new.attested(RP_ID, None));
        scene.refuses(REGISTER, &length.to_string(), &answer, "invalid_answer").await;
    }
    scene.new.handle = honest;
    scene.goes_on().await;
}

#[tokio::test]
async fn what_is_no_signature_at_all_is_a_guess_as_well() {
    let mut scene = Scene::new().await;
    let good = scene.token.get(&scene.login, ORIGIN);
    let junk = [vec![], vec![0], vec![0x30, 0x00], vec![7; 72], vec![0x30; 2000]];
    for bytes in junk.iter().cycle().take(10) {
        let answer = with_bytes(&good, SIGNATURE, |signature| signature.clone_from(bytes));
        scene.refuses(LOGIN, &format!("{bytes:.20?}"), &answer, "wrong_signature").await;
    }
    let locked = scene.ground.call(Method::PUT, LOGIN, &good).await;
    assert_eq!((locked.refusal().0, locked.refusal().1), (429, "too_many_failures"));
    scene.ground.advance(1_000);
    scene.goes_on().await;
}

#[tokio::test]
async fn wrong_signatures_lock_the_credential_for_a_while() {
    let mut scene = Scene::new().await;
    let good = scene.token.get(&scene.login, ORIGIN);
    let wrong = with_bytes(&good, SIGNATURE, flip(20));
    for _ in 0..10 {
        scene.refuses(LOGIN, "a guess", &wrong, "wrong_signature").await;
    }
    for answer in [&wrong, &good] {
        let locked = scene.ground.call(Method::PUT, LOGIN, answer).await;
        assert_eq!(locked.refusal(), (429, "too_many_failures", "too many wrong signatures"));
        assert_eq!(locked.retry_after, Some(1));
    }
    let mut other = Token::new(b"another credential of the user");
    scene.ground.registered(&other).await;
    scene.ground.assert_logs_in(&mut other).await;
    scene.ground.advance(1_000);
    let answer = scene.ground.call(Method::PUT, LOGIN, &good).await;
    assert_eq!(answer.status, StatusCode::OK, "the challenge was not used up: {}", answer.text);
    // A right answer forgets the wrong ones.
    let wrong = with_bytes(&scene.token.get(&scene.ground.options(LOGIN).await, ORIGIN), SIGNATURE, flip(20));
    for _ in 0..10 {
        scene.refuses(LOGIN, "a guess", &wrong, "wrong_signature").await;
    }
}
