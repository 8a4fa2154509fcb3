//! Apps, grants and key pairs as rows. Knows no query.

use crate::store::{
    engine::Row,
    error::StoreError,
    principals::{PrincipalKind, Role},
    rows::Digest,
};

/// Who reads, changes or is granted an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppReader {
    /// An API key, by its number.
    ApiKey(i64),
    /// A principal; where somebody is granted something, or a team.
    Principal(Digest),
}

/// An app as stored.
#[derive(Clone, Debug)]
pub struct AppRow {
    /// Names it within the store.
    pub number: i64,
    /// Keyed hash of its UUID.
    pub id: Digest,
    /// Begins at random, and grows whenever somebody loses a right.
    pub version: i64,
    /// Grows with every change.
    pub revision: i64,
    /// Whether it must be sealed under another data key: somebody had this one who has lost their right.
    pub owed: bool,
    /// When it was added.
    pub added_at: i64,
    /// What it is.
    pub sealed: Vec<u8>,
}

/// An app as it was seen: which one, and after which of its changes. No two apps are seen alike, even of one UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppSeen {
    /// Names it within the store; no other ever does.
    pub number: i64,
    /// Begins at random, and grows whenever somebody loses a right.
    pub version: i64,
    /// Grows with every change.
    pub revision: i64,
}

impl AppRow {
    /// As what it was seen.
    pub fn seen(&self) -> AppSeen {
        AppSeen { number: self.number, version: self.version, revision: self.revision }
    }
}

/// A grant as stored.
#[derive(Clone, Debug)]
pub struct GrantRow {
    /// 1 code, 2 manage, 3 owner.
    pub level: u8,
    /// When it was given.
    pub granted_at: i64,
    /// The app's data key, for the holder.
    pub sealed_key: Vec<u8>,
    /// Keyed hash of the grant and the app's version.
    pub mac: Digest,
}

/// A key pair as stored.
#[derive(Clone, Debug)]
pub struct HolderRow {
    /// Names it within the store.
    pub number: i64,
    /// Random; names it for good.
    pub id: Digest,
    /// Of an API key: the data key that the private half is sealed under.
    pub data_key: Option<HeldUnder>,
    /// Of a principal or a team: whose it is.
    pub principal: Option<Digest>,
    /// The public half.
    pub public: Digest,
    /// Keyed hash of what it is and of its public half.
    pub mac: Digest,
    /// The private half.
    pub sealed: Vec<u8>,
}

/// The data key that the private half of an API key's key pair is sealed under.
#[derive(Clone, Debug)]
pub struct HeldUnder {
    /// Names it within the store.
    pub number: i64,
    /// Random; names it for good.
    pub id: Digest,
    /// Wrapped under the root secret, bound to the API key that owns it.
    pub by_root: Vec<u8>,
}

/// A key pair to be kept.
#[derive(Clone, Debug)]
pub struct NewHolder {
    /// Random; names it for good.
    pub id: Digest,
    /// Of an API key: the data key that the private half is sealed under.
    pub data_key: Option<i64>,
    /// The public half.
    pub public: Digest,
    /// Keyed hash of what it is and of its public half.
    pub mac: Digest,
    /// The private half.
    pub sealed: Vec<u8>,
}

/// An app with what lets a reader read it.
#[derive(Clone, Debug)]
pub struct HeldApp {
    /// The app.
    pub app: AppRow,
    /// One or more grants: the reader's own, and those of teams that they are in.
    pub held: Vec<HeldGrant>,
}

/// A page of apps.
#[derive(Clone, Debug, Default)]
pub struct HeldApps {
    /// Those whose rows can be.
    pub apps: Vec<HeldApp>,
    /// Who owns them.
    pub owners: Vec<GrantedRow>,
    /// The number of the last one, if there may be more.
    pub more: Option<i64>,
}

impl HeldApp {
    /// Whether the key pair of that number has a grant of that level, or a higher one.
    pub(super) fn is_by(&self, holder: i64, level: u8) -> bool {
        self.held.iter().any(|held| held.holder.number == holder && held.grant.level >= level)
    }

    /// Whether the key pair of that number is the reader's own, and not that of a team, and has a grant.
    pub(super) fn has(&self, holder: i64) -> bool {
        self.held.iter().any(|held| held.holder.number == holder && held.member.is_none())
    }
}

/// A grant that lets a reader read.
#[derive(Clone, Debug)]
pub struct HeldGrant {
    /// The grant.
    pub grant: GrantRow,
    /// Whose it is.
    pub holder: HolderRow,
    /// Keyed hash that binds the reader to the team that it is; absent when it is the reader's own.
    pub member: Option<Digest>,
}

