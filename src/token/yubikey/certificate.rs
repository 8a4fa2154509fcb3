//! The certificate beside a key: what age-plugin-yubikey writes there and reads from there (name, policies, date), so that
//! both programs see each other's keys; and the certificates by which a card attests where a key was made.
//! It must not know cards.

use jiff::Timestamp;
use p256::PublicKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use ring::signature;
use x509_cert::Certificate;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::{rfc5912, rfc8410};
use x509_cert::der::{Decode, Encode};
use zeroize::Zeroizing;

use super::apdu::{joined, tlv};
use crate::token::{PinPolicy, PivKey, Slot, TouchPolicy};

/// The organisation by which age-plugin-yubikey knows the certificates of age identities.
const AGE_ORGANISATION: &str = "age-plugin-yubikey";
/// Yubico's extension that holds both policies, a byte each; the same in attestations.
const POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.8");
/// Yubico's extension that holds the serial number, in attestations.
const SERIAL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.7");

/// `ecdsa-with-SHA256` as an algorithm identifier, in DER.
const ECDSA_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// `id-ecPublicKey` on P-256 as an algorithm identifier, in DER.
const P256_KEY: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];
const NEVER_ENDS: &[u8] = b"99991231235959Z";

/// What a certificate says of its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Described {
    pub(super) public: PublicKey,
    /// The name of an age identity; the whole subject of any other certificate.
    pub(super) label: String,
    /// Only believed in certificates of age identities.
    pub(super) pin_policy: Option<PinPolicy>,
    pub(super) touch_policy: Option<TouchPolicy>,
    pub(super) created: Option<Timestamp>,
}

/// Reads a certificate of a P-256 key. `None` for any other key, for garbage, and where a critical extension is unknown: some
/// programs keep parts of a key there, so that using the key alone would be wrong.
pub(super) fn describe(der: &[u8]) -> Option<Described> {
    let certificate = Certificate::from_der(der).ok()?;
    let tbs = certificate.tbs_certificate();
    let extensions = tbs.extensions().map_or(&[][..], Vec::as_slice);
    if extensions.iter().any(|extension| extension.critical && extension.extn_id != POLICIES) {
        return None;
    }
    let organisation = tbs.subject().organization().ok().flatten();
    let ours = organisation.is_some_and(|name| name.value() == AGE_ORGANISATION);
    let label = match tbs.subject().common_name() {
        Ok(Some(name)) if ours => name.value().into_owned(),
        _ => tbs.subject().to_string(),
    };
    let (pin_policy, touch_policy) = if ours { policies(&certificate) } else { (None, None) };
    let created = i64::try_from(tbs.validity().not_before.to_unix_duration().as_secs()).ok();
    Some(Described {
        public: p256_key(&certificate)?,
        label,
        pin_policy,
        touch_policy,
        created: created.and_then(|seconds| Timestamp::from_second(seconds).ok()),
    })
}

/// The policies in a certificate or attestation; unknown when the extension is missing, repeated or short.
fn policies(certificate: &Certificate) -> (Option<PinPolicy>, Option<TouchPolicy>) {
    let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
    let mut found = extensions.iter().filter(|extension| extension.extn_id == POLICIES);
    match (found.next(), found.next()) {
        (Some(one), None) => match one.extn_value.as_bytes() {
            [pin, touch, ..] => (pin_policy(*pin), touch_policy(*touch)),
            _ => (None, None),
        },
        _ => (None, None),
    }
}

pub(super) fn pin_policy(byte: u8) -> Option<PinPolicy> {
    [PinPolicy::Never, PinPolicy::Once, PinPolicy::Always].get(usize::from(byte).checked_sub(1)?).copied()
}

pub(super) fn touch_policy(byte: u8) -> Option<TouchPolicy> {
    [TouchPolicy::Never, TouchPolicy::Always, TouchPolicy::Cached].get(usize::from(byte).checked_sub(1)?).copied()
}

pub(super) fn policy_bytes(pin: PinPolicy, touch: TouchPolicy) -> [u8; 2] {
    let pin = match pin {
        PinPolicy::Never => 1,
        PinPolicy::Once => 2,
        PinPolicy::Always => 3,
    };
    let touch = match touch {
        TouchPolicy::Never => 1,
        TouchPolicy::Always => 2,
        TouchPolicy::Cached => 3,
    };
    [pin, touch]
}

