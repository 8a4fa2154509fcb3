//! Starting a session: the applicant's proof, the check of what the oracle signed, and the applicant's own Toc. It must not
//! know how the session goes on.

use super::AskArgs;
use crate::cli::drawer::Card;
use crate::cli::error::SessionError;
use crate::cli::opening::OpenedToc;
use crate::cli::security_key;
use crate::cli::session::kept::Kept;
use crate::cli::trust::TrustStore;
use crate::cli::{CliError, Context};
use crate::client::Client;
use quorate_protocol::api::{AddToc, ApplicantProof, NewSession, SessionCredentials};
use quorate_protocol::header::OraclePin;
use quorate_protocol::invite::{Applicant, Invite, InvitePayload, Purpose};
use quorate_protocol::plan::Plan;
use quorate_protocol::proof::{Terms, approve_message, create_message, sign};
use quorate_protocol::sealing::age_seal;
use quorate_protocol::session::Kek;
use quorate_protocol::toc::{Toc, WholeToc};
use serde_json::value::RawValue;

/// Equal requests that may be made in one second.
const MAX_EQUAL: i64 = 10;

/// A session that has been started, verified and kept.
pub(crate) struct Started {
    pub(crate) client: Client,
    pub(crate) kept: Kept,
    pub(crate) expires_at: String,
}

/// The oracle that the Toc names, or the trusted one of `--oracle` when it names none.
pub(super) fn choose_oracle(context: &Context, args: &AskArgs, pin: Option<&OraclePin>) -> Result<OraclePin, CliError> {
    let wanted = args.oracle.as_deref().map(|url| url.trim_end_matches('/'));
    match (pin, wanted) {
        (Some(pin), Some(url)) if pin.url != url => {
            Err(CliError::Usage(format!("this Toc is for the oracle at {}, not for {url}", pin.url)))
        }
        (Some(pin), _) => Ok(pin.clone()),
        (None, Some(url)) => Ok(TrustStore::load(&context.paths()?)?.find(url)?.pin()),
        (None, None) => Err(SessionError::NoOracle.into()),
    }
}

/// What is asked for besides a code or a redeal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) reason: &'a str,
    /// Seconds that codes flow after the first.
    pub(crate) ttl: Option<u32>,
    pub(crate) max_codes: Option<u32>,
}

/// What is asked for, and of whom.
pub(super) struct Asking<'a> {
    pub(super) context: &'a Context,
    pub(super) wanted: Wanted<'a>,
    pub(super) pin: &'a OraclePin,
    pub(super) plan: Option<&'a Plan>,
    /// When, Unix seconds.
    pub(super) now: i64,
}

