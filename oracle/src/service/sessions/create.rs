//! Starting a session: who asks is checked, a TEK is drawn, an invite is signed, and the KEK leaves with the answer.

use super::by_login::ENDING;
use super::error::SessionError;
use super::known::Known;
use super::named::By;
use super::record::{Bound, EventText, Record, TocRowName, toc_place};
use super::{Inner, MAX_REASON, Sessions};
use crate::config::ApproveWith;
use crate::service::audit::Kind;
use crate::service::people::Caller;
use crate::service::signer::InviteSigner;
use crate::state::StateRng;
use crate::store::{Asking, InsertOutcome, NewSession as NewRow, NewToc, Once, Purpose as RowPurpose, UnlessOpen};
use quorate_protocol::api::{ApplicantProof, NewSession, SessionCredentials};
use quorate_protocol::encoding::sha256;
use quorate_protocol::header::Header;
use quorate_protocol::invite::{Applicant, Invite, InvitePayload, Purpose};
use quorate_protocol::plan::{Plan, Replaced};
use quorate_protocol::proof::{MAX_SKEW, Terms, create_message, verify_player};
use quorate_protocol::sealing::age_seal;
use quorate_protocol::session::{Kek, Tek, cancel_hash, new_session_id};
use quorate_protocol::toc::{FarmfaToc, Group, MAX_SEALED, Toc, WholeToc, approve_farmfa};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// Seconds that codes flow after the first: the least, the most.
const TTL: std::ops::RangeInclusive<i64> = 60..=86_400;

/// A request whose numbers and words are in range.
pub(super) struct Asked {
    purpose: Purpose,
    plan: Option<Plan>,
    reason: String,
    ttl: i64,
    max_codes: Option<i64>,
    /// As they were signed: 0 where nothing was said.
    signed_ttl: u32,
    signed_max_codes: u32,
}

/// Who asks, and the Toc that came along, if one did.
pub(super) struct Applying {
    group: Option<Group>,
    group_id: String,
    size: u8,
    threshold: u8,
    note: String,
    applicant: Applicant,
    toc_zero: Option<TocZero>,
    once: Option<Once>,
    /// The principal that asks, where it has logged in.
    by: Option<By>,
}

enum TocZero {
    Whole(Box<WholeToc>),
    /// Goes in as it came: farMFA's readers may know fields that we do not.
    Farmfa(Zeroizing<Vec<u8>>),
}

impl Sessions {
    /// Starts a session for `request` from `peer`.
    ///
    /// Where this oracle asks for a login, `caller` is who asks, and must stand for the player that does. Of a group alone it must
    /// be one who may ask for its codes.
    pub async fn create(
        &self,
        request: NewSession,
        caller: Option<&Caller>,
        peer: IpAddr,
    ) -> Result<SessionCredentials, SessionError> {
        // Only who wants but one session is told that there is another one.
        self.create_unless(request, caller, peer, None).await?.ok_or(SessionError::TooMany)
    }