fn p256_key(certificate: &Certificate) -> Option<PublicKey> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    let curve: ObjectIdentifier = info.algorithm.parameters.as_ref()?.decode_as().ok()?;
    let is_p256 = info.algorithm.oid == rfc5912::ID_EC_PUBLIC_KEY && curve == rfc5912::SECP_256_R_1;
    is_p256.then(|| PublicKey::from_sec1_bytes(info.subject_public_key.raw_bytes()).ok()).flatten()
}

/// What a new certificate says.
pub(super) struct Draft<'a> {
    pub(super) public: &'a PublicKey,
    pub(super) label: &'a str,
    pub(super) pin_policy: PinPolicy,
    pub(super) touch_policy: TouchPolicy,
    pub(super) created: Timestamp,
    /// Random, so that no two certificates are alike.
    pub(super) serial: [u8; 16],
}

impl Draft<'_> {
    /// The part that is signed (RFC 5280 §4.1): self-issued, never ending, with the policies in Yubico's extension.
    pub(super) fn to_be_signed(&self) -> Zeroizing<Vec<u8>> {
        let name = self.name();
        let mut serial = self.serial;
        // Positive, and as long as it looks.
        serial[0] = serial[0] & 0x7f | 0x40;
        let not_before = self.created.strftime("%y%m%d%H%M%SZ").to_string();
        let validity = joined(&[&tlv(&[0x17], not_before.as_bytes()), &tlv(&[0x18], NEVER_ENDS)]);
        let point = [&[0][..], self.public.to_sec1_point(false).as_bytes()].concat();
        let key = joined(&[&P256_KEY, &tlv(&[0x03], &point)]);
        let policies = policy_bytes(self.pin_policy, self.touch_policy);
        let extension = joined(&[&tlv(&[0x06], POLICIES.as_bytes()), &tlv(&[0x04], &policies)]);
        let extensions = tlv(&[0xa3], &sequence(&sequence(&extension)));
        let version_3 = [0xa0, 3, 2, 1, 2];
        sequence(&joined(&[
            &version_3,
            &tlv(&[0x02], &serial),
            &ECDSA_SHA256,
            &name,
            &sequence(&validity),
            &name,
            &sequence(&key),
            &extensions,
        ]))
    }

    /// Organisation, organisational unit (the program that wrote it), common name: as age-plugin-yubikey has them.
    fn name(&self) -> Zeroizing<Vec<u8>> {
        let program = concat!("quorate ", env!("CARGO_PKG_VERSION"));
        let part = |kind: u8, text: &str| {
            let oid = tlv(&[0x06], &[0x55, 0x04, kind]);
            tlv(&[0x31], &sequence(&joined(&[&oid, &tlv(&[0x0c], text.as_bytes())])))
        };
        sequence(&joined(&[&part(10, AGE_ORGANISATION), &part(11, program), &part(3, self.label)]))
    }
}

/// A whole certificate. `signature` is the key's own, in DER (RFC 3279 §2.2.3).
pub(super) fn signed(to_be_signed: &[u8], signature: &[u8]) -> Zeroizing<Vec<u8>> {
    let signature = tlv(&[0x03], &joined(&[&[0], signature]));
    sequence(&joined(&[to_be_signed, &ECDSA_SHA256, &signature]))
}

fn sequence(content: &[u8]) -> Zeroizing<Vec<u8>> {
    tlv(&[0x30], content)
}

/// What an attestation says of a key, its signature unchecked: the card's word. No key when it is of another kind.
pub(super) fn describe_attestation(der: &[u8]) -> (Option<PublicKey>, Option<PinPolicy>, Option<TouchPolicy>) {
    let Ok(attestation) = Certificate::from_der(der) else { return (None, None, None) };
    let (pin_policy, touch_policy) = policies(&attestation);
    (p256_key(&attestation), pin_policy, touch_policy)
}

/// Why an attestation proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AttestationFault {
    /// It speaks of something else, or its signature is false.
    False(&'static str),
    /// It, or the card's attestation certificate, is missing or of a kind that is not known here.
    Unreadable,
}