/// Whom a grant is for, as it takes to name them.
#[derive(Clone, Debug)]
pub enum GranteeRow {
    /// An API key.
    ApiKey {
        /// Keyed hash of its value.
        id: Digest,
        /// Its value and what else the service keeps.
        sealed: Vec<u8>,
        /// Whether it was taken out of use.
        revoked: bool,
    },
    /// A principal or a team.
    Principal {
        /// Names it for good.
        id: Digest,
        /// What it is.
        kind: PrincipalKind,
        /// What it may do.
        role: Role,
        /// Its name.
        sealed: Vec<u8>,
        /// Whether an operator has disabled it.
        disabled: bool,
    },
}

impl GranteeRow {
    /// Names it for good.
    pub fn id(&self) -> &Digest {
        match self {
            Self::ApiKey { id, .. } | Self::Principal { id, .. } => id,
        }
    }

    /// Whether it is neither revoked nor disabled.
    pub fn in_use(&self) -> bool {
        match self {
            Self::ApiKey { revoked: out_of_use, .. } | Self::Principal { disabled: out_of_use, .. } => !out_of_use,
        }
    }
}

/// A grant with whom it is for.
#[derive(Clone, Debug)]
pub struct GrantedRow {
    /// Number of the app.
    pub app: i64,
    /// The grant.
    pub grant: GrantRow,
    /// The key pair that it is for.
    pub holder: HolderRow,
    /// Whose key pair that is.
    pub grantee: GranteeRow,
}

/// Apps with their grants, from rows in which those of one app stand together. One that cannot be keeps nothing else from being
/// read.
pub(super) fn held_apps(rows: Vec<Row>) -> Vec<HeldApp> {
    let mut apps: Vec<HeldApp> = Vec::new();
    for (app, held) in rows.into_iter().filter_map(|row| whole(held_app(row))) {
        match apps.last_mut() {
            Some(last) if last.app.number == app.number => last.held.push(held),
            _ => apps.push(HeldApp { app, held: vec![held] }),
        }
    }
    apps
}

fn held_app(mut row: Row) -> Result<(AppRow, HeldGrant), StoreError> {
    let held =
        HeldGrant { grant: grant(&mut row, 7)?, holder: holder(&mut row, 11)?, member: row.optional_digest(20)? };
    Ok((app_row(&mut row)?, held))
}

/// A row that could be read.
pub(super) fn whole<T>(row: Result<T, StoreError>) -> Option<T> {
    row.inspect_err(|error| tracing::warn!(%error, "a row of an app cannot be, and is left out")).ok()
}

/// Seven columns from the first one on.
pub(super) fn app_row(row: &mut Row) -> Result<AppRow, StoreError> {
    Ok(AppRow {
        number: row.int(0)?,
        id: row.digest(1)?,
        version: row.int(2)?,
        revision: row.int(3)?,
        owed: row.flag(4)?,
        added_at: row.int(5)?,
        sealed: row.take_blob(6)?,
    })
}

/// Four columns from that one on.
fn grant(row: &mut Row, at: usize) -> Result<GrantRow, StoreError> {
    Ok(GrantRow {
        level: u8::try_from(row.int(at)?).map_err(|_| StoreError::Row { column: at, expected: "a level" })?,
        granted_at: row.int(at + 1)?,
        sealed_key: row.take_blob(at + 2)?,
        mac: row.digest(at + 3)?,
    })
}

/// Nine columns from that one on: those of `holder_columns!`.
pub(super) fn holder(row: &mut Row, at: usize) -> Result<HolderRow, StoreError> {
    let data_key = match row.optional_int(at + 6)? {
        Some(number) => Some(HeldUnder { number, id: row.digest(at + 7)?, by_root: row.take_blob(at + 8)? }),
        None => None,
    };
    Ok(HolderRow {
        number: row.int(at)?,
        id: row.digest(at + 1)?,
        data_key,
        principal: row.optional_digest(at + 2)?,
        public: row.digest(at + 3)?,
        mac: row.digest(at + 4)?,
        sealed: row.take_blob(at + 5)?,
    })
}

/// Grants with whom they are for. One that cannot be keeps nothing else from being read.
pub(super) fn granted(rows: Vec<Row>) -> Vec<GrantedRow> {
    let granted = |mut row: Row| {
        let grantee = match row.optional_digest(14)? {
            Some(id) => GranteeRow::Principal {
                id,
                kind: PrincipalKind::numbered(row.int(15)?)
                    .ok_or(StoreError::Row { column: 15, expected: "a kind of principal" })?,
                role: Role::numbered(row.int(16)?).ok_or(StoreError::Row { column: 16, expected: "a role" })?,
                sealed: row.take_blob(17)?,
                disabled: row.optional_int(21)?.is_some(),
            },
            None => GranteeRow::ApiKey {
                id: row.digest(18)?,
                sealed: row.take_blob(19)?,
                revoked: row.optional_int(20)?.is_some(),
            },
        };
        Ok(GrantedRow { app: row.int(0)?, grant: grant(&mut row, 1)?, holder: holder(&mut row, 5)?, grantee })
    };
    rows.into_iter().filter_map(|row| whole(granted(row))).collect()
}
