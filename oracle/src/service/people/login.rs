//! Logins: password first, then the second factor. Whatever is wrong gets one answer after the same work, and counts against
//! the name, whether anybody has it or not, and against the address that it came from.
//!
//! A security key needs a challenge, so its login takes two requests; pages take two for every factor. Between them the
//! client keeps a sealed state, which says that the password was right. A challenge is answered once, so its state serves
//! once; a passcode counts once, and wrong ones lock the name.

use super::error::PeopleError;
use super::name::PrincipalName;
use super::provider::{Options, Provider, ProviderKind};
use super::record::{Halfway, Own, Verifier};
use super::remote::{Question, Verdict};
use super::ticket::LoggedIn;
use super::{People, whole};
use crate::service::audit::{Entry, Kind, Outcome, Who};
use crate::service::security_keys::CHALLENGE_MS;
use crate::service::webauthn::{LoginAnswer, Party, WebauthnError};
use crate::store::{Candidate, Digest, FactorRow, FailOutcome, PrincipalKind, PrincipalRow, SecondProof};
use data_encoding::HEXLOWER;
use quorate_protocol::encoding::Base64;
use std::fmt;
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;
use webauthn_rs_core::proto::RequestChallengeResponse;
use zeroize::Zeroizing;

/// Milliseconds that failed login number 1, 2, 3… after the last good one locks the name for; the last holds for all further
/// ones. Longer would keep its owner out, too, for as long as a stranger likes.
pub(super) const DELAYS: &[i64] = &[0, 0, 0, 0, 30_000, 60_000, 120_000, 240_000, 480_000, 900_000];
/// Bytes of a password that are looked at; a longer one is wrong.
const MAX_PASSWORD: usize = 1024;
/// Bytes of a passcode that are looked at.
const MAX_PASSCODE: usize = 128;
/// What is asked of somebody elsewhere is asked for this.
const WHY: &str = "log in to the oracle";

/// What somebody sends to log in.
pub struct Attempt {
    /// Full or short name.
    pub principal: String,
    /// Password, or an application's secret.
    pub password: Option<Zeroizing<String>>,
    /// Code of an app, recovery code, or a way to be asked.
    pub passcode: Option<Zeroizing<String>>,
    /// The state of a login that waits for a security key.
    pub state: Option<String>,
    /// What the security key answers.
    pub credential: Option<LoginAnswer>,
    /// Whether a right password without a passcode is answered by what is to follow, as pages need it. Otherwise it is as
    /// wrong as any other, but where a security key has to answer.
    pub by_steps: bool,
    /// From where.
    pub source: IpAddr,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}

/// What a login needs of a security key.
#[derive(Debug)]
pub struct Challenge {
    /// For `navigator.credentials.get`.
    pub options: RequestChallengeResponse,
    /// To be sent back with the answer.
    pub state: String,
}

/// What a login by steps needs after the password.
#[derive(Debug)]
pub struct Asked {
    /// Of what kind the second factor is; never a security key.
    pub kind: ProviderKind,
    /// To be sent back with the passcode.
    pub state: String,
}

/// How far a login has come.
#[derive(Debug)]
pub enum Progress {
    /// The password was right; a passcode has to follow, or a way to be asked. Only in a login by steps.
    Asked(Asked),
    /// To its end.
    LoggedIn(LoggedIn),
    /// The password was right; a security key has to answer.
    Challenge(Box<Challenge>),
}

impl People {
    /// Logs somebody in, or says what is needed of their security key. What was begun is done to its end, also when whoever asked
    /// for it goes away: a telephone that rings is counted.
    pub async fn log_in(&self, attempt: Attempt) -> Result<Progress, PeopleError> {
        let people = self.clone();
        whole(async move { people.log_in_whole(attempt).await }).await
    }

