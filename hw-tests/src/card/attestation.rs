//! The virtual card's attestation key (F9), and what it signs: certificates that say which key the card made.
//! It must not know commands.

use p256::PublicKey;
use p256::pkcs8::EncodePublicKey as _;
use rcgen::{CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, SubjectPublicKeyInfo};

use super::tlv;

/// Yubico's arc of extensions in attestations.
const ARC: [u64; 8] = [1, 3, 6, 1, 4, 1, 41482, 3];
const FIRMWARE: u64 = 3;
const SERIAL: u64 = 7;
const POLICIES: u64 = 8;

/// An attestation key with its certificate, from a maker of its own.
pub(super) struct Attestation {
    /// In DER.
    pub(super) certificate: Vec<u8>,
    key: KeyPair,
}

impl Attestation {
    pub(super) fn new() -> Self {
        let maker_key = KeyPair::generate().expect("the system has randomness");
        let mut maker = CertificateParams::default();
        maker.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        maker.distinguished_name.push(DnType::CommonName, "Virtual PIV Root CA");
        let key = KeyPair::generate().expect("the system has randomness");
        let certificate = own().signed_by(&key, &Issuer::new(maker, &maker_key)).expect("a certificate like any other");
        Self { certificate: certificate.der().to_vec(), key }
    }

    /// The same certificate with a key that it does not know.
    pub(super) fn forged(&self) -> Self {
        let key = KeyPair::generate().expect("the system has randomness");
        Self { certificate: self.certificate.clone(), key }
    }

    /// What the card says of a key it made, in DER. `policies`: PIN and touch, a byte each.
    pub(super) fn of(
        &self,
        public: &PublicKey,
        slot: u8,
        policies: [u8; 2],
        firmware: [u8; 3],
        serial: u32,
    ) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("YubiKey PIV Attestation {slot:02x}"));
        let extension = |last: u64, content: &[u8]| {
            CustomExtension::from_oid_content(&[&ARC[..], &[last]].concat(), content.to_vec())
        };
        let serial = serial.to_be_bytes();
        let significant = &serial[serial.iter().position(|byte| *byte != 0).unwrap_or(3)..];
        // A DER integer that starts with a set bit would be negative.
        let padding: &[u8] = if significant[0] & 0x80 == 0 { &[] } else { &[0] };
        params.custom_extensions = vec![
            extension(FIRMWARE, &firmware),
            extension(SERIAL, &tlv::wrap(&[2], &[padding, significant].concat())),
            extension(POLICIES, &policies),
        ];
        let key = public.to_public_key_der().expect("a point of P-256 is a public key");
        let key = SubjectPublicKeyInfo::from_der(key.as_bytes()).expect("written by a library");
        let signed = params.signed_by(&key, &Issuer::new(own(), &self.key));
        signed.expect("a certificate like any other").der().to_vec()
    }
}

fn own() -> CertificateParams {
    let mut own = CertificateParams::default();
    own.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    own.distinguished_name.push(DnType::CommonName, "Virtual PIV Attestation");
    own
}
