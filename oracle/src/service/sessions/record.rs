//! What the store keeps of a session, sealed: the group's public half, the sealed TEK, the invite. And of a redeal, of an
//! event, of a Toc. Knows how they are laid out, and nothing of the rules.

use super::error::SessionError;
use crate::service::at_rest::{AtRest, Place};
use crate::service::audit::{Entry, Kind, Who};
use crate::store::{Approver, Digest, NewSession, Purpose, SessionRow};
use quorate_protocol::encoding::{Base64, length_prefixed};
use quorate_protocol::header::{GroupName, Header};
use quorate_protocol::invite::{Applicant, Invite, InvitePayload};
use quorate_protocol::toc::Group;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A session's record, open.
#[derive(Debug)]
pub(super) struct Record {
    /// The public half of the deal; `None` for farMFA's.
    pub group: Option<Group>,
    /// The TEK's private half, sealed under the KEK.
    pub tek_sealed: Vec<u8>,
    /// The invite, which also says purpose, TEK, threshold, reason and applicant.
    pub invite: Invite,
    /// Digest of the Toc that the applicant of a farMFA group sent along.
    pub anchor: Option<Digest>,
    /// The principal that asks, by what names it for good; `None` where nobody has logged in.
    pub asker: Option<Digest>,
    /// Whether whoever approves must have logged in. What a named invite says goes before.
    pub names: bool,
}

#[derive(Serialize, Deserialize)]
struct RecordJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Base64>,
    tek_sealed: Base64,
    payload: Base64,
    signature: Base64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<Base64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asker: Option<Base64>,
    #[serde(default)]
    names: bool,
}

impl Record {
    pub fn seal(&self, bound: &Bound, at_rest: &AtRest, rng: &mut impl CryptoRng) -> Vec<u8> {
        let json = RecordJson {
            header: self.group.as_ref().map(|group| group.header.bytes().to_vec().into()),
            sealed: self.group.as_ref().map(|group| group.sealed.clone().into()),
            tek_sealed: self.tek_sealed.clone().into(),
            payload: self.invite.payload().to_vec().into(),
            signature: self.invite.signature().to_vec().into(),
            anchor: self.anchor.map(|digest| digest.to_vec().into()),
            asker: self.asker.map(|id| id.to_vec().into()),
            names: self.names,
        };
        seal_json(at_rest, session_place(&[self.id().as_bytes(), &bound.0]), &json, rng)
    }

    pub fn open(row: &SessionRow, at_rest: &AtRest) -> Result<Self, SessionError> {
        let place = [row.id.as_bytes(), &Bound::of(row).0];
        let json: RecordJson = open_json(at_rest, session_place(&place), &row.sealed)?;
        let group = match (json.header, json.sealed) {
            (Some(header), Some(sealed)) => {
                Some(Group { header: Header::reread(&header.0).map_err(|_| SessionError::Damaged)?, sealed: sealed.0 })
            }
            _ => None,
        };
        let invite = Invite::from_parts(json.payload.0, json.signature.0).map_err(|_| SessionError::Damaged)?;
        let digest = |bytes: Option<Base64>| {
            let digest = bytes.map(|bytes| Digest::try_from(bytes.0.as_slice())).transpose();
            digest.map_err(|_| SessionError::Damaged)
        };
        let (anchor, asker) = (digest(json.anchor)?, digest(json.asker)?);
        Ok(Self { group, tek_sealed: json.tek_sealed.0, invite, anchor, asker, names: json.names })
    }

    pub fn fields(&self) -> &InvitePayload {
        self.invite.fields()
    }

    pub fn id(&self) -> &str {
        &self.fields().session
    }

    /// The name that a proved x stands for.
    pub fn holder(&self, x: Option<u8>) -> String {
        let player = self.group.as_ref().zip(x).and_then(|(group, x)| group.header.player(x));
        player.map_or_else(|| "unproved".to_owned(), |player| player.holder.clone())
    }

    /// All holders, in the order of their shares.
    pub fn players(&self) -> Vec<String> {
        let players = self.group.as_ref().map(|group| group.header.fields().players.as_slice()).unwrap_or_default();
        players.iter().map(|player| player.holder.clone()).collect()
    }

    /// The same for the audit log.
    pub fn who(&self, x: Option<u8>) -> Who {
        if x.is_some() { Who::Holder(self.holder(x)) } else { Who::Nobody }
    }

