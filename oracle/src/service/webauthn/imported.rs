//! Credentials as serverless-mfa-api-go kept them: the JSON of go-webauthn's type, whose names were in upper case in earlier
//! versions. They do not say which relying party they are bound to; the first answer does, because the token signs it.

use super::answer::{has_own_curve, known_transports};
use super::record::{Record, Untaken};
use quorate_protocol::encoding::Base64;
use serde::Deserialize;
use serde_cbor_2::Value;
use webauthn_rs_core::proto::{
    AttestationFormat, COSEKey, Credential, ParsedAttestation, RegisteredExtensions, UserVerificationPolicy,
};

/// Bytes of a credential id at most (`WebAuthn` §6.1).
const MAX_ID: usize = 1023;
/// Credentials of a user at most: whoever logs in has all of theirs opened.
const MAX: usize = 256;
/// Bytes of an RP ID's hash, with which authenticator data begin.
const HASH: usize = 32;

#[derive(Deserialize)]
struct Stored {
    #[serde(alias = "ID")]
    id: Base64,
    #[serde(rename = "publicKey", alias = "PublicKey")]
    public_key: Base64,
    #[serde(default, alias = "Transport")]
    transport: Option<Vec<String>>,
    #[serde(alias = "Authenticator")]
    authenticator: Authenticator,
    #[serde(default, alias = "Attestation")]
    attestation: Option<Attestation>,
}

#[derive(Deserialize)]
struct Authenticator {
    #[serde(default, rename = "signCount", alias = "SignCount")]
    sign_count: u32,
}

#[derive(Deserialize)]
struct Attestation {
    #[serde(default, rename = "authenticatorData", alias = "AuthenticatorData")]
    authenticator_data: Option<Base64>,
}

/// A credential on its way into a row.
pub(in crate::service) struct Imported {
    pub id: Vec<u8>,
    pub counter: u32,
    pub record: Record,
}

/// The credentials of a list; `None` when it is no list of them, or too long, or one of them cannot be. Those whose keys
/// are not taken here are kept for a release that takes them.
pub(in crate::service) fn credentials(json: &[u8]) -> Option<Vec<Imported>> {
    let stored: Vec<Stored> = serde_json::from_slice(json).ok()?;
    if stored.len() > MAX {
        return None;
    }
    stored.into_iter().map(imported).collect()
}

fn imported(stored: Stored) -> Option<Imported> {
    let Stored { id, public_key, transport, authenticator, attestation } = stored;
    if id.0.is_empty() || id.0.len() > MAX_ID {
        return None;
    }
    let data = attestation.and_then(|attestation| attestation.authenticator_data);
    let rp_id_hash = data.and_then(|data| Some(data.0.get(..HASH)?.to_vec().into()));
    let counter = authenticator.sign_count;
    let (credential, untaken) = match key(&public_key.0)? {
        Key::Taken(key) => (Some(credential(id.0.clone(), key, counter, transport)), None),
        Key::NotTaken => {
            tracing::warn!("an imported user has a credential whose key is not taken");
            (None, Some(Untaken { id: id.clone(), public_key, transport }))
        }
    };
    Some(Imported { id: id.0, counter, record: Record { rp_id: None, rp_id_hash, credential, untaken, note: None } })
}

fn credential(id: Vec<u8>, key: COSEKey, counter: u32, transport: Option<Vec<String>>) -> Credential {
    Credential {
        cred_id: id,
        cred: key,
        counter,
        transports: transport.map(|names| known_transports(&names)),
        user_verified: false,
        backup_eligible: false,
        backup_state: false,
        registration_policy: UserVerificationPolicy::Discouraged_DO_NOT_USE,
        extensions: RegisteredExtensions::none(),
        attestation: ParsedAttestation::default(),
        attestation_format: AttestationFormat::None,
    }
}

enum Key {
    Taken(COSEKey),
    NotTaken,
}

