//! A redeal: the approved plan is run once, the new Tocs wait for their players, and a threshold of receipts ends the old
//! group. Old Tocs can still rebuild the secret offline; only changing it at the account ends that.

use super::code::dismissed;
use super::error::SessionError;
use super::record::{EventText, Record, RedealRecord, group_digest, redeal_toc_place};
use super::{MAX_WITHDRAWN, Sessions};
use crate::service::audit::{Entry, Kind, Who};
use crate::service::people::Caller;
use crate::state::StateRng;
use crate::store::{
    Basis, ClosedAs, NewRedeal, Purpose as RowPurpose, ReceiveOutcome, RedealOutcome, RedealRow, RedealTocRow,
    SessionRow, StoreError,
};
use quorate_protocol::api::{JsonText, Receipt, Redeal, RedealToc};
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::encoding::sha256;
use quorate_protocol::header::OraclePin;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::plan::{PlannedPlayer, Replaced};
use quorate_protocol::proof::{receipt_message, verify_player};
use quorate_protocol::sealing::age_seal;
use quorate_protocol::session::is_session_id;
use quorate_protocol::toc::{Group, WholeToc};
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

impl Sessions {
    /// Runs the approved plan of session `id`, once.
    pub async fn redeal(
        &self,
        id: &str,
        kek: Zeroizing<String>,
        caller: Option<&Caller>,
        peer: IpAddr,
    ) -> Result<Redeal, SessionError> {
        for _ in 0..MAX_WITHDRAWN {
            if self.try_redeal(id, kek.clone(), caller, peer).await? {
                return self.fetch_unchecked(id).await;
            }
        }
        Err(StoreError::Contended { tries: MAX_WITHDRAWN }.into())
    }

    /// The same; false when an approval that was counted counted no more by the time that it was to be stored. Without it there may
    /// be enough others.
    async fn try_redeal(
        &self,
        id: &str,
        kek: Zeroizing<String>,
        caller: Option<&Caller>,
        peer: IpAddr,
    ) -> Result<bool, SessionError> {
        let mut loaded = self.load(id, RowPurpose::Redeal, &kek, caller).await?;
        let record = &loaded.record;
        let signer = self.signer()?;
        let own_pin = OraclePin { url: signer.url.clone(), root_key: signer.root.to_bytes().to_vec().into() };
        let plan = record.invite.plan().ok().flatten().ok_or(SessionError::Damaged)?;
        let pin = match &record.group {
            Some(group) => group.header.fields().oracle.clone(),
            // farMFA names no oracle; its successor group is ours to serve.
            None => Some(own_pin),
        };
        let (now_ms, mut rng) = (self.now_ms(), self.rng());
        let planned = plan.clone();
        let run = move |secret: Box<OtpSecret>, dropped| -> Result<_, SessionError> {
            let holders: Vec<String> = planned.fields().players.iter().map(|player| player.holder.clone()).collect();
            let request = DealRequest {
                secret: &secret,
                threshold: usize::from(planned.fields().threshold),
                holders: &holders,
                note: &planned.fields().note,
                dealt_at: now_ms.div_euclid(1000),
                oracle: pin,
                replaces: match planned.fields().replaces {
                    Replaced::Group(name) => Some(name),
                    Replaced::Farmfa(_) => None,
                },
            };
            let Deal { group, tocs } = deal(&request, &mut rng).map_err(SessionError::BadDeal)?;
            let sealed =
                tocs.iter().zip(&planned.fields().players).map(seal_to_player).collect::<Result<Vec<_>, _>>()?;
            Ok((group, sealed, dropped))
        };
        let (joined, approvals) = (loaded.joined(), std::mem::take(&mut loaded.approvals));
        let (dealt, record) = self.with_secret(loaded, kek, peer, run).await?;
        let (group, sealed, dropped) = dealt?;
        self.drop_false(id, &record, &dropped, peer).await?;
        let players: Vec<&str> = plan.fields().players.iter().map(|player| player.holder.as_str()).collect();
        let told = record.asked(Kind::SessionRedealt).from(peer).with("tocs_of", joined);
        let told = told.with("reason", record.fields().reason.as_str()).with("players", players);
        let told = approvals.tell(told);
        let told = told.with("threshold", plan.fields().threshold).with("new_group", group.name().to_string());
        // As for a code: what was looked at must still stand where the redeal is stored.
        let by = self.check_applicant(&record, caller).await?;
        let refused = dismissed(by.as_ref());
        let redeal = self.stored(&record, &group, plan.fields().threshold, now_ms, approvals.basis(by));
        match self.finish(&record, redeal, sealed, told).await? {
            RedealOutcome::Stored => Ok(true),
            RedealOutcome::Withdrawn => Ok(false),
            RedealOutcome::Dismissed => Err(refused),
            RedealOutcome::Refused => Err(match self.inner.store.session(id).await? {
                Some(row) if row.is_open(self.now_ms()) => SessionError::GroupRefused,
                _ => self.why_closed(id).await,
            }),
        }
    }

