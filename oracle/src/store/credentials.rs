//! Security keys that an API key's users have registered: added, used with a counter that rises, removed.
//!
//! Knows no plain secret and no signature: a credential is sealed, its id and its user come as keyed hashes.

use super::{
    Store,
    api_keys::{self, RecordKind},
    ceremonies::{self, CeremonyAct, CeremonyName},
    engine::{Row, Tx},
    error::StoreError,
    legacy,
    lockout::{FailOutcome, Lockout},
    rows::Digest,
};

const LOCKOUT: Lockout = Lockout {
    read: "SELECT failures, failed_at, locked_until FROM credentials WHERE number = $1",
    write: "UPDATE credentials SET failures = $1, failed_at = $2, locked_until = $3 WHERE number = $4",
};

/// Credentials that a user may have.
pub const MAX_CREDENTIALS: usize = 64;

/// By which protocol a credential was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// By `WebAuthn`.
    Webauthn,
    /// By U2F. A user has one at most.
    U2f,
}

impl CredentialKind {
    fn number(self) -> u8 {
        match self {
            Self::Webauthn => 0,
            Self::U2f => 1,
        }
    }
}

/// What names a credential, for good. A row's number would not do, for an engine may give it to somebody else's
/// credential as soon as this one is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialName {
    /// Keyed hash of the user's UUID.
    pub owner: Digest,
    /// The data key that it is sealed under.
    pub data_key: i64,
    /// Keyed hash of the credential id's hash.
    pub id: Digest,
}

/// A credential to be added.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// Keyed hash of the user's UUID.
    pub owner: Digest,
    /// The data key that it is sealed under.
    pub data_key: i64,
    /// Keyed hash of the credential id's hash.
    pub id: Digest,
    /// How it was registered.
    pub kind: CredentialKind,
    /// When.
    pub created_at: i64,
    /// The counter so far; −1 when none was seen.
    pub counter: i64,
    /// Credential id, public key and what they are bound to.
    pub sealed: Vec<u8>,
}

/// A credential as stored.
#[derive(Clone, Debug)]
pub struct CredentialRow {
    /// Whose it is, and which.
    pub name: CredentialName,
    /// How it was registered.
    pub kind: CredentialKind,
    /// The last counter that was seen; −1 before the first.
    pub counter: i64,
    /// Until when no answer is looked at.
    pub locked_until: i64,
    /// Credential id, public key and what they are bound to.
    pub sealed: Vec<u8>,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddOutcome {
    /// The credential can be used.
    Added,
    /// The challenge was answered before, or too late, or the data key is not the API key's any more; nothing was written.
    Used,
    /// The user has this credential, or a U2F key, already.
    Duplicate,
    /// The user has as many as they may.
    Full,
    /// The login that it was registered with is none any more; nothing was written.
    Changed,
}

/// What became of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseOutcome {
    /// It counts.
    Accepted,
    /// The challenge was answered before, or too late; nothing was written.
    Used,
    /// The counter did not rise; the challenge is used up.
    CounterBehind,
    /// The credential was removed meanwhile; the challenge is used up.
    Gone,
    /// The credential was locked meanwhile, until then; the challenge is used up.
    Locked(i64),
}

/// Which credentials of a user to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All, and everything that is under way.
    All,
    /// The one of that keyed hash.
    Id(Digest),
    /// The one registered by U2F.
    U2f,
}

/// What was removed of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Credentials that went.
    pub credentials: usize,
    /// Credentials that are left.
    pub left: usize,
    /// Ceremonies that came to nothing.
    pub ceremonies: u64,
}

impl Store {
    /// The credentials of an API key's user, oldest first.
    pub async fn credentials(&self, api_key: i64, owner: &Digest) -> Result<Vec<CredentialRow>, StoreError> {
        self.read((api_key, *owner), |tx, (api_key, owner)| Box::pin(list(tx, *api_key, owner))).await
    }

    /// Ends a ceremony with the credential that it registered, exactly once.
    pub async fn add_credential(
        &self,
        api_key: i64,
        ceremony: CeremonyName,
        new: NewCredential,
    ) -> Result<AddOutcome, StoreError> {
        let lane = api_keys::lane(new.data_key, &new.owner);
        self.write_told(&lane, (api_key, ceremony, new), |tx, (api_key, ceremony, new)| {
            Box::pin(add(tx, *api_key, ceremony, new))
        })
        .await
    }

