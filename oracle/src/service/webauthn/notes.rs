//! Security keys as their owner is shown them: what they are called, when they were registered and last used. Kept with the
//! credential, under its seal, and for the oracle's own principals alone: applications ask for nothing of the kind.
//!
//! A key that is bound to another address than the one that logins are for lets nobody in, and counts for nothing here.

use super::record::{Note, Record};
use super::{Webauthn, WebauthnError, is_passkey};
use crate::service::api_keys::Tenant;
use crate::service::relying_party::RpId;
use crate::service::security_keys::{open_credential, reseal_credential};
use crate::store::{CredentialKind, Digest};
use quorate_protocol::encoding::{base64url, from_base64url, sha256};

/// Times that a note is tried again when somebody else has changed the credential.
const TRIES: usize = 8;

/// A key as its owner is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedKey {
    /// SHA-256 of the credential's id, base64url: what it is removed by.
    pub key_handle_hash: String,
    /// What is shown of it.
    pub note: Note,
    /// Whether it lets its owner in: it is bound to the address that logins are for.
    pub usable: bool,
    /// Whether it is held to asking who its user is.
    pub passkey: bool,
    /// What the store knows it by.
    pub(in crate::service) id: Digest,
}

impl Webauthn {
    /// The keys of a user, oldest first, as they are for logins at that relying party.
    pub async fn noted_keys(&self, tenant: &Tenant, uuid: &str, at: &RpId) -> Result<Vec<NotedKey>, WebauthnError> {
        let owner = self.keys.owner(uuid);
        let rows = self.keys.credentials(tenant, &owner).await?;
        let (tenant, at) = (tenant.clone(), at.clone());
        let job = move || {
            let mut shown = Vec::with_capacity(rows.len());
            for row in rows.iter().filter(|row| row.kind == CredentialKind::Webauthn) {
                let record: Record = open_credential(&owner, row, &tenant)?;
                let usable = record.may_be_of(&at);
                let Some(credential) = record.credential else { continue };
                let key_handle_hash = base64url(&sha256(&[&credential.cred_id]));
                let (note, passkey) = (record.note.unwrap_or_default(), is_passkey(&credential));
                shown.push(NotedKey { key_handle_hash, note, usable, passkey, id: row.name.id });
            }
            Ok::<_, WebauthnError>(shown)
        };
        self.keys.run(job).await?
    }

    /// Keeps with a key that it counted just now.
    pub async fn note_used(&self, tenant: &Tenant, uuid: &str, key: &str) -> Result<(), WebauthnError> {
        let now = self.keys.now();
        self.note(tenant, uuid, key, move |note| note.used_at = note.used_at.max(Some(now))).await
    }

    /// Whose the keys of a user are, as the store knows it.
    pub(in crate::service) fn owner(&self, uuid: &str) -> Digest {
        self.keys.owner(uuid)
    }

    /// Changes what is kept with a key; a key that is gone has nothing kept.
    async fn note(
        &self,
        tenant: &Tenant,
        uuid: &str,
        key: &str,
        change: impl Fn(&mut Note) + Clone + Send + 'static,
    ) -> Result<(), WebauthnError> {
        let owner = self.keys.owner(uuid);
        let id = self.keys.credential(&hashed(key).ok_or(WebauthnError::Unknown)?);
        for _ in 0..TRIES {
            let rows = self.keys.credentials(tenant, &owner).await?;
            let Some(row) = rows.into_iter().find(|row| row.name.id == id) else { return Ok(()) };
            let (tenant, mut rng, change) = (tenant.clone(), self.keys.rng(), change.clone());
            let job = move || {
                let mut record: Record = open_credential(&owner, &row, &tenant)?;
                change(record.note.get_or_insert_default());
                let sealed = reseal_credential(&row.name, &record, &tenant, &mut rng)?;
                Ok::<_, WebauthnError>((row, sealed.bytes))
            };
            let (row, sealed) = self.keys.run(job).await??;
            if self.keys.store().reseal_credential(row.name, row.sealed, sealed).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn hashed(key: &str) -> Option<[u8; 32]> {
    from_base64url(key)?.try_into().ok()
}