    /// The same, unless whoever asks has another session of a greater number than `after` open for the group: then there is none.
    pub(super) async fn create_unless(
        &self,
        request: NewSession,
        caller: Option<&Caller>,
        peer: IpAddr,
        after: Option<i64>,
    ) -> Result<Option<SessionCredentials>, SessionError> {
        if self.inner.open.load(Ordering::Relaxed) >= self.inner.limits.in_all {
            return Err(SessionError::TooMany);
        }
        let signer = self.signer()?;
        let now_ms = self.now_ms();
        let (mut rng, this, by, group) = (self.rng(), self.clone(), Arc::clone(&signer), request.group);
        let read = move |request: &NewSession| {
            let asked = Asked::read(request, this.inner.limits.max_codes)?;
            let applying = Applying::read(request, &asked, now_ms, &by, &this.inner)?;
            Ok::<_, SessionError>((asked, applying))
        };
        let this = self.clone();
        let (mut row, record, kek) = if group.is_some() || self.inner.limits.require_login {
            let (asked, applying) = if let Some(group) = group {
                self.by_login(&request, group, caller, &signer).await?
            } else {
                let (asked, applying) = self.inner.crypto.run(move || read(&request)).await??;
                (asked, self.named(applying, caller).await?)
            };
            let prepare = move || this.prepare(asked, applying, &signer, peer, now_ms, &mut rng);
            self.inner.crypto.run(prepare).await??
        } else {
            let prepare = move || {
                let (asked, applying) = read(&request)?;
                this.prepare(asked, applying, &signer, peer, now_ms, &mut rng)
            };
            self.inner.crypto.run(prepare).await??
        };
        row.unless = after.map(|after| UnlessOpen { after, ends_after: row.created_at.saturating_add(ENDING) });
        let provided = u32::from(row.first_toc.is_some());
        let (ends_at, ttl) = (row.expires_at, row.ttl);
        let budget = match &row.applicant {
            Some(Asking::ByLogin(applying)) => Some(self.asker_budget(&applying.login)),
            Some(Asking::Player(_)) | None => None,
        };
        let outcome = self.inner.store.insert_session(row).await?;
        if let Some(budget) = budget.filter(|_| outcome != InsertOutcome::Inserted) {
            self.inner.audit.give_back(&budget);
        }
        match outcome {
            InsertOutcome::Inserted => {}
            InsertOutcome::Open => return Ok(None),
            InsertOutcome::SourceFull => return Err(SessionError::TooMany),
            InsertOutcome::Replayed => return Err(SessionError::Replayed),
            InsertOutcome::GroupRefused => return Err(SessionError::GroupRefused),
            InsertOutcome::NotApplicant => return Err(SessionError::MayNotAsk),
            InsertOutcome::NotHolder => return Err(SessionError::NotHolder),
        }
        self.inner.open.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("quorate_sessions_created_total").increment(1);
        Ok(Some(SessionCredentials {
            session: super::show::describe(&record, now_ms, ends_at, ttl, provided, 0),
            tek: record.fields().tek.clone(),
            kek,
            invite: record.invite.to_url(),
        }))
    }

    /// The same application, with the name of the caller that makes it.
    async fn named(&self, applying: Applying, caller: Option<&Caller>) -> Result<Applying, SessionError> {
        let (holder, x) = match &applying.applicant {
            Applicant::Proved { holder, x } => (holder.clone(), *x),
            // Tocs dealt by farMFA are of no group that could be known.
            Applicant::Named { .. } | Applicant::Login { .. } | Applicant::Unverified => {
                return Err(SessionError::GroupNotAdded);
            }
        };
        if applying.toc_zero.is_some() && self.inner.limits.approve_with == ApproveWith::Webauthn {
            return Err(SessionError::Request(
                "here each approval takes a security key: start with a proof, and send the Toc to the session",
            ));
        }
        let player = self.player(caller, applying.group.as_ref().map(Group::name), Some(x)).await?;
        let applicant = Applicant::Named { holder, x, principal: player.name.to_string() };
        Ok(Applying { applicant, ..applying }.by(By::Player(player)))
    }

