//! A security key in the test's hands: it makes U2F messages and `WebAuthn` answers, honestly unless it is told otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn unb64(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().expect("text")).expect("base64url")
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// One key of a token, and the token's attestation key.
pub struct Token {
    key: EcdsaKeyPair,
    pub handle: Vec<u8>,
    attestation: EcdsaKeyPair,
    pub certificate: Vec<u8>,
    pub counter: u32,
    pub flags: u8,
}

/// How the token vouches for a new key in `WebAuthn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    None,
    PackedBasic,
    PackedSelf,
    FidoU2f,
}

fn signing(pair: &KeyPair) -> EcdsaKeyPair {
    let rng = SystemRandom::new();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pair.serialize_der(), &rng).expect("a P-256 key")
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    key.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec()
}

/// The certificate of a maker's attestation key, as format `packed` wants it (`WebAuthn` §8.2.1) when `unit` is right.
fn makers_certificate(pair: &KeyPair, unit: &str) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    for (kind, name) in [
        (DnType::CountryName, "AA"),
        (DnType::OrganizationName, "Tokens of the test"),
        (DnType::OrganizationalUnitName, unit),
        (DnType::CommonName, "a token"),
    ] {
        params.distinguished_name.push(kind, name);
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.self_signed(pair).expect("a certificate").der().to_vec()
}

