//! Invites, and the certificates that lead from the root key in a Toc to the key that signed one.
//!
//! `https://oracle/s/ID#PAYLOAD.SIGNATURE`: the fragment never reaches a server and holds no secret. The oracle signs
//! the applicant's words, not their truth.

use crate::encoding::{Base64, base64url, sha256};
use crate::header::{GroupName, check_url};
use crate::plan::{Plan, PlanError};
use crate::proof;
use crate::session::is_session_id;
use crate::signed_link::{self, times_can_be};
use crate::strict_json;
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// Characters of an invite that are read at most.
pub const MAX_INVITE: usize = signed_link::MAX_LINK;
/// Certificates between the pinned root and the invite key.
pub const MAX_CHAIN: usize = 8;

/// What a certified key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertifiedKind {
    /// Sign invites.
    InviteKey,
    /// Take the root key's place.
    RootKey,
}

/// A root key's word about another key: exact bytes and a signature under "quorate/1 certificate\0".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// JSON of [`Certified`].
    pub payload: Base64,
    /// Ed25519 signature, 64 bytes.
    pub signature: Base64,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certified {
    /// Always 1.
    pub version: u32,
    /// What the key may do.
    pub kind: CertifiedKind,
    /// Ed25519 public key, 32 bytes.
    pub key: Base64,
    /// First second of validity, Unix time.
    pub not_before: i64,
    /// First second after it, Unix time.
    pub expires: i64,
}

/// Why an invite or a certificate is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// Signed by a key that the certificates do not lead to.
    #[error("the invite is not signed by the oracle that this Toc trusts")]
    Signature,
    /// A certificate outside its time.
    #[error("the oracle's invite certificate is not valid now (valid from {not_before} to {expires}, Unix time)")]
    CertificateExpired {
        /// First second of validity.
        not_before: i64,
        /// First second after it.
        expires: i64,
    },
    /// The invite's own time is over.
    #[error("the invite has expired")]
    Expired,
    /// Not an invite.
    #[error("this is not an invite: {0}")]
    Malformed(&'static str),
    /// The plan inside is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Certificate {
    /// Certifies `key` from `not_before` until `expires` (Unix seconds).
    pub fn issue(root: &SigningKey, kind: CertifiedKind, key: &VerifyingKey, not_before: i64, expires: i64) -> Self {
        let certified = Certified { version: 1, kind, key: key.to_bytes().to_vec().into(), not_before, expires };
        let payload = serde_json::to_vec(&certified).expect("plain data always serialises");
        let signature = proof::sign(root, &certificate_message(&payload));
        Self { payload: payload.into(), signature: signature.into() }
    }

    /// Checks signature and time.
    pub fn verify(&self, root: &VerifyingKey, now: i64) -> Result<Certified, InviteError> {
        proof::verify(root, &certificate_message(&self.payload.0), &self.signature.0)
            .map_err(|_| InviteError::Signature)?;
        let certified = self.read()?;
        if !(certified.not_before..certified.expires).contains(&now) {
            return Err(InviteError::CertificateExpired {
                not_before: certified.not_before,
                expires: certified.expires,
            });
        }
        Ok(certified)
    }

    /// What it says, unverified: for showing.
    pub fn read(&self) -> Result<Certified, InviteError> {
        let certified: Certified = strict_json::from_slice(&self.payload.0)
            .map_err(|_| InviteError::Malformed("a certificate is unreadable"))?;
        if certified.version == 1 {
            Ok(certified)
        } else {
            Err(InviteError::Malformed("a certificate of another version"))
        }
    }
}

impl Certified {
    /// The key.
    pub fn verifying_key(&self) -> Result<VerifyingKey, InviteError> {
        let malformed = InviteError::Malformed("a certified key is no Ed25519 key");
        let Ok(bytes) = self.key.0.as_slice().try_into() else { return Err(malformed) };
        VerifyingKey::from_bytes(bytes).map_err(|_| malformed)
    }
}

fn certificate_message(payload: &[u8]) -> Vec<u8> {
    [b"quorate/1 certificate\0".as_slice(), payload].concat()
}