    fn prepare(
        &self,
        asked: Asked,
        applying: Applying,
        signer: &InviteSigner,
        peer: IpAddr,
        now_ms: i64,
        rng: &mut StateRng,
    ) -> Result<(NewRow, Record, Zeroizing<String>), SessionError> {
        let now = now_ms.div_euclid(1000);
        let (id, tek, kek) = (new_session_id(rng), Tek::generate(rng), Kek::generate(rng));
        let invite = Invite::issue(
            InvitePayload {
                version: 1,
                session: id.clone(),
                oracle: signer.url.clone(),
                tek: tek.recipient(),
                group: applying.group.as_ref().map(Group::name),
                group_id: applying.group_id,
                size: applying.size,
                threshold: applying.threshold,
                note: applying.note,
                purpose: asked.purpose,
                plan_digest: asked.plan.as_ref().map(|plan| plan.digest().to_vec().into()),
                plan: asked.plan.as_ref().map(|plan| plan.bytes().to_vec().into()),
                applicant: applying.applicant,
                reason: asked.reason.clone(),
                ttl: u32::try_from(asked.ttl).expect("bounded when it was read"),
                max_codes: asked.max_codes.map(|max| u32::try_from(max).expect("bounded when it was read")),
                created: now,
                expires: now + self.inner.limits.open_for,
                certificates: signer.certificates.clone(),
            },
            &signer.key,
        );
        let digest = invite.digest();
        let at_rest = &self.inner.at_rest;
        let mut first_toc = match &applying.toc_zero {
            Some(toc) => Some(toc.seal(&id, &digest, asked.purpose, &tek, now_ms, at_rest, rng)?),
            None => None,
        };
        if let (Some(toc), Some(By::Player(player))) = (&mut first_toc, &applying.by) {
            toc.approval = Some(self.approval(&id, &toc.digest, player));
        }
        // Of a farMFA group only the applicant's own Toc is known to be theirs.
        let anchor = first_toc.as_ref().filter(|_| applying.group.is_none()).map(|toc| toc.digest);
        let record = Record {
            group: applying.group,
            tek_sealed: tek.seal(&kek, &id, &digest, rng),
            invite,
            anchor,
            asker: applying.by.as_ref().map(By::id),
            names: self.inner.limits.require_login,
        };
        // An address has many behind it, and a login may come from many: each principal that shows no Toc is counted for itself.
        let (source, source_cap) = match &applying.by {
            Some(By::Login(by)) => (self.asker_source(&by.applying.login), self.inner.limits.per_principal),
            _ => (self.source(peer), self.inner.limits.per_source),
        };
        let told = record.asked(Kind::SessionAsked).from(peer);
        let told = told.with("for", asked.purpose.as_str()).with("reason", asked.reason.as_str());
        let told = told.with("note", record.fields().note.as_str());
        let (text, principal) = (EventText::by(record.applicant()), record.applicant_principal());
        let text = EventText { reason: Some(asked.reason), ..text.of(principal) };
        let audit = match &applying.by {
            Some(By::Player(_)) => Some(self.inner.audit.seal(told.with("holder", record.applicant()))),
            // Each of these is told of, or there is none: a session of which the log says nothing looks like one with a Toc.
            Some(By::Login(by)) => {
                let budget = self.asker_budget(&by.applying.login);
                Some(self.inner.audit.seal_own(told, &budget).ok_or(SessionError::TooOften)?)
            }
            None => self.inner.audit.seal_bounded(told, &source),
        };
        let event = text.seal(&id, "created", at_rest, rng).recorded(audit);
        let event = event.told(self.told_of_start(&record));
        let mut row = NewRow {
            purpose: match asked.purpose {
                Purpose::Code => RowPurpose::Code,
                Purpose::Redeal => RowPurpose::Redeal,
            },
            created_at: now_ms,
            expires_at: now_ms + self.inner.limits.open_for * 1000,
            ttl: asked.ttl,
            source,
            group_fp: record.group.as_ref().map(super::record::group_digest),
            cancel_hash: cancel_hash(&kek.cancel_token()),
            view_hash: super::redeal::view_hash(&record.invite.view_token()),
            max_codes: asked.max_codes,
            sealed: Vec::new(),
            first_toc,
            event,
            on_expiry: self.told_of_expiry(&record),
            once: applying.once,
            applicant: applying.by.map(By::asking),
            source_cap,
            unless: None,
            id,
        };
        row.sealed = record.seal(&Bound::of_new(&row), at_rest, rng);
        Ok((row, record, kek.to_base64()))
    }
}

