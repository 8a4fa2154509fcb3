//! What is sealed of a `WebAuthn` credential and of a challenge that waits for its answer, and how a U2F key looks as a
//! credential. Knows no rule.

use super::error::WebauthnError;
use crate::service::api_keys::Tenant;
use crate::service::relying_party::{AppId, RpId};
use crate::service::security_keys::open_credential;
use crate::service::u2f::U2fKey;
use crate::store::{CredentialKind, CredentialRow, Digest};
use quorate_protocol::encoding::{Base64, base64url, sha256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use webauthn_rs_core::proto::{
    AttestationFormat, COSEAlgorithm, COSEEC2Key, COSEKey, COSEKeyType, Credential, ECDSACurve, ParsedAttestation,
    RegisteredExtensions, UserVerificationPolicy,
};

/// A challenge that was given out, with what the library keeps of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending<S> {
    pub rp_id: String,
    pub state: S,
}

impl Pending<Value> {
    /// Keeps the library's side of a challenge, with `challenge`, which is of the oracle's own randomness, in place of the
    /// library's, and without credentials to exclude: that is the browser's part, and the store refuses a second one by name.
    pub fn new(rp_id: &RpId, state: &impl Serialize, challenge: &[u8]) -> Self {
        let mut state = serde_json::to_value(state).expect("the library's state is plain data");
        state["challenge"] = base64url(challenge).into();
        if let Some(excluded) = state.get_mut("exclude_credentials") {
            *excluded = Value::Array(Vec::new());
        }
        Self { rp_id: rp_id.as_str().to_owned(), state }
    }
}

/// A registered credential.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::service) struct Record {
    /// What it is bound to; absent in one that was imported until it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rp_id: Option<String>,
    /// SHA-256 of what it is bound to, where an imported one tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rp_id_hash: Option<Base64>,
    /// Absent in an imported one whose key is not taken here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// That one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untaken: Option<Untaken>,
    /// What its owner is shown of it: of the oracle's own principals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

/// What somebody is shown of a key of theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When it was registered, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_at: Option<i64>,
    /// When it last counted, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<i64>,
}

impl Note {
    /// Of a key that was registered just now.
    pub fn added(name: String, now: i64) -> Self {
        Self { name, added_at: Some(now), used_at: None }
    }
}

/// An imported credential that is used for nothing, and is kept for a release that takes its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::service) struct Untaken {
    pub id: Base64,
    /// COSE.
    pub public_key: Base64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Vec<String>>,
}

impl Record {
    /// Keeps what a login needs. Whoever attested the key was checked, and is of no further use.
    pub fn new(rp_id: &RpId, mut credential: Credential) -> Self {
        credential.attestation = ParsedAttestation::default();
        Self {
            rp_id: Some(rp_id.as_str().to_owned()),
            rp_id_hash: None,
            credential: Some(credential),
            untaken: None,
            note: None,
        }
    }

    /// Whether it is bound to that relying party, or may be. What the token signs decides then.
    pub fn may_be_of(&self, rp_id: &RpId) -> bool {
        match (&self.rp_id, &self.rp_id_hash) {
            (Some(own), _) => own == rp_id.as_str(),
            (None, Some(hash)) => hash.0 == sha256(&[rp_id.as_str().as_bytes()]),
            (None, None) => true,
        }
    }
}

/// A credential that a relying party may ask for.
#[derive(Debug)]
pub(super) struct Usable {
    pub credential: Credential,
    /// What it is bound to in place of the RP ID, if it was registered by U2F.
    pub app_id: Option<String>,
    /// Whether it was imported and never used here.
    pub unbound: bool,
    /// What its owner is shown of it.
    pub note: Option<Note>,
}

/// Opens a row. `None` for a credential of another relying party, and for one whose key is not taken.
pub(super) fn usable(
    owner: &Digest,
    row: &CredentialRow,
    rp_id: &RpId,
    tenant: &Tenant,
) -> Result<Option<Usable>, WebauthnError> {
    // A library's counter of 0 stands for one that was never seen.
    let counter = u32::try_from(row.counter.max(0)).map_err(|_| WebauthnError::Damaged)?;
    match row.kind {
        CredentialKind::Webauthn => {
            let record: Record = open_credential(owner, row, tenant)?;
            let (own, unbound) = (record.may_be_of(rp_id), record.rp_id.is_none());
            let credential = record.credential.filter(|_| own).map(|credential| Credential { counter, ..credential });
            Ok(credential.map(|credential| Usable { credential, app_id: None, unbound, note: record.note }))
        }
        CredentialKind::U2f => {
            let key: U2fKey = open_credential(owner, row, tenant)?;
            let fits = AppId::parse(&key.app_id).is_ok_and(|app_id| app_id.fits(rp_id));
            let credential = from_u2f(&key, counter).ok_or(WebauthnError::Damaged)?;
            Ok(fits.then_some(Usable { credential, app_id: Some(key.app_id), unbound: false, note: None }))
        }
    }
}

/// A U2F key as `WebAuthn` sees it (`WebAuthn` §6.1.2): the key handle is the credential id.
fn from_u2f(key: &U2fKey, counter: u32) -> Option<Credential> {
    let point = key.point()?;
    let (x, y) = point[1..].split_at(32);
    let key_type = COSEKeyType::EC_EC2(COSEEC2Key { curve: ECDSACurve::SECP256R1, x: x.to_vec(), y: y.to_vec() });
    Some(Credential {
        cred_id: key.key_handle.0.clone(),
        cred: COSEKey { type_: COSEAlgorithm::ES256, key: key_type },
        counter,
        transports: None,
        user_verified: false,
        backup_eligible: false,
        backup_state: false,
        registration_policy: UserVerificationPolicy::Discouraged_DO_NOT_USE,
        extensions: RegisteredExtensions::none(),
        attestation: ParsedAttestation::default(),
        attestation_format: AttestationFormat::FIDOU2F,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use webauthn_rs_core::WebauthnCore;
    use webauthn_rs_core::proto::RegistrationState;

    #[test]
    fn a_challenge_waits_with_the_oracles_own_randomness() {
        let (wait, origins) = (Duration::from_secs(300), vec!["https://example.com".parse().unwrap()]);
        let core = WebauthnCore::new_unsafe_experts_only("ACME", "example.com", origins, wait, None, None);
        let known = vec![vec![7; 16]];
        let builder = core.new_challenge_register_builder(b"user", "john", "John").unwrap();
        let (options, state) = core.generate_challenge_register(builder.exclude_credentials(Some(known))).unwrap();
        let kept = Pending::new(&RpId::parse("example.com").unwrap(), &state, &[9; 32]);
        let read: Pending<RegistrationState> = serde_json::from_value(serde_json::to_value(kept).unwrap()).unwrap();
        let [before, after] = [&state, &read.state].map(|state| serde_json::to_string(state).unwrap());
        for (text, where_before, where_after) in [
            (base64url(&[9; 32]), false, true),
            (base64url(&options.public_key.challenge), true, false),
            (base64url(&[7; 16]), true, false),
        ] {
            assert_eq!((before.contains(&text), after.contains(&text)), (where_before, where_after), "{text}");
        }
    }
}
