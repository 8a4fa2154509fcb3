//! A user's security keys as serverless-mfa-api kept them: one record, of which nothing but the user's UUID can be read before
//! the API secret is known. Here it is sealed as it came, and later taken apart into credentials.

use crate::service::api_keys::{NotOwned, Tenant};
use crate::service::at_rest::{AtRest, Place};
use crate::service::legacy::{Ciphertext, LegacyKey};
use crate::service::security_keys::{SecurityKeys, json, reseal_credential};
use crate::service::u2f::U2fKey;
use crate::service::webauthn::imported::{self, Imported};
use crate::store::{CredentialKind, CredentialName, Digest, LegacyUserRow, NewCredential};
use quorate_protocol::encoding::sha256;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

/// What there is of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LegacyUser {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u2f: Option<LegacyU2f>,
    /// JSON of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<Ciphertext>,
}

/// A U2F key: texts, each encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LegacyU2f {
    pub app_id: Ciphertext,
    pub key_handle: Ciphertext,
    pub public_key: Ciphertext,
}

/// Seals a user as they came from another service.
pub(super) fn seal(user: &LegacyUser, owner: &Digest, data_key: &AtRest, rng: &mut impl CryptoRng) -> Vec<u8> {
    data_key.seal(place(&[owner]), &json(user), rng)
}

/// The user's credentials, under the same data key. What was altered is refused with everything else of the user.
pub(super) fn credentials(
    owner: &Digest,
    row: &LegacyUserRow,
    tenant: &Tenant,
    keys: &SecurityKeys,
    rng: &mut impl CryptoRng,
) -> Result<Vec<NewCredential>, NotOwned> {
    let opened = tenant.open(row.data_key, place(&[owner]), &row.sealed)?;
    let user: LegacyUser = serde_json::from_slice(&opened).map_err(|_| NotOwned)?;
    let key = tenant.legacy_key(row.data_key)?;
    let mut batch = Batch { owner, row, tenant, keys, credentials: Vec::new() };
    if let Some(encrypted) = &user.u2f {
        let u2f = decrypt_u2f(encrypted, &key).ok_or(NotOwned)?;
        batch.add(CredentialKind::U2f, &u2f.key_handle.0, -1, &u2f, rng)?;
    }
    if let Some(encrypted) = &user.webauthn {
        for Imported { id, counter, record } in imported::credentials(&key.decrypt(encrypted)).ok_or(NotOwned)? {
            batch.add(CredentialKind::Webauthn, &id, counter.into(), &record, rng)?;
        }
    }
    Ok(batch.credentials)
}

/// Credentials that take the place of one record.
struct Batch<'a> {
    owner: &'a Digest,
    row: &'a LegacyUserRow,
    tenant: &'a Tenant,
    keys: &'a SecurityKeys,
    credentials: Vec<NewCredential>,
}

impl Batch<'_> {
    fn add(
        &mut self,
        kind: CredentialKind,
        credential_id: &[u8],
        counter: i64,
        record: &impl Serialize,
        rng: &mut impl CryptoRng,
    ) -> Result<(), NotOwned> {
        let id = self.keys.credential(&sha256(&[credential_id]));
        if self.credentials.iter().any(|other| other.id == id) {
            return Err(NotOwned);
        }
        let (owner, data_key, created_at) = (*self.owner, self.row.data_key, self.row.created_at);
        let sealed = reseal_credential(&CredentialName { owner, data_key, id }, record, self.tenant, rng)?.bytes;
        self.credentials.push(NewCredential { owner, data_key, id, kind, created_at, counter, sealed });
        Ok(())
    }
}

fn decrypt_u2f(encrypted: &LegacyU2f, key: &LegacyKey) -> Option<U2fKey> {
    let [app_id, key_handle, public_key] =
        [&encrypted.app_id, &encrypted.key_handle, &encrypted.public_key].map(|text| key.decrypt(text));
    let text = |bytes| std::str::from_utf8(bytes).ok();
    U2fKey::imported(text(&app_id)?, text(&key_handle)?, text(&public_key)?)
}

fn place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "legacy_users", row, column: "sealed" }
}