/// The key of a COSE structure (RFC 9053, RFC 8230), on the curve of its algorithm; `None` for what is none. The other
/// service's library took encodings that are not the shortest, and RSA keys of any length.
fn key(bytes: &[u8]) -> Option<Key> {
    const ALGORITHM: Value = Value::Integer(3);
    const MODULUS: Value = Value::Integer(-1);
    const EXPONENT: Value = Value::Integer(-2);
    const RS256: i128 = -257;
    /// ES256, ES384 and that one.
    const TAKEN: [i128; 3] = [-7, -35, RS256];
    let value: Value = serde_cbor_2::from_slice(bytes).ok()?;
    let Value::Map(map) = &value else { return None };
    let Some(Value::Integer(algorithm)) = map.get(&ALGORITHM) else { return None };
    if !TAKEN.contains(algorithm) {
        return Some(Key::NotTaken);
    }
    if let Ok(key) = COSEKey::try_from(&value) {
        return has_own_curve(&key).then_some(Key::Taken(key));
    }
    let numbers = [MODULUS, EXPONENT].map(|number| matches!(map.get(&number), Some(Value::Bytes(_))));
    (*algorithm == RS256 && numbers == [true; 2]).then_some(Key::NotTaken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::encoding::base64;

    /// P-256's generator as COSE has it.
    fn cose(last: u8) -> String {
        let point = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        let mut point = data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap();
        point[63] = last;
        let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        base64(&[&head[..], &point[..32], &[0x22, 0x58, 0x20], &point[32..]].concat())
    }

    #[test]
    fn both_spellings_are_read() {
        let new = format!(
            r#"[{{"id":"AQI=","publicKey":"{}","attestationType":"none","transport":["usb","carrier-pigeon"],
            "flags":{{"userPresent":true}},"authenticator":{{"AAGUID":"AA==","signCount":7,"cloneWarning":false}},
            "attestation":{{"authenticatorData":"{}","object":null}}}}]"#,
            cose(0xf5),
            base64(&[9; 37])
        );
        let [Imported { id, counter, record }] = &credentials(new.as_bytes()).unwrap()[..] else { panic!("one") };
        assert_eq!((id.as_slice(), *counter), (&[1, 2][..], 7));
        let credential = record.credential.as_ref().unwrap();
        assert_eq!((&credential.cred_id, credential.counter), (id, 7));
        assert_eq!(credential.transports.as_ref().unwrap().len(), 1);
        assert_eq!((record.rp_id.as_ref(), record.rp_id_hash.as_ref().unwrap().0.as_slice()), (None, &[9; 32][..]));
        let old = format!(
            r#"[{{"ID":"AQI=","PublicKey":"{}","AttestationType":"","Transport":null,"Authenticator":{{"AAGUID":null,"SignCount":0}}}}]"#,
            cose(0xf5)
        );
        let [Imported { record, .. }] = &credentials(old.as_bytes()).unwrap()[..] else { panic!("one") };
        assert!(record.rp_id_hash.is_none() && record.credential.as_ref().unwrap().transports.is_none());
    }

    fn with(id: &str, key: &str) -> Option<Vec<Imported>> {
        let json = format!(r#"[{{"id":"{id}","publicKey":"{key}","authenticator":{{"signCount":5}}}}]"#);
        credentials(json.as_bytes())
    }

    /// An RSA key with a modulus of so many bytes.
    fn rsa(bytes: u16) -> Vec<u8> {
        let head = [0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59];
        let modulus = vec![0xc5; bytes.into()];
        [&head[..], &bytes.to_be_bytes(), &modulus, &[0x21, 0x43, 1, 0, 1]].concat()
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused() {
        assert!(with("AQI=", &cose(0xf5)).is_some());
        assert!(with("", &cose(0xf5)).is_none(), "no id");
        assert!(with("AQI=", &cose(0xf4)).is_none(), "not on the curve");
        assert!(with("AQI=", "AA==").is_none(), "no key");
        assert!(with("AQI=", &base64(b"nonsense")).is_none());
        assert!(with("AQI=", &base64(&[rsa(256), vec![0]].concat())).is_none(), "junk behind it");
        assert!(credentials(b"{}").is_none() && credentials(b"\xff\x00").is_none());
        assert!(credentials(b"[]").unwrap().is_empty());
        let many = |count| {
            let one = format!(r#"{{"id":"AQI=","publicKey":"{}","authenticator":{{}}}}"#, cose(0xf5));
            credentials(format!("[{}]", vec![one; count].join(",")).as_bytes()).map(|made| made.len())
        };
        assert_eq!((many(MAX), many(MAX + 1)), (Some(MAX), None));
    }

    #[test]
    fn a_key_that_is_not_taken_is_kept() {
        let eddsa = vec![0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x41, 0x00];
        for (what, key) in [("EdDSA", eddsa), ("RSA of 3072 bits", rsa(384)), ("RSA of 4096 bits", rsa(512))] {
            let [Imported { id, counter, record }] = &with("AQI=", &base64(&key)).expect(what)[..] else {
                panic!("one")
            };
            let untaken = record.untaken.as_ref().expect(what);
            assert!(record.credential.is_none(), "{what}");
            assert_eq!((&untaken.id.0, &untaken.public_key.0, *counter), (id, &key, 5), "{what}");
        }
        let [Imported { record, .. }] = &with("AQI=", &base64(&rsa(256))).unwrap()[..] else { panic!("one") };
        assert!(record.credential.is_some() && record.untaken.is_none(), "RSA of 2048 bits");
    }

    #[test]
    fn odd_encodings_of_a_key_are_read() {
        let canonical = data_encoding::BASE64.decode(cose(0xf5).as_bytes()).unwrap();
        let indefinite = [&[0xbf][..], &canonical[1..], &[0xff]].concat();
        let long = [&[0xb8, 0x05][..], &canonical[1..]].concat();
        let [expected, indefinite, long] = [canonical, indefinite, long].map(|key| {
            let [Imported { record, .. }] = &with("AQI=", &base64(&key)).unwrap()[..] else { panic!("one") };
            record.credential.as_ref().unwrap().cred.clone()
        });
        assert!(indefinite == expected && long == expected);
    }
}
