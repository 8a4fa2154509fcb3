//! Duo's Auth API, version 2: asks Duo whether a person is who they say they are, with a push, a call or a passcode. It must
//! not know principals, tickets or routes.
//!
//! Only an answer that allows is a yes ([`Verdict`]); everything else is a [`DuoError`], and so a no: a person or a rule at
//! Duo that refuses, and every way in which Duo can be out of reach, slow, wrong or not Duo. Nothing is asked twice. One
//! person has one push or call at a time, and none for a while after refusing one.

mod answer;
mod error;
mod integration;
mod pushes;
mod question;
pub mod signature;

pub use error::DuoError;
pub use integration::{HostRules, Integration, IntegrationError};
pub use question::{Factor, Question};

use self::answer::{Preauth, Reply};
use self::pushes::Pushes;
use self::signature::Signature;
use crate::clock::Clock;
use crate::config::Config;
use crate::outbound::{Answer, Bounds, Outbound, OutboundError, Reach};
use crate::tls::TlsError;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// Connecting to one address of Duo, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// An answer that nobody has to touch a telephone for.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Bytes of an answer at most; that of somebody with a hundred telephones has 30 KiB.
const MAX_ANSWER: usize = 64 * 1024;

/// That somebody may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They proved who they are.
    Allowed,
    /// Duo asks them for nothing: an administrator there decided so, for them or for where they are.
    Bypassed,
}

/// Parameters of a request by name.
type Parameters = BTreeMap<&'static str, Zeroizing<String>>;

/// Asks Duo. Clones share the list of pushes under way.
#[derive(Clone)]
pub struct Duo {
    outbound: Arc<Outbound>,
    clock: Arc<dyn Clock>,
    pushes: Arc<Pushes>,
    rules: Arc<HostRules>,
    patience: Duration,
}

impl fmt::Debug for Duo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duo").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Duo {
    /// As `config` says. Connects to nobody yet.
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        // The certificate decides whether it is Duo, wherever that may be.
        let outbound = Outbound::new(config.duo_ca.as_deref(), Reach::Anywhere)?;
        // Whoever logs in is to hear what became of it before the request itself runs out of time.
        let seconds = config.duo_seconds.min(config.request_seconds.saturating_sub(1)).max(1);
        Ok(Self {
            outbound: Arc::new(outbound),
            clock,
            pushes: Arc::default(),
            rules: Arc::new(HostRules::new(&config.duo_hosts)),
            patience: Duration::from_secs(seconds.into()),
        })
    }

    /// Which servers an [`Integration`] may name.
    pub fn rules(&self) -> &HostRules {
        &self.rules
    }

    /// Whether Duo is there: its time, in Unix seconds. The only request without a signature.
    pub async fn ping(&self, at: &Integration) -> Result<i64, DuoError> {
        let request = Request::get("/auth/v2/ping").body(Full::default()).map_err(|_| DuoError::Question)?;
        let answer = self.outbound.send(at.url(), request, self.bounds(AT_ONCE)).await?;
        Ok(self.read::<answer::Time>(&answer)?.time)
    }

    /// Whether the integration's keys are right and the clocks agree: Duo's time, in Unix seconds.
    pub async fn check(&self, at: &Integration) -> Result<i64, DuoError> {
        Ok(self.ask::<answer::Time>(at, Method::GET, "/auth/v2/check", Parameters::new(), AT_ONCE).await?.time)
    }

    /// Has somebody prove who they are.
    pub async fn verify(&self, at: &Integration, question: &Question, factor: &Factor) -> Result<Verdict, DuoError> {
        // All of it: whoever logs in waits in a request that has a bound of its own.
        let rings = AtomicBool::new(false);
        let verdict = tokio::time::timeout(self.patience, self.verify_once(at, question, factor, &rings)).await;
        // A telephone that rings in vain is a refusal, which counts like any other, and not a Duo that is out of reach.
        let late = if rings.into_inner() { DuoError::NotAnswered } else { DuoError::Outbound(OutboundError::Slow) };
        let verdict = verdict.unwrap_or(Err(late));
        let outcome = verdict.as_ref().map_or_else(DuoError::word, |verdict| match verdict {
            Verdict::Allowed => "allowed",
            Verdict::Bypassed => "bypassed",
        });
        metrics::counter!("quorate_duo_answers_total", "factor" => factor.word(), "outcome" => outcome).increment(1);
        verdict
    }

    async fn verify_once(
        &self,
        at: &Integration,
        question: &Question,
        factor: &Factor,
        rings: &AtomicBool,
    ) -> Result<Verdict, DuoError> {
        // Held until it is known what became of it, or until Duo gives it up.
        let mut place = match factor {
            Factor::Passcode(_) => None,
            Factor::Auto | Factor::Phone | Factor::Push => {
                Some(self.pushes.enter(at.key(), question.user(), self.now())?)
            }
        };
        let preauth: Preauth = self.ask(at, Method::POST, "/auth/v2/preauth", question.to_preauth(), AT_ONCE).await?;
        if let Some(verdict) = preauth.verdict(factor)? {
            return if question.by_name() { Err(DuoError::NameBypassed) } else { Ok(verdict) };
        }
        if let Some(place) = &mut place {
            place.rings(self.now());
            rings.store(true, Ordering::Relaxed);
        }
        let asked: Result<Reply, _> =
            self.ask(at, Method::POST, "/auth/v2/auth", question.to_auth(factor), self.patience).await;
        let verdict = match asked.and_then(|reply| reply.verdict(factor)) {
            Ok(Verdict::Bypassed) if question.by_name() => Err(DuoError::NameBypassed),
            verdict => verdict,
        };
        if let Some(place) = place {
            place.leave(&verdict, self.now());
        }
        verdict
    }

    /// One signed request, and what it says when it says yes.
    async fn ask<T: DeserializeOwned>(
        &self,
        at: &Integration,
        method: Method,
        path: &'static str,
        parameters: Parameters,
        whole: Duration,
    ) -> Result<T, DuoError> {
        let signed = Signature::new(at, &method, path, &parameters, self.clock.now());
        let request = Request::builder()
            .method(method)
            .uri(signed.uri(path))
            .header(AUTHORIZATION, signed.authorization())
            .header(DATE, signed.date())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(USER_AGENT, HeaderValue::from_static(concat!("quorate/", env!("CARGO_PKG_VERSION"))))
            .body(Full::new(Bytes::copy_from_slice(signed.body().as_bytes())))
            .map_err(|_| DuoError::Question)?;
        let answer = self.outbound.send(at.url(), request, self.bounds(whole)).await?;
        self.read(&answer)
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, DuoError> {
        answer::read(answer, self.clock.now())
    }

    fn bounds(&self, whole: Duration) -> Bounds {
        Bounds { connect: CONNECT, whole: whole.min(self.patience), answer: MAX_ANSWER }
    }

    fn now(&self) -> i64 {
        self.clock.now_ms()
    }
}
