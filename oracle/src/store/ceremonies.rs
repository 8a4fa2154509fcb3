//! Ceremonies with security keys that are under way: a challenge that was given out, waiting for its one answer.
//!
//! Knows no plain secret: what a ceremony is about is sealed, its challenge comes as a digest, its user as a keyed hash.

use super::{
    Store,
    credentials::{self, CredentialRow},
    engine::Tx,
    error::StoreError,
    rows::Digest,
};

/// Challenges of one act that a user may have open at once; the oldest gives way. More than anybody begins while a user
/// looks for their token: applications begin logins for names before a password is right.
const MAX_OPEN: i64 = 64;

/// What a challenge was given out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CeremonyAct {
    /// To register a U2F key.
    U2fRegister,
    /// To sign with a U2F key.
    U2fSign,
    /// To register a `WebAuthn` credential.
    WebauthnRegister,
    /// To log in by `WebAuthn`.
    WebauthnLogin,
}

impl CeremonyAct {
    /// The one of the highest number.
    pub(super) const LAST: Self = Self::WebauthnLogin;

    /// Its number in the database, which what is sealed is bound to.
    pub fn number(self) -> u8 {
        match self {
            Self::U2fRegister => 0,
            Self::U2fSign => 1,
            Self::WebauthnRegister => 2,
            Self::WebauthnLogin => 3,
        }
    }
}

/// What names a ceremony, for good: the challenge is random. A row's number would not do, for an engine may give it to
/// somebody else's ceremony as soon as this one is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CeremonyName {
    /// Keyed hash of the user's UUID.
    pub owner: Digest,
    /// The data key that it is sealed under.
    pub data_key: i64,
    /// What for.
    pub act: CeremonyAct,
    /// Digest of the challenge.
    pub challenge: Digest,
}

/// A ceremony to be begun.
#[derive(Clone, Debug)]
pub struct NewCeremony {
    /// Whose, what for, and of which challenge.
    pub name: CeremonyName,
    /// Until when an answer counts.
    pub expires_at: i64,
    /// What the answer must fit.
    pub sealed: Vec<u8>,
}

/// A ceremony as stored.
#[derive(Clone, Debug)]
pub struct CeremonyRow {
    /// Whose, what for, and of which challenge.
    pub name: CeremonyName,
    /// Until when an answer counts.
    pub expires_at: i64,
    /// What the answer must fit.
    pub sealed: Vec<u8>,
}

impl Store {
    /// Begins a ceremony.
    pub async fn begin_ceremony(&self, new: NewCeremony) -> Result<(), StoreError> {
        let lane = new.name.owner;
        self.write(&lane, new, |tx, new| Box::pin(begin(tx, new))).await
    }

    /// The ceremony of an API key's user that a challenge was given out for, and all the user's credentials, both of the
    /// same moment.
    pub async fn ceremony(
        &self,
        api_key: i64,
        owner: &Digest,
        act: CeremonyAct,
        challenge: &Digest,
    ) -> Result<(Option<CeremonyRow>, Vec<CredentialRow>), StoreError> {
        self.read((api_key, *owner, act, *challenge), |tx, (api_key, owner, act, challenge)| {
            Box::pin(async move {
                let ceremony = read(tx, *api_key, owner, *act, challenge).await?;
                Ok((ceremony, credentials::list(tx, *api_key, owner).await?))
            })
        })
        .await
    }

    /// Whether an API key's user has a ceremony of that act, answered or not in time.
    pub async fn has_ceremony(&self, api_key: i64, owner: &Digest, act: CeremonyAct) -> Result<bool, StoreError> {
        self.read((api_key, *owner, act), |tx, (api_key, owner, act)| Box::pin(any(tx, *api_key, owner, *act))).await
    }
}

async fn begin(tx: &mut dyn Tx, new: &NewCeremony) -> Result<(), StoreError> {
    let CeremonyName { owner, data_key, act, challenge } = &new.name;
    tx.execute(
        "INSERT INTO ceremonies (owner, data_key, act, challenge, expires_at, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            owner.into(),
            (*data_key).into(),
            act.number().into(),
            challenge.into(),
            new.expires_at.into(),
            new.sealed.as_slice().into(),
        ],
    )
    .await?;
    tx.execute(
        "DELETE FROM ceremonies WHERE owner = $1 AND data_key = $2 AND act = $3 AND number <= (
             SELECT number FROM ceremonies WHERE owner = $1 AND data_key = $2 AND act = $3
             ORDER BY number DESC LIMIT 1 OFFSET $4)",
        &[owner.into(), (*data_key).into(), act.number().into(), MAX_OPEN.into()],
    )
    .await
    .map(drop)
}

async fn read(
    tx: &mut dyn Tx,
    api_key: i64,
    owner: &Digest,
    act: CeremonyAct,
    challenge: &Digest,
) -> Result<Option<CeremonyRow>, StoreError> {
    tx.first(
        "SELECT data_key, expires_at, sealed FROM ceremonies
         WHERE owner = $1 AND act = $2 AND challenge = $3
           AND data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $4)",
        &[owner.into(), act.number().into(), challenge.into(), api_key.into()],
    )
    .await?
    .map(|mut row| {
        Ok(CeremonyRow {
            name: CeremonyName { owner: *owner, data_key: row.int(0)?, act, challenge: *challenge },
            expires_at: row.int(1)?,
            sealed: row.take_blob(2)?,
        })
    })
    .transpose()
}

async fn any(tx: &mut dyn Tx, api_key: i64, owner: &Digest, act: CeremonyAct) -> Result<bool, StoreError> {
    let found = tx
        .first(
            "SELECT 1 FROM ceremonies WHERE owner = $1 AND act = $2
               AND data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $3) LIMIT 1",
            &[owner.into(), act.number().into(), api_key.into()],
        )
        .await?;
    Ok(found.is_some())
}

/// Takes the ceremony out: true for one caller, and only in time.
pub(super) async fn conclude(tx: &mut dyn Tx, name: &CeremonyName, now: i64) -> Result<bool, StoreError> {
    let CeremonyName { owner, data_key, act, challenge } = name;
    let concluded = tx
        .execute(
            "DELETE FROM ceremonies
             WHERE owner = $1 AND data_key = $2 AND act = $3 AND challenge = $4 AND expires_at > $5",
            &[owner.into(), (*data_key).into(), act.number().into(), challenge.into(), now.into()],
        )
        .await?;
    Ok(concluded > 0)
}

/// Ends what is under way for an API key's user, of the acts up to the number of `last`. Gives how much that was.
pub(super) async fn abandon(
    tx: &mut dyn Tx,
    api_key: i64,
    owner: &Digest,
    last: CeremonyAct,
) -> Result<u64, StoreError> {
    tx.execute(
        "DELETE FROM ceremonies WHERE owner = $1 AND act <= $2
           AND data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $3)",
        &[owner.into(), last.number().into(), api_key.into()],
    )
    .await
}