    async fn log_in_whole(&self, mut attempt: Attempt) -> Result<Progress, PeopleError> {
        let (source, by_steps) = (attempt.source, attempt.by_steps);
        self.inner.sources.admit(&source, self.now())?;
        let password = attempt.password.take().filter(|text| text.len() <= MAX_PASSWORD);
        attempt.passcode = attempt.passcode.take().filter(|text| !text.is_empty() && text.len() <= MAX_PASSCODE);
        let Ok(name) = PrincipalName::parse(&attempt.principal) else {
            self.inner.passwords.matches(password.unwrap_or_default(), None).await?;
            self.inner.sources.record(source, self.now());
            self.inner.audit.count(Kind::LoginRefused);
            return Err(PeopleError::Refused);
        };
        let hashed = self.inner.hashes.principal(&name);
        let candidate = self.inner.store.candidate(&hashed).await?;
        // Nobody guesses an application's secret of 256 bits, so nobody can lock one out either.
        let guessable = name.kind() != PrincipalKind::Application;
        if guessable && let Err(locked) = self.still_locked(candidate.locked_until) {
            self.inner.audit.count(Kind::LoginRefused);
            return Err(locked);
        }
        let known = candidate.principal.is_some();
        let outcome = match (attempt.state.take(), attempt.credential.take()) {
            (Some(state), Some(credential)) => self.second_half(&name, candidate, &state, credential, source).await,
            (Some(state), None) if attempt.by_steps => self.second_step(&name, candidate, &state, attempt).await,
            _ => self.first_half(&name, candidate, password.unwrap_or_default(), attempt).await,
        };
        match outcome {
            // Whoever brings what nobody was given has guessed at nothing of that name, and must not lock it.
            Err(PeopleError::State) => {
                self.inner.sources.record(source, self.now());
                self.inner.audit.count(Kind::LoginRefused);
                Err(PeopleError::Refused)
            }
            // Nor is it a guess to send what was right once more, as a browser does after a lost answer: many at once would lock the
            // name before the first of them has counted.
            Err(PeopleError::Replayed) => {
                self.inner.sources.record(source, self.now());
                let told = refused(name.to_string(), source).with("reason", "replayed");
                let told = self.inner.audit.seal_bounded(told, &self.inner.hashes.source(source));
                self.inner.store.append_audit(told.into_iter().collect()).await?;
                Err(PeopleError::Refused)
            }
            // Whoever keeps a state for too long has proved a password, and may prove it again.
            Err(PeopleError::Late) if !by_steps => Err(self.count_failure(&name, known, &hashed, source, None).await?),
            Err(PeopleError::Refused) => Err(self.count_failure(&name, known, &hashed, source, None).await?),
            Err(PeopleError::RefusedBy(reason)) => {
                Err(self.count_failure(&name, known, &hashed, source, Some(reason)).await?)
            }
            // The password was right, so it is no guess; and nobody was let in.
            Err(PeopleError::Remote(unavailable)) => {
                let told = refused(name.to_string(), source).with("reason", "unavailable").ended(Outcome::Failed);
                let told = self.inner.audit.seal_bounded(told, &self.inner.hashes.source(source));
                self.inner.store.append_audit(told.into_iter().collect()).await?;
                Err(PeopleError::Remote(unavailable))
            }
            outcome => outcome,
        }
    }

    async fn first_half(
        &self,
        name: &PrincipalName,
        candidate: Candidate,
        password: Zeroizing<String>,
        attempt: Attempt,
    ) -> Result<Progress, PeopleError> {
        let Candidate { principal, provider, .. } = candidate;
        let verifier = principal.as_ref().map(|row| self.inner.sealer.open_verifier(row)).transpose()?.flatten();
        let right = match name.kind() {
            PrincipalKind::Application => {
                let (id, known) = match (&principal, verifier) {
                    (Some(row), Some(Verifier::Secret(hash))) => (row.id, hash.0),
                    _ => ([0; 32], Vec::new()),
                };
                bool::from(self.inner.hashes.secret(&id, &password).as_slice().ct_eq(&known))
            }
            PrincipalKind::Team | PrincipalKind::User => {
                let known = match verifier {
                    Some(Verifier::Argon2id(hash)) => Some(hash),
                    _ => None,
                };
                self.inner.passwords.matches(password, known).await?
            }
        };
        let row = principal.filter(|row| right && row.disabled_at.is_none()).ok_or(PeopleError::Refused)?;
        if self.inner.sealer.open_name(&row)? != *name {
            return Err(PeopleError::Damaged);
        }
        let Some(factor) = &row.factor else {
            return self
                .give_ticket(name, &row, SecondProof::None, "none".into(), attempt.source)
                .await
                .map(Progress::LoggedIn);
        };
        let provider = self.open_provider(&provider.ok_or(PeopleError::Damaged)?)?;
        if attempt.by_steps && attempt.passcode.is_none() && provider.kind != ProviderKind::Webauthn {
            // That a password is right is told to nobody who guessed beyond the lock.
            self.still_locked(self.inner.store.candidate(&row.name).await?.locked_until)?;
            let state = self.halfway(&row, &factor.id, Base64(Vec::new()));
            return Ok(Progress::Asked(Asked { kind: provider.kind, state }));
        }
        self.second_factor(name, &row, factor, provider, attempt).await
    }