impl Asked {
    pub fn read(request: &NewSession, operator_max: Option<i64>) -> Result<Self, SessionError> {
        let purpose = request.purpose.unwrap_or(Purpose::Code);
        let plan = match (purpose, &request.plan) {
            (Purpose::Code, None) => None,
            (Purpose::Redeal, Some(plan)) => Some(Plan::parse(&plan.0)?),
            (Purpose::Code, Some(_)) => return Err(SessionError::Request("a plan belongs to purpose redeal")),
            (Purpose::Redeal, None) => return Err(SessionError::Request("a redeal needs a plan")),
        };
        let reason = request.reason.clone().unwrap_or_default();
        if reason.len() > MAX_REASON {
            return Err(SessionError::Request("the reason is longer than 1,024 bytes"));
        }
        if request.ttl.is_some_and(|ttl| !TTL.contains(&ttl)) {
            return Err(SessionError::Request("ttl is between 60 and 86,400 seconds"));
        }
        if request.max_codes.is_some_and(|max| !(1..=1_000_000).contains(&max)) {
            return Err(SessionError::Request("max_codes is between 1 and 1,000,000"));
        }
        let signed = |value: Option<i64>| value.map_or(0, |value| u32::try_from(value).expect("bounded just above"));
        Ok(Self {
            purpose,
            plan,
            reason,
            ttl: request.ttl.unwrap_or(*TTL.start()),
            max_codes: [request.max_codes, operator_max].into_iter().flatten().min(),
            signed_ttl: signed(request.ttl),
            signed_max_codes: signed(request.max_codes),
        })
    }

    fn terms<'a>(&'a self, oracle: &'a str) -> Terms<'a> {
        Terms {
            oracle,
            purpose: self.purpose.as_str(),
            plan: self.plan.as_ref().map_or(&[], Plan::bytes),
            reason: &self.reason,
            ttl: self.signed_ttl,
            max_codes: self.signed_max_codes,
        }
    }
}

impl Applying {
    fn read(
        request: &NewSession,
        asked: &Asked,
        now_ms: i64,
        signer: &InviteSigner,
        inner: &Inner,
    ) -> Result<Self, SessionError> {
        let applying = match (&request.toc_zero, &request.header, &request.sealed, &request.applicant) {
            (Some(toc), None, None, None) => Self::with_toc(toc.get().as_bytes())?,
            (None, Some(header), Some(sealed), Some(proof)) => {
                if sealed.0.len() > MAX_SEALED {
                    return Err(SessionError::Request("the sealed part is larger than any"));
                }
                let group = Group { header: read_header(&header.0, &inner.sound)?, sealed: sealed.0.clone() };
                Self::with_proof(group, proof, &asked.terms(&inner.url), now_ms)?
            }
            _ => {
                return Err(SessionError::Request("send toc_zero, or header, sealed and applicant, or group"));
            }
        };
        if let Some(plan) = &asked.plan {
            let replaces = match &applying.group {
                Some(group) => Replaced::Group(group.name()),
                None => Replaced::Farmfa(applying.group_id.clone()),
            };
            if plan.fields().replaces != replaces {
                return Err(SessionError::Request("the plan replaces another group"));
            }
        }
        applying.check_oracle(signer, now_ms.div_euclid(1000))?;
        Ok(applying)
    }

    /// The applicant showed a Toc: whoever has it, has it.
    fn with_toc(json: &[u8]) -> Result<Self, SessionError> {
        match Toc::parse(json)? {
            Toc::Whole(toc) => {
                let applicant = Applicant::Proved { holder: toc.holder().to_owned(), x: toc.share().x() };
                let group = Group { header: toc.header().clone(), sealed: toc.sealed().to_vec() };
                Ok(Self { toc_zero: Some(TocZero::Whole(Box::new(toc))), ..Self::of_group(group, applicant, None) })
            }
            Toc::Farmfa(FarmfaToc { group_id, size, threshold, note, .. }) => Ok(Self {
                group: None,
                group_id,
                size,
                threshold,
                note,
                applicant: Applicant::Unverified,
                toc_zero: Some(TocZero::Farmfa(Zeroizing::new(json.to_vec()))),
                once: None,
                by: None,
            }),
            Toc::Short(_) => Err(SessionError::Request("toc_zero must be the whole Toc, with header and sealed part")),
        }
    }

