//! Security keys as their owner is shown them, and as the audit log is told of them: what they are called, when they were
//! registered and last used. Kept with the credential, under its seal, and for the oracle's own principals alone: applications
//! ask for nothing of the kind.
//!
//! A key that is bound to another address than the one that logins are for lets nobody in, and counts for nothing here.

use super::record::{Note, Record};
use super::{Shown, Webauthn, WebauthnError, is_passkey};
use crate::service::api_keys::Tenant;
use crate::service::audit::Entry;
use crate::service::relying_party::RpId;
use crate::service::security_keys::{open_credential, reseal_credential};
use crate::store::{CredentialKind, CredentialRow, Digest, Which};
use data_encoding::HEXLOWER;
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
    /// What it is called, and whether it is a passkey.
    pub told: ToldKey,
    /// What the store knows it by.
    pub(in crate::service) id: Digest,
}

/// A key as others than its owner are told of it: without what applications and browsers know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldKey {
    /// What its owner calls it, or is shown in place of that: `Key 1`, `Passkey 2`.
    pub name: String,
    /// The beginning of its keyed hash, in hex, by which it is followed whatever it is called.
    pub hash: String,
    /// Whether it is held to asking who its user is.
    pub passkey: bool,
}

impl ToldKey {
    /// That one of its owner's keys which `number` others were registered before.
    pub(super) fn new(note: Option<&Note>, number: usize, id: &Digest, passkey: bool) -> Self {
        let kind = if passkey { "Passkey" } else { "Key" };
        let called = note.map(|note| note.name.clone()).filter(|name| !name.is_empty());
        let name = called.unwrap_or_else(|| format!("{kind} {}", number + 1));
        Self { name, hash: HEXLOWER.encode(&id[..8]), passkey }
    }

    /// Says in an event which key it tells of.
    #[must_use]
    pub fn tell(&self, entry: Entry) -> Entry {
        let Self { name, hash, passkey } = self;
        entry.with("key", name.as_str()).with("key_hash", hash.as_str()).with("passkey", *passkey)
    }
}

impl Webauthn {
    /// The keys of a user, oldest first, as they are for logins at that relying party. One that cannot be read is left out.
    pub async fn noted_keys(&self, tenant: &Tenant, uuid: &str, at: &RpId) -> Result<Vec<NotedKey>, WebauthnError> {
        let owner = self.keys.owner(uuid);
        let rows = self.keys.credentials(tenant, &owner).await?;
        let (tenant, at) = (tenant.clone(), at.clone());
        let job = move || {
            let mut shown = Vec::with_capacity(rows.len());
            for (number, row) in of_webauthn(&rows).enumerate() {
                let Some(record) = readable(&owner, row, &tenant) else { continue };
                let (usable, told) = (record.may_be_of(&at), told(number, row, Some(&record)));
                let Some(credential) = record.credential else { continue };
                let key_handle_hash = base64url(&sha256(&[&credential.cred_id]));
                let note = record.note.unwrap_or_default();
                shown.push(NotedKey { key_handle_hash, note, usable, told, id: row.name.id });
            }
            shown
        };
        Ok(self.keys.run(job).await?)
    }

    /// Removes a user with all keys, and tells of each by itself in that event.
    pub(in crate::service) async fn forget_keys(
        &self,
        tenant: &Tenant,
        uuid: &str,
        event: &Entry,
    ) -> Result<(), WebauthnError> {
        let owner = self.keys.owner(uuid);
        let (rows, its) = (self.keys.credentials(tenant, &owner).await?, tenant.clone());
        let job = move || {
            let keys = of_webauthn(&rows).enumerate();
            keys.map(|(number, row)| (row.name.id, told(number, row, readable(&owner, row, &its).as_ref()))).collect()
        };
        let keys: Vec<(Digest, ToldKey)> = self.keys.run(job).await?;
        for (id, told) in keys {
            let store = self.keys.telling_of(told.tell(event.clone()));
            store.remove_credentials(tenant.number(), &owner, Which::Id(id)).await?;
        }
        // With what is under way.
        self.keys.store().remove_credentials(tenant.number(), &owner, Which::All).await?;
        Ok(())
    }

    /// Removes a key that was registered for nothing, and tells of it in that event.
    pub(in crate::service) async fn forget_key(
        &self,
        tenant: &Tenant,
        uuid: &str,
        key: &Shown,
        event: Entry,
    ) -> Result<(), WebauthnError> {
        let id = self.keys.credential(&hashed(&key.key_handle_hash).ok_or(WebauthnError::Unknown)?);
        let store = self.keys.telling_of(key.told.tell(event));
        store.remove_credentials(tenant.number(), &self.keys.owner(uuid), Which::Id(id)).await?;
        Ok(())
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

/// Those among a user's credentials that people have.
pub(super) fn of_webauthn(rows: &[CredentialRow]) -> impl Iterator<Item = &CredentialRow> {
    rows.iter().filter(|row| row.kind == CredentialKind::Webauthn)
}

/// What is sealed of a key; nothing of one that is damaged, which keeps nobody from the others.
fn readable(owner: &Digest, row: &CredentialRow, tenant: &Tenant) -> Option<Record> {
    let record = open_credential(owner, row, tenant);
    record.inspect_err(|error| tracing::warn!(%error, "a person's security key cannot be read")).ok()
}

fn told(number: usize, row: &CredentialRow, record: Option<&Record>) -> ToldKey {
    let passkey = record.and_then(|record| record.credential.as_ref()).is_some_and(is_passkey);
    ToldKey::new(record.and_then(|record| record.note.as_ref()), number, &row.name.id, passkey)
}

fn hashed(key: &str) -> Option<[u8; 32]> {
    from_base64url(key)?.try_into().ok()
}
