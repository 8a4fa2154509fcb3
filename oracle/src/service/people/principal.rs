//! Principals as operators handle them: made, listed, disabled, removed, invited by links, gathered in teams.

use super::error::PeopleError;
use super::hashes::{Purpose, Stored, Token};
use super::name::PrincipalName;
use super::provider::ProviderKind;
use super::record::Verifier;
use super::ticket::Caller;
use super::{People, entry, random_id};
use crate::service::apps::AppsLeft;
use crate::service::audit::{Entry, Kind, Who};
use crate::store::{
    AppReader, ChangeOutcome, Digest, MembersOutcome, NewAudit, NewLink, NewPrincipal, OPERATOR_ENROLLED,
    PrincipalKind, PrincipalRow, Role,
};
use quorate_protocol::encoding::{Base64, base64url};
use std::collections::HashMap;
use zeroize::Zeroizing;

/// Principals in a page of a list that is read from the store.
const PAGE: i64 = 500;
/// How often a removal looks again at the apps that go with it when they were changed meanwhile.
const TRIES: usize = 32;

/// A principal as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: PrincipalName,
    /// What it may do; teams do nothing.
    pub role: Role,
    /// When it was made, Unix milliseconds.
    pub created_at: i64,
    /// When its password or secret was set, Unix milliseconds.
    pub enrolled_at: Option<i64>,
    /// When it was disabled, Unix milliseconds.
    pub disabled_at: Option<i64>,
    /// Name and type of the provider that it has been assigned.
    pub provider: Option<(String, ProviderKind)>,
}

/// A link that was just made.
pub struct Link {
    /// The whole address.
    pub url: Zeroizing<String>,
    /// Until when it serves, Unix milliseconds.
    pub expires_at: i64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What a new principal starts with, shown this once.
#[derive(Debug)]
pub enum NewcomerOutcome {
    /// A user enrols with a link.
    Link(Link),
    /// An application logs in with a secret.
    Secret(Token),
    /// A team does neither.
    Team,
}

impl People {
    /// Makes a principal.
    pub async fn make_principal(
        &self,
        name: &PrincipalName,
        role: Role,
        by: &Caller,
    ) -> Result<NewcomerOutcome, PeopleError> {
        self.check_way_in(role, by)?;
        let told = Some(self.told(Kind::PrincipalCreated, by, name, &[("role", role.word())]));
        self.make(name, role, told).await
    }

    async fn make(
        &self,
        name: &PrincipalName,
        role: Role,
        told: Option<NewAudit>,
    ) -> Result<NewcomerOutcome, PeopleError> {
        let (id, mut rng) = (random_id(&mut self.rng()), self.rng());
        let (mut verifier, mut link) = (None, None);
        let outcome = match name.kind() {
            PrincipalKind::Team if role != Role::Member => return Err(PeopleError::Team),
            PrincipalKind::Team => NewcomerOutcome::Team,
            PrincipalKind::Application => {
                let secret = Token::generate(&mut rng);
                let text = secret.clone().into_text();
                let hash = Verifier::Secret(Base64(self.inner.hashes.secret(&id, &text).to_vec()));
                verifier = Some(self.inner.sealer.seal_verifier(&id, None, &hash, &mut rng));
                NewcomerOutcome::Secret(secret)
            }
            PrincipalKind::User => {
                let (new, shown) = self.new_link(&id);
                link = Some(new);
                NewcomerOutcome::Link(shown)
            }
        };
        let sealed = self.inner.sealer.seal_name(&id, name, role, &mut rng);
        let new = NewPrincipal {
            id,
            name: self.inner.hashes.principal(name),
            kind: name.kind(),
            role,
            created_at: self.now(),
            verifier,
            link,
            sealed,
            told,
        };
        if self.inner.store.insert_principal(new).await? { Ok(outcome) } else { Err(PeopleError::Taken) }
    }