/// Checks that the holder of the attestation key in `issuer` says: the card with this serial number made this key in its slot,
/// with its policies. Who that holder is remains open: `issuer` comes from the card, and the maker's root is no part of quorate.
pub(super) fn check_attestation(
    attestation: &[u8],
    issuer: &[u8],
    key: &PivKey,
    serial: u32,
) -> Result<(), AttestationFault> {
    let parse = |der| Certificate::from_der(der).map_err(|_| AttestationFault::Unreadable);
    let (attestation, issuer) = (parse(attestation)?, parse(issuer)?);
    let signed = attestation.tbs_certificate().to_der().map_err(|_| AttestationFault::Unreadable)?;
    let algorithm = algorithm(&attestation, &issuer).ok_or(AttestationFault::Unreadable)?;
    let issuer_key = issuer.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    signature::UnparsedPublicKey::new(algorithm, issuer_key)
        .verify(&signed, attestation.signature().raw_bytes())
        .map_err(|_| AttestationFault::False("the signature is not by the token's attestation key"))?;
    if p256_key(&attestation).as_ref() != Some(&key.public) {
        return Err(AttestationFault::False("it is about another key"));
    }
    if attested_serial(&attestation) != Some(serial) {
        return Err(AttestationFault::False("it is about another token"));
    }
    if attested_slot(&attestation) != Some(key.slot) {
        return Err(AttestationFault::False("it is about another slot"));
    }
    let (pin, touch) = policies(&attestation);
    let (Some(pin), Some(touch)) = (pin, touch) else {
        return Err(AttestationFault::False("it names no policies"));
    };
    let agree = key.pin_policy.is_none_or(|claimed| claimed == pin);
    if !agree || key.touch_policy.is_some_and(|claimed| claimed != touch) {
        return Err(AttestationFault::False("it names other policies"));
    }
    Ok(())
}

fn algorithm(attestation: &Certificate, issuer: &Certificate) -> Option<&'static dyn signature::VerificationAlgorithm> {
    let key = &issuer.tbs_certificate().subject_public_key_info().algorithm;
    let curve = key.parameters.as_ref().and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
    match (attestation.signature_algorithm().oid, curve) {
        (rfc5912::SHA_256_WITH_RSA_ENCRYPTION, _) => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        (rfc5912::ECDSA_WITH_SHA_256, Some(rfc5912::SECP_256_R_1)) => Some(&signature::ECDSA_P256_SHA256_ASN1),
        (rfc5912::ECDSA_WITH_SHA_256, Some(rfc5912::SECP_384_R_1)) => Some(&signature::ECDSA_P384_SHA256_ASN1),
        (rfc5912::ECDSA_WITH_SHA_384, Some(rfc5912::SECP_384_R_1)) => Some(&signature::ECDSA_P384_SHA384_ASN1),
        (rfc8410::ID_ED_25519, _) => Some(&signature::ED25519),
        _ => None,
    }
}

fn attested_serial(attestation: &Certificate) -> Option<u32> {
    let extensions = attestation.tbs_certificate().extensions()?;
    let serial = extensions.iter().find(|extension| extension.extn_id == SERIAL)?;
    u32::from_der(serial.extn_value.as_bytes()).ok()
}