impl Token {
    /// A token with a fresh key.
    pub fn new(handle: &[u8]) -> Self {
        Self::of(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key"), handle)
    }

    /// A token with that key.
    pub fn of(key: &KeyPair, handle: &[u8]) -> Self {
        let attestation = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = makers_certificate(&attestation, "Authenticator Attestation");
        assert_eq!(attestation.der_bytes().len(), 65);
        let (key, attestation) = (signing(key), signing(&attestation));
        Self { key, handle: handle.to_vec(), attestation, certificate, counter: 0, flags: 1 }
    }

    /// Exchanges the attestation key for one whose certificate is of another unit.
    pub fn attested_by(&mut self, unit: &str) {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        self.certificate = makers_certificate(&pair, unit);
        self.attestation = signing(&pair);
    }

    pub fn point(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// U2F's client data.
    pub fn u2f_client_data(act: &str, challenge: &str, origin: &str) -> Vec<u8> {
        json!({ "typ": format!("navigator.id.{act}"), "challenge": challenge, "origin": origin })
            .to_string()
            .into_bytes()
    }

    /// U2F's registration data.
    pub fn u2f_register(&self, app_id: &str, client_data: &[u8]) -> Vec<u8> {
        self.u2f_attest(self.point(), app_id, client_data)
    }

    /// The same for whatever is said to be the key.
    pub fn u2f_attest(&self, point: &[u8], app_id: &str, client_data: &[u8]) -> Vec<u8> {
        let (application, challenge) = (sha256(app_id.as_bytes()), sha256(client_data));
        let signed = [&[0][..], &application, &challenge, &self.handle, point].concat();
        let length = u8::try_from(self.handle.len()).expect("a short handle");
        let signature = sign(&self.attestation, &signed);
        [&[5][..], point, &[length], &self.handle, &self.certificate, &signature].concat()
    }

    /// U2F's signature data, with a counter that has risen.
    pub fn u2f_sign(&mut self, app_id: &str, client_data: &[u8]) -> Vec<u8> {
        self.counter += 1;
        let head = [&[self.flags & 1][..], &self.counter.to_be_bytes()].concat();
        let signed = [&sha256(app_id.as_bytes())[..], &head, &sha256(client_data)].concat();
        [head, sign(&self.key, &signed)].concat()
    }

    /// The key as COSE has it (RFC 9053 §7.1), on the named curve and of the named algorithm's byte.
    pub fn cose_key(&self, curve: u8, algorithm: u8) -> Vec<u8> {
        let (x, y) = self.point()[1..].split_at(32);
        let head = [0xa5, 0x01, 0x02, 0x03, algorithm, 0x20, curve, 0x21, 0x58, 0x20];
        [&head[..], x, &[0x22, 0x58, 0x20], y].concat()
    }

    /// Authenticator data up to the counter.
    pub fn head(&self, rp_id: &str, flags: u8) -> Vec<u8> {
        [&sha256(rp_id.as_bytes())[..], &[flags], &self.counter.to_be_bytes()].concat()
    }

    /// Authenticator data of a registration, with `key` in place of the key when there is one.
    pub fn attested(&self, rp_id: &str, key: Option<Vec<u8>>) -> Vec<u8> {
        let length = u16::try_from(self.handle.len()).expect("a short handle").to_be_bytes();
        let key = key.unwrap_or_else(|| self.cose_key(1, 0x26));
        [self.head(rp_id, self.flags | 0x40), vec![0; 16], length.to_vec(), self.handle.clone(), key].concat()
    }

    /// The attestation object around authenticator data.
    pub fn attestation_object(&self, format: Format, authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
        let (name, statement) = match format {
            Format::None => ("none", vec![0xa0]),
            Format::PackedBasic => {
                let signature = sign(&self.attestation, &[authenticator_data, &sha256(client_data)].concat());
                let chain = [&[0x81][..], &bytes(&self.certificate)].concat();
                let parts = [text("alg"), vec![0x26], text("sig"), bytes(&signature), text("x5c"), chain];
                ("packed", [vec![0xa3], parts.concat()].concat())
            }
            Format::PackedSelf => {
                let signature = sign(&self.key, &[authenticator_data, &sha256(client_data)].concat());
                ("packed", [&[0xa2][..], &text("alg"), &[0x26], &text("sig"), &bytes(&signature)].concat())
            }
            Format::FidoU2f => {
                let (application, challenge) = (&authenticator_data[..32], sha256(client_data));
                let signed = [&[0][..], application, &challenge, &self.handle, self.point()].concat();
                let signature = sign(&self.attestation, &signed);
                let chain = [&[0x81][..], &bytes(&self.certificate)].concat();
                ("fido-u2f", [&[0xa2][..], &text("sig"), &bytes(&signature), &text("x5c"), &chain].concat())
            }
        };
        let parts = [text("fmt"), text(name), text("attStmt"), statement, text("authData"), bytes(authenticator_data)];
        [vec![0xa3], parts.concat()].concat()
    }

    /// What the browser gives for a registration.
    pub fn create(&self, options: &Value, origin: &str, format: Format) -> Value {
        let client_data = client_data("webauthn.create", &options["challenge"], origin);
        let authenticator_data = self.attested(options["rp"]["id"].as_str().expect("an RP ID"), None);
        self.created(&self.attestation_object(format, &authenticator_data, &client_data), &client_data)
    }

    /// The same around an object of the test's own.
    pub fn created(&self, attestation_object: &[u8], client_data: &[u8]) -> Value {
        json!({
            "id": b64(&self.handle), "rawId": b64(&self.handle), "type": "public-key", "clientExtensionResults": {},
            "response": { "attestationObject": b64(attestation_object), "clientDataJSON": b64(client_data), "transports": ["usb"] },
        })
    }

    /// What the browser gives for a login, with a counter that has risen.
    pub fn get(&mut self, options: &Value, origin: &str) -> Value {
        let rp_id = options["rpId"].as_str().expect("an RP ID").to_owned();
        self.get_for(&rp_id, options, origin)
    }

    /// The same for an RP ID (or app ID) of the test's own.
    pub fn get_for(&mut self, rp_id: &str, options: &Value, origin: &str) -> Value {
        self.counter += 1;
        let client_data = client_data("webauthn.get", &options["challenge"], origin);
        self.signed(&self.head(rp_id, self.flags), &client_data)
    }

    /// Signs whatever it is given.
    pub fn signed(&self, authenticator_data: &[u8], client_data: &[u8]) -> Value {
        let signature = sign(&self.key, &[authenticator_data, &sha256(client_data)].concat());
        json!({
            "id": b64(&self.handle), "rawId": b64(&self.handle), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "authenticatorData": b64(authenticator_data), "clientDataJSON": b64(client_data),
                "signature": b64(&signature), "userHandle": null,
            },
        })
    }
}

/// `WebAuthn`'s client data.
pub fn client_data(act: &str, challenge: &Value, origin: &str) -> Vec<u8> {
    json!({ "type": act, "challenge": challenge, "origin": origin, "crossOrigin": false }).to_string().into_bytes()
}

/// A copy of `answer` with the field at `pointer` changed by `change`, which sees its bytes.
pub fn with_bytes(answer: &Value, pointer: &str, change: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut answer = answer.clone();
    let field = answer.pointer_mut(pointer).expect("a field");
    let mut bytes = unb64(field);
    change(&mut bytes);
    *field = b64(&bytes).into();
    answer
}

/// A change of one bit of the byte at that place.
pub fn flip(at: usize) -> impl Fn(&mut Vec<u8>) {
    move |bytes| bytes[at] ^= 1
}

/// A change of one bit of the last byte.
pub fn flip_last() -> impl Fn(&mut Vec<u8>) {
    |bytes| *bytes.last_mut().expect("bytes") ^= 1
}

/// A copy of `answer` with every base64url text of `pointers` in standard base64.
pub fn in_standard_base64(answer: &Value, pointers: &[&str]) -> Value {
    let mut answer = answer.clone();
    for pointer in pointers {
        let field = answer.pointer_mut(pointer).expect("a field");
        *field = STANDARD.encode(unb64(field)).into();
    }
    answer
}

fn text(text: &str) -> Vec<u8> {
    [&[0x60 | u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat()
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(bytes.len()).expect("not that long").to_be_bytes();
    match bytes.len() {
        0..24 => [&[0x40 | low][..], bytes].concat(),
        24..256 => [&[0x58, low][..], bytes].concat(),
        _ => [&[0x59, high, low][..], bytes].concat(),
    }
}
