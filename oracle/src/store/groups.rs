//! Groups that operators have added, and which principal stands for which of their holders.
//!
//! Knows no header and no name: what a group is comes sealed, and each membership comes with a keyed hash that binds it.

use super::{
    Store,
    audit::{self, NewAudit},
    engine::{Row, Tx, Value},
    error::StoreError,
    principals::{PrincipalRow, principal_row, select_principals},
    rights,
    rows::Digest,
};
use std::collections::{HashMap, HashSet};

/// Groups at most.
pub const MAX_GROUPS: i64 = 1_000;

/// A group to be added.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// G.
    pub group: Digest,
    /// When.
    pub added_at: i64,
    /// Header and sealed secret.
    pub sealed: Vec<u8>,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// A group as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Its place in lists.
    pub number: i64,
    /// G.
    pub group: Digest,
    /// When it was added.
    pub added_at: i64,
    /// Header and sealed secret.
    pub sealed: Vec<u8>,
    /// Whether a redeal has replaced it.
    pub replaced: bool,
}

/// The principal that stands for a holder of a group, to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewGroupMember {
    /// The holder's number in the group.
    pub x: u8,
    /// The principal.
    pub principal: Digest,
    /// Keyed hash of group, number and principal.
    pub bound: Digest,
}

/// The same as stored.
#[derive(Clone, Debug)]
pub struct GroupMemberRow {
    /// The holder's number in the group.
    pub x: u8,
    /// The principal.
    pub principal: PrincipalRow,
    /// Keyed hash of group, number and principal.
    pub bound: Digest,
}

/// A row that names somebody as holder or applicant of a group and that the oracle did not write, or cannot read: as it is in the
/// database, whatever its lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamagedRow {
    /// One of `group_applicants`.
    Applicant {
        /// Whom it names.
        principal: Vec<u8>,
        /// What should bind it.
        bound: Vec<u8>,
    },
    /// One of `group_members`.
    Holder {
        /// The number that it names.
        x: i64,
        /// Whom it names.
        principal: Vec<u8>,
        /// What should bind it.
        bound: Vec<u8>,
    },
}

impl DamagedRow {
    /// Whom it names, as the database has it.
    pub fn principal(&self) -> &[u8] {
        match self {
            Self::Applicant { principal, .. } | Self::Holder { principal, .. } => principal,
        }
    }
}

/// Who holds or asks for a group, and the rows of which nobody can tell.
#[derive(Clone, Debug)]
pub struct GroupRows<T> {
    /// Those that can be.
    pub whole: Vec<T>,
    /// Those that cannot.
    pub damaged: Vec<DamagedRow>,
}

impl<T> GroupRows<T> {
    /// Reads rows, each with what it is called when it cannot be.
    pub(super) fn read(
        rows: Vec<Row>,
        called: impl Fn(&Row) -> Result<DamagedRow, StoreError>,
        whole: impl Fn(Row) -> Result<T, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut read = Self { whole: Vec::with_capacity(rows.len()), damaged: Vec::new() };
        for row in rows {
            let damaged = called(&row)?;
            match whole(row) {
                Ok(row) => read.whole.push(row),
                Err(_) => read.damaged.push(damaged),
            }
        }
        Ok(read)
    }
}

/// What becomes of a principal who acts on a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It stands for the holder of that number; the keyed hash binds it.
    Holder {
        /// The holder's number.
        x: u8,
        /// Keyed hash of group, number and principal.
        bound: Digest,
    },
    /// It stands for none.
    Stranger,
    /// The group was never added.
    UnknownGroup,
}

/// What became of a group that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddGroupOutcome {
    /// It is there now.
    Added,
    /// There are as many as there may be; nothing was written.
    Full,
    /// It was there; nothing was written.
    Known,
}

