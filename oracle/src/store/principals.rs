//! Principals (users, applications, teams), the links with which users enrol, and who is in which team.
//!
//! Knows no name, no password and no link: names and links come as keyed hashes, what proves a principal comes sealed.

use std::collections::HashSet;

use super::{
    Store,
    apps::{self, LastApp},
    audit::{self, NewAudit},
    engine::{Row, Tx, Value},
    error::StoreError,
    factors::{self, FactorRow},
    rights,
    rows::Digest,
    settings,
};

/// The setting that is put when the first operator has enrolled.
pub const OPERATOR_ENROLLED: &str = "operator_enrolled";
/// Members of a team at most.
pub const MAX_MEMBERS: usize = 1_000;

/// What a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person, with a password.
    User,
    /// A program, with a generated secret.
    Application,
    /// A set of others. It never logs in.
    Team,
}

impl PrincipalKind {
    const ALL: [Self; 3] = [Self::User, Self::Application, Self::Team];

    /// Its number in the database, which what is sealed is bound to.
    pub fn number(self) -> u8 {
        match self {
            Self::User => 0,
            Self::Application => 1,
            Self::Team => 2,
        }
    }

    /// The kind of that number.
    pub(super) fn numbered(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| i64::from(kind.number()) == number)
    }
}

/// What a principal may do, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// What concerns them alone.
    Member,
    /// See everything, and change nothing.
    Auditor,
    /// Everything.
    Operator,
}

impl Role {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// Every role, from the least.
    pub const ALL: [Self; 3] = [Self::Member, Self::Auditor, Self::Operator];

    /// Its number in the database, which what is sealed is bound to.
    pub fn number(self) -> u8 {
        match self {
            Self::Member => 0,
            Self::Auditor => 1,
            Self::Operator => 2,
        }
    }

    /// The role of that number.
    pub(super) fn numbered(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|role| i64::from(role.number()) == number)
    }
}

/// A principal to be made.
#[derive(Clone, Debug)]
pub struct NewPrincipal {
    /// Random; names it for good.
    pub id: Digest,
    /// Keyed hash of its full name.
    pub name: Digest,
    /// What it is.
    pub kind: PrincipalKind,
    /// What it may do.
    pub role: Role,
    /// When.
    pub created_at: i64,
    /// What its secret is checked with; users have none before they enrol, teams never.
    pub verifier: Option<Vec<u8>>,
    /// With what a user enrols.
    pub link: Option<NewLink>,
    /// Its name.
    pub sealed: Vec<u8>,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// A link to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewLink {
    /// Keyed hash of it.
    pub hash: Digest,
    /// Keyed hash of it and its principal.
    pub bound: Digest,
    /// Until when it serves.
    pub expires_at: i64,
}

/// A principal as stored.
#[derive(Clone, Debug)]
pub struct PrincipalRow {
    /// Its place in lists; another may have it later.
    pub number: i64,
    /// Names it for good.
    pub id: Digest,
    /// Keyed hash of its full name.
    pub name: Digest,
    /// What it is.
    pub kind: PrincipalKind,
    /// What it may do.
    pub role: Role,
    /// Grows whenever what a login rests on changes.
    pub version: i64,
    /// When it was made.
    pub created_at: i64,
    /// When its password or secret was set.
    pub enrolled_at: Option<i64>,
    /// When it was disabled, if it is.
    pub disabled_at: Option<i64>,
    /// What its password or secret is checked with.
    pub verifier: Option<Vec<u8>>,
    /// Its name.
    pub sealed: Vec<u8>,
    /// The provider that it has been assigned.
    pub factor: Option<FactorRow>,
}

/// A link as stored, with its principal.
#[derive(Clone, Debug)]
pub struct LinkRow {
    /// Keyed hash of it and its principal.
    pub bound: Digest,
    /// Until when it serves.
    pub expires_at: i64,
    /// Who enrols with it.
    pub principal: PrincipalRow,
}