/// Follows `chain` from `root` to the key that may sign invites at `now`.
pub fn follow_chain(root: &VerifyingKey, chain: &[Certificate], now: i64) -> Result<VerifyingKey, InviteError> {
    let mut key = *root;
    if chain.len() > MAX_CHAIN {
        return Err(InviteError::Malformed("too many certificates"));
    }
    let mut end = None;
    for certificate in chain {
        if end.is_some() {
            return Err(InviteError::Malformed("a certificate stands behind that of the invite key"));
        }
        // A Toc may pin a later root than the first of the chain: what that root did not sign is before its time.
        match certificate.verify(&key, now) {
            Ok(certified) => {
                key = certified.verifying_key()?;
                if certified.kind == CertifiedKind::InviteKey {
                    end = Some(key);
                }
            }
            Err(InviteError::Signature) if certificate.read()?.kind == CertifiedKind::RootKey => {}
            Err(error) => return Err(error),
        }
    }
    end.ok_or(InviteError::Signature)
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A code.
    Code,
    /// A redeal.
    Redeal,
}

impl Purpose {
    /// The word in requests and signatures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Redeal => "redeal",
        }
    }
}

/// Who asks, and how the oracle knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "status", deny_unknown_fields)]
pub enum Applicant {
    /// Signed with the share key of this player.
    Proved {
        /// The holder's name in the header.
        holder: String,
        /// The player's x.
        x: u8,
    },
    /// The same, and logged in as the principal that stands for this player at the oracle.
    Named {
        /// The holder's name in the header.
        holder: String,
        /// The player's x.
        x: u8,
        /// Full name of the principal.
        principal: String,
    },
    /// Logged in at the oracle as a principal that may ask for this group's codes, and showed no Toc.
    Login {
        /// Full name of the principal.
        principal: String,
    },
    /// Nothing was proved: a farMFA client.
    Unverified,
}

impl Applicant {
    /// The word for how it is known, as in the invite.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Proved { .. } => "proved",
            Self::Named { .. } => "named",
            Self::Login { .. } => "login",
            Self::Unverified => "unverified",
        }
    }

    /// A login alone asks for codes of a group that the oracle knows, and never for a redeal.
    fn may_ask(&self, purpose: Purpose, group: Option<GroupName>) -> bool {
        !matches!(self, Self::Login { .. }) || (purpose == Purpose::Code && group.is_some())
    }
}

/// What an invite says. Unknown fields are refused: these bytes are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitePayload {
    /// Always 1.
    pub version: u32,
    /// Session id.
    pub session: String,
    /// The oracle's base URL.
    pub oracle: String,
    /// The session's age recipient.
    pub tek: String,
    /// G; absent for a group dealt by farMFA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// The group id for people, or farMFA's.
    pub group_id: String,
    /// Number of players.
    pub size: u8,
    /// Number of Tocs that make the session quorate.
    pub threshold: u8,
    /// What the secret opens.
    pub note: String,
    /// What the session is for.
    pub purpose: Purpose,
    /// Digest of the plan, of a redeal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<Base64>,
    /// The plan's exact bytes, of a redeal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Base64>,
    /// Who asks.
    pub applicant: Applicant,
    /// Why, in the applicant's words.
    pub reason: String,
    /// Seconds that codes flow after the first: what a code's approval is good for.
    pub ttl: u32,
    /// Distinct time steps for which a code is shown; absent for no bound but `ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_codes: Option<u32>,
    /// When the session was made, Unix seconds.
    pub created: i64,
    /// When it expires if nobody completes it, Unix seconds.
    pub expires: i64,
    /// From the root key to the invite key.
    pub certificates: Vec<Certificate>,
}

/// An invite as it travels: exact bytes, signature, and what the bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    payload: Vec<u8>,
    signature: Vec<u8>,
    fields: InvitePayload,
}

impl Invite {
    /// Signs `fields` under "quorate/1 invite\0".
    pub fn issue(fields: InvitePayload, key: &SigningKey) -> Self {
        let payload = serde_json::to_vec(&fields).expect("plain data always serialises");
        let signature = proof::sign(key, &invite_message(&payload));
        Self { payload, signature, fields }
    }

