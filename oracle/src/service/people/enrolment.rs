//! Enrolment: a user opens their one-time link, sets a password, and confirms the second factor that they were assigned. All
//! of it happens at once and uses the link up, or nothing does.

use super::error::PeopleError;
use super::hashes::{Purpose, Token, recovery_codes};
use super::login::{DELAYS, refused};
use super::name::PrincipalName;
use super::own_keys;
use super::password;
use super::provider::{Provider, ProviderKind};
use super::record::{Own, Verifier};
use super::{People, whole};
use crate::service::audit::{Entry, Kind, Outcome, Who};
use crate::service::webauthn::{Names, Note, Noted, RegistrationAnswer, Shown};
use crate::store::{EnrolOutcome, Enrolment, LinkRow};
use data_encoding::HEXLOWER;
use std::fmt;
use std::net::IpAddr;
use webauthn_rs_core::proto::CreationChallengeResponse;
use zeroize::Zeroizing;

/// Why a link does not serve that nobody has, or nobody any more.
const GONE: &str = "unknown, used or replaced";

/// What a link is good for, as its holder sees it.
pub struct Invitation {
    /// Who enrols.
    pub name: PrincipalName,
    /// Until when the link serves, Unix milliseconds.
    pub expires_at: i64,
    /// The provider to be confirmed.
    pub provider: Option<Provider>,
    /// TOTP: the otpauth URI, until a code has confirmed it. A link for a new password shows nobody the factor in use.
    pub totp_uri: Option<Zeroizing<String>>,
    /// `WebAuthn`: for `navigator.credentials.create`.
    pub public_key: Option<Box<CreationChallengeResponse>>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the holder of a link sends.
pub struct Enrolling {
    /// The new password.
    pub password: Zeroizing<String>,
    /// TOTP: the code that the authenticator shows.
    pub passcode: Option<Zeroizing<String>>,
    /// `WebAuthn`: what the new security key answers.
    pub credential: Option<RegistrationAnswer>,
    /// `WebAuthn`: whether that is a passkey's answer.
    pub passkey: bool,
    /// `WebAuthn`: what the new security key is called; may be empty.
    pub key_name: String,
}

impl fmt::Debug for Enrolling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enrolling(…)")
    }
}

/// An enrolment that is done.
pub struct Made {
    /// Who has enrolled.
    pub name: PrincipalName,
    /// New recovery codes in place of all before, if a factor was confirmed.
    pub recovery_codes: Vec<Zeroizing<String>>,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made").field("name", &self.name).finish_non_exhaustive()
    }
}

impl People {
    /// Shows what a link is good for, and begins what a security key needs.
    pub async fn invitation(&self, link: &str, source: IpAddr) -> Result<Invitation, PeopleError> {
        let (token, LinkRow { expires_at, principal: row, .. }) = self.link(link, source).await?;
        let name = self.inner.sealer.open_name(&row)?;
        let mut invitation = Invitation { name, expires_at, provider: None, totp_uri: None, public_key: None };
        let told = Entry::new(Kind::PrincipalLinkOpened, Who::Principal(invitation.name.to_string())).from(source);
        let told = told.to(invitation.name.to_string()).with("link", self.short_of(&token));
        // Whoever has the link has proved something, so no flood of others' events keeps this one out; nor is it one itself.
        let (opened, now) = (self.inner.hashes.enrolment(&row.id), self.now());
        if self.inner.opened_links.admit(&opened, now).is_ok() {
            self.inner.opened_links.record(opened, now);
            self.inner.store.append_audit(vec![self.inner.audit.seal(told)]).await?;
        }
        let Some((factor, provider, own)) = self.factor_of(&row).await? else { return Ok(invitation) };
        match own {
            Own::Totp(uri) => {
                let confirmed = row.factor.as_ref().is_none_or(|factor| factor.last_step >= 0);
                invitation.totp_uri = (!confirmed).then_some(uri);
            }
            Own::Webauthn => {
                let (uuid, party) = (Self::uuid(&factor), self.party(&provider.options)?);
                let own = invitation.name.own().to_owned();
                let names = Names { name: own.clone(), display_name: own };
                let (own, link) = (self.own().await?, self.inner.hashes.token(Purpose::Link, &token));
                let begun = self.inner.webauthn.begin_registration(own, party, Some(uuid), names, Some(link)).await?;
                invitation.public_key = Some(Box::new(begun.1));
            }
            Own::Duo(_) => {}
        }
        invitation.provider = Some(provider.redacted());
        Ok(invitation)
    }