    /// Ends a ceremony with a login by that credential, exactly once, and only with a counter above the last one. A
    /// `WebAuthn` credential may be without a counter: it stays at 0.
    pub async fn use_credential(
        &self,
        ceremony: CeremonyName,
        credential: CredentialName,
        counter: i64,
        now: i64,
    ) -> Result<UseOutcome, StoreError> {
        let lane = credential.owner;
        self.write(&lane, (ceremony, credential, counter, now), |tx, (ceremony, credential, counter, now)| {
            Box::pin(accept(tx, ceremony, credential, *counter, *now))
        })
        .await
    }

    /// Replaces what is sealed in a credential, if it still is what the caller read.
    pub async fn reseal_credential(
        &self,
        credential: CredentialName,
        read: Vec<u8>,
        sealed: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let lane = credential.owner;
        self.write(&lane, (credential, read, sealed), |tx, (credential, read, sealed)| {
            Box::pin(reseal(tx, credential, read, sealed))
        })
        .await
    }

    /// Counts a wrong signature. Number n locks the credential for `delays[n - 1]` milliseconds, further ones as the last.
    pub async fn fail_credential(
        &self,
        credential: CredentialName,
        delays: &'static [i64],
        now: i64,
    ) -> Result<FailOutcome, StoreError> {
        let lane = credential.owner;
        self.write(&lane, (credential, delays, now), |tx, (credential, delays, now)| {
            Box::pin(fail(tx, credential, delays, *now))
        })
        .await
    }

    /// Removes credentials of an API key's user, and what is under way of their kind.
    pub async fn remove_credentials(&self, api_key: i64, owner: &Digest, which: Which) -> Result<Removed, StoreError> {
        self.write_told(owner, (api_key, *owner, which), |tx, (api_key, owner, which)| {
            Box::pin(remove(tx, *api_key, owner, *which))
        })
        .await
    }
}

/// A user's credentials, oldest first. A row that cannot be is left out, and keeps nobody from the others.
pub(super) async fn list(tx: &mut dyn Tx, api_key: i64, owner: &Digest) -> Result<Vec<CredentialRow>, StoreError> {
    let rows = tx
        .query(
            "SELECT data_key, id, kind, counter, locked_until, sealed FROM credentials
             WHERE owner = $1 AND data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $2)
             ORDER BY number",
            &[owner.into(), api_key.into()],
        )
        .await?;
    let whole = |error: &StoreError| tracing::warn!(%error, "a row of a security key cannot be, and is left out");
    Ok(rows.into_iter().filter_map(|row| credential_row(owner, row).inspect_err(whole).ok()).collect())
}

pub(super) async fn add(
    tx: &mut dyn Tx,
    api_key: i64,
    ceremony: &CeremonyName,
    new: &NewCredential,
) -> Result<AddOutcome, StoreError> {
    // A rotation may have taken the user, and with them what the checks below look at.
    if !api_keys::owns(tx, api_key, new.data_key).await? {
        return Ok(AddOutcome::Used);
    }
    if !ceremonies::conclude(tx, ceremony, new.created_at).await? {
        return Ok(AddOutcome::Used);
    }
    let others = list(tx, api_key, &new.owner).await?;
    let u2f = |other: &CredentialRow| new.kind == CredentialKind::U2f && other.kind == CredentialKind::U2f;
    if others.iter().any(|other| other.name.id == new.id || u2f(other)) {
        return Ok(AddOutcome::Duplicate);
    }
    if others.len() >= MAX_CREDENTIALS {
        return Ok(AddOutcome::Full);
    }
    insert(tx, new).await?;
    if others.iter().all(|other| other.name.data_key != new.data_key) {
        api_keys::count(tx, new.data_key, RecordKind::Webauthn, &new.owner, 1).await?;
    }
    Ok(AddOutcome::Added)
}

pub(super) async fn insert(tx: &mut dyn Tx, new: &NewCredential) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO credentials (owner, data_key, id, kind, created_at, counter, sealed)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            (&new.owner).into(),
            new.data_key.into(),
            (&new.id).into(),
            new.kind.number().into(),
            new.created_at.into(),
            new.counter.into(),
            new.sealed.as_slice().into(),
        ],
    )
    .await
}

