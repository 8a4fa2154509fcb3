//! Credentials as serverless-mfa-api-go kept them: the JSON of go-webauthn's type, whose names were in upper case in earlier
//! versions. They do not say which relying party they are bound to; the first answer does, because the token signs it.

use super::answer::{has_own_curve, known_transports};
use super::cbor;
use super::record::Record;
use quorate_protocol::encoding::Base64;
use serde::Deserialize;
use serde_cbor_2::Value;
use webauthn_rs_core::proto::{
    AttestationFormat, COSEKey, Credential, ParsedAttestation, RegisteredExtensions, UserVerificationPolicy,
};

/// Bytes of a credential id at most (`WebAuthn` §6.1).
const MAX_ID: usize = 1023;
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

/// The credentials of a list; `None` when it is no list of them, or one of them cannot be. Those of algorithms that are not
/// taken here are left out.
pub(in crate::service) fn records(json: &[u8]) -> Option<Vec<Record>> {
    let stored: Vec<Stored> = serde_json::from_slice(json).ok()?;
    let mut records = Vec::with_capacity(stored.len());
    for stored in stored {
        match key(&stored.public_key.0)? {
            Key::Taken(key) => records.push(record(stored, key)?),
            Key::NotTaken => tracing::warn!("a credential of an imported user is of an algorithm that is not taken"),
        }
    }
    Some(records)
}

enum Key {
    Taken(COSEKey),
    NotTaken,
}

fn record(stored: Stored, key: COSEKey) -> Option<Record> {
    let Stored { id, transport, authenticator, attestation, .. } = stored;
    if id.0.is_empty() || id.0.len() > MAX_ID {
        return None;
    }
    let data = attestation.and_then(|attestation| attestation.authenticator_data);
    let rp_id_hash = data.and_then(|data| Some(data.0.get(..HASH)?.to_vec().into()));
    let credential = Credential {
        cred_id: id.0,
        cred: key,
        counter: authenticator.sign_count,
        transports: transport.map(|names| known_transports(&names)),
        user_verified: false,
        backup_eligible: false,
        backup_state: false,
        registration_policy: UserVerificationPolicy::Discouraged_DO_NOT_USE,
        extensions: RegisteredExtensions::none(),
        attestation: ParsedAttestation::default(),
        attestation_format: AttestationFormat::None,
    };
    Some(Record { rp_id: None, rp_id_hash, credential })
}

/// The key of a COSE structure (RFC 9053), on the curve of its algorithm; `None` for what is none.
fn key(bytes: &[u8]) -> Option<Key> {
    /// Where the algorithm stands, and those that are taken: ES256, ES384, RS256.
    const ALGORITHM: Value = Value::Integer(3);
    const TAKEN: [i128; 3] = [-7, -35, -257];
    if !cbor::is_one_item(bytes) {
        return None;
    }
    let value: Value = serde_cbor_2::from_slice(bytes).ok()?;
    let Value::Map(map) = &value else { return None };
    let Some(Value::Integer(algorithm)) = map.get(&ALGORITHM) else { return None };
    if !TAKEN.contains(algorithm) {
        return Some(Key::NotTaken);
    }
    COSEKey::try_from(&value).ok().filter(has_own_curve).map(Key::Taken)
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
        let [record] = &records(new.as_bytes()).unwrap()[..] else { panic!("one") };
        assert_eq!((record.credential.cred_id.as_slice(), record.credential.counter), (&[1, 2][..], 7));
        assert_eq!(record.credential.transports.as_ref().unwrap().len(), 1);
        assert_eq!((record.rp_id.as_ref(), record.rp_id_hash.as_ref().unwrap().0.as_slice()), (None, &[9; 32][..]));
        let old = format!(
            r#"[{{"ID":"AQI=","PublicKey":"{}","AttestationType":"","Transport":null,"Authenticator":{{"AAGUID":null,"SignCount":0}}}}]"#,
            cose(0xf5)
        );
        let [record] = &records(old.as_bytes()).unwrap()[..] else { panic!("one") };
        assert!(record.rp_id_hash.is_none() && record.credential.transports.is_none());
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused() {
        let with = |id: &str, key: &str| {
            let json = format!(r#"[{{"id":"{id}","publicKey":"{key}","authenticator":{{"signCount":0}}}}]"#);
            records(json.as_bytes()).is_some()
        };
        assert!(with("AQI=", &cose(0xf5)));
        assert!(!with("", &cose(0xf5)), "no id");
        assert!(!with("AQI=", &cose(0xf4)), "not on the curve");
        assert!(!with("AQI=", "AA=="), "no key");
        assert!(!with("AQI=", &base64(b"nonsense")));
        let eddsa = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x41, 0x00];
        assert!(with("AQI=", &base64(&eddsa)), "left out");
        assert!(records(b"{}").is_none() && records(b"\xff\x00").is_none());
        assert!(records(b"[]").unwrap().is_empty());
    }
}