    /// A link for the first operator, of that name. `None` once an operator has enrolled: from then on operators let others in.
    pub async fn first_operator(&self, name: &PrincipalName) -> Result<Option<Link>, PeopleError> {
        if self.inner.store.setting(OPERATOR_ENROLLED).await?.is_some() {
            return Ok(None);
        }
        let at_this_machine = |kind| {
            let entry = Entry::new(kind, Who::Operator).to(name.to_string()).with("role", Role::Operator.word());
            Some(self.inner.audit.seal(entry))
        };
        // One who was named before, and has not enrolled, was another name for the same person.
        for other in self.principals().await? {
            if other.role == Role::Operator && other.enrolled_at.is_none() && other.name != *name {
                let told = Entry::new(Kind::PrincipalRemoved, Who::Operator).to(other.name.to_string());
                self.end(&self.row(&other.name).await?, &told).await?;
            }
        }
        match self.make(name, Role::Operator, at_this_machine(Kind::PrincipalCreated)).await {
            Ok(NewcomerOutcome::Link(link)) => Ok(Some(link)),
            Ok(_) => Err(PeopleError::NotAUser),
            // Made by an earlier start; its link may be lost.
            Err(PeopleError::Taken) => self.put_link(name, at_this_machine(Kind::PrincipalInvited)).await.map(Some),
            Err(error) => Err(error),
        }
    }

    /// A link for a user, made at the oracle's own machine; who was disabled is enabled. If that is wanted there is no second
    /// factor any more, nor the password that it stood beside: nobody gets in by that alone.
    pub async fn recover(&self, name: &PrincipalName, remove_factor: bool) -> Result<Link, PeopleError> {
        if name.kind() != PrincipalKind::User {
            return Err(PeopleError::NotAUser);
        }
        if remove_factor {
            self.take_factor(name, false, here(Kind::FactorRemoved, name)).await?;
        }
        let row = self.row(name).await?;
        if row.disabled_at.is_some() {
            let told = Some(self.inner.audit.seal(here(Kind::PrincipalEnabled, name)));
            done(self.inner.store.set_disabled(&row.id, None, told).await?)?;
        }
        self.put_link(name, Some(self.inner.audit.seal(here(Kind::PrincipalInvited, name)))).await
    }

    /// Gives a user a new link in place of the one before.
    pub async fn renew_link(&self, name: &PrincipalName, by: &Caller) -> Result<Link, PeopleError> {
        self.check_way_in(self.row(name).await?.role, by)?;
        let told = Some(self.told(Kind::PrincipalInvited, by, name, &[]));
        self.put_link(name, told).await
    }

    async fn put_link(&self, name: &PrincipalName, told: Option<NewAudit>) -> Result<Link, PeopleError> {
        if name.kind() != PrincipalKind::User {
            return Err(PeopleError::NotAUser);
        }
        let row = self.row(name).await?;
        let (new, shown) = self.new_link(&row.id);
        if self.inner.store.put_link(&row.id, new, told).await? { Ok(shown) } else { Err(PeopleError::Unknown) }
    }

    /// Every principal, oldest first.
    pub async fn principals(&self) -> Result<Vec<Shown>, PeopleError> {
        let providers = self.provider_names().await?;
        let (mut shown, mut after) = (Vec::new(), 0);
        loop {
            let page = self.inner.store.principals_after(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(shown) };
            after = last.number;
            for row in &page {
                shown.push(self.shown(row, &providers)?);
            }
        }
    }

    /// One principal.
    pub async fn principal(&self, name: &PrincipalName) -> Result<Shown, PeopleError> {
        let row = self.row(name).await?;
        self.shown(&row, &self.provider_names().await?)
    }

    /// What becomes of apps when a principal is removed.
    pub async fn apps_left_by(&self, name: &PrincipalName) -> Result<AppsLeft, PeopleError> {
        let row = self.row(name).await?;
        self.inner.custody.left_by(row.id).await
    }