    /// Reads a whole link, or only its fragment. Nothing is verified yet.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        let parts = signed_link::split(text).map_err(InviteError::Malformed)?;
        let invite = Self::from_parts(parts.payload, parts.signature)?;
        if parts.address.is_some_and(|address| address != invite.page_url()) {
            return Err(InviteError::Malformed("the address before # is not the one inside"));
        }
        Ok(invite)
    }

    /// Puts stored bytes back together.
    pub fn from_parts(payload: Vec<u8>, signature: Vec<u8>) -> Result<Self, InviteError> {
        let fields: InvitePayload =
            strict_json::from_slice(&payload).map_err(|_| InviteError::Malformed("what it says is unreadable"))?;
        let sound = fields.version == 1
            && is_session_id(&fields.session)
            && check_url(&fields.oracle).is_ok()
            && (2..=fields.size).contains(&fields.threshold)
            && times_can_be(fields.created, fields.expires)
            && fields.plan.is_some() == (fields.purpose == Purpose::Redeal)
            && fields.plan.is_some() == fields.plan_digest.is_some()
            && fields.applicant.may_ask(fields.purpose, fields.group);
        if !sound {
            return Err(InviteError::Malformed("what it says cannot be"));
        }
        let invite = Self { payload, signature, fields };
        if let Some(plan) = invite.plan()? {
            let named = invite.fields.plan_digest.as_ref().map(|digest| digest.0.as_slice());
            if named != Some(plan.digest().as_slice()) {
                return Err(InviteError::Malformed("the plan is not the one that its digest names"));
            }
        }
        Ok(invite)
    }

    /// Checks that a key certified by `root` signed this, and that its time is not over at `now` (Unix seconds).
    pub fn verify(&self, root: &VerifyingKey, now: i64) -> Result<&InvitePayload, InviteError> {
        let key = follow_chain(root, &self.fields.certificates, now)?;
        proof::verify(&key, &invite_message(&self.payload), &self.signature).map_err(|_| InviteError::Signature)?;
        if now >= self.fields.expires {
            return Err(InviteError::Expired);
        }
        Ok(&self.fields)
    }

    /// SHA-256 of the payload: what approvals are bound to.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&[&self.payload])
    }

    /// The token that shows names to whoever has the invite: base64url of SHA-256("quorate/1 view\0" ‖ payload).
    pub fn view_token(&self) -> String {
        base64url(&sha256(&[b"quorate/1 view\0", &self.payload]))
    }

    /// The plan of a redeal.
    pub fn plan(&self) -> Result<Option<Plan>, InviteError> {
        Ok(self.fields.plan.as_ref().map(|plan| Plan::parse(&plan.0)).transpose()?)
    }

    /// The session's page, without the fragment.
    pub fn page_url(&self) -> String {
        format!("{}/s/{}", self.fields.oracle, self.fields.session)
    }

    /// The whole link.
    pub fn to_url(&self) -> String {
        signed_link::join(&self.page_url(), &self.payload, &self.signature)
    }

    /// What it says, unverified.
    pub fn fields(&self) -> &InvitePayload {
        &self.fields
    }

    /// The exact bytes that are signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature, 64 bytes.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