    /// The second step of a login, by a passcode.
    async fn second_step(
        &self,
        name: &PrincipalName,
        candidate: Candidate,
        state: &str,
        attempt: Attempt,
    ) -> Result<Progress, PeopleError> {
        let (row, factor, provider, _) = self.resumed(name, candidate, state)?;
        let passcode = attempt.passcode.as_ref().ok_or(PeopleError::Refused)?;
        let recovery = self.inner.hashes.recovery(&factor.id, passcode).is_some();
        if provider.kind == ProviderKind::Webauthn && !recovery {
            return Err(PeopleError::Refused);
        }
        self.second_factor(name, &row, &factor, provider, attempt).await
    }

    async fn second_factor(
        &self,
        name: &PrincipalName,
        row: &PrincipalRow,
        factor: &FactorRow,
        provider: Provider,
        attempt: Attempt,
    ) -> Result<Progress, PeopleError> {
        let source = attempt.source;
        let recovery = attempt.passcode.as_ref().and_then(|typed| self.inner.hashes.recovery(&factor.id, typed));
        if let Some(code) = recovery {
            return self
                .give_ticket(name, row, SecondProof::Recovery(code), "recovery code".into(), source)
                .await
                .map(Progress::LoggedIn);
        }
        if provider.kind != ProviderKind::Totp {
            // What is asked from here on tells that the password is right: of many guesses at once, those after the lock learn
            // nothing. The others look again when they are decided.
            self.still_locked(self.inner.store.candidate(&row.name).await?.locked_until)?;
        }
        let own = self.inner.sealer.open_own(&row.id, factor)?;
        let proof = match (provider.kind, own) {
            (ProviderKind::Totp, Own::Totp(uri)) => {
                let passcode = attempt.passcode.ok_or(PeopleError::Refused)?;
                let step = self.check_totp(uri, passcode, factor.last_step).await?;
                SecondProof::Step(step.ok_or(PeopleError::Refused)?)
            }
            (ProviderKind::Webauthn, Own::Webauthn) => {
                return self.challenge(row, &factor.id, &provider.options).await.map(Box::new).map(Progress::Challenge);
            }
            (ProviderKind::Duo, Own::Duo(user)) => {
                let question = Question {
                    options: provider.options,
                    user,
                    principal: name.clone(),
                    source,
                    why: WHY.to_owned(),
                    passcode: attempt.passcode,
                };
                match self.inner.remote.ask(question).await? {
                    Verdict::Allowed(how) => {
                        let proof = SecondProof::Elsewhere;
                        return self.give_ticket(name, row, proof, how.into(), source).await.map(Progress::LoggedIn);
                    }
                    Verdict::Refused(reason) => return Err(PeopleError::RefusedBy(reason)),
                }
            }
            _ => return Err(PeopleError::Damaged),
        };
        self.give_ticket(name, row, proof, "totp".into(), source).await.map(Progress::LoggedIn)
    }

    async fn challenge(
        &self,
        row: &PrincipalRow,
        factor: &Digest,
        options: &Options,
    ) -> Result<Challenge, PeopleError> {
        let uuid = Self::uuid(factor);
        let begun = self.inner.webauthn.begin_login(self.own().await?, self.party(options)?, Some(&uuid)).await;
        let options = begun.map_err(|error| match error {
            // Nothing has been registered: an operator's link leads there.
            WebauthnError::NoCredentials | WebauthnError::Unknown => PeopleError::Refused,
            error => refusal(error),
        })?;
        let state = self.halfway(row, factor, Base64(options.public_key.challenge.clone()));
        Ok(Challenge { options, state })
    }

    /// What the client keeps of a login whose password was right.
    fn halfway(&self, row: &PrincipalRow, factor: &Digest, challenge: Base64) -> String {
        let expires_at = self.now().saturating_add(CHALLENGE_MS);
        let halfway = Halfway { version: row.version, factor: *factor, challenge, expires_at };
        self.inner.sealer.seal_halfway(&row.id, &halfway, &mut self.rng())
    }

