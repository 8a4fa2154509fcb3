//! Security keys that a principal changes itself: one more is added, one of several removed. Either is written only while the login
//! that it is done with still is one: a removal, a logout or an operator in between ends it.
//!
//! What a principal's logins and approvals rest on changes with a removal, so all of it is one write: the key goes, the version
//! rises, every ticket ends but a new one, and the audit log is told.

use super::{
    Store, api_keys,
    audit::{self, NewAudit},
    ceremonies::CeremonyName,
    credentials::{self, AddOutcome, CredentialRow, NewCredential, Which},
    engine::Tx,
    error::StoreError,
    rights::{self, Login},
    rows::Digest,
    tickets::{self, NewTicket},
};

/// A key to be removed by its owner.
#[derive(Clone, Debug)]
pub struct KeyRemoval {
    /// The API key that the principals' security keys are kept under.
    pub api_key: i64,
    /// Keyed hash of the user's UUID.
    pub owner: Digest,
    /// Keyed hash that names the credential.
    pub key: Digest,
    /// The same of others, which let in: one of them has to be there still, and not locked.
    pub kept: Vec<Digest>,
    /// The login that it is removed with.
    pub login: Login,
    /// The ticket that the principal goes on with.
    pub ticket: NewTicket,
    /// When.
    pub at: i64,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRemovalOutcome {
    /// The login is none any more; nothing was written.
    Changed,
    /// It was gone; nothing was written.
    Gone,
    /// None of the others was there that lets in; nothing was written.
    Last,
    /// It is gone.
    Removed,
}

impl Store {
    /// Ends a ceremony with the security key that it registered for a principal, exactly once, and while its login is one.
    pub async fn add_own_key(
        &self,
        api_key: i64,
        ceremony: CeremonyName,
        new: NewCredential,
        login: Login,
    ) -> Result<AddOutcome, StoreError> {
        let lane = api_keys::lane(new.data_key, &new.owner);
        self.write_told(&lane, (api_key, ceremony, new, login), |tx, (api_key, ceremony, new, login)| {
            Box::pin(async move {
                if !rights::still_logged_in(tx, login).await? {
                    return Ok(AddOutcome::Changed);
                }
                credentials::add(tx, *api_key, ceremony, new).await
            })
        })
        .await
    }

    /// Removes a principal's security key while another one stays, ends what the principal is logged in with, and gives it a ticket.
    pub async fn remove_own_key(&self, removal: KeyRemoval) -> Result<KeyRemovalOutcome, StoreError> {
        let lane = removal.owner;
        self.write(&lane, removal, |tx, removal| Box::pin(remove(tx, removal))).await
    }
}

async fn remove(tx: &mut dyn Tx, removal: &KeyRemoval) -> Result<KeyRemovalOutcome, StoreError> {
    let KeyRemoval { api_key, owner, key, kept, login, ticket, at, told } = removal;
    let Login { principal, version, ticket: shown } = login;
    rights::dismiss(tx, principal).await?;
    // Not held: it is about to be written, and of two who held it neither could.
    if tx.first(rights::LOGGED_IN, &[principal.into(), (*version).into(), shown.into()]).await?.is_none() {
        return Ok(KeyRemovalOutcome::Changed);
    }
    let keys = credentials::list(tx, *api_key, owner).await?;
    if keys.iter().all(|row| row.name.id != *key) {
        return Ok(KeyRemovalOutcome::Gone);
    }
    let stays = |row: &CredentialRow| row.name.id != *key && kept.contains(&row.name.id) && row.locked_until <= *at;
    if !keys.iter().any(stays) {
        return Ok(KeyRemovalOutcome::Last);
    }
    credentials::remove(tx, *api_key, owner, Which::Id(*key)).await?;
    tx.execute("UPDATE principals SET version = version + 1 WHERE id = $1", &[principal.into()]).await?;
    tx.execute("DELETE FROM tickets WHERE principal = $1", &[principal.into()]).await?;
    tickets::insert(tx, principal, ticket, *at).await?;
    audit::tell(tx, told.as_ref()).await?;
    Ok(KeyRemovalOutcome::Removed)
}