    /// Enrols the user of a link, once. It is done to its end, also when whoever asked for it goes away.
    pub async fn enrol(
        &self,
        link: Zeroizing<String>,
        enrolling: Enrolling,
        source: IpAddr,
    ) -> Result<Made, PeopleError> {
        let people = self.clone();
        whole(async move { people.enrol_whole(&link, enrolling, source).await }).await
    }

    async fn enrol_whole(&self, link: &str, enrolling: Enrolling, source: IpAddr) -> Result<Made, PeopleError> {
        let (token, LinkRow { principal: row, .. }) = self.link(link, source).await?;
        let name = self.inner.sealer.open_name(&row)?;
        let Enrolling { password, passcode, credential, passkey, key_name } = enrolling;
        own_keys::check_name(&key_name)?;
        if let Some(reason) = password::refusal(&password, name.own()) {
            return Err(PeopleError::Password(reason));
        }
        let factor = self.factor_of(&row).await?;
        let mut step = None;
        if let Some((_, _, Own::Totp(uri))) = &factor {
            let last_step = row.factor.as_ref().map_or(-1, |factor| factor.last_step);
            let passcode = passcode.ok_or(PeopleError::Factor)?;
            // Whoever stole a link must not guess the code, and whoever only knows the name must not keep its user out.
            let guessed = self.inner.hashes.enrolment(&row.id);
            self.still_locked(self.inner.store.candidate(&guessed).await?.locked_until)?;
            step = self.check_totp(uri.clone(), passcode, last_step).await?;
            if step.is_none() {
                let told = refused(name.to_string(), source).with("reason", "wrong code for a link");
                let told = Some(self.inner.audit.seal(told));
                self.inner.store.fail_login(&guessed, DELAYS, self.now(), told).await?;
                return Err(PeopleError::Factor);
            }
        }
        let hash = self.inner.passwords.hash(password, &mut self.rng()).await?;
        // Whoever has the link is its user: nobody else was given it.
        let told = Entry::new(Kind::PrincipalEnrolled, Who::Principal(name.to_string())).from(source);
        let told =
            told.to(name.to_string()).with("second_factor", factor.is_some()).with("link", self.short_of(&token));
        let registered = match &factor {
            Some((id, provider, Own::Webauthn)) => {
                let uuid = Self::uuid(id);
                let noted = Noted {
                    note: Some(Note::added(key_name, self.now())),
                    told: Some(told.beside(Kind::PrincipalKeyAdded, told.subject())),
                    begun_with: Some(self.inner.hashes.token(Purpose::Link, &token)),
                    login: None,
                    passkey,
                };
                let answer = credential.ok_or(PeopleError::Factor)?;
                let registered = self.register(&uuid, provider, answer, noted).await?;
                Some((uuid, registered))
            }
            _ => None,
        };
        // Duo is asked at the first login; until then the link alone is no reason for new ways around it.
        let confirmed = factor.as_ref().is_some_and(|(_, _, own)| !matches!(own, Own::Duo(_)));
        let factor = factor.map(|(id, ..)| id);
        let codes = if confirmed { recovery_codes(&mut self.rng()) } else { Vec::new() };
        let hashed = codes.iter().filter_map(|code| self.inner.hashes.recovery(&factor?, code)).collect();
        let verifier = Verifier::Argon2id(hash);
        let outcome = self.inner.store.enrol(Enrolment {
            link: self.inner.hashes.token(Purpose::Link, &token),
            principal: row.id,
            version: row.version,
            verifier: self.inner.sealer.seal_verifier(&row.id, factor.as_ref(), &verifier, &mut self.rng()),
            step,
            recovery: hashed,
            now: self.now(),
            told: Some(self.inner.audit.seal(told.clone())),
        });
        let error = match outcome.await {
            Ok(EnrolOutcome::Enrolled) => return Ok(Made { name, recovery_codes: codes }),
            Ok(EnrolOutcome::Changed) => PeopleError::Changed,
            Ok(EnrolOutcome::CodeUsed) => PeopleError::Factor,
            Ok(EnrolOutcome::LinkGone) => PeopleError::Link,
            Err(error) => error.into(),
        };
        if let Some((uuid, key)) = registered {
            // Whoever came second with the same link leaves no security key behind.
            let told = told.beside(Kind::PrincipalKeyRemoved, told.subject());
            self.inner.webauthn.forget_key(self.own().await?, &uuid, &key, told).await?;
        }
        if matches!(error, PeopleError::Link) {
            self.tell_refused(Some(&token), Some(&name), GONE, source).await?;
        }
        Err(error)
    }

