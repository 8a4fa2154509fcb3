//! One code: the quorum is opened in the crypto pool, the allowance is consumed durably, then the code is shown.

use super::error::SessionError;
use super::named::Approvals;
use super::quorum::{Candidate, Quorum, open};
use super::record::{EventText, Record, TocRowName, toc_place};
use super::{MAX_FAILURES, MAX_WITHDRAWN, Sessions};
use crate::service::audit::{Kind, Who};
use crate::service::people::Caller;
use crate::store::{Asking, CodeOutcome, Digest, Purpose as RowPurpose, SessionRow, StoreError, TocRow};
use quorate_protocol::api::TotpCode;
use quorate_protocol::invite::Purpose;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::session::{Kek, Tek, cancel_hash};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

/// A code that has been made and may not be shown yet.
struct Made {
    digits: Zeroizing<String>,
    step: i64,
    expires_at: i64,
    dropped: Vec<Digest>,
}

/// A session whose KEK was right, with what is needed to open its quorum.
pub(super) struct Loaded {
    pub row: SessionRow,
    pub tocs: Vec<TocRow>,
    pub record: Record,
    /// Who has approved with these Tocs, in a session with names.
    pub approvals: Approvals,
    _permit: OwnedSemaphorePermit,
}

impl Sessions {
    /// Makes one code with the KEK of session `id`.
    pub async fn code(
        &self,
        id: &str,
        kek: Zeroizing<String>,
        caller: Option<&Caller>,
        peer: IpAddr,
    ) -> Result<TotpCode, SessionError> {
        for _ in 0..MAX_WITHDRAWN {
            if let Some(code) = self.try_code(id, kek.clone(), caller, peer).await? {
                return Ok(code);
            }
        }
        Err(StoreError::Contended { tries: MAX_WITHDRAWN }.into())
    }

    /// The same; `None` when an approval that was counted counted no more by the time that the code was made. Without it there may
    /// be enough others.
    async fn try_code(
        &self,
        id: &str,
        kek: Zeroizing<String>,
        caller: Option<&Caller>,
        peer: IpAddr,
    ) -> Result<Option<TotpCode>, SessionError> {
        let mut loaded = self.load(id, RowPurpose::Code, &kek, caller).await?;
        let now = u64::try_from(self.now_ms().div_euclid(1000)).unwrap_or_default();
        let (ttl, joined, approvals) = (loaded.row.ttl, loaded.joined(), std::mem::take(&mut loaded.approvals));
        let (made, record) =
            self.with_secret(loaded, kek, peer, move |secret, dropped| made(&secret, now, dropped)).await?;
        let dropped = self.drop_false(id, &record, &made.dropped, peer).await?;
        let told = record.asked(Kind::SessionCode).from(peer).with("step", made.step);
        let told = told.with("reason", record.fields().reason.as_str()).with("tocs_of", joined);
        let told = approvals.tell(told);
        let text = EventText::by(record.applicant()).of(record.applicant_principal());
        let event = text.seal(id, "code", &self.inner.at_rest, &mut self.rng());
        let event = event.recorded(self.inner.audit.seal(told));
        // Opening the quorum takes its time: who was dismissed meanwhile is shown nothing, and an approval that was withdrawn does not
        // count. The transaction that takes the code compares what was looked at with what stands then.
        let by = self.check_applicant(&record, caller).await?;
        let dismissed = dismissed(by.as_ref());
        let basis = approvals.basis(by);
        let first = match self.inner.store.take_code(id, made.step, self.now_ms(), basis, event).await? {
            CodeOutcome::Taken { first_code_at, .. } | CodeOutcome::Again { first_code_at, .. } => first_code_at,
            CodeOutcome::Dismissed => return Err(dismissed),
            CodeOutcome::Withdrawn => return Ok(None),
            CodeOutcome::Stale => return Err(SessionError::Stale),
            CodeOutcome::Exhausted | CodeOutcome::Closed => return Err(self.why_closed(id).await),
            CodeOutcome::GroupRefused => return Err(SessionError::GroupRefused),
            CodeOutcome::Unknown => return Err(SessionError::Unknown),
        };
        metrics::counter!("quorate_codes_total").increment(1);
        Ok(Some(TotpCode {
            totp: made.digits,
            totp_expires_at: super::show::rfc3339(made.expires_at * 1000),
            session_expires_at: super::show::rfc3339(first + ttl * 1000),
            dropped,
        }))
    }