    fn stored(&self, record: &Record, group: &Group, threshold: u8, at: i64, basis: Option<Basis>) -> NewRedeal {
        let stored = RedealRecord {
            header: group.header.bytes().to_vec().into(),
            sealed: group.sealed.clone().into(),
            invite_digest: record.invite.digest().to_vec().into(),
            view_hash: view_hash(&record.invite.view_token()).to_vec().into(),
        };
        NewRedeal {
            old_group: record.group.as_ref().map(group_digest),
            new_group: group_digest(group),
            threshold,
            at,
            sealed: stored.seal(record.id(), &self.inner.at_rest, &mut self.rng()),
            basis,
        }
    }

    async fn finish(
        &self,
        record: &Record,
        redeal: NewRedeal,
        tocs: Vec<String>,
        told: Entry,
    ) -> Result<RedealOutcome, SessionError> {
        let (id, at_rest, mut rng) = (record.id(), &self.inner.at_rest, self.rng());
        let tocs = (1..=u8::MAX).zip(tocs).map(|(x, toc)| (x, seal_toc(self, id, x, &toc, &mut rng))).collect();
        let text = EventText::by(record.applicant()).of(record.applicant_principal());
        let event = text.seal(id, "redealt", at_rest, &mut rng);
        let event = event.recorded(self.inner.audit.seal(told));
        Ok(self.inner.store.finish_redeal(id, redeal, tocs, event).await?)
    }

    /// The result of the redeal of session `id`, for whoever has the invite's view token.
    pub async fn fetch(&self, id: &str, view_token: Option<&str>) -> Result<Redeal, SessionError> {
        self.known(id).await?;
        let (row, _) = self.stored_redeal(id).await?;
        let stored = RedealRecord::open(id, &row.sealed, &self.inner.at_rest)?;
        if !is_token(view_token, &stored.view_hash.0) {
            return Err(SessionError::InviteNeeded);
        }
        self.fetch_unchecked(id).await
    }

    async fn fetch_unchecked(&self, id: &str) -> Result<Redeal, SessionError> {
        let (row, tocs) = self.stored_redeal(id).await?;
        let group = RedealRecord::open(id, &row.sealed, &self.inner.at_rest)?.group()?;
        let tocs = tocs.iter().map(|toc| self.show_toc(id, &group, toc)).collect::<Result<_, _>>()?;
        let json = serde_json::value::RawValue::from_string(group.to_json()).map_err(|_| SessionError::Damaged)?;
        Ok(Redeal {
            group: Box::new(JsonText(json)),
            tocs,
            receipts_needed: u32::from(row.threshold),
            complete: row.completed_at.is_some(),
        })
    }

