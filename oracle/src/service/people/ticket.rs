//! Tickets: what a login returns, and who shows one. A ticket is 256 random bits, kept as a keyed hash; it ends when it is not
//! used for a while, when its time is up, at logout, and with whatever changes what its login rested on.

use super::People;
use super::error::PeopleError;
use super::hashes::{Purpose, Stored, Token};
use super::name::PrincipalName;
use super::rights::{Act, may};
use crate::service::audit::{Entry, Kind, Who};
use crate::service::webauthn::ToldKey;
use crate::store::{Digest, LogIn, LogInOutcome, Login, NewTicket, PrincipalRow, Role, SecondProof};
use quorate_protocol::encoding::base64url;
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;

/// The longest time in milliseconds for which the use of a ticket need not be noted.
const NOTED: i64 = 60_000;
/// Milliseconds after a login in which it is good for changing what logins rest on.
const FRESH: i64 = 5 * 60_000;

/// A principal that has proved who it is.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub name: PrincipalName,
    /// What it may do.
    pub role: Role,
    /// When the ticket ends at the latest, Unix milliseconds.
    pub expires_at: i64,
    /// From where the request came.
    pub source: IpAddr,
    login: Login,
    logged_in_at: i64,
}

/// With what a login was proved beside the password, as the audit log is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct How<'a> {
    factor: &'static str,
    key: Option<&'a ToldKey>,
}

impl From<&'static str> for How<'_> {
    fn from(factor: &'static str) -> Self {
        Self { factor, key: None }
    }
}

impl<'a> From<&'a ToldKey> for How<'a> {
    fn from(key: &'a ToldKey) -> Self {
        Self { factor: "security key", key: Some(key) }
    }
}

/// A login that has just succeeded.
#[derive(Debug)]
pub struct LoggedIn {
    /// The bearer value.
    pub ticket: Token,
    /// Who.
    pub name: PrincipalName,
    /// What it may do.
    pub role: Role,
    /// When the ticket ends at the latest, Unix milliseconds.
    pub expires_at: i64,
}

impl Caller {
    /// What names the principal for good, whoever has its name later.
    pub(crate) fn id(&self) -> Digest {
        self.login.principal
    }

    /// The login that it shows, for the store to look at again where something is written.
    pub(in crate::service) fn login(&self) -> Login {
        self.login
    }

    /// Refuses what the role may not do.
    pub fn may(&self, act: Act) -> Result<(), PeopleError> {
        if may(self.role, act) { Ok(()) } else { Err(PeopleError::Forbidden) }
    }
}

impl People {
    /// Who shows that ticket, from where.
    pub async fn authenticate(&self, ticket: Option<Token>, source: IpAddr) -> Result<Caller, PeopleError> {
        let ticket = ticket.ok_or(PeopleError::Ticket)?;
        let (hashes, now) = (&self.inner.hashes, self.now());
        let hash = hashes.token(Purpose::Ticket, &ticket);
        let row = self.inner.store.ticket(&hash).await?.ok_or(PeopleError::Ticket)?;
        let idle_until = row.used_at.saturating_add(self.inner.limits.ticket_idle);
        let own = hashes.is_bound(Purpose::Ticket, &ticket, &row.principal.id, row.expires_at, &row.bound);
        if !own || row.expires_at.min(idle_until) <= now || row.principal.disabled_at.is_some() {
            return Err(PeopleError::Ticket);
        }
        let name = self.inner.sealer.open_name(&row.principal)?;
        if now.saturating_sub(row.used_at) >= NOTED.min(self.inner.limits.ticket_idle / 8) {
            self.inner.store.touch_ticket(&hash, now).await?;
        }
        let PrincipalRow { id, role, version, .. } = row.principal;
        // The end is bound to the ticket, and the beginning is a column like any other: the older of the two counts.
        let logged_in_at = row.created_at.min(row.expires_at.saturating_sub(self.inner.limits.ticket));
        let login = Login { principal: id, version, ticket: hash };
        Ok(Caller { name, role, expires_at: row.expires_at, source, login, logged_in_at })
    }