    /// The applicant for the audit log.
    pub fn asker(&self) -> Who {
        match &self.fields().applicant {
            Applicant::Named { principal, .. } | Applicant::Login { principal } => Who::Principal(principal.clone()),
            Applicant::Proved { holder, .. } => Who::Holder(holder.clone()),
            Applicant::Unverified => Who::Nobody,
        }
    }

    /// What the audit log says of this session: about whose secret it is.
    pub fn entry(&self, kind: Kind, who: Who) -> Entry {
        let fields = self.fields();
        let entry = super::about(self.id(), kind, who).with("group_id", fields.group_id.as_str());
        match fields.group {
            Some(group) => entry.with("group", group.to_string()),
            None => entry,
        }
    }

    /// The same of what the applicant does. What a login alone stands for is said with each act, whatever the log has of the first.
    pub fn asked(&self, kind: Kind) -> Entry {
        let entry = self.entry(kind, self.asker());
        match &self.fields().applicant {
            Applicant::Login { .. } => entry.with("asked_with", "login"),
            Applicant::Named { .. } | Applicant::Proved { .. } | Applicant::Unverified => entry,
        }
    }

    /// The applicant's name, as far as it was proved.
    pub fn applicant(&self) -> String {
        match &self.fields().applicant {
            Applicant::Named { holder, .. } | Applicant::Proved { holder, .. } => holder.clone(),
            Applicant::Login { principal } => principal.clone(),
            Applicant::Unverified => "unverified".to_owned(),
        }
    }

    /// The principal that asks, where it has logged in.
    pub fn applicant_principal(&self) -> Option<&str> {
        match &self.fields().applicant {
            Applicant::Named { principal, .. } | Applicant::Login { principal } => Some(principal),
            Applicant::Proved { .. } | Applicant::Unverified => None,
        }
    }

    /// Whether whoever approves or says no must have logged in, and stand for the player. What was sealed when the session was
    /// made decides, so that it keeps its rule.
    pub fn has_names(&self) -> bool {
        match &self.fields().applicant {
            Applicant::Named { .. } => true,
            Applicant::Login { .. } => self.names,
            Applicant::Proved { .. } | Applicant::Unverified => false,
        }
    }
}

/// The columns of a session that never change: sealed with it as associated data, so that whoever can write to the
/// database cannot give it another end, allowance, group or bearer.
pub(super) struct Bound(Vec<u8>);

impl Bound {
    pub fn of(row: &SessionRow) -> Self {
        let times = [row.created_at, row.expires_at, row.ttl, row.max_codes.unwrap_or(0)];
        Self::new(row.purpose, times, row.group_fp.as_ref(), [&row.cancel_hash, &row.view_hash])
    }

    pub fn of_new(row: &NewSession) -> Self {
        let times = [row.created_at, row.expires_at, row.ttl, row.max_codes.unwrap_or(0)];
        Self::new(row.purpose, times, row.group_fp.as_ref(), [&row.cancel_hash, &row.view_hash])
    }

    fn new(purpose: Purpose, times: [i64; 4], group: Option<&Digest>, hashes: [&Digest; 2]) -> Self {
        let purpose = match purpose {
            Purpose::Code => b"code".as_slice(),
            Purpose::Redeal => b"redeal",
        };
        let times: Vec<u8> = times.iter().flat_map(|time| time.to_be_bytes()).collect();
        let group = group.map_or(&[][..], |group| group.as_slice());
        Self(length_prefixed(&[purpose, &times, group, hashes[0], hashes[1]]))
    }
}

/// A Toc's row: its session, its digest, and the x that a proof stands for, so that none can be claimed afterwards.
pub(super) struct TocRowName<'a> {
    id: &'a str,
    digest: &'a Digest,
    proved: Vec<u8>,
}

impl<'a> TocRowName<'a> {
    pub fn new(id: &'a str, digest: &'a Digest, proved: Option<u8>) -> Self {
        Self { id, digest, proved: proved.into_iter().collect() }
    }

    pub fn parts(&self) -> [&[u8]; 3] {
        [self.id.as_bytes(), self.digest, &self.proved]
    }
}