    /// Takes a new player's signed receipt. The Toc is dropped; a threshold of receipts ends the old group.
    pub async fn receive(&self, id: &str, receipt: Receipt, peer: IpAddr) -> Result<(), SessionError> {
        self.known(id).await?;
        let (row, _) = self.stored_redeal(id).await?;
        let stored = RedealRecord::open(id, &row.sealed, &self.inner.at_rest)?;
        let group = stored.group()?;
        let message = receipt_message(&stored.digest()?, group.name(), receipt.x, &group.header);
        verify_player(&group.header, receipt.x, &message, &receipt.proof.0).map_err(|_| SessionError::BadProof)?;
        let holder = group.header.player(receipt.x).ok_or(SessionError::BadProof)?.holder.clone();
        let told = super::about(id, Kind::SessionReceived, Who::Holder(holder.clone())).from(peer);
        let audit = self.inner.audit.seal(told.with("group", group.name().to_string()).with("x", receipt.x));
        let event = EventText::by(holder).seal(id, "received", &self.inner.at_rest, &mut self.rng()).recorded(audit);
        match self.inner.store.receive(id, receipt.x, self.now_ms(), event).await? {
            ReceiveOutcome::Recorded { .. } | ReceiveOutcome::Already => Ok(()),
            ReceiveOutcome::Unknown => Err(SessionError::Unknown),
        }
    }

    /// The session `id`, over or not.
    pub(super) async fn known(&self, id: &str) -> Result<SessionRow, SessionError> {
        if !is_session_id(id) {
            return Err(SessionError::Unknown);
        }
        self.inner.store.session(id).await?.ok_or(SessionError::Unknown)
    }

    async fn stored_redeal(&self, id: &str) -> Result<(RedealRow, Vec<RedealTocRow>), SessionError> {
        if let Some(found) = self.inner.store.redeal(id).await? {
            return Ok(found);
        }
        let row = self.known(id).await?;
        Err(match (row.purpose, row.closed_as) {
            (RowPurpose::Code, _) => SessionError::PurposeMismatch,
            (RowPurpose::Redeal, Some(why)) if why != ClosedAs::Redealt => SessionError::Over(why),
            (RowPurpose::Redeal, _) => SessionError::Request("the redeal has not been run yet"),
        })
    }

    fn show_toc(&self, id: &str, group: &Group, toc: &RedealTocRow) -> Result<RedealToc, SessionError> {
        let holder = group.header.player(toc.x).ok_or(SessionError::Damaged)?.holder.clone();
        let received = toc.received_at.is_some();
        let encrypted_toc = if received {
            None
        } else {
            let row: [&[u8]; 2] = [id.as_bytes(), &[toc.x]];
            let armored =
                self.inner.at_rest.open(redeal_toc_place(&row), &toc.sealed).map_err(|_| SessionError::Damaged)?;
            Some(String::from_utf8(armored.to_vec()).map_err(|_| SessionError::Damaged)?)
        };
        Ok(RedealToc { x: toc.x, holder, encrypted_toc, received })
    }
}

/// Whether `token` is the one derived from the session's invite.
pub(super) fn may_view(row: &SessionRow, token: Option<&str>) -> bool {
    is_token(token, &row.view_hash)
}

/// What is kept of a view token.
pub(super) fn view_hash(token: &str) -> [u8; 32] {
    sha256(&[token.as_bytes()])
}

fn is_token(token: Option<&str>, hash: &[u8]) -> bool {
    token.is_some_and(|token| bool::from(view_hash(token).as_slice().ct_eq(hash)))
}

fn seal_to_player((toc, player): (&WholeToc, &PlannedPlayer)) -> Result<String, SessionError> {
    let recipients = player.natives()?;
    Ok(age_seal(&toc.to_json(), recipients.iter().map(|recipient| recipient as &dyn age::Recipient))?)
}

fn seal_toc(sessions: &Sessions, id: &str, x: u8, armored: &str, rng: &mut StateRng) -> Vec<u8> {
    sessions.inner.at_rest.seal(redeal_toc_place(&[id.as_bytes(), &[x]]), armored.as_bytes(), rng)
}