    /// Whether a caller has logged in just now, with every factor that it has: a ticket that was stolen a while ago must become neither
    /// a key of its owner's nor a way in for an operator.
    pub fn is_fresh(&self, caller: &Caller) -> bool {
        self.now().saturating_sub(caller.logged_in_at) < FRESH
    }

    /// Refuses a caller who has not.
    pub(super) fn check_fresh(&self, caller: &Caller) -> Result<(), PeopleError> {
        if self.is_fresh(caller) { Ok(()) } else { Err(PeopleError::Stale) }
    }

    /// Refuses a caller who has not where what is done makes a way in for a principal of that role: what operators let members and
    /// auditors do they do for hours, from programs.
    pub(super) fn check_way_in(&self, role: Role, caller: &Caller) -> Result<(), PeopleError> {
        if role == Role::Operator { self.check_fresh(caller) } else { Ok(()) }
    }

    /// A ticket in place of the caller's: of the same login, so that it is as old and ends when that would have.
    pub(super) fn successor(&self, caller: &Caller) -> (Token, NewTicket) {
        let ticket = Token::generate(&mut self.rng());
        let Stored { hash, bound } =
            self.inner.hashes.stored(Purpose::Ticket, &ticket, &caller.id(), caller.expires_at);
        (ticket, NewTicket { hash, bound, created_at: caller.logged_in_at, expires_at: caller.expires_at })
    }

    /// What every form carries that is made for this caller's ticket, and that no other page can know.
    pub fn form_token(&self, caller: &Caller) -> String {
        base64url(&self.inner.hashes.form(&caller.login.ticket))
    }

    /// Whether a form carries it, in constant time.
    pub fn made_form(&self, caller: &Caller, token: &str) -> bool {
        self.form_token(caller).as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// Ends the caller's ticket, or all that they have.
    pub async fn log_out(&self, caller: &Caller, everywhere: bool) -> Result<(), PeopleError> {
        let which = if everywhere { "every ticket" } else { "one ticket" };
        let told = Some(self.told(Kind::LoginEnded, caller, &caller.name, &[("ended", which)]));
        if everywhere {
            self.inner.store.end_tickets(&caller.id(), told).await?;
        } else {
            // One that is over is as it should be.
            self.inner.store.end_ticket(&caller.login.ticket, told).await?;
        }
        Ok(())
    }

    /// Decides a login whose password and second factor are right, and gives out its ticket. `how` tells the audit log which factor.
    pub(super) async fn give_ticket(
        &self,
        name: &PrincipalName,
        row: &PrincipalRow,
        proof: SecondProof,
        how: How<'_>,
        source: IpAddr,
    ) -> Result<LoggedIn, PeopleError> {
        let ticket = Token::generate(&mut self.rng());
        let created_at = self.now();
        let expires_at = created_at.saturating_add(self.inner.limits.ticket);
        let Stored { hash, bound } = self.inner.hashes.stored(Purpose::Ticket, &ticket, &row.id, expires_at);
        let told = Entry::new(Kind::LoginDone, Who::Principal(name.to_string())).from(source).to(name.to_string());
        let told = told.with("second_factor", how.factor);
        let told = match how.key {
            Some(key) => key.tell(told),
            None => told,
        };
        let login = LogIn {
            principal: row.id,
            name: row.name,
            version: row.version,
            factor: row.factor.as_ref().map(|factor| factor.id),
            proof,
            ticket: NewTicket { hash, bound, created_at, expires_at },
            told: Some(self.inner.audit.seal(told)),
        };
        match self.inner.store.log_in(login).await? {
            LogInOutcome::LoggedIn => Ok(LoggedIn { ticket, name: name.clone(), role: row.role, expires_at }),
            LogInOutcome::Changed | LogInOutcome::Used => Err(PeopleError::Refused),
            LogInOutcome::Locked(until) => Err(PeopleError::Locked { milliseconds: until - created_at }),
        }
    }
}