/// Things that an invite says, each with whether it is what was asked for.
type Compared = Vec<(&'static str, bool)>;

/// Starts the session at the oracle of `pin`.
pub(super) fn start(
    context: &Context,
    args: &AskArgs,
    own: &OpenedToc,
    plan: Option<&Plan>,
    pin: &OraclePin,
) -> Result<Started, CliError> {
    let client = args.network.client(context, &pin.url)?;
    let now = context.now();
    let credentials = create(&client, args, own, plan, pin, now)?;
    let card = Card::of(&own.toc).ok_or(SessionError::Wrong("Toc"))?;
    let same = |invite: &InvitePayload| same_group(own, &card, invite);
    let asking = Asking { context, wanted: args.wanted(), pin, plan, now };
    settle(&asking, client, &credentials, same, |client, kept| join(context, args, client, own, kept))
}

/// Keeps a session that the oracle has started, when its invite says what was asked for and nothing else, and does what is left to
/// do; ends it otherwise.
pub(super) fn settle(
    asking: &Asking<'_>,
    client: Client,
    credentials: &SessionCredentials,
    same: impl FnOnce(&InvitePayload) -> Compared,
    then: impl FnOnce(&Client, &Kept) -> Result<(), CliError>,
) -> Result<Started, CliError> {
    let Asking { context, wanted, pin, now, .. } = asking;
    let kek = Kek::from_base64(&credentials.kek)?;
    let invite = match verify(asking, credentials, same) {
        Ok(invite) => invite,
        Err(error) => {
            // An oracle that signs other words than ours gets nothing more; that it forgets the session is a courtesy.
            let _ = client.cancel(&credentials.session.id, &kek);
            return Err(error);
        }
    };
    let over_at = invite.fields().expires.saturating_add(credentials.session.ttl);
    let kept = Kept { oracle: pin.url.clone(), invite, kek, over_at, counted: wanted.max_codes.is_some() };
    let folder = context.paths()?.sessions();
    if let Err(error) = kept.save(&folder, *now).and_then(|()| then(&client, &kept)) {
        // Nobody has seen the invite yet: a session without its applicant serves no one.
        let _ = client.cancel(kept.id(), &kept.kek);
        Kept::forget(&folder, kept.id());
        return Err(error);
    }
    Ok(Started { client, kept, expires_at: credentials.session.expires_at.clone() })
}

/// The applicant's own Toc, like everybody else's. farMFA's has come with the request.
fn join(context: &Context, args: &AskArgs, client: &Client, own: &OpenedToc, kept: &Kept) -> Result<(), CliError> {
    if let Toc::Whole(whole) = &own.toc {
        security_key::add_toc(context, &args.key, client, kept.id(), &approval(whole, &kept.invite)?)?;
    }
    Ok(())
}

/// Asks for the session. Two equal requests in one second make one and the same proof, which an oracle takes once: the
/// second is then signed for the next second.
fn create(
    client: &Client,
    args: &AskArgs,
    own: &OpenedToc,
    plan: Option<&Plan>,
    pin: &OraclePin,
    now: i64,
) -> Result<SessionCredentials, CliError> {
    let mut time = now;
    loop {
        match client.create(&request(args, own, plan, pin, time)?) {
            Err(error) if error.code() == Some("proof_used") && time - now < MAX_EQUAL => time += 1,
            result => return Ok(result?),
        }
    }
}

fn request(
    args: &AskArgs,
    own: &OpenedToc,
    plan: Option<&Plan>,
    pin: &OraclePin,
    now: i64,
) -> Result<NewSession, CliError> {
    let mut session = NewSession {
        purpose: Some(purpose(plan)),
        plan: plan.map(|plan| plan.bytes().to_vec().into()),
        reason: Some(args.reason.clone()),
        ttl: args.ttl.map(i64::from),
        max_codes: args.max_codes.map(i64::from),
        ..NewSession::default()
    };
    match &own.toc {
        Toc::Whole(whole) => {
            let terms = Terms {
                oracle: &pin.url,
                purpose: purpose(plan).as_str(),
                plan: plan.map_or(&[], Plan::bytes),
                reason: &args.reason,
                ttl: args.ttl.unwrap_or(0),
                max_codes: args.max_codes.unwrap_or(0),
            };
            let x = whole.share().x();
            let signature = sign(&whole.signing_key(), &create_message(whole.group(), x, now, &terms));
            session.header = Some(whole.header().bytes().to_vec().into());
            session.sealed = Some(whole.sealed().to_vec().into());
            session.applicant = Some(ApplicantProof { x, time: now, signature: signature.into() });
        }
        // farMFA's way: the clear Toc, which the oracle encrypts at once. There is no key to prove anything with.
        Toc::Farmfa(_) => {
            let text = std::str::from_utf8(&own.json).expect("it was parsed as JSON, which is UTF-8");
            let raw = RawValue::from_string(text.to_owned()).expect("it was parsed as JSON");
            session.toc_zero = Some(raw);
        }
        Toc::Short(_) => return Err(SessionError::Wrong("Toc").into()),
    }
    Ok(session)
}

fn purpose(plan: Option<&Plan>) -> Purpose {
    if plan.is_some() { Purpose::Redeal } else { Purpose::Code }
}

/// Checks that the oracle signed what was asked and nothing else: others will only see the invite.
fn verify(
    asking: &Asking<'_>,
    credentials: &SessionCredentials,
    same: impl FnOnce(&InvitePayload) -> Compared,
) -> Result<Invite, CliError> {
    let Asking { wanted, pin, plan, now, .. } = *asking;
    let invite = Invite::parse(&credentials.invite)?;
    invite.verify(&pin.key()?, now)?;
    let fields = invite.fields();
    let mut checks = vec![
        ("session", fields.session == credentials.session.id),
        ("oracle", fields.oracle == pin.url),
        ("TEK", fields.tek == credentials.tek),
        ("purpose", fields.purpose == purpose(plan)),
        ("plan", fields.plan.as_ref().map(|plan| plan.0.as_slice()) == plan.map(Plan::bytes)),
        ("reason", fields.reason == wanted.reason),
        ("time that codes flow", wanted.ttl.is_none_or(|ttl| fields.ttl == ttl)),
        ("number of codes", wanted.max_codes.is_none_or(|max| fields.max_codes.is_some_and(|most| most <= max))),
    ];
    checks.extend(same(fields));
    match checks.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(SessionError::Wrong(what).into()),
        None => Ok(invite),
    }
}

/// Whether an invite is for the group of one's own Toc, and says that its player asks.
fn same_group(own: &OpenedToc, card: &Card, fields: &InvitePayload) -> Compared {
    let same_applicant = match (&own.toc, &fields.applicant) {
        // Who has logged in is for the oracle to know; the player is for us.
        (Toc::Whole(whole), Applicant::Named { holder, x, .. } | Applicant::Proved { holder, x }) => {
            holder == whole.holder() && *x == whole.share().x()
        }
        (Toc::Whole(_), _) => false,
        (_, applicant) => *applicant == Applicant::Unverified,
    };
    vec![
        ("group", fields.group == card.group && fields.group_id == card.group_id),
        ("number of players", fields.size == card.size),
        ("threshold", fields.threshold == card.threshold),
        ("note", fields.note == card.note),
        ("applicant", same_applicant),
    ]
}

/// A player's Toc for a session: encrypted to its TEK, with the proof that binds it to this invite.
pub(crate) fn approval(toc: &WholeToc, invite: &Invite) -> Result<AddToc, CliError> {
    let encrypted_toc = seal_to_tek(&toc.to_short_json(), invite)?;
    let x = toc.share().x();
    let message = approve_message(&invite.digest(), toc.group(), x, &encrypted_toc);
    let proof = sign(&toc.signing_key(), &message);
    Ok(AddToc { encrypted_toc, x: Some(x), proof: Some(proof.into()) })
}

/// Encrypts a Toc's JSON to the session.
pub(crate) fn seal_to_tek(json: &[u8], invite: &Invite) -> Result<String, CliError> {
    let tek: age::x25519::Recipient = invite.fields().tek.parse().map_err(|_| SessionError::Wrong("TEK"))?;
    Ok(age_seal(json, std::iter::once(&tek as &dyn age::Recipient))?)
}