    /// Disables a principal and ends what it is logged in with, or enables it again.
    pub async fn set_disabled(&self, name: &PrincipalName, disabled: bool, by: &Caller) -> Result<(), PeopleError> {
        let row = self.row(name).await?;
        if !disabled {
            self.check_way_in(row.role, by)?;
        }
        let kind = if disabled { Kind::PrincipalDisabled } else { Kind::PrincipalEnabled };
        let (at, told) = (disabled.then(|| self.now()), Some(self.told(kind, by, name, &[])));
        done(self.inner.store.set_disabled(&row.id, at, told).await?)
    }

    /// Removes a principal with all that is its own.
    pub async fn remove_principal(&self, name: &PrincipalName, by: &Caller) -> Result<(), PeopleError> {
        let row = self.row(name).await?;
        let told = entry(Kind::PrincipalRemoved, by, name);
        self.end(&row, &told).await?;
        self.forget_security_keys(&row, &told).await;
        Ok(())
    }

    /// Removes a principal, and with it the apps that nobody else may read. Those are told of by what they are called, which takes a
    /// while: the principal is disabled before, so that nothing it does meanwhile, such as adding apps, holds its removal up.
    async fn end(&self, row: &PrincipalRow, told: &Entry) -> Result<(), PeopleError> {
        let (store, seal) = (&self.inner.store, |told: &Entry| Some(self.inner.audit.seal(told.clone())));
        match store.remove_principal(&row.id, Vec::new(), seal(told)).await? {
            ChangeOutcome::Stale => {}
            outcome => return done(outcome),
        }
        if row.disabled_at.is_none() {
            let disabled = told.beside(Kind::PrincipalDisabled, told.subject());
            done(store.set_disabled(&row.id, Some(self.now()), seal(&disabled)).await?)?;
        }
        for _ in 0..TRIES {
            let last = self.inner.custody.last_apps::<PeopleError>(AppReader::Principal(row.id), told).await?;
            match store.remove_principal(&row.id, last, seal(told)).await? {
                ChangeOutcome::Stale => {}
                outcome => return done(outcome),
            }
        }
        Err(PeopleError::Changed)
    }

    /// The members of a team.
    pub async fn members(&self, team: &PrincipalName) -> Result<Vec<PrincipalName>, PeopleError> {
        let team = self.team(team).await?;
        let members = self.inner.store.members(&team.id).await?;
        members.iter().map(|(row, bound)| self.member(&team.id, row, bound)).collect()
    }