async fn accept(
    tx: &mut dyn Tx,
    ceremony: &CeremonyName,
    credential: &CredentialName,
    counter: i64,
    now: i64,
) -> Result<UseOutcome, StoreError> {
    if !ceremonies::conclude(tx, ceremony, now).await? {
        return Ok(UseOutcome::Used);
    }
    let CredentialName { owner, data_key, id } = credential;
    let used = tx
        .execute(
            "UPDATE credentials SET counter = $1, failures = 0, locked_until = 0
             WHERE owner = $2 AND data_key = $3 AND id = $4 AND locked_until <= $5
               AND (counter < $1 OR (counter = 0 AND $1 = 0 AND kind = 0))",
            &[counter.into(), owner.into(), (*data_key).into(), id.into(), now.into()],
        )
        .await?;
    if used > 0 {
        return Ok(UseOutcome::Accepted);
    }
    let Some(number) = number(tx, credential).await? else { return Ok(UseOutcome::Gone) };
    let locked = LOCKOUT.locked_until(tx, number.into()).await?.filter(|until| *until > now);
    Ok(locked.map_or(UseOutcome::CounterBehind, UseOutcome::Locked))
}

async fn fail(
    tx: &mut dyn Tx,
    credential: &CredentialName,
    delays: &[i64],
    now: i64,
) -> Result<FailOutcome, StoreError> {
    match number(tx, credential).await? {
        Some(number) => LOCKOUT.fail(tx, number.into(), delays, now).await,
        None => Ok(FailOutcome::Unknown),
    }
}

async fn reseal(tx: &mut dyn Tx, name: &CredentialName, read: &[u8], sealed: &[u8]) -> Result<bool, StoreError> {
    let CredentialName { owner, data_key, id } = name;
    let resealed = tx
        .execute(
            "UPDATE credentials SET sealed = $1 WHERE owner = $2 AND data_key = $3 AND id = $4 AND sealed = $5",
            &[sealed.into(), owner.into(), (*data_key).into(), id.into(), read.into()],
        )
        .await?;
    Ok(resealed > 0)
}

/// The number of its row, which names it in this transaction and no longer.
async fn number(tx: &mut dyn Tx, name: &CredentialName) -> Result<Option<i64>, StoreError> {
    let CredentialName { owner, data_key, id } = name;
    let number = "SELECT number FROM credentials WHERE owner = $1 AND data_key = $2 AND id = $3";
    let row = tx.first(number, &[owner.into(), (*data_key).into(), id.into()]).await?;
    row.map(|row| row.int(0)).transpose()
}

/// Removes credentials of an API key's user.
pub(super) async fn remove(tx: &mut dyn Tx, api_key: i64, owner: &Digest, which: Which) -> Result<Removed, StoreError> {
    let ceremonies = match which {
        Which::All => ceremonies::abandon(tx, api_key, owner, CeremonyAct::LAST).await?,
        Which::U2f => ceremonies::abandon(tx, api_key, owner, CeremonyAct::U2fSign).await?,
        Which::Id(_) => 0,
    };
    let (going, staying): (Vec<_>, Vec<_>) = list(tx, api_key, owner).await?.into_iter().partition(|row| match which {
        Which::All => true,
        Which::Id(id) => row.name.id == id,
        Which::U2f => row.kind == CredentialKind::U2f,
    });
    let mut emptied: Vec<i64> = Vec::new();
    if which == Which::All {
        emptied = legacy::remove_user(tx, api_key, owner).await?;
    }
    for row in &going {
        let CredentialName { data_key, id, .. } = &row.name;
        let named = "DELETE FROM credentials WHERE owner = $1 AND data_key = $2 AND id = $3";
        tx.execute(named, &[owner.into(), (*data_key).into(), id.into()]).await?;
        if !emptied.contains(data_key) && staying.iter().all(|other| other.name.data_key != *data_key) {
            emptied.push(*data_key);
        }
    }
    if which == Which::All {
        // With what was left out of the list.
        let rest = "DELETE FROM credentials
                    WHERE owner = $1 AND data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $2)";
        tx.execute(rest, &[owner.into(), api_key.into()]).await?;
    }
    for data_key in emptied {
        api_keys::count(tx, data_key, RecordKind::Webauthn, owner, -1).await?;
    }
    Ok(Removed { credentials: going.len(), left: staying.len(), ceremonies })
}

fn credential_row(owner: &Digest, mut row: Row) -> Result<CredentialRow, StoreError> {
    Ok(CredentialRow {
        name: CredentialName { owner: *owner, data_key: row.int(0)?, id: row.digest(1)? },
        kind: if row.int(2)? == 0 { CredentialKind::Webauthn } else { CredentialKind::U2f },
        counter: row.int(3)?,
        locked_until: row.int(4)?,
        sealed: row.take_blob(5)?,
    })
}