/// What became of a change of who stands for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupMembersOutcome {
    /// It is done.
    Changed,
    /// The group is gone; nothing was written.
    GroupGone,
    /// One of the principals is gone; nothing was written.
    PrincipalGone,
    /// One of the principals would stand for two holders; nothing was written.
    Repeated,
}

/// A query of groups: the columns that [`groups`] reads.
macro_rules! select_groups {
    ($rest:literal) => {
        concat!(
            "SELECT number, group_fp, added_at, sealed, CASE WHEN EXISTS (
                 SELECT 1 FROM refused_groups WHERE refused_groups.group_fp = known_groups.group_fp
             ) THEN 1 ELSE 0 END FROM known_groups ",
            $rest
        )
    };
}
pub(super) use select_groups;

impl Store {
    /// Adds a group.
    pub async fn add_group(&self, new: NewGroup) -> Result<AddGroupOutcome, StoreError> {
        self.write(b"groups", new, |tx, new| Box::pin(add(tx, new))).await
    }

    /// The group of that name.
    pub async fn group(&self, group: &Digest) -> Result<Option<GroupRow>, StoreError> {
        self.read(*group, |tx, group| {
            Box::pin(async move {
                let named = select_groups!("WHERE group_fp = $1");
                Ok(groups(tx, named, &[group.into()]).await?.pop())
            })
        })
        .await
    }

    /// Up to `limit` groups after number `after`, those first that were added first.
    pub async fn groups_after(&self, after: i64, limit: i64) -> Result<Vec<GroupRow>, StoreError> {
        self.read((after, limit), |tx, (after, limit)| {
            Box::pin(async move {
                let page = select_groups!("WHERE number > $1 ORDER BY number LIMIT $2");
                groups(tx, page, &[(*after).into(), (*limit).into()]).await
            })
        })
        .await
    }

    /// Removes a group with its members. False when there is none.
    pub async fn remove_group(&self, group: &Digest, told: Option<NewAudit>) -> Result<bool, StoreError> {
        self.write(b"groups", (*group, told), |tx, (group, told)| {
            Box::pin(async move {
                rights::dismiss_from(tx, group).await?;
                let removed = tx.execute("DELETE FROM known_groups WHERE group_fp = $1", &[group.into()]).await? > 0;
                audit::tell(tx, told.as_ref().filter(|_| removed)).await?;
                Ok(removed)
            })
        })
        .await
    }

    /// Who stands for the holders of a group, in the order of their numbers.
    pub async fn group_members(&self, group: &Digest) -> Result<GroupRows<GroupMemberRow>, StoreError> {
        self.read(*group, |tx, group| Box::pin(members(tx, group))).await
    }

    /// Has these and no others stand for the holders of a group.
    pub async fn set_group_members(
        &self,
        group: &Digest,
        members: Vec<NewGroupMember>,
        told: Option<NewAudit>,
    ) -> Result<GroupMembersOutcome, StoreError> {
        self.write(group, (*group, members, told), |tx, (group, members, told)| {
            Box::pin(async move {
                let outcome = set_members(tx, group, members).await?;
                audit::tell(tx, told.as_ref().filter(|_| outcome == GroupMembersOutcome::Changed)).await?;
                Ok(outcome)
            })
        })
        .await
    }

    /// Has these stand for holders of a group, and nobody for others; for those who are not named it stays as it is.
    pub async fn change_group_members(
        &self,
        group: &Digest,
        added: Vec<NewGroupMember>,
        removed: Vec<u8>,
        told: Option<NewAudit>,
    ) -> Result<GroupMembersOutcome, StoreError> {
        self.write(group, (*group, added, removed, told), |tx, (group, added, removed, told)| {
            Box::pin(async move {
                let outcome = change_members(tx, group, added, removed).await?;
                audit::tell(tx, told.as_ref().filter(|_| outcome == GroupMembersOutcome::Changed)).await?;
                Ok(outcome)
            })
        })
        .await
    }

