//! Security keys as their owner is shown them: what they are called, when they were registered and last used. Kept with the
//! credential, under its seal, and for the oracle's own principals alone: applications ask for nothing of the kind.

use super::record::{Note, Record};
use super::{Webauthn, WebauthnError};
use crate::service::api_keys::Tenant;
use crate::service::audit::Kind;
use crate::service::security_keys::{open_credential, reseal_credential};
use crate::store::{CredentialKind, Which};
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
}

impl Webauthn {
    /// The keys of a user, oldest first.
    pub async fn noted_keys(&self, tenant: &Tenant, uuid: &str) -> Result<Vec<NotedKey>, WebauthnError> {
        let owner = self.keys.owner(uuid);
        let rows = self.keys.credentials(tenant, &owner).await?;
        let tenant = tenant.clone();
        let job = move || {
            let mut shown = Vec::with_capacity(rows.len());
            for row in rows.iter().filter(|row| row.kind == CredentialKind::Webauthn) {
                let Record { credential, note, .. } = open_credential(&owner, row, &tenant)?;
                let Some(credential) = credential else { continue };
                let key_handle_hash = base64url(&sha256(&[&credential.cred_id]));
                shown.push(NotedKey { key_handle_hash, note: note.unwrap_or_default() });
            }
            Ok::<_, WebauthnError>(shown)
        };
        self.keys.run(job).await?
    }

    /// Keeps with a key what it is called, and that it was registered just now.
    pub async fn note_added(&self, tenant: &Tenant, uuid: &str, key: &str, name: String) -> Result<(), WebauthnError> {
        let now = self.keys.now();
        self.note(tenant, uuid, key, move |note| {
            *note = Note { name: name.clone(), added_at: Some(now), used_at: None }
        })
        .await
    }

    /// Keeps with a key that it counted just now.
    pub async fn note_used(&self, tenant: &Tenant, uuid: &str, key: &str) -> Result<(), WebauthnError> {
        let now = self.keys.now();
        self.note(tenant, uuid, key, move |note| note.used_at = note.used_at.max(Some(now))).await
    }

    /// Removes a key, unless it is the last one: then false.
    pub async fn remove_spare(&self, tenant: &Tenant, uuid: &str, key: &str) -> Result<bool, WebauthnError> {
        let owner = self.keys.owner(uuid);
        let id = hashed(key).ok_or(WebauthnError::Unknown)?;
        let which = Which::Spare(self.keys.credential(&id));
        let store = self.keys.telling(Kind::CredentialRemoved, tenant, &owner);
        let removed = store.remove_credentials(tenant.number(), &owner, which).await?;
        match (removed.credentials, removed.left) {
            (0, 1) => Ok(false),
            (0, _) => Err(WebauthnError::Unknown),
            _ => Ok(true),
        }
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