    /// The open session `id` with its Tocs, when it is for `purpose` and `kek` is its KEK. Without the KEK nobody makes the
    /// oracle read a Toc.
    pub(super) async fn load(
        &self,
        id: &str,
        purpose: RowPurpose,
        kek: &Zeroizing<String>,
        caller: Option<&Caller>,
    ) -> Result<Loaded, SessionError> {
        let (row, record) = self.open_session(id).await?;
        self.check_applicant(&record, caller).await?;
        // What was signed decides, not a column that a database writer could change.
        let signed = match record.fields().purpose {
            Purpose::Code => RowPurpose::Code,
            Purpose::Redeal => RowPurpose::Redeal,
        };
        if signed != purpose || row.purpose != purpose {
            return Err(SessionError::PurposeMismatch);
        }
        let (kek, cancel) = (kek.clone(), row.cancel_hash);
        let known = move || -> Result<bool, SessionError> {
            Ok(bool::from(cancel_hash(&Kek::from_base64(&kek)?.cancel_token()).ct_eq(&cancel)))
        };
        if !self.inner.crypto.run(known).await?? {
            return Err(SessionError::CannotOpen);
        }
        // Tocs are held in memory until their job is done, so only so many sessions at a time.
        let permit = Arc::clone(&self.inner.loads).acquire_owned().await.expect("the semaphore is never closed");
        let (row, tocs) = self.inner.store.session_with_tocs(id).await?.ok_or(SessionError::Unknown)?;
        let (row, record) = self.open_record(row)?;
        let (tocs, approvals) = self.counted(&record, tocs).await?;
        Ok(Loaded { row, tocs, record, approvals, _permit: permit })
    }