fn invite_message(payload: &[u8]) -> Vec<u8> {
    [b"quorate/1 invite\0".as_slice(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed_link::MAX_TIME;

    const NOW: i64 = 1_700_000_000;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn certificate(root: u8, kind: CertifiedKind, subject: u8) -> Certificate {
        Certificate::issue(&key(root), kind, &key(subject).verifying_key(), NOW - 10, NOW + 10)
    }

    fn invite(certificates: Vec<Certificate>) -> Invite {
        let fields = InvitePayload {
            version: 1,
            session: "A".repeat(32),
            oracle: "https://oracle.example/base".into(),
            tek: "age1test".into(),
            group: Some(GroupName([5; 32])),
            group_id: "7GCUCI2Y".into(),
            size: 3,
            threshold: 2,
            note: "test".into(),
            purpose: Purpose::Code,
            plan_digest: None,
            plan: None,
            applicant: Applicant::Proved { holder: "ann".into(), x: 1 },
            reason: "close the month".into(),
            ttl: 60,
            max_codes: None,
            created: NOW,
            expires: NOW + 60,
            certificates,
        };
        Invite::issue(fields, &key(2))
    }

    #[test]
    fn an_invite_goes_round_and_verifies() {
        let sent = invite(vec![certificate(1, CertifiedKind::InviteKey, 2)]);
        let read = Invite::parse(&sent.to_url()).expect("reads");
        assert_eq!(read, sent);
        assert_eq!(read.verify(&key(1).verifying_key(), NOW).expect("verifies").reason, "close the month");
        assert!(matches!(read.verify(&key(3).verifying_key(), NOW), Err(InviteError::Signature)));
        assert!(matches!(read.verify(&key(1).verifying_key(), NOW + 10), Err(InviteError::CertificateExpired { .. })));
        assert!(matches!(read.verify(&key(1).verifying_key(), NOW - 11), Err(InviteError::CertificateExpired { .. })));
    }

    #[test]
    fn a_login_asks_for_codes_of_a_known_group_alone() {
        let sent = invite(vec![certificate(1, CertifiedKind::InviteKey, 2)]);
        let login = Applicant::Login { principal: "principal/internal/user/bob".into() };
        let read = |fields| Invite::parse(&Invite::issue(fields, &key(2)).to_url());
        let asked = InvitePayload { applicant: login, ..sent.fields().clone() };
        assert_eq!(read(asked.clone()).expect("reads").fields().applicant.status(), "login");
        let farmfa = InvitePayload { group: None, ..asked.clone() };
        assert!(matches!(read(farmfa), Err(InviteError::Malformed("what it says cannot be"))));
        let plan = br#"{"version":1,"replaces":{"farmfa":"A"},"threshold":2,"note":"","players":[]}"#;
        let redeal = InvitePayload {
            purpose: Purpose::Redeal,
            plan: Some(plan.to_vec().into()),
            plan_digest: Some(vec![0; 32].into()),
            ..asked
        };
        assert!(matches!(read(redeal), Err(InviteError::Malformed("what it says cannot be"))));
    }

    #[test]
    fn an_invite_ends() {
        let root = key(1);
        let long = Certificate::issue(&root, CertifiedKind::InviteKey, &key(2).verifying_key(), 0, i64::MAX);
        assert!(matches!(invite(vec![long]).verify(&root.verifying_key(), NOW + 60), Err(InviteError::Expired)));
    }

    #[test]
    fn times_that_cannot_be_are_refused() {
        let sent = invite(vec![certificate(1, CertifiedKind::InviteKey, 2)]);
        let read = |created: i64, expires: i64| {
            let fields = InvitePayload { created, expires, ..sent.fields.clone() };
            let payload = serde_json::to_vec(&fields).expect("plain data");
            Invite::from_parts(payload, sent.signature.clone())
        };
        assert!(read(0, 1).is_ok() && read(0, MAX_TIME - 1).is_ok());
        for (created, expires) in
            [(0, i64::MIN), (i64::MIN, NOW), (-1, NOW), (NOW, NOW), (NOW, NOW - 1), (0, MAX_TIME), (0, i64::MAX)]
        {
            assert!(matches!(read(created, expires), Err(InviteError::Malformed(_))), "{created} {expires}");
        }
    }

    #[test]
    fn a_changed_word_is_noticed() {
        let sent = invite(vec![certificate(1, CertifiedKind::InviteKey, 2)]);
        for (from, to) in [("age1test", "age1evil"), ("\"code\"", "\"cod3\""), ("month", "mouth"), ("ann", "bob")] {
            let text = String::from_utf8(sent.payload.clone()).expect("JSON").replace(from, to);
            let forged = Invite::from_parts(text.into_bytes(), sent.signature.clone());
            let verdict = forged.and_then(|i| i.verify(&key(1).verifying_key(), NOW).map(|_| ()));
            assert!(verdict.is_err(), "{from}");
        }
        let url = sent.to_url();
        assert!(Invite::parse(&url.replace("oracle.example", "evil.example")).is_err());
        assert!(Invite::parse(&url[..url.len() - 30]).is_ok_and(|i| i.verify(&key(1).verifying_key(), NOW).is_err()));
        assert!(Invite::parse(url.split('#').next().expect("a link")).is_err());
    }

    #[test]
    fn a_successor_root_is_followed_and_nothing_else() {
        let chain = vec![certificate(1, CertifiedKind::RootKey, 9), certificate(9, CertifiedKind::InviteKey, 2)];
        let sent = invite(chain);
        assert!(sent.verify(&key(1).verifying_key(), NOW).is_ok(), "the old pin leads to the new root");
        assert!(sent.verify(&key(9).verifying_key(), NOW).is_ok(), "the new pin holds too");
        assert!(sent.verify(&key(2).verifying_key(), NOW).is_err(), "an invite key is no root");
        let forged = vec![certificate(1, CertifiedKind::InviteKey, 9), certificate(9, CertifiedKind::InviteKey, 2)];
        assert!(invite(forged).verify(&key(1).verifying_key(), NOW).is_err(), "an invite key certifies nobody");
    }
}