    /// The applicant signed with a share key.
    fn with_proof(group: Group, proof: &ApplicantProof, terms: &Terms<'_>, now_ms: i64) -> Result<Self, SessionError> {
        let now = now_ms.div_euclid(1000);
        if now.abs_diff(proof.time) > MAX_SKEW.unsigned_abs() {
            return Err(SessionError::ProofTime);
        }
        let message = create_message(group.name(), proof.x, proof.time, terms);
        verify_player(&group.header, proof.x, &message, &proof.signature.0).map_err(|_| SessionError::BadProof)?;
        let player = group.header.player(proof.x).ok_or(SessionError::BadProof)?;
        let applicant = Applicant::Proved { holder: player.holder.clone(), x: proof.x };
        // Remembered for as long as its time would be accepted, and a little longer.
        let once = Once { digest: sha256(&[&message]), expires_at: (proof.time + 2 * MAX_SKEW) * 1000 };
        Ok(Self::of_group(group, applicant, Some(once)))
    }

    pub fn of_group(group: Group, applicant: Applicant, once: Option<Once>) -> Self {
        let fields = group.header.fields();
        Self {
            group_id: fields.group_id.clone(),
            size: fields.size,
            threshold: fields.threshold,
            note: fields.note.clone(),
            applicant,
            toc_zero: None,
            once,
            by: None,
            group: Some(group),
        }
    }

    /// The same, asked for by somebody who has logged in.
    pub fn by(self, by: By) -> Self {
        Self { by: Some(by), ..self }
    }

    /// No player could verify our invite under the pin of another oracle.
    pub fn check_oracle(&self, signer: &InviteSigner, now: i64) -> Result<(), SessionError> {
        let Some(pin) = self.group.as_ref().and_then(|group| group.header.fields().oracle.as_ref()) else {
            return Ok(());
        };
        if signer.satisfies(pin, now)? { Ok(()) } else { Err(SessionError::WrongOracle) }
    }
}

/// Reads a header; its players' keys are looked at when it comes for the first time.
fn read_header(bytes: &[u8], sound: &Known) -> Result<Header, SessionError> {
    let digest = sha256(&[bytes]);
    if sound.has(&digest) {
        return Ok(Header::reread(bytes)?);
    }
    let header = Header::parse(bytes)?;
    sound.add(digest);
    Ok(header)
}

impl TocZero {
    #[expect(clippy::too_many_arguments, reason = "everything that binds the Toc to its session")]
    fn seal(
        &self,
        id: &str,
        invite_digest: &[u8; 32],
        purpose: Purpose,
        tek: &Tek,
        now_ms: i64,
        at_rest: &crate::service::at_rest::AtRest,
        rng: &mut StateRng,
    ) -> Result<NewToc, SessionError> {
        let (json, x) = match self {
            Self::Whole(toc) => (toc.to_short_json(), Some(toc.share().x())),
            // Whoever starts a redeal approves it.
            Self::Farmfa(json) if purpose == Purpose::Redeal => (approve_farmfa(json, invite_digest)?, None),
            Self::Farmfa(json) => (json.clone(), None),
        };
        let recipient = tek.to_public();
        let armored = age_seal(&json, std::iter::once(&recipient as &dyn age::Recipient))?;
        let digest = sha256(&[armored.as_bytes()]);
        let sealed = at_rest.seal(toc_place(&TocRowName::new(id, &digest, x).parts()), armored.as_bytes(), rng);
        Ok(NewToc { digest, x, proved: x.is_some(), at: now_ms, sealed, approval: None })
    }
}