    /// Opens the quorum in the crypto pool and hands the secret to `make` there; it never leaves.
    pub(super) async fn with_secret<T: Send + 'static>(
        &self,
        loaded: Loaded,
        kek: Zeroizing<String>,
        peer: IpAddr,
        make: impl FnOnce(Box<OtpSecret>, Vec<Digest>) -> T + Send + 'static,
    ) -> Result<(T, Record), SessionError> {
        enum Step<T> {
            Made(T),
            /// Too few to try.
            Few(u32),
            Short(u32, Vec<Digest>),
        }
        let this = self.clone();
        let (step, record) = self
            .inner
            .crypto
            .run(move || -> Result<_, SessionError> {
                let Loaded { row, tocs, record, _permit, .. } = loaded;
                let kek = Kek::from_base64(&kek)?;
                let tek = Tek::open(&record.tek_sealed, &kek, &row.id, &record.fields().tek, &record.invite.digest())?;
                drop(kek);
                if tocs.len() < usize::from(record.fields().threshold) {
                    let genuine = u32::try_from(tocs.len()).unwrap_or(u32::MAX);
                    return Ok((Step::Few(genuine), record));
                }
                let candidates = this.candidates(&row.id, &tocs)?;
                let step = match open(&record, &tek, candidates, &this.inner.honest)? {
                    Quorum::Reached { secret, dropped } => Step::Made(make(secret, dropped)),
                    Quorum::Short { genuine, dropped } => Step::Short(genuine, dropped),
                };
                Ok((step, record))
            })
            .await??;
        match step {
            Step::Made(product) => Ok((product, record)),
            Step::Few(genuine) => Err(self.not_quorate(record, genuine, &[], false, peer).await?),
            Step::Short(genuine, dropped) => Err(self.not_quorate(record, genuine, &dropped, true, peer).await?),
        }
    }

    fn candidates(&self, id: &str, tocs: &[TocRow]) -> Result<Vec<Candidate>, SessionError> {
        tocs.iter()
            .map(|toc| {
                let row = TocRowName::new(id, &toc.digest, toc.x.filter(|_| toc.proved));
                let opened = self.inner.at_rest.open(toc_place(&row.parts()), &toc.sealed);
                let armored = opened.map_err(|_| SessionError::Damaged)?;
                let armored = String::from_utf8(armored.to_vec()).map_err(|_| SessionError::Damaged)?;
                Ok(Candidate { digest: toc.digest, x: toc.x.filter(|_| toc.proved), armored: Zeroizing::new(armored) })
            })
            .collect()
    }

    /// Drops what was false, counts the failure, and says how far the session is.
    async fn not_quorate(
        &self,
        record: Record,
        genuine: u32,
        false_tocs: &[Digest],
        tried: bool,
        peer: IpAddr,
    ) -> Result<SessionError, SessionError> {
        let id = record.id().to_owned();
        let dropped = self.drop_false(&id, &record, false_tocs, peer).await?;
        // A share of ours is checked by itself, so nothing can be learnt by trying, and junk must not end a session. farMFA's
        // shares could be probed by sending others beside them: that is counted.
        if tried && record.group.is_none() {
            let told = record.entry(Kind::SessionExhausted, Who::Oracle).from(peer);
            let event = EventText::default().seal(&id, "exhausted", &self.inner.at_rest, &mut self.rng());
            let event = event.recorded(self.inner.audit.seal_bounded(told, &self.source(peer)));
            self.inner.store.record_failure(&id, MAX_FAILURES, self.now_ms(), event).await?;
        }
        let threshold = u32::from(record.fields().threshold);
        Ok(SessionError::NotQuorate { provided: genuine, threshold, dropped })
    }

    /// Removes false Tocs from the session, tells everyone, and names them.
    pub(super) async fn drop_false(
        &self,
        id: &str,
        record: &Record,
        digests: &[Digest],
        peer: IpAddr,
    ) -> Result<Vec<String>, SessionError> {
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        let Some((_, tocs)) = self.inner.store.session_with_tocs(id).await? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for toc in tocs.iter().filter(|toc| digests.contains(&toc.digest)) {
            let x = toc.x.filter(|_| toc.proved);
            let name = record.holder(x);
            let told = record.entry(Kind::SessionDropped, Who::Oracle).from(peer).with("toc_of", name.as_str());
            let audit = match x {
                Some(_) => Some(self.inner.audit.seal(told)),
                None => self.inner.audit.seal_bounded(told, &self.source(peer)),
            };
            let event = EventText::by(name.clone()).seal(id, "dropped", &self.inner.at_rest, &mut self.rng());
            let event = event.recorded(audit);
            if self.inner.store.drop_tocs(id, vec![toc.digest], self.now_ms(), event).await? > 0 {
                names.push(name);
            }
        }
        Ok(names)
    }
}

impl Loaded {
    /// Whose Tocs are there, in order of arrival.
    pub fn joined(&self) -> Vec<String> {
        self.tocs.iter().map(|toc| self.record.holder(toc.x.filter(|_| toc.proved))).collect()
    }
}

/// What is said to a principal that asked and may not any more.
pub(super) fn dismissed(by: Option<&Asking>) -> SessionError {
    match by {
        Some(Asking::Player(_)) => SessionError::NotHolder,
        Some(Asking::ByLogin(_)) | None => SessionError::MayNotAsk,
    }
}

fn made(secret: &OtpSecret, now: u64, dropped: Vec<Digest>) -> Made {
    let code = secret.code_at(now);
    Made {
        digits: code.digits,
        step: i64::try_from(code.step).unwrap_or(i64::MAX),
        expires_at: i64::try_from(code.expires_at).unwrap_or(i64::MAX / 1000),
        dropped,
    }
}
