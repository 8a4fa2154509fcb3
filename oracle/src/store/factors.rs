//! Providers of second factors, who has been assigned which, and the recovery codes that come with it.
//!
//! Knows no options and no key: both come sealed, names and codes come as keyed hashes.

use super::{
    Store,
    audit::{self, NewAudit},
    engine::{Row, Tx},
    error::StoreError,
    principals::PrincipalKind,
    rights,
    rows::Digest,
};

/// Providers at most: operators name them one by one.
pub const MAX_PROVIDERS: i64 = 256;
/// The last time step of a factor of which no code has counted yet.
const BEFORE_ANY: i64 = -1;

/// A provider to be made.
#[derive(Clone, Debug)]
pub struct NewProvider {
    /// Random; names it for good.
    pub id: Digest,
    /// Keyed hash of its name.
    pub name: Digest,
    /// When.
    pub created_at: i64,
    /// Its name, type and options.
    pub sealed: Vec<u8>,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// A provider as stored.
#[derive(Clone, Debug)]
pub struct ProviderRow {
    /// Names it for good.
    pub id: Digest,
    /// Keyed hash of its name.
    pub name: Digest,
    /// Grows with each update.
    pub version: i64,
    /// When it was made.
    pub created_at: i64,
    /// Its name, type and options.
    pub sealed: Vec<u8>,
}

/// What became of a new provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderOutcome {
    /// It can be assigned.
    Made,
    /// There are as many as there may be.
    Full,
    /// There is one of that name.
    Taken,
}

/// What became of a provider's removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveProviderOutcome {
    /// Somebody has it; nothing was written.
    Assigned,
    /// It is gone.
    Removed,
    /// There is none.
    Unknown,
}

/// A provider to be assigned to a principal, in place of the one before.
#[derive(Clone, Debug)]
pub struct NewFactor {
    /// Random; names this assignment for good.
    pub id: Digest,
    /// Whose.
    pub principal: Digest,
    /// The principal's version as it was read.
    pub version: i64,
    /// What the principal's password or secret is checked with, bound to this assignment.
    pub verifier: Option<Vec<u8>>,
    /// Which provider.
    pub provider: Digest,
    /// When.
    pub assigned_at: i64,
    /// What is the principal's own: a TOTP key, an id at Duo.
    pub sealed: Vec<u8>,
    /// Keyed hashes of its recovery codes.
    pub recovery: Vec<Digest>,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// An assigned provider as stored.
#[derive(Clone, Debug)]
pub struct FactorRow {
    /// Names the assignment for good.
    pub id: Digest,
    /// Which provider.
    pub provider: Digest,
    /// When it was assigned.
    pub assigned_at: i64,
    /// The last time step whose code has counted.
    pub last_step: i64,
    /// What is the principal's own.
    pub sealed: Vec<u8>,
}

impl Store {
    /// Makes a provider.
    pub async fn insert_provider(&self, new: NewProvider) -> Result<ProviderOutcome, StoreError> {
        self.write(b"providers", new, |tx, new| Box::pin(insert(tx, new))).await
    }

    /// The provider of that hashed name.
    pub async fn provider(&self, name: &Digest) -> Result<Option<ProviderRow>, StoreError> {
        self.read(*name, |tx, name| {
            Box::pin(async move {
                let named = "SELECT id, name, version, created_at, sealed FROM providers WHERE name = $1";
                tx.first(named, &[name.into()]).await?.map(provider_row).transpose()
            })
        })
        .await
    }

    /// Every provider, oldest first.
    pub async fn providers(&self) -> Result<Vec<ProviderRow>, StoreError> {
        self.read((), |tx, ()| {
            Box::pin(async move {
                let all = "SELECT id, name, version, created_at, sealed FROM providers ORDER BY number";
                tx.query(all, &[]).await?.into_iter().map(provider_row).collect()
            })
        })
        .await
    }