    /// Removes damaged rows of a group, as far as they are still as they were found. Gives how many.
    pub async fn forget_damaged(
        &self,
        group: &Digest,
        damaged: Vec<DamagedRow>,
        told: Option<NewAudit>,
    ) -> Result<u64, StoreError> {
        self.write(group, (*group, damaged, told), |tx, (group, damaged, told)| {
            Box::pin(async move {
                let forgotten = forget(tx, group, damaged).await?;
                audit::tell(tx, told.as_ref().filter(|_| forgotten > 0)).await?;
                Ok(forgotten)
            })
        })
        .await
    }

    /// For which holder of a group a principal stands.
    pub async fn standing(&self, group: &Digest, principal: &Digest) -> Result<Standing, StoreError> {
        self.read((*group, *principal), |tx, (group, principal)| Box::pin(standing(tx, group, principal))).await
    }
}

async fn add(tx: &mut dyn Tx, new: &NewGroup) -> Result<AddGroupOutcome, StoreError> {
    let count = tx.first("SELECT COUNT(*) FROM known_groups", &[]).await?;
    if count.ok_or(StoreError::Row { column: 0, expected: "a count" })?.int(0)? >= MAX_GROUPS {
        return Ok(AddGroupOutcome::Full);
    }
    let added = tx
        .execute(
            "INSERT INTO known_groups (group_fp, added_at, sealed) VALUES ($1, $2, $3)
             ON CONFLICT (group_fp) DO NOTHING",
            &[(&new.group).into(), new.added_at.into(), new.sealed.as_slice().into()],
        )
        .await?;
    if added == 0 {
        return Ok(AddGroupOutcome::Known);
    }
    audit::tell(tx, new.told.as_ref()).await?;
    Ok(AddGroupOutcome::Added)
}

pub(super) async fn groups(
    tx: &mut dyn Tx,
    query: &'static str,
    values: &[Value],
) -> Result<Vec<GroupRow>, StoreError> {
    tx.query(query, values)
        .await?
        .into_iter()
        .map(|mut row| {
            Ok(GroupRow {
                number: row.int(0)?,
                group: row.digest(1)?,
                added_at: row.int(2)?,
                sealed: row.take_blob(3)?,
                replaced: row.flag(4)?,
            })
        })
        .collect()
}

async fn members(tx: &mut dyn Tx, group: &Digest) -> Result<GroupRows<GroupMemberRow>, StoreError> {
    let members = select_principals!(
        ", held.x, held.bound, held.principal",
        "JOIN group_members AS held ON held.principal = principals.id WHERE held.group_fp = $1 ORDER BY held.x"
    );
    let rows = tx.query(members, &[group.into()]).await?;
    let called = |row: &Row| {
        let (principal, bound) = (row.blob(18)?.to_vec(), row.blob(17)?.to_vec());
        Ok(DamagedRow::Holder { x: row.int(16)?, principal, bound })
    };
    GroupRows::read(rows, called, |mut row| {
        Ok(GroupMemberRow { x: row.x(16)?, bound: row.digest(17)?, principal: principal_row(&mut row)? })
    })
}

async fn set_members(
    tx: &mut dyn Tx,
    group: &Digest,
    members: &[NewGroupMember],
) -> Result<GroupMembersOutcome, StoreError> {
    if let Some(gone) = what_is_gone(tx, group, members).await? {
        return Ok(gone);
    }
    rights::dismiss_from(tx, group).await?;
    tx.execute("DELETE FROM group_members WHERE group_fp = $1", &[group.into()]).await?;
    put_members(tx, group, members).await?;
    Ok(GroupMembersOutcome::Changed)
}