    /// Registers the security key, or the passkey, that answers what was begun with a link.
    async fn register(
        &self,
        uuid: &str,
        provider: &Provider,
        answer: RegistrationAnswer,
        noted: Noted,
    ) -> Result<Shown, PeopleError> {
        debug_assert_eq!(provider.kind, ProviderKind::Webauthn);
        let party = self.party(&provider.options)?;
        let (webauthn, own) = (&self.inner.webauthn, self.own().await?);
        Ok(webauthn.finish_registration(own, party, Some(uuid), answer, noted).await?)
    }

    /// The link, if it still serves. Nobody guesses one: an address that tries many is only told to wait.
    async fn link(&self, text: &str, source: IpAddr) -> Result<(Token, LinkRow), PeopleError> {
        let now = self.now();
        if let Err(waits) = self.inner.guessed_links.admit(&source, now) {
            self.inner.audit.count(Kind::PrincipalLinkRefused);
            return Err(waits.into());
        }
        let token = Token::presented(text);
        let found = match &token {
            Some(token) => self.inner.store.link(&self.inner.hashes.token(Purpose::Link, token)).await?,
            None => None,
        };
        let is_bound = |token: &Token, row: &LinkRow| {
            self.inner.hashes.is_bound(Purpose::Link, token, &row.principal.id, row.expires_at, &row.bound)
        };
        let (name, why) = match (token.as_ref(), found) {
            (Some(token), Some(row)) if is_bound(token, &row) => {
                if row.expires_at > now && row.principal.disabled_at.is_none() {
                    return Ok((token.clone(), row));
                }
                let why = if row.expires_at > now { "its user is disabled" } else { "its time is up" };
                (self.inner.sealer.open_name(&row.principal).ok(), why)
            }
            _ => (None, GONE),
        };
        self.inner.guessed_links.record(source, now);
        self.tell_refused(token.as_ref(), name.as_ref(), why, source).await?;
        Err(PeopleError::Link)
    }

    /// Tells the audit log of a link that was opened or used and does not serve, within what strangers may cause.
    async fn tell_refused(
        &self,
        token: Option<&Token>,
        name: Option<&PrincipalName>,
        why: &str,
        source: IpAddr,
    ) -> Result<(), PeopleError> {
        let name = name.map(ToString::to_string);
        let who = name.clone().map_or(Who::Nobody, Who::Unverified);
        let told = Entry::new(Kind::PrincipalLinkRefused, who).from(source).to(name.unwrap_or_default());
        let told = told.with("reason", why).ended(Outcome::Refused);
        let told = match token {
            Some(token) => told.with("link", self.short_of(token)),
            None => told,
        };
        let told = self.inner.audit.seal_bounded(told, &self.inner.hashes.source(source));
        Ok(self.inner.store.append_audit(told.into_iter().collect()).await?)
    }

    /// The beginning of a link's keyed hash: the log shows which events are of one link, and nobody finds the link by it.
    fn short_of(&self, token: &Token) -> String {
        HEXLOWER.encode(&self.inner.hashes.token(Purpose::Link, token)[..8])
    }
}