    /// Replaces what is sealed in a provider, if it still is of the version that the caller read.
    pub async fn update_provider(
        &self,
        id: &Digest,
        version: i64,
        sealed: Vec<u8>,
        told: Option<NewAudit>,
    ) -> Result<bool, StoreError> {
        self.write(b"providers", (*id, version, sealed, told), |tx, (id, version, sealed, told)| {
            Box::pin(async move {
                let update = "UPDATE providers SET sealed = $1, version = version + 1 WHERE id = $2 AND version = $3";
                let values = [sealed.as_slice().into(), id.into(), (*version).into()];
                let updated = tx.execute(update, &values).await? > 0;
                audit::tell(tx, told.as_ref().filter(|_| updated)).await?;
                Ok(updated)
            })
        })
        .await
    }

    /// Removes a provider that nobody has.
    pub async fn remove_provider(
        &self,
        id: &Digest,
        told: Option<NewAudit>,
    ) -> Result<RemoveProviderOutcome, StoreError> {
        self.write(b"providers", (*id, told), |tx, (id, told)| {
            Box::pin(async move {
                let outcome = remove(tx, id).await?;
                audit::tell(tx, told.as_ref().filter(|_| outcome == RemoveProviderOutcome::Removed)).await?;
                Ok(outcome)
            })
        })
        .await
    }

    /// Assigns a provider. False when the principal or the provider was changed or removed meanwhile, and for teams.
    pub async fn assign_factor(&self, new: NewFactor) -> Result<bool, StoreError> {
        let lane = new.principal;
        self.write(&lane, new, |tx, new| Box::pin(assign(tx, new))).await
    }

    /// Takes a principal's provider away. False when the principal was changed meanwhile, or has none.
    pub async fn remove_factor(
        &self,
        principal: &Digest,
        version: i64,
        verifier: Option<Vec<u8>>,
        told: Option<NewAudit>,
    ) -> Result<bool, StoreError> {
        self.write(principal, (*principal, version, verifier, told), |tx, (principal, version, verifier, told)| {
            Box::pin(async move {
                let assigned = "SELECT 1 FROM factors WHERE principal = $1";
                if tx.first(assigned, &[principal.into()]).await?.is_none()
                    || !change(tx, principal, *version, verifier.as_deref()).await?
                {
                    return Ok(false);
                }
                tx.execute("DELETE FROM factors WHERE principal = $1", &[principal.into()]).await?;
                audit::tell(tx, told.as_ref()).await?;
                Ok(true)
            })
        })
        .await
    }
}

async fn insert(tx: &mut dyn Tx, new: &NewProvider) -> Result<ProviderOutcome, StoreError> {
    let count = tx.first("SELECT COUNT(*) FROM providers", &[]).await?;
    if count.map_or(Ok(0), |row| row.int(0))? >= MAX_PROVIDERS {
        return Ok(ProviderOutcome::Full);
    }
    let made = tx
        .execute(
            "INSERT INTO providers (id, name, version, created_at, sealed) VALUES ($1, $2, 1, $3, $4)
             ON CONFLICT (name) DO NOTHING",
            &[(&new.id).into(), (&new.name).into(), new.created_at.into(), new.sealed.as_slice().into()],
        )
        .await?;
    audit::tell(tx, new.told.as_ref().filter(|_| made > 0)).await?;
    Ok(if made > 0 { ProviderOutcome::Made } else { ProviderOutcome::Taken })
}

async fn remove(tx: &mut dyn Tx, id: &Digest) -> Result<RemoveProviderOutcome, StoreError> {
    if tx.first("SELECT 1 FROM factors WHERE provider = $1 LIMIT 1", &[id.into()]).await?.is_some() {
        return Ok(RemoveProviderOutcome::Assigned);
    }
    let removed = tx.execute("DELETE FROM providers WHERE id = $1", &[id.into()]).await?;
    Ok(if removed > 0 { RemoveProviderOutcome::Removed } else { RemoveProviderOutcome::Unknown })
}

async fn assign(tx: &mut dyn Tx, new: &NewFactor) -> Result<bool, StoreError> {
    if tx.first("SELECT 1 FROM providers WHERE id = $1", &[(&new.provider).into()]).await?.is_none() {
        return Ok(false);
    }
    if !change(tx, &new.principal, new.version, new.verifier.as_deref()).await? {
        return Ok(false);
    }
    tx.execute("DELETE FROM factors WHERE principal = $1", &[(&new.principal).into()]).await?;
    tx.execute(
        "INSERT INTO factors (principal, id, provider, assigned_at, last_step, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            (&new.principal).into(),
            (&new.id).into(),
            (&new.provider).into(),
            new.assigned_at.into(),
            BEFORE_ANY.into(),
            new.sealed.as_slice().into(),
        ],
    )
    .await?;
    replace_recovery(tx, &new.principal, &new.recovery).await?;
    audit::tell(tx, new.told.as_ref()).await?;
    Ok(true)
}