/// What an enrolment sets, all at once.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Keyed hash of the link, which is used up.
    pub link: Digest,
    /// Who enrols.
    pub principal: Digest,
    /// The principal's version as it was read.
    pub version: i64,
    /// What the new password is checked with.
    pub verifier: Vec<u8>,
    /// The TOTP step whose code confirmed the factor.
    pub step: Option<i64>,
    /// Keyed hashes of new recovery codes, which replace the ones before.
    pub recovery: Vec<Digest>,
    /// When.
    pub now: i64,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// What became of an act that may not take away the last operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It is done.
    Changed,
    /// There would be no operator left who can log in; nothing was written.
    LastOperator,
    /// Another app would go with it than was said; nothing was written.
    Stale,
    /// There is no such principal.
    Unknown,
}

/// What became of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolOutcome {
    /// It is done, and the link used up.
    Enrolled,
    /// The principal or its factor was changed meanwhile; nothing was written.
    Changed,
    /// The code's time step, or a later one, has counted before; nothing was written.
    CodeUsed,
    /// The link was used, replaced, or its time is up; nothing was written.
    LinkGone,
}

/// What became of a change of a team's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembersOutcome {
    /// It is done.
    Changed,
    /// The team would have too many; nothing was written.
    Full,
    /// The team, or somebody who was to be added, is gone; nothing was written.
    Unknown,
}

/// A query of principals: the columns of [`principal_row`], then what else is asked for.
macro_rules! select_principals {
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT principals.number, principals.id, principals.name, principals.kind, principals.role,
                    principals.version, principals.created_at, principals.enrolled_at, principals.disabled_at,
                    principals.verifier, principals.sealed,
                    factors.id, factors.provider, factors.assigned_at, factors.last_step, factors.sealed",
            $more,
            " FROM principals LEFT JOIN factors ON factors.principal = principals.id ",
            $rest
        )
    };
}
pub(super) use select_principals;

impl Store {
    /// Makes a principal. False when there is one of that name.
    pub async fn insert_principal(&self, new: NewPrincipal) -> Result<bool, StoreError> {
        self.write(&new.name.clone(), new, |tx, new| Box::pin(insert(tx, new))).await
    }

    /// The principal of that hashed name.
    pub async fn principal(&self, name: &Digest) -> Result<Option<PrincipalRow>, StoreError> {
        self.read(*name, |tx, name| Box::pin(read(tx, name))).await
    }

    /// Up to `limit` principals after number `after`, oldest first.
    pub async fn principals_after(&self, after: i64, limit: i64) -> Result<Vec<PrincipalRow>, StoreError> {
        self.read((after, limit), |tx, (after, limit)| Box::pin(list(tx, *after, *limit))).await
    }

    /// Disables a principal at a time, and ends what it is logged in with; or enables it with `None`, and forgets its failed logins.
    pub async fn set_disabled(
        &self,
        id: &Digest,
        at: Option<i64>,
        told: Option<NewAudit>,
    ) -> Result<ChangeOutcome, StoreError> {
        self.write(id, (*id, at, told), |tx, (id, at, told)| Box::pin(disable(tx, id, *at, told.as_ref()))).await
    }

    /// Removes a principal with all that belongs to it, and the apps that nobody else may read: those that `last` names.
    pub async fn remove_principal(
        &self,
        id: &Digest,
        last: Vec<LastApp>,
        told: Option<NewAudit>,
    ) -> Result<ChangeOutcome, StoreError> {
        self.write(id, (*id, last, told), |tx, (id, last, told)| Box::pin(remove(tx, id, last, told.as_ref()))).await
    }

    /// Gives a user a new link, which replaces the one before. False when there is no such user.
    pub async fn put_link(&self, id: &Digest, link: NewLink, told: Option<NewAudit>) -> Result<bool, StoreError> {
        self.write(id, (*id, link, told), |tx, (id, link, told)| {
            Box::pin(async move {
                let put = put_link(tx, id, link).await?;
                audit::tell(tx, told.as_ref().filter(|_| put)).await?;
                Ok(put)
            })
        })
        .await
    }