/// What an event says beside its kind.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct EventText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl EventText {
    pub fn by(who: impl Into<String>) -> Self {
        Self { who: Some(who.into()), principal: None, reason: None }
    }

    /// The same as the act of that principal.
    pub fn of(self, principal: Option<impl Into<String>>) -> Self {
        Self { principal: principal.map(Into::into), ..self }
    }

    pub fn seal(&self, id: &str, kind: &str, at_rest: &AtRest, rng: &mut impl CryptoRng) -> crate::store::NewEvent {
        let sealed = seal_json(at_rest, event_place(&[id.as_bytes(), kind.as_bytes()]), self, rng);
        crate::store::NewEvent::new(kind, sealed)
    }

    /// An event whose text does not open is shown without one.
    pub fn open(id: &str, kind: &str, sealed: &[u8], at_rest: &AtRest) -> Self {
        open_json(at_rest, event_place(&[id.as_bytes(), kind.as_bytes()]), sealed).unwrap_or_default()
    }
}

/// Whose approval a Toc is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ApprovalText {
    /// Full name.
    pub principal: String,
    /// What names the principal for good: another one may have its name later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Base64>,
    /// Its version then: an approval does not outlive what the login rested on.
    #[serde(default)]
    pub version: i64,
    /// What stood for it: `login` or `webauthn`.
    pub with: String,
}

impl ApprovalText {
    pub fn seal(&self, id: &str, toc: &Digest, x: u8, at_rest: &AtRest, rng: &mut impl CryptoRng) -> Vec<u8> {
        seal_json(at_rest, approval_place(&[id.as_bytes(), toc, &[x]]), self, rng)
    }

    pub fn open(id: &str, toc: &Digest, x: u8, sealed: &[u8], at_rest: &AtRest) -> Result<Self, SessionError> {
        open_json(at_rest, approval_place(&[id.as_bytes(), toc, &[x]]), sealed)
    }

    /// Whether that principal gave it, and nothing that its login rests on has changed since.
    pub fn is_of(&self, approver: &Approver) -> bool {
        self.id.as_ref().is_some_and(|id| id.0 == approver.principal) && self.version == approver.version
    }
}

/// A redeal's record, open.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RedealRecord {
    /// The new group's header.
    pub header: Base64,
    /// The new group's sealed secret.
    pub sealed: Base64,
    /// Digest of the invite that it was approved under.
    pub invite_digest: Base64,
    /// Hash of the invite's view token: the session's own is no longer bound to anything.
    pub view_hash: Base64,
}

impl RedealRecord {
    pub fn seal(&self, id: &str, at_rest: &AtRest, rng: &mut impl CryptoRng) -> Vec<u8> {
        seal_json(at_rest, redeal_place(&[id.as_bytes()]), self, rng)
    }

    pub fn open(id: &str, sealed: &[u8], at_rest: &AtRest) -> Result<Self, SessionError> {
        open_json(at_rest, redeal_place(&[id.as_bytes()]), sealed)
    }

    pub fn group(&self) -> Result<Group, SessionError> {
        let header = Header::reread(&self.header.0).map_err(|_| SessionError::Damaged)?;
        Ok(Group { header, sealed: self.sealed.0.clone() })
    }

    pub fn digest(&self) -> Result<[u8; 32], SessionError> {
        self.invite_digest.0.as_slice().try_into().map_err(|_| SessionError::Damaged)
    }
}

/// G as the store keeps it.
pub(super) fn group_digest(group: &Group) -> [u8; 32] {
    let GroupName(digest) = group.name();
    digest
}

pub(super) fn toc_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "tocs", row, column: "sealed" }
}

pub(super) fn redeal_toc_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "redeal_tocs", row, column: "sealed" }
}

fn approval_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "tocs", row, column: "approval" }
}

fn session_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "sessions", row, column: "sealed" }
}

fn redeal_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "redeals", row, column: "sealed" }
}

fn event_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "events", row, column: "sealed" }
}

fn seal_json(at_rest: &AtRest, place: Place<'_>, value: &impl Serialize, rng: &mut impl CryptoRng) -> Vec<u8> {
    let json = Zeroizing::new(serde_json::to_vec(value).expect("plain data always serialises"));
    at_rest.seal(place, &json, rng)
}

fn open_json<T: serde::de::DeserializeOwned>(
    at_rest: &AtRest,
    place: Place<'_>,
    sealed: &[u8],
) -> Result<T, SessionError> {
    let json = at_rest.open(place, sealed).map_err(|_| SessionError::Damaged)?;
    serde_json::from_slice(&json).map_err(|_| SessionError::Damaged)
}