/// The last word of the subject, as in "YubiKey PIV Attestation 9d".
fn attested_slot(attestation: &Certificate) -> Option<Slot> {
    let name = attestation.tbs_certificate().subject().common_name().ok()??;
    let name = name.value();
    let (_, slot) = name.rsplit_once(' ')?;
    slot.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::KeyOrigin;
    use p256::SecretKey;
    use p256::elliptic_curve::Generate;
    use p256::pkcs8::EncodePublicKey as _;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CustomExtension, DnType, Issuer, KeyPair, SubjectPublicKeyInfo};

    fn draft<'a>(public: &'a PublicKey, label: &'a str) -> Draft<'a> {
        Draft {
            public,
            label,
            pin_policy: PinPolicy::Once,
            touch_policy: TouchPolicy::Cached,
            created: "2026-11-21T10:00:00Z".parse().unwrap(),
            serial: [0xff; 16],
        }
    }

    #[test]
    fn what_is_written_is_read_by_a_strict_parser() {
        let public = SecretKey::generate().public_key();
        for label in ["alice", "ü", &"x".repeat(64)] {
            let draft = draft(&public, label);
            let der = signed(&draft.to_be_signed(), &[0x30, 0]);
            let expected = Described {
                public,
                label: label.to_owned(),
                pin_policy: Some(PinPolicy::Once),
                touch_policy: Some(TouchPolicy::Cached),
                created: Some(draft.created),
            };
            assert_eq!(describe(&der), Some(expected));
        }
    }

    #[test]
    fn policies_of_strangers_are_not_believed_and_unknown_critical_extensions_refused() {
        let key = KeyPair::generate().unwrap();
        let with = |organisation: &str, oid: &[u64], critical: bool| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::OrganizationName, organisation);
            params.distinguished_name.push(DnType::CommonName, "bob");
            let mut extension = CustomExtension::from_oid_content(oid, vec![1, 2]);
            extension.set_criticality(critical);
            params.custom_extensions.push(extension);
            describe(params.self_signed(&key).unwrap().der())
        };
        let policies = [1, 3, 6, 1, 4, 1, 41482, 3, 8];
        let ours = with(AGE_ORGANISATION, &policies, true).unwrap();
        assert_eq!((ours.label.as_str(), ours.pin_policy), ("bob", Some(PinPolicy::Never)));
        assert_eq!(ours.touch_policy, Some(TouchPolicy::Always));
        let other = with("ACME", &policies, false).unwrap();
        assert_eq!((other.pin_policy, other.touch_policy), (None, None));
        assert!(other.label.contains("O=ACME"), "{}", other.label);
        assert_eq!(with(AGE_ORGANISATION, &[1, 2, 3, 4], true), None);
        assert!(with(AGE_ORGANISATION, &[1, 2, 3, 4], false).is_some());
    }

    /// An attestation of `key` by the holder of `issuer`, on the token 0x1122, with PIN policy "always" and touch policy "never".
    fn attestation(key: &PivKey, issuer: &KeyPair, subject: &str, leave_out: Option<u64>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, subject);
        let contents: [(u64, &[u8]); 2] = [(7, &[2, 2, 0x11, 0x22]), (8, &[3, 1])];
        let kept = contents.into_iter().filter(|(last, _)| Some(*last) != leave_out);
        let extension = |(last, content): (u64, &[u8])| {
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 41482, 3, last], content.to_vec())
        };
        params.custom_extensions = kept.map(extension).collect();
        let key = SubjectPublicKeyInfo::from_der(key.public.to_public_key_der().unwrap().as_bytes()).unwrap();
        let signed = params.signed_by(&key, &Issuer::new(CertificateParams::default(), issuer)).unwrap();
        signed.der().to_vec()
    }

    #[test]
    fn an_attestation_must_be_of_this_key_slot_token_and_issuer_and_say_what_is_known() {
        let (issuer_key, other_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let certificate = |key| CertificateParams::default().self_signed(key).unwrap().der().to_vec();
        let issuer = certificate(&issuer_key);
        let key = PivKey {
            slot: Slot::KEY_MANAGEMENT,
            label: "key".to_owned(),
            public: SecretKey::generate().public_key(),
            pin_policy: Some(PinPolicy::Always),
            touch_policy: Some(TouchPolicy::Never),
            created: None,
            origin: KeyOrigin::Unknown,
        };
        let subject = "YubiKey PIV Attestation 9d";
        let good = attestation(&key, &issuer_key, subject, None);
        assert_eq!(check_attestation(&good, &issuer, &key, 0x1122), Ok(()));
        assert_eq!(describe_attestation(&good), (Some(key.public), key.pin_policy, key.touch_policy));
        let silent = PivKey { pin_policy: None, touch_policy: None, ..key.clone() };
        assert_eq!(check_attestation(&good, &issuer, &silent, 0x1122), Ok(()));

        let stranger = PivKey { public: SecretKey::generate().public_key(), ..key.clone() };
        let elsewhere = PivKey { slot: Slot::retired().next().unwrap(), ..key.clone() };
        let touched = PivKey { touch_policy: Some(TouchPolicy::Always), ..key.clone() };
        let lazy = PivKey { pin_policy: Some(PinPolicy::Once), ..key.clone() };
        let without = |last| attestation(&key, &issuer_key, subject, Some(last));
        let nameless = attestation(&key, &issuer_key, "9d", None);
        for (attestation, issuer, key, serial, expected) in [
            (&good, &certificate(&other_key), &key, 0x1122, "signature"),
            (&good, &issuer, &stranger, 0x1122, "another key"),
            (&good, &issuer, &key, 0x1123, "another token"),
            (&without(7), &issuer, &key, 0x1122, "another token"),
            (&good, &issuer, &elsewhere, 0x1122, "another slot"),
            (&nameless, &issuer, &key, 0x1122, "another slot"),
            (&without(8), &issuer, &key, 0x1122, "no policies"),
            (&good, &issuer, &touched, 0x1122, "other policies"),
            (&good, &issuer, &lazy, 0x1122, "other policies"),
        ] {
            match check_attestation(attestation, issuer, key, serial) {
                Err(AttestationFault::False(why)) => assert!(why.contains(expected), "{why}, not {expected}"),
                other => panic!("{expected}: {other:?}"),
            }
        }
        assert_eq!(check_attestation(b"garbage", &issuer, &key, 0x1122), Err(AttestationFault::Unreadable));
        assert_eq!(describe_attestation(b"garbage"), (None, None, None));
    }

    proptest! {
        #[test]
        fn garbage_describes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(describe(&bytes), None);
        }
    }
}