    /// The link of that hash, whatever its time, with its principal.
    pub async fn link(&self, hash: &Digest) -> Result<Option<LinkRow>, StoreError> {
        self.read(*hash, |tx, hash| Box::pin(read_link(tx, hash))).await
    }

    /// Uses up a link: sets the password, ends logins, forgets failures. Exactly once for each link.
    pub async fn enrol(&self, enrolment: Enrolment) -> Result<EnrolOutcome, StoreError> {
        let lane = enrolment.principal;
        self.write(&lane, enrolment, |tx, enrolment| Box::pin(enrol(tx, enrolment))).await
    }

    /// The members of a team, each with the keyed hash that binds it to the team, in order of their making.
    pub async fn members(&self, team: &Digest) -> Result<Vec<(PrincipalRow, Digest)>, StoreError> {
        self.read(*team, |tx, team| Box::pin(members(tx, team))).await
    }

    /// Adds members to a team, each with the keyed hash that binds it, and removes others. Who is there already stays, and who
    /// is not there is gone.
    pub async fn change_members(
        &self,
        team: &Digest,
        added: Vec<(Digest, Digest)>,
        removed: Vec<Digest>,
        told: Option<NewAudit>,
    ) -> Result<MembersOutcome, StoreError> {
        self.write(team, (*team, added, removed, told), |tx, (team, added, removed, told)| {
            Box::pin(async move {
                let outcome = change_members(tx, team, added, removed).await?;
                audit::tell(tx, told.as_ref().filter(|_| outcome == MembersOutcome::Changed)).await?;
                Ok(outcome)
            })
        })
        .await
    }
}

async fn insert(tx: &mut dyn Tx, new: &NewPrincipal) -> Result<bool, StoreError> {
    let inserted = tx
        .execute(
            "INSERT INTO principals (id, name, kind, role, version, created_at, enrolled_at, verifier, sealed)
             VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING",
            &[
                (&new.id).into(),
                (&new.name).into(),
                new.kind.number().into(),
                new.role.number().into(),
                new.created_at.into(),
                new.verifier.as_ref().map(|_| new.created_at).into(),
                new.verifier.as_deref().into(),
                new.sealed.as_slice().into(),
            ],
        )
        .await?;
    if inserted == 0 {
        return Ok(false);
    }
    if let Some(link) = &new.link {
        put_link(tx, &new.id, link).await?;
    }
    audit::tell(tx, new.told.as_ref()).await?;
    Ok(true)
}

pub(super) async fn read(tx: &mut dyn Tx, name: &Digest) -> Result<Option<PrincipalRow>, StoreError> {
    let row = tx.first(select_principals!("", "WHERE principals.name = $1"), &[name.into()]).await?;
    row.map(|mut row| principal_row(&mut row)).transpose()
}

async fn list(tx: &mut dyn Tx, after: i64, limit: i64) -> Result<Vec<PrincipalRow>, StoreError> {
    let page = select_principals!("", "WHERE principals.number > $1 ORDER BY principals.number LIMIT $2");
    tx.query(page, &[after.into(), limit.into()]).await?.into_iter().map(|mut row| principal_row(&mut row)).collect()
}

async fn disable(
    tx: &mut dyn Tx,
    id: &Digest,
    at: Option<i64>,
    told: Option<&NewAudit>,
) -> Result<ChangeOutcome, StoreError> {
    rights::dismiss(tx, id).await?;
    if at.is_some() && is_last_operator(tx, id).await? {
        return Ok(ChangeOutcome::LastOperator);
    }
    let changed = tx
        .execute("UPDATE principals SET disabled_at = $1, version = version + 1 WHERE id = $2", &[at.into(), id.into()])
        .await?;
    if changed == 0 {
        return Ok(ChangeOutcome::Unknown);
    }
    if at.is_none() {
        let failures = "DELETE FROM login_failures WHERE name = (SELECT name FROM principals WHERE id = $1)";
        tx.defer(failures, &[id.into()]).await?;
    }
    tx.defer("DELETE FROM tickets WHERE principal = $1", &[id.into()]).await?;
    audit::tell(tx, told).await?;
    Ok(ChangeOutcome::Changed)
}

