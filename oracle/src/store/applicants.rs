//! Who may ask for the codes of a group: the users, applications and members of teams that operators have named as its
//! applicants. Whoever stands for a holder is none by that.
//!
//! Knows no name: each row comes with a keyed hash that binds it, which the service looks at.

use super::{
    Store,
    audit::{self, NewAudit},
    engine::{Row, Tx},
    error::StoreError,
    groups::{DamagedRow, GroupRow, GroupRows, groups, select_groups},
    principals::{PrincipalRow, principal_row, select_principals},
    rights,
    rows::Digest,
};
use std::collections::HashSet;

/// Applicants of a group at most; a team counts once.
pub const MAX_APPLICANTS: usize = 1_000;

/// One of the reasons for which a principal may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// It is an applicant.
    Applicant {
        /// Keyed hash of group and principal.
        bound: Digest,
    },
    /// It is in a team that is an applicant and not disabled.
    Team {
        /// The team.
        team: Digest,
        /// Keyed hash of group and team.
        bound: Digest,
        /// Keyed hash of team and principal.
        member: Digest,
    },
}

/// What became of a change of a group's applicants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicantsOutcome {
    /// It is done.
    Changed,
    /// The group would have too many; nothing was written.
    Full,
    /// The group is gone; nothing was written.
    GroupGone,
    /// Somebody who was to be added is gone; nothing was written.
    PrincipalGone,
}

impl Store {
    /// The applicants of a group, each with the keyed hash that binds it, in order of their making.
    pub async fn group_applicants(&self, group: &Digest) -> Result<GroupRows<(PrincipalRow, Digest)>, StoreError> {
        self.read(*group, |tx, group| {
            Box::pin(async move {
                let named = select_principals!(
                    ", named.bound, named.principal",
                    "JOIN group_applicants AS named ON named.principal = principals.id
                     WHERE named.group_fp = $1 ORDER BY principals.number"
                );
                let rows = tx.query(named, &[group.into()]).await?;
                let called = |row: &Row| {
                    Ok(DamagedRow::Applicant { principal: row.blob(17)?.to_vec(), bound: row.blob(16)?.to_vec() })
                };
                GroupRows::read(rows, called, |mut row| Ok((principal_row(&mut row)?, row.digest(16)?)))
            })
        })
        .await
    }

    /// Adds applicants to a group, each with the keyed hash that binds it, and removes others. Who is there already stays, and
    /// who is not there is gone.
    pub async fn change_group_applicants(
        &self,
        group: &Digest,
        added: Vec<(Digest, Digest)>,
        removed: Vec<Digest>,
        told: Option<NewAudit>,
    ) -> Result<ApplicantsOutcome, StoreError> {
        self.write(group, (*group, added, removed, told), |tx, (group, added, removed, told)| {
            Box::pin(async move {
                let outcome = change(tx, group, added, removed).await?;
                audit::tell(tx, told.as_ref().filter(|_| outcome == ApplicantsOutcome::Changed)).await?;
                Ok(outcome)
            })
        })
        .await
    }

    /// A group, and why a principal may ask for its codes; no ground when it may not, `None` when the group was never added.
    pub async fn grounds(
        &self,
        group: &Digest,
        principal: &Digest,
    ) -> Result<Option<(GroupRow, Vec<Ground>)>, StoreError> {
        self.read((*group, *principal), |tx, (group, principal)| {
            Box::pin(async move {
                let named = select_groups!("WHERE group_fp = $1");
                let Some(row) = groups(tx, named, &[group.into()]).await?.pop() else { return Ok(None) };
                Ok(Some((row, grounds(tx, group, principal).await?)))
            })
        })
        .await
    }

    /// The groups for whose codes a principal may ask, those first that were added first.
    pub async fn groups_of(&self, principal: &Digest) -> Result<Vec<GroupRow>, StoreError> {
        self.read(*principal, |tx, principal| {
            Box::pin(async move {
                let own = select_groups!(
                    "WHERE group_fp IN (
                         SELECT group_fp FROM group_applicants WHERE principal = $1
                         UNION SELECT named.group_fp FROM group_applicants AS named
                               JOIN principals AS team ON team.id = named.principal AND team.disabled_at IS NULL
                               JOIN members ON members.team = team.id WHERE members.member = $1
                     ) ORDER BY number"
                );
                groups(tx, own, &[principal.into()]).await
            })
        })
        .await
    }
}

async fn change(
    tx: &mut dyn Tx,
    group: &Digest,
    added: &[(Digest, Digest)],
    removed: &[Digest],
) -> Result<ApplicantsOutcome, StoreError> {
    if tx.first("SELECT 1 FROM known_groups WHERE group_fp = $1", &[group.into()]).await?.is_none() {
        return Ok(ApplicantsOutcome::GroupGone);
    }
    let rows = tx.query("SELECT principal FROM group_applicants WHERE group_fp = $1", &[group.into()]).await?;
    let mut after = rows.iter().map(|row| row.blob(0)).collect::<Result<HashSet<&[u8]>, _>>()?;
    after.extend(added.iter().map(|(principal, _)| principal.as_slice()));
    after.retain(|principal| !removed.iter().any(|gone| gone == principal));
    if after.len() > MAX_APPLICANTS {
        return Ok(ApplicantsOutcome::Full);
    }
    for (principal, _) in added {
        if tx.first("SELECT 1 FROM principals WHERE id = $1", &[principal.into()]).await?.is_none() {
            return Ok(ApplicantsOutcome::PrincipalGone);
        }
    }
    rights::dismiss_from(tx, group).await?;
    for (principal, bound) in added {
        let add = "INSERT INTO group_applicants (group_fp, principal, bound) VALUES ($1, $2, $3)
                   ON CONFLICT (group_fp, principal) DO UPDATE SET bound = $3";
        tx.defer(add, &[group.into(), principal.into(), bound.into()]).await?;
    }
    for principal in removed {
        let remove = "DELETE FROM group_applicants WHERE group_fp = $1 AND principal = $2";
        tx.defer(remove, &[group.into(), principal.into()]).await?;
    }
    Ok(ApplicantsOutcome::Changed)
}

/// Why a principal may ask for the codes of a group. A row that cannot be is no reason.
pub(super) async fn grounds(tx: &mut dyn Tx, group: &Digest, principal: &Digest) -> Result<Vec<Ground>, StoreError> {
    let values = [group.into(), principal.into()];
    let mut grounds = Vec::new();
    let named = "SELECT bound FROM group_applicants WHERE group_fp = $1 AND principal = $2";
    for row in tx.held(named, &values).await? {
        grounds.extend(row.digest(0).map(|bound| Ground::Applicant { bound }).ok());
    }
    let teams = "SELECT named.principal, named.bound, members.bound FROM group_applicants AS named
                 JOIN principals AS team ON team.id = named.principal AND team.disabled_at IS NULL
                 JOIN members ON members.team = team.id WHERE named.group_fp = $1 AND members.member = $2";
    for row in tx.held(teams, &values).await? {
        if let (Ok(team), Ok(bound), Ok(member)) = (row.digest(0), row.digest(1), row.digest(2)) {
            grounds.push(Ground::Team { team, bound, member });
        }
    }
    Ok(grounds)
}
