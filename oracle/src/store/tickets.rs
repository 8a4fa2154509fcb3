//! Logins: what decides whether one succeeds, the tickets that come of it, and the failures that lock a name.
//!
//! Knows no password and no ticket: tickets come as keyed hashes, and whether a password was right is the caller's to say.

use super::{
    Store,
    audit::{self, NewAudit},
    engine::Tx,
    error::StoreError,
    factors::{self, ProviderRow},
    lockout::{FailOutcome, Lockout},
    principals::{self, PrincipalRow, principal_row, select_principals},
    rights,
    rows::Digest,
};

/// Tickets of a principal at once; the oldest gives way.
pub const MAX_TICKETS: i64 = 64;

const LOCKOUT: Lockout = Lockout {
    read: "SELECT failures, failed_at, locked_until FROM login_failures WHERE name = $1",
    write: "UPDATE login_failures SET failures = $1, failed_at = $2, locked_until = $3 WHERE name = $4",
};

/// Who wants to log in, as far as the store knows, all of one moment.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Until when no password is looked at, for this name.
    pub locked_until: i64,
    /// The principal of that name.
    pub principal: Option<PrincipalRow>,
    /// The provider that it has been assigned.
    pub provider: Option<ProviderRow>,
}

/// What a login rests on besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondProof {
    /// Nothing: the principal has no factor.
    None,
    /// A recovery code, by its keyed hash.
    Recovery(Digest),
    /// A code of that time step.
    Step(i64),
    /// What somebody else has let count once: a security key, a service.
    Elsewhere,
}

/// A login whose proofs are right.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// Who.
    pub principal: Digest,
    /// Keyed hash of the full name.
    pub name: Digest,
    /// The principal's version as it was read.
    pub version: i64,
    /// The factor that it had then.
    pub factor: Option<Digest>,
    /// The second proof.
    pub proof: SecondProof,
    /// The ticket to be given out.
    pub ticket: NewTicket,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// A ticket to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewTicket {
    /// Keyed hash of it.
    pub hash: Digest,
    /// Keyed hash of it and its principal.
    pub bound: Digest,
    /// When its principal logged in.
    pub created_at: i64,
    /// When it ends at the latest.
    pub expires_at: i64,
}

/// What became of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogInOutcome {
    /// The ticket is good.
    LoggedIn,
    /// The principal was changed, disabled or removed meanwhile; nothing was written.
    Changed,
    /// The name was locked meanwhile, until then; nothing was written.
    Locked(i64),
    /// The second proof has counted before; nothing was written.
    Used,
}

/// A ticket as stored, with its principal.
#[derive(Clone, Debug)]
pub struct TicketRow {
    /// Keyed hash of it and its principal.
    pub bound: Digest,
    /// When it was made.
    pub created_at: i64,
    /// When it was last used, more or less.
    pub used_at: i64,
    /// When it ends at the latest.
    pub expires_at: i64,
    /// Whose it is.
    pub principal: PrincipalRow,
}

impl Store {
    /// What is known of a hashed name.
    pub async fn candidate(&self, name: &Digest) -> Result<Candidate, StoreError> {
        self.read(*name, |tx, name| Box::pin(candidate(tx, name))).await
    }

    /// Counts a failed login of a name, whether there is such a principal or not. Number n locks the name for
    /// `delays[n - 1]` milliseconds, further ones as the last.
    pub async fn fail_login(
        &self,
        name: &Digest,
        delays: &'static [i64],
        now: i64,
        told: Option<NewAudit>,
    ) -> Result<FailOutcome, StoreError> {
        self.write(name, (*name, delays, now, told), |tx, (name, delays, now, told)| {
            Box::pin(async move {
                let first = "INSERT INTO login_failures (name, failures, failed_at, locked_until)
                             VALUES ($1, 0, $2, 0) ON CONFLICT (name) DO NOTHING";
                tx.execute(first, &[name.into(), (*now).into()]).await?;
                audit::tell(tx, told.as_ref()).await?;
                LOCKOUT.fail(tx, name.into(), delays, *now).await
            })
        })
        .await
    }

    /// Decides a login and gives out its ticket, in one write.
    pub async fn log_in(&self, login: LogIn) -> Result<LogInOutcome, StoreError> {
        let lane = login.name;
        self.write(&lane, login, |tx, login| Box::pin(log_in(tx, login))).await
    }

    /// The ticket of that hash, whatever its time, with its principal.
    pub async fn ticket(&self, hash: &Digest) -> Result<Option<TicketRow>, StoreError> {
        self.read(*hash, |tx, hash| Box::pin(read(tx, hash))).await
    }

    /// Notes that a ticket was used.
    pub async fn touch_ticket(&self, hash: &Digest, now: i64) -> Result<(), StoreError> {
        self.write(hash, (*hash, now), |tx, (hash, now)| {
            Box::pin(async move {
                let touch = "UPDATE tickets SET used_at = $1 WHERE hash = $2 AND used_at < $1";
                tx.execute(touch, &[(*now).into(), hash.into()]).await.map(drop)
            })
        })
        .await
    }

    /// Ends a ticket. False when it was over.
    pub async fn end_ticket(&self, hash: &Digest, told: Option<NewAudit>) -> Result<bool, StoreError> {
        self.write(hash, (*hash, told), |tx, (hash, told)| {
            Box::pin(async move {
                let whose = "SELECT principal FROM tickets WHERE hash = $1";
                if let Some(row) = tx.first(whose, &[hash.into()]).await? {
                    rights::end_logins(tx, &row.digest(0)?).await?;
                }
                let ended = tx.execute("DELETE FROM tickets WHERE hash = $1", &[hash.into()]).await? > 0;
                audit::tell(tx, told.as_ref().filter(|_| ended)).await?;
                Ok(ended)
            })
        })
        .await
    }