pub(super) async fn read_provider(tx: &mut dyn Tx, id: &Digest) -> Result<Option<ProviderRow>, StoreError> {
    let known = "SELECT id, name, version, created_at, sealed FROM providers WHERE id = $1";
    tx.first(known, &[id.into()]).await?.map(provider_row).transpose()
}

/// Changes what a principal that is no team logs in with, and ends its logins. False when it was changed meanwhile.
async fn change(
    tx: &mut dyn Tx,
    principal: &Digest,
    version: i64,
    verifier: Option<&[u8]>,
) -> Result<bool, StoreError> {
    rights::dismiss(tx, principal).await?;
    let changed = tx
        .execute(
            "UPDATE principals SET verifier = $1, version = version + 1 WHERE id = $2 AND version = $3 AND kind <> $4",
            &[verifier.into(), principal.into(), version.into(), PrincipalKind::Team.number().into()],
        )
        .await?;
    if changed > 0 {
        tx.execute("DELETE FROM tickets WHERE principal = $1", &[principal.into()]).await?;
    }
    Ok(changed > 0)
}

/// Lets the code of a time step of a principal's factor count: once, and only after every earlier one.
pub(super) async fn accept_step(tx: &mut dyn Tx, principal: &Digest, step: i64) -> Result<bool, StoreError> {
    let accept = "UPDATE factors SET last_step = $1 WHERE principal = $2 AND last_step < $1";
    Ok(tx.execute(accept, &[step.into(), principal.into()]).await? > 0)
}

/// Uses up a recovery code of a factor. True once.
pub(super) async fn use_recovery(tx: &mut dyn Tx, factor: &Digest, code: &Digest) -> Result<bool, StoreError> {
    let used = "DELETE FROM recovery_codes WHERE factor = $1 AND hash = $2";
    Ok(tx.execute(used, &[factor.into(), code.into()]).await? > 0)
}

/// Gives a principal's factor recovery codes in place of those that it had.
pub(super) async fn replace_recovery(tx: &mut dyn Tx, principal: &Digest, codes: &[Digest]) -> Result<(), StoreError> {
    let factor = tx.first("SELECT id FROM factors WHERE principal = $1", &[principal.into()]).await?;
    let Some(factor) = factor.map(|row| row.digest(0)).transpose()? else { return Ok(()) };
    tx.execute("DELETE FROM recovery_codes WHERE factor = $1", &[(&factor).into()]).await?;
    for code in codes {
        let add = "INSERT INTO recovery_codes (factor, hash) VALUES ($1, $2)";
        tx.defer(add, &[(&factor).into(), code.into()]).await?;
    }
    Ok(())
}

/// The five columns from `first` on, unless they are null.
pub(super) fn factor_row(row: &mut Row, first: usize) -> Result<Option<FactorRow>, StoreError> {
    let Some(id) = row.optional_digest(first)? else { return Ok(None) };
    Ok(Some(FactorRow {
        id,
        provider: row.digest(first + 1)?,
        assigned_at: row.int(first + 2)?,
        last_step: row.int(first + 3)?,
        sealed: row.take_blob(first + 4)?,
    }))
}

fn provider_row(mut row: Row) -> Result<ProviderRow, StoreError> {
    Ok(ProviderRow {
        id: row.digest(0)?,
        name: row.digest(1)?,
        version: row.int(2)?,
        created_at: row.int(3)?,
        sealed: row.take_blob(4)?,
    })
}
