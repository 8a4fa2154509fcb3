//! One of several security keys of a principal is removed. What the principal's logins and approvals rest on changes with that, so
//! all of it is one write: the key goes, the version rises, every ticket ends but a new one, and the audit log is told.

use super::{
    Store, applicants,
    audit::{self, NewAudit},
    credentials::{self, Which},
    engine::Tx,
    error::StoreError,
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
    /// The same of another one, which lets in and has to be there still.
    pub kept: Digest,
    /// Who removes it.
    pub principal: Digest,
    /// The principal's version when it logged in.
    pub version: i64,
    /// The ticket that it goes on with.
    pub ticket: NewTicket,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRemovalOutcome {
    /// The principal is not who it was when it logged in; nothing was written.
    Changed,
    /// It was gone; nothing was written.
    Gone,
    /// The other one was gone; nothing was written.
    Last,
    /// It is gone.
    Removed,
}

impl Store {
    /// Removes a principal's security key while another one stays, ends what the principal is logged in with, and gives it a ticket.
    pub async fn remove_own_key(&self, removal: KeyRemoval) -> Result<KeyRemovalOutcome, StoreError> {
        let lane = removal.owner;
        self.write(&lane, removal, |tx, removal| Box::pin(remove(tx, removal))).await
    }
}

async fn remove(tx: &mut dyn Tx, removal: &KeyRemoval) -> Result<KeyRemovalOutcome, StoreError> {
    let KeyRemoval { api_key, owner, key, kept, principal, version, ticket, told } = removal;
    if !applicants::is_as_it_was(tx, principal, *version).await? {
        return Ok(KeyRemovalOutcome::Changed);
    }
    let keys = credentials::list(tx, *api_key, owner).await?;
    if keys.iter().all(|row| row.name.id != *key) {
        return Ok(KeyRemovalOutcome::Gone);
    }
    if key == kept || keys.iter().all(|row| row.name.id != *kept) {
        return Ok(KeyRemovalOutcome::Last);
    }
    credentials::remove(tx, *api_key, owner, Which::Id(*key)).await?;
    tx.execute("UPDATE principals SET version = version + 1 WHERE id = $1", &[principal.into()]).await?;
    tx.execute("DELETE FROM tickets WHERE principal = $1", &[principal.into()]).await?;
    tickets::insert(tx, principal, ticket).await?;
    audit::tell(tx, told.as_ref()).await?;
    Ok(KeyRemovalOutcome::Removed)
}