async fn remove(
    tx: &mut dyn Tx,
    id: &Digest,
    last: &[LastApp],
    told: Option<&NewAudit>,
) -> Result<ChangeOutcome, StoreError> {
    rights::dismiss(tx, id).await?;
    if is_last_operator(tx, id).await? {
        return Ok(ChangeOutcome::LastOperator);
    }
    if !apps::end_for_principal(tx, id, last).await? {
        return Ok(ChangeOutcome::Stale);
    }
    let removed = tx.execute("DELETE FROM principals WHERE id = $1", &[id.into()]).await?;
    audit::tell(tx, told.filter(|_| removed > 0)).await?;
    Ok(if removed > 0 { ChangeOutcome::Changed } else { ChangeOutcome::Unknown })
}

/// Whether nobody could make operators any more without that one.
async fn is_last_operator(tx: &mut dyn Tx, id: &Digest) -> Result<bool, StoreError> {
    let operators = tx
        .query(
            "SELECT id FROM principals WHERE role = $1 AND enrolled_at IS NOT NULL AND disabled_at IS NULL LIMIT 2",
            &[Role::Operator.number().into()],
        )
        .await?;
    Ok(operators.len() == 1 && operators[0].digest(0)? == *id)
}

async fn put_link(tx: &mut dyn Tx, id: &Digest, link: &NewLink) -> Result<bool, StoreError> {
    let user = "SELECT 1 FROM principals WHERE id = $1 AND kind = $2";
    if tx.first(user, &[id.into(), PrincipalKind::User.number().into()]).await?.is_none() {
        return Ok(false);
    }
    tx.defer(
        "INSERT INTO links (principal, hash, bound, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (principal) DO UPDATE SET hash = $2, bound = $3, expires_at = $4",
        &[id.into(), (&link.hash).into(), (&link.bound).into(), link.expires_at.into()],
    )
    .await?;
    Ok(true)
}

async fn read_link(tx: &mut dyn Tx, hash: &Digest) -> Result<Option<LinkRow>, StoreError> {
    let link = select_principals!(
        ", links.bound, links.expires_at",
        "JOIN links ON links.principal = principals.id WHERE links.hash = $1"
    );
    let row = tx.first(link, &[hash.into()]).await?;
    row.map(|mut row| {
        let (bound, expires_at) = (row.digest(16)?, row.int(17)?);
        Ok(LinkRow { bound, expires_at, principal: principal_row(&mut row)? })
    })
    .transpose()
}

async fn enrol(tx: &mut dyn Tx, enrolment: &Enrolment) -> Result<EnrolOutcome, StoreError> {
    let Enrolment { link, principal, version, verifier, step, recovery, now, told } = enrolment;
    let open = "SELECT 1 FROM links WHERE hash = $1 AND principal = $2 AND expires_at > $3";
    if tx.first(open, &[link.into(), principal.into(), (*now).into()]).await?.is_none() {
        return Ok(EnrolOutcome::LinkGone);
    }
    rights::dismiss(tx, principal).await?;
    let known = "SELECT role, name FROM principals WHERE id = $1 AND version = $2 AND disabled_at IS NULL";
    let Some(known) = tx.first(known, &[principal.into(), (*version).into()]).await? else {
        return Ok(EnrolOutcome::Changed);
    };
    if let Some(step) = step
        && !factors::accept_step(tx, principal, *step).await?
    {
        return Ok(EnrolOutcome::CodeUsed);
    }
    tx.execute("DELETE FROM links WHERE principal = $1", &[principal.into()]).await?;
    tx.execute(
        "UPDATE principals SET verifier = $1, enrolled_at = $2, version = version + 1 WHERE id = $3",
        &[verifier.as_slice().into(), (*now).into(), principal.into()],
    )
    .await?;
    if !recovery.is_empty() {
        factors::replace_recovery(tx, principal, recovery).await?;
    }
    tx.execute("DELETE FROM tickets WHERE principal = $1", &[principal.into()]).await?;
    tx.execute("DELETE FROM login_failures WHERE name = $1", &[(&known.digest(1)?).into()]).await?;
    if known.int(0)? == i64::from(Role::Operator.number()) {
        settings::put_if_absent(tx, OPERATOR_ENROLLED, &now.to_be_bytes()).await?;
    }
    audit::tell(tx, told.as_ref()).await?;
    Ok(EnrolOutcome::Enrolled)
}

