//! The file of a soft security key: TOML that a person can read. Knows no disk.
//!
//! The secret that seals credentials lies open in it, since a key without its PIN signs as well: U2F has none. The PIN itself does
//! not: nobody should learn from the file what somebody may use elsewhere.

use crate::token::TokenError;
use crate::token::fido::{FidoError, FidoPin};
use crate::token::soft::seal::{self, Cost, SealKey};
use crate::token::soft::store::Kept;
use crate::token::soft::tries::Tries;
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::EncodePublicKey as _;
use p256::{PublicKey, SecretKey};
use quorate_protocol::encoding::Base64;
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair, SubjectPublicKeyInfo};
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::{Zeroize as _, Zeroizing};

/// Names the format and its version.
const FORMAT: &str = "quorate-soft-fido/1";
const PIN_LABEL: &[u8] = b"quorate/1 soft-fido pin\0";
const SALT_BYTES: usize = 16;

const HEADER: &str = "\
# A soft security key of quorate, for trying out, for tests and for low stakes. Whoever has this file can answer in its owner's
# place, so keep one copy only, and let no one else read it.

";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFile {
    format: String,
    pub(super) serial: u32,
    pub(super) name: String,
    /// Of the last signature.
    pub(super) counter: u32,
    /// Seals credential ids.
    secret: Base64,
    /// Signs for the maker.
    attestation_key: Base64,
    /// Says so, in DER.
    pub(super) certificate: Base64,
    /// Whether applications get the same secrets without the PIN, as of keys that know CTAP 2.0 alone (§5.7.1 there). For tests: a line
    /// that is written by hand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) one_secret: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pin: Option<PinLock>,
}

/// What opens with the PIN.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinLock {
    tries_left: Tries<8>,
    salt: Base64,
    argon2id: Cost,
    sealed: Base64,
}

impl KeyFile {
    pub(super) fn new(name: &str) -> Self {
        let key = SecretKey::generate();
        let mut scalar = key.to_bytes();
        let attestation_key = Base64(scalar.to_vec());
        scalar.as_mut_slice().zeroize();
        Self {
            format: FORMAT.to_owned(),
            // Eight digits, as printed on real keys.
            serial: rand::random_range(10_000_000..100_000_000),
            name: name.to_owned(),
            counter: 0,
            secret: Base64(rand::random::<[u8; 32]>().to_vec()),
            attestation_key,
            certificate: Base64(certificate(&key.public_key())),
            one_secret: false,
            pin: None,
        }
    }

    pub(super) fn secret(&self) -> SealKey {
        Zeroizing::new(self.secret.0.as_slice().try_into().expect("the length was checked when the file was read"))
    }

    pub(super) fn attestation_key(&self) -> Result<SigningKey, FidoError> {
        let key = SigningKey::from_slice(&self.attestation_key.0);
        key.map_err(|_| FidoError::Unexpected { command: "attest", answer: "no key".to_owned() })
    }
}

/// Whether a file says that it is a soft security key, of whatever version.
pub fn is_soft_security_key(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("format = \"quorate-soft-fido/"))
}

impl Kept for KeyFile {
    /// Nothing is trusted: version, cost, count and lengths are checked.
    fn parse(path: &Path, text: &str) -> Result<Self, TokenError> {
        let malformed = |cause: &str| TokenError::Malformed { path: path.to_owned(), cause: cause.to_owned() };
        if !is_soft_security_key(text) {
            return Err(malformed("not a soft security key"));
        }
        let format = format!("format = \"{FORMAT}\"");
        if !text.lines().any(|line| line.starts_with(&format)) {
            return Err(malformed("a soft security key of a later version of quorate"));
        }
        // The parser's message would quote the line.
        let file: Self = toml::from_str(text).map_err(|error| malformed(error.message()))?;
        let fits = file.format == FORMAT
            && file.secret.0.len() == 32
            && SigningKey::from_slice(&file.attestation_key.0).is_ok()
            && file.pin.as_ref().is_none_or(|lock| lock.argon2id.acceptable());
        if fits { Ok(file) } else { Err(malformed("no key has such values")) }
    }

    fn to_text(&self) -> String {
        let body = Zeroizing::new(toml::to_string(self).expect("strings, numbers and tables are TOML"));
        format!("{HEADER}{}", body.as_str())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.secret.0.zeroize();
        self.attestation_key.0.zeroize();
    }
}

impl PinLock {
    pub(super) const ALL: Tries<8> = Tries::ALL;

    pub(super) fn new(serial: u32, pin: &FidoPin) -> Self {
        let (salt, argon2id) = (rand::random::<[u8; SALT_BYTES]>(), Cost::DEFAULT);
        let key =
            argon2id.stretch(pin.expose(), &salt).expect("the default cost and a salt of 16 bytes are acceptable");
        let sealed = seal::seal(&key, &context(serial), &[0; 32]);
        Self { tries_left: Tries::ALL, salt: Base64(salt.to_vec()), argon2id, sealed: Base64(sealed) }
    }

    pub(super) fn tries_left(&self) -> Tries<8> {
        self.tries_left
    }

    pub(super) fn spend(&mut self) {
        self.tries_left = self.tries_left.take().unwrap_or(Tries::NONE);
    }

    pub(super) fn restore(&mut self) {
        self.tries_left = Tries::ALL;
    }

    pub(super) fn opens(&self, serial: u32, pin: &FidoPin) -> bool {
        let key = self.argon2id.stretch(pin.expose(), &self.salt.0);
        key.and_then(|key| seal::open(&key, &context(serial), &self.sealed.0)).is_some()
    }
}

fn context(serial: u32) -> Vec<u8> {
    [PIN_LABEL, &serial.to_be_bytes()].concat()
}

/// The certificate of an attestation key as makers write them (`WebAuthn` §8.2.1), by a maker whose own key nobody keeps.
fn certificate(key: &PublicKey) -> Vec<u8> {
    let maker_key = KeyPair::generate().expect("the system has randomness");
    let mut maker = CertificateParams::default();
    maker.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    maker.distinguished_name.push(DnType::CommonName, "quorate soft security keys");
    let mut own = CertificateParams::default();
    own.is_ca = IsCa::ExplicitNoCa;
    for (part, value) in [
        (DnType::CountryName, "ZZ"),
        (DnType::OrganizationName, "quorate"),
        (DnType::OrganizationalUnitName, "Authenticator Attestation"),
        (DnType::CommonName, "quorate soft security key"),
    ] {
        own.distinguished_name.push(part, value);
    }
    let key = key.to_public_key_der().ok().and_then(|key| SubjectPublicKeyInfo::from_der(key.as_bytes()).ok());
    let key = key.expect("a point of P-256 is a public key");
    let signed = own.signed_by(&key, &Issuer::new(maker, &maker_key)).expect("a certificate like any other");
    signed.der().to_vec()
}