    /// Ends every ticket of a principal. Gives how many there were.
    pub async fn end_tickets(&self, principal: &Digest, told: Option<NewAudit>) -> Result<u64, StoreError> {
        self.write(principal, (*principal, told), |tx, (principal, told)| {
            Box::pin(async move {
                rights::end_logins(tx, principal).await?;
                audit::tell(tx, told.as_ref()).await?;
                tx.execute("DELETE FROM tickets WHERE principal = $1", &[principal.into()]).await
            })
        })
        .await
    }

    /// Forgets up to `batch` tickets and as many links that were over at `now`, and as many names that did not fail since
    /// `quiet`. Gives how many in all.
    pub async fn forget_logins(&self, now: i64, quiet: i64, batch: i64) -> Result<u64, StoreError> {
        self.write(b"logins", (now, quiet, batch), |tx, (now, quiet, batch)| {
            Box::pin(async move {
                let tickets = "DELETE FROM tickets WHERE hash IN (
                                   SELECT hash FROM tickets WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
                let links = "DELETE FROM links WHERE hash IN (
                                 SELECT hash FROM links WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
                let failures = "DELETE FROM login_failures WHERE name IN (
                                    SELECT name FROM login_failures WHERE failed_at <= $1 ORDER BY failed_at LIMIT $2)
                                AND locked_until <= $3";
                let mut forgotten = tx.execute(tickets, &[(*now).into(), (*batch).into()]).await?;
                forgotten += tx.execute(links, &[(*now).into(), (*batch).into()]).await?;
                forgotten += tx.execute(failures, &[(*quiet).into(), (*batch).into(), (*now).into()]).await?;
                Ok(forgotten)
            })
        })
        .await
    }
}

async fn candidate(tx: &mut dyn Tx, name: &Digest) -> Result<Candidate, StoreError> {
    let locked_until = LOCKOUT.locked_until(tx, name.into()).await?.unwrap_or(0);
    let principal = principals::read(tx, name).await?;
    let provider = match principal.as_ref().and_then(|principal| principal.factor.as_ref()) {
        Some(factor) => factors::read_provider(tx, &factor.provider).await?,
        None => None,
    };
    Ok(Candidate { locked_until, principal, provider })
}

async fn log_in(tx: &mut dyn Tx, login: &LogIn) -> Result<LogInOutcome, StoreError> {
    let LogIn { principal, name, version, factor, proof, ticket, told } = login;
    let now = ticket.created_at;
    if let Some(until) = LOCKOUT.locked_until(tx, name.into()).await?.filter(|until| *until > now) {
        return Ok(LogInOutcome::Locked(until));
    }
    let unchanged = principals::read(tx, name).await?.filter(|row| {
        let same = row.id == *principal && row.version == *version && row.disabled_at.is_none();
        same && row.factor.as_ref().map(|row| row.id) == *factor
    });
    if unchanged.is_none() {
        return Ok(LogInOutcome::Changed);
    }
    let counts = match (proof, factor) {
        (SecondProof::None, None) | (SecondProof::Elsewhere, Some(_)) => true,
        (SecondProof::Recovery(code), Some(factor)) => factors::use_recovery(tx, factor, code).await?,
        (SecondProof::Step(step), Some(_)) => factors::accept_step(tx, principal, *step).await?,
        (SecondProof::None, Some(_)) | (_, None) => return Ok(LogInOutcome::Changed),
    };
    if !counts {
        return Ok(LogInOutcome::Used);
    }
    tx.execute("DELETE FROM login_failures WHERE name = $1", &[name.into()]).await?;
    let oldest = "DELETE FROM tickets WHERE principal = $1 AND hash NOT IN (
                      SELECT hash FROM tickets WHERE principal = $1 ORDER BY created_at DESC, hash LIMIT $2)";
    tx.execute(oldest, &[principal.into(), (MAX_TICKETS - 1).into()]).await?;
    insert(tx, principal, ticket, now).await?;
    audit::tell(tx, told.as_ref()).await?;
    Ok(LogInOutcome::LoggedIn)
}

/// Makes a principal's ticket good, which is used for the first time `now`.
pub(super) async fn insert(
    tx: &mut dyn Tx,
    principal: &Digest,
    ticket: &NewTicket,
    now: i64,
) -> Result<(), StoreError> {
    let NewTicket { hash, bound, created_at, expires_at } = ticket;
    tx.execute(
        "INSERT INTO tickets (hash, principal, bound, created_at, used_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        &[hash.into(), principal.into(), bound.into(), (*created_at).into(), now.into(), (*expires_at).into()],
    )
    .await
    .map(drop)
}

async fn read(tx: &mut dyn Tx, hash: &Digest) -> Result<Option<TicketRow>, StoreError> {
    let ticket = select_principals!(
        ", tickets.bound, tickets.created_at, tickets.used_at, tickets.expires_at",
        "JOIN tickets ON tickets.principal = principals.id WHERE tickets.hash = $1"
    );
    let row = tx.first(ticket, &[hash.into()]).await?;
    row.map(|mut row| {
        let (bound, created_at, used_at, expires_at) = (row.digest(16)?, row.int(17)?, row.int(18)?, row.int(19)?);
        Ok(TicketRow { bound, created_at, used_at, expires_at, principal: principal_row(&mut row)? })
    })
    .transpose()
}