async fn members(tx: &mut dyn Tx, team: &Digest) -> Result<Vec<(PrincipalRow, Digest)>, StoreError> {
    let members = select_principals!(
        ", members.bound",
        "JOIN members ON members.member = principals.id WHERE members.team = $1 ORDER BY principals.number"
    );
    let rows = tx.query(members, &[team.into()]).await?;
    rows.into_iter().map(|mut row| Ok((principal_row(&mut row)?, row.digest(16)?))).collect()
}

async fn change_members(
    tx: &mut dyn Tx,
    team: &Digest,
    added: &[(Digest, Digest)],
    removed: &[Digest],
) -> Result<MembersOutcome, StoreError> {
    let is_team = "SELECT 1 FROM principals WHERE id = $1 AND kind = $2";
    if tx.first(is_team, &[team.into(), PrincipalKind::Team.number().into()]).await?.is_none() {
        return Ok(MembersOutcome::Unknown);
    }
    let rows = tx.query("SELECT member FROM members WHERE team = $1", &[team.into()]).await?;
    let mut after = rows.iter().map(|row| row.digest(0)).collect::<Result<HashSet<Digest>, _>>()?;
    after.extend(added.iter().map(|(member, _)| *member));
    after.retain(|member| !removed.contains(member));
    if after.len() > MAX_MEMBERS {
        return Ok(MembersOutcome::Full);
    }
    for (member, _) in added {
        if tx.first("SELECT 1 FROM principals WHERE id = $1", &[member.into()]).await?.is_none() {
            return Ok(MembersOutcome::Unknown);
        }
    }
    rights::dismiss(tx, team).await?;
    for (member, bound) in added {
        let values: [Value; 3] = [team.into(), member.into(), bound.into()];
        let add = "INSERT INTO members (team, member, bound) VALUES ($1, $2, $3)
                   ON CONFLICT (team, member) DO UPDATE SET bound = $3";
        tx.defer(add, &values).await?;
    }
    for member in removed {
        tx.defer("DELETE FROM members WHERE team = $1 AND member = $2", &[team.into(), member.into()]).await?;
    }
    Ok(MembersOutcome::Changed)
}

/// The first sixteen columns of [`select_principals!`].
pub(super) fn principal_row(row: &mut Row) -> Result<PrincipalRow, StoreError> {
    let (kind, role) = (PrincipalKind::numbered(row.int(3)?), Role::numbered(row.int(4)?));
    Ok(PrincipalRow {
        number: row.int(0)?,
        id: row.digest(1)?,
        name: row.digest(2)?,
        kind: kind.ok_or(StoreError::Row { column: 3, expected: "a kind of principal" })?,
        role: role.ok_or(StoreError::Row { column: 4, expected: "a role" })?,
        version: row.int(5)?,
        created_at: row.int(6)?,
        enrolled_at: row.optional_int(7)?,
        disabled_at: row.optional_int(8)?,
        verifier: row.take_optional_blob(9)?,
        sealed: row.take_blob(10)?,
        factor: factors::factor_row(row, 11)?,
    })
}