async fn change_members(
    tx: &mut dyn Tx,
    group: &Digest,
    added: &[NewGroupMember],
    removed: &[u8],
) -> Result<GroupMembersOutcome, StoreError> {
    if let Some(gone) = what_is_gone(tx, group, added).await? {
        return Ok(gone);
    }
    let rows = tx.query("SELECT x, principal FROM group_members WHERE group_fp = $1", &[group.into()]).await?;
    let stand = rows.iter().map(|row| Ok((row.int(0)?, row.blob(1)?)));
    let mut after = stand.collect::<Result<HashMap<i64, &[u8]>, StoreError>>()?;
    after.retain(|x, _| !removed.iter().any(|gone| i64::from(*gone) == *x));
    after.extend(added.iter().map(|member| (member.x.into(), member.principal.as_slice())));
    if after.values().collect::<HashSet<_>>().len() < after.len() {
        return Ok(GroupMembersOutcome::Repeated);
    }
    rights::dismiss_from(tx, group).await?;
    // Those first who leave a place, since a principal has one at a time.
    for x in removed.iter().copied().chain(added.iter().map(|member| member.x)) {
        let leave = "DELETE FROM group_members WHERE group_fp = $1 AND x = $2";
        tx.execute(leave, &[group.into(), x.into()]).await?;
    }
    put_members(tx, group, added).await?;
    Ok(GroupMembersOutcome::Changed)
}

/// Why nobody can be put into a group: it is gone, or one of them is.
async fn what_is_gone(
    tx: &mut dyn Tx,
    group: &Digest,
    members: &[NewGroupMember],
) -> Result<Option<GroupMembersOutcome>, StoreError> {
    if tx.first("SELECT 1 FROM known_groups WHERE group_fp = $1", &[group.into()]).await?.is_none() {
        return Ok(Some(GroupMembersOutcome::GroupGone));
    }
    for member in members {
        if tx.first("SELECT 1 FROM principals WHERE id = $1", &[(&member.principal).into()]).await?.is_none() {
            return Ok(Some(GroupMembersOutcome::PrincipalGone));
        }
    }
    Ok(None)
}

async fn forget(tx: &mut dyn Tx, group: &Digest, damaged: &[DamagedRow]) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    for row in damaged {
        forgotten += match row {
            DamagedRow::Applicant { principal, bound } => {
                let named = "DELETE FROM group_applicants WHERE group_fp = $1 AND principal = $2 AND bound = $3";
                tx.execute(named, &[group.into(), principal.as_slice().into(), bound.as_slice().into()]).await?
            }
            DamagedRow::Holder { x, principal, bound } => {
                let named =
                    "DELETE FROM group_members WHERE group_fp = $1 AND x = $2 AND principal = $3 AND bound = $4";
                let (principal, bound) = (principal.as_slice(), bound.as_slice());
                tx.execute(named, &[group.into(), (*x).into(), principal.into(), bound.into()]).await?
            }
        };
    }
    Ok(forgotten)
}

async fn put_members(tx: &mut dyn Tx, group: &Digest, members: &[NewGroupMember]) -> Result<(), StoreError> {
    for NewGroupMember { x, principal, bound } in members {
        tx.defer(
            "INSERT INTO group_members (group_fp, x, principal, bound) VALUES ($1, $2, $3, $4)",
            &[group.into(), (*x).into(), principal.into(), bound.into()],
        )
        .await?;
    }
    Ok(())
}

/// For which holder of a group a principal stands; for none by a row that cannot be.
async fn standing(tx: &mut dyn Tx, group: &Digest, principal: &Digest) -> Result<Standing, StoreError> {
    let held = "SELECT x, bound FROM group_members WHERE group_fp = $1 AND principal = $2";
    let row = tx.first(held, &[group.into(), principal.into()]).await?;
    if let Some((Ok(x), Ok(bound))) = row.map(|row| (row.x(0), row.digest(1))) {
        return Ok(Standing::Holder { x, bound });
    }
    let known = tx.first("SELECT 1 FROM known_groups WHERE group_fp = $1", &[group.into()]).await?;
    Ok(if known.is_some() { Standing::Stranger } else { Standing::UnknownGroup })
}