    /// Whose password was right, if the principal is still as it was then.
    fn resumed(
        &self,
        name: &PrincipalName,
        candidate: Candidate,
        state: &str,
    ) -> Result<(PrincipalRow, FactorRow, Provider, Halfway), PeopleError> {
        let Candidate { principal, provider, .. } = candidate;
        let row = principal.filter(|row| row.disabled_at.is_none()).ok_or(PeopleError::State)?;
        let halfway = self.inner.sealer.open_halfway(&row.id, state).ok_or(PeopleError::State)?;
        let factor = row.factor.clone().filter(|factor| factor.id == halfway.factor && row.version == halfway.version);
        let factor = factor.ok_or(PeopleError::Refused)?;
        if halfway.expires_at <= self.now() {
            return Err(PeopleError::Late);
        }
        if self.inner.sealer.open_name(&row)? != *name {
            return Err(PeopleError::Damaged);
        }
        let provider = self.open_provider(&provider.ok_or(PeopleError::Damaged)?)?;
        Ok((row, factor, provider, halfway))
    }

    async fn second_half(
        &self,
        name: &PrincipalName,
        candidate: Candidate,
        state: &str,
        credential: LoginAnswer,
        source: IpAddr,
    ) -> Result<Progress, PeopleError> {
        let (row, _, provider, halfway) = self.resumed(name, candidate, state)?;
        if !credential.challenge().is_ok_and(|challenge| challenge == halfway.challenge.0) {
            return Err(PeopleError::Refused);
        }
        let (uuid, party) = (Self::uuid(&halfway.factor), self.party(&provider.options)?);
        let finished = self.inner.webauthn.finish_login(self.own().await?, party, Some(&uuid), credential).await;
        let used = finished.map_err(|error| match error {
            // The state says that the challenge was given out, for this login.
            WebauthnError::Challenge | WebauthnError::Unknown => PeopleError::Replayed,
            error => refusal(error),
        })?;
        let given = self.give_ticket(name, &row, SecondProof::Elsewhere, (&used.told).into(), source).await?;
        self.note_used(&uuid, &used.key_handle_hash).await;
        Ok(Progress::LoggedIn(given))
    }

    /// The relying party as ceremonies take it.
    pub(super) fn party(&self, options: &Options) -> Result<Party, PeopleError> {
        let (id, origin) = self.party_of(options)?;
        Ok(Party { id, name: self.inner.name.clone(), origin })
    }

    /// Counts a failure of a name and an address. Gives what is answered.
    async fn count_failure(
        &self,
        name: &PrincipalName,
        known: bool,
        hashed: &Digest,
        source: IpAddr,
        reason: Option<&'static str>,
    ) -> Result<PeopleError, PeopleError> {
        let now = self.now();
        self.inner.sources.record(source, now);
        // What is nobody's name may be a password that was typed into the wrong field: the log shows who is the same.
        let who = if known { name.to_string() } else { format!("name {}", HEXLOWER.encode(&hashed[..8])) };
        let told = reason.into_iter().fold(refused(who, source), |told, reason| told.with("reason", reason));
        // Anybody can fail to log in, as often as they like.
        let told = self.inner.audit.seal_bounded(told, &self.inner.hashes.source(source));
        if name.kind() == PrincipalKind::Application {
            self.inner.store.append_audit(told.into_iter().collect()).await?;
            return Ok(PeopleError::Refused);
        }
        Ok(match self.inner.store.fail_login(hashed, DELAYS, now, told).await? {
            FailOutcome::Locked(until) if until > now => PeopleError::Locked { milliseconds: until - now },
            _ => PeopleError::Refused,
        })
    }

    pub(super) fn still_locked(&self, until: i64) -> Result<(), PeopleError> {
        let milliseconds = until.saturating_sub(self.now());
        if milliseconds > 0 { Err(PeopleError::Locked { milliseconds }) } else { Ok(()) }
    }
}

/// What the audit log is told of a login that failed.
pub(super) fn refused(who: String, source: IpAddr) -> Entry {
    Entry::new(Kind::LoginRefused, Who::Unverified(who.clone())).from(source).to(who).ended(Outcome::Refused)
}

/// What a ceremony's failure is to whoever logs in: a wrong thing like any other, unless the oracle is at fault.
fn refusal(error: WebauthnError) -> PeopleError {
    match error {
        WebauthnError::Locked { milliseconds } => PeopleError::Locked { milliseconds },
        WebauthnError::Damaged | WebauthnError::Pool(_) | WebauthnError::Store(_) => PeopleError::Webauthn(error),
        _ => PeopleError::Refused,
    }
}