    /// Adds members to a team and removes others.
    pub async fn change_members(
        &self,
        team: &PrincipalName,
        added: &[PrincipalName],
        removed: &[PrincipalName],
        by: &Caller,
    ) -> Result<Vec<PrincipalName>, PeopleError> {
        let row = self.team(team).await?;
        if added.iter().any(|name| name.kind() == PrincipalKind::Team) {
            return Err(PeopleError::Member);
        }
        let (mut new, mut old) = (Vec::with_capacity(added.len()), Vec::with_capacity(removed.len()));
        for name in added {
            let member = self.row(name).await?;
            new.push((member.id, self.inner.hashes.member(&row.id, &member.id)));
        }
        for name in removed {
            old.push(self.row(name).await?.id);
        }
        let names = |names: &[PrincipalName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().into();
        let more = [("added", names(added)), ("removed", names(removed))];
        let told = Some(self.told_more(Kind::TeamChanged, by, team, more));
        match self.inner.store.change_members(&row.id, new, old, told).await? {
            MembersOutcome::Changed => self.members(team).await,
            MembersOutcome::Full => Err(PeopleError::TooMany),
            MembersOutcome::Unknown => Err(PeopleError::Changed),
        }
    }

    pub(super) async fn row(&self, name: &PrincipalName) -> Result<PrincipalRow, PeopleError> {
        let row = self.inner.store.principal(&self.inner.hashes.principal(name)).await?;
        let row = row.ok_or(PeopleError::Unknown)?;
        // A row that was given another's name opens under its own.
        if self.inner.sealer.open_name(&row)? == *name { Ok(row) } else { Err(PeopleError::Damaged) }
    }

    /// How the security keys' part of the store knows a principal, as long as a provider is assigned: what was registered for an
    /// earlier assignment is nobody's, even if it could not be removed.
    pub(super) fn uuid(factor: &Digest) -> String {
        base64url(factor)
    }

    /// Removes what security keys the principal has, with the act that was told of. That is done, and what it gives is shown this once:
    /// keys that could not be removed are of a provider that it has not any more, and open nothing.
    pub(super) async fn forget_security_keys(&self, row: &PrincipalRow, told: &Entry) {
        if let Err(error) = self.forget_keys(row, told).await {
            tracing::warn!(%error, "security keys that open nothing any more could not be removed");
        }
    }

    async fn forget_keys(&self, row: &PrincipalRow, told: &Entry) -> Result<(), PeopleError> {
        let Some(factor) = &row.factor else { return Ok(()) };
        let (uuid, removed) = (Self::uuid(&factor.id), told.beside(Kind::PrincipalKeyRemoved, told.subject()));
        Ok(self.inner.webauthn.forget_keys(self.own().await?, &uuid, &removed).await?)
    }

    async fn team(&self, name: &PrincipalName) -> Result<PrincipalRow, PeopleError> {
        if name.kind() == PrincipalKind::Team { self.row(name).await } else { Err(PeopleError::NotATeam) }
    }

    fn member(&self, team: &Digest, row: &PrincipalRow, bound: &Digest) -> Result<PrincipalName, PeopleError> {
        let own = self.inner.hashes.member(team, &row.id) == *bound;
        if own { self.inner.sealer.open_name(row) } else { Err(PeopleError::Damaged) }
    }

    fn new_link(&self, principal: &Digest) -> (NewLink, Link) {
        let token = Token::generate(&mut self.rng());
        let expires_at = self.now().saturating_add(self.inner.limits.link);
        let Stored { hash, bound } = self.inner.hashes.stored(Purpose::Link, &token, principal, expires_at);
        let text = token.into_text();
        let mut url = Zeroizing::new(String::with_capacity(self.inner.url.len() + 8 + text.len()));
        url.push_str(&self.inner.url);
        url.push_str("/enroll/");
        url.push_str(&text);
        (NewLink { hash, bound, expires_at }, Link { url, expires_at })
    }

    async fn provider_names(&self) -> Result<HashMap<Digest, (String, ProviderKind)>, PeopleError> {
        let rows = self.inner.store.providers().await?;
        let named = rows.iter().map(|row| {
            let provider = self.open_provider(row)?;
            Ok((row.id, (provider.name.as_str().to_owned(), provider.kind)))
        });
        named.collect()
    }

    fn shown(
        &self,
        row: &PrincipalRow,
        providers: &HashMap<Digest, (String, ProviderKind)>,
    ) -> Result<Shown, PeopleError> {
        let provider = row.factor.as_ref().and_then(|factor| providers.get(&factor.provider)).cloned();
        let PrincipalRow { role, created_at, enrolled_at, disabled_at, .. } = row;
        Ok(Shown {
            name: self.inner.sealer.open_name(row)?,
            role: *role,
            created_at: *created_at,
            enrolled_at: *enrolled_at,
            disabled_at: *disabled_at,
            provider,
        })
    }
}

/// What was done at the oracle's own machine.
fn here(kind: Kind, name: &PrincipalName) -> Entry {
    Entry::new(kind, Who::Operator).to(name.to_string())
}

fn done(outcome: ChangeOutcome) -> Result<(), PeopleError> {
    match outcome {
        ChangeOutcome::Changed => Ok(()),
        ChangeOutcome::LastOperator => Err(PeopleError::LastOperator),
        ChangeOutcome::Stale => Err(PeopleError::Changed),
        ChangeOutcome::Unknown => Err(PeopleError::Unknown),
    }
}
