//! `quorate app code` of an app by quorum: asks its players by the login, shows who has joined, and then the code. It must not know
//! how a session goes.

use super::code::CodeArgs;
use crate::cli::ask::by_login::{Asker, keep};
use crate::cli::ask::start::{Started, Wanted};
use crate::cli::ask::{Course, check_reason, go_through};
use crate::cli::error::{AppError, PeopleError};
use crate::cli::session::code;
use crate::cli::session::kept::Kept;
use crate::cli::tickets::Held;
use crate::cli::trust::TrustStore;
use crate::cli::{CliError, Context};
use crate::client::{AppRead, Client, ClientError};
use quorate_protocol::api::{App, AppQuorum, AppSession, ReadCode, SessionCredentials};

pub(super) fn run(
    context: &Context,
    args: &CodeArgs,
    client: Client,
    app: &App,
    quorum: &AppQuorum,
) -> Result<(), CliError> {
    let AppQuorum { group, group_id, threshold, size } = quorum;
    let (group_id, threshold, size) = (group_id.clone(), *threshold, *size);
    let Some(reason) = args.why.as_deref() else { return Err(AppError::NoReason { group_id, threshold, size }.into()) };
    check_reason(reason)?;
    let paths = context.paths()?;
    // A session is for people: without a login, or one who may ask by it, players ask with their Tocs.
    let by_quorum = || CliError::from(AppError::ByQuorum { group_id: group_id.clone(), threshold, size });
    if args.at.is_by_api_key() {
        return Err(by_quorum());
    }
    // Nobody's Toc says whether the oracle's signature counts.
    let pin = TrustStore::load(&paths)?.find(client.url())?.pin();
    let held = Held::load(&paths.tickets(), client.url(), context.now())?;
    let held = held.ok_or_else(|| PeopleError::NotLoggedIn(client.url().to_owned()))?;
    let wanted = ReadCode { why: Some(reason.to_owned()), again: args.again };
    let session = match client.read_app(&app.uuid, &wanted) {
        Ok(AppRead::Session(session)) => *session,
        Ok(AppRead::Code(_)) => return Err(AppError::Exchanged.into()),
        Err(ClientError::Refused(refusal)) if refusal.code == "by_quorum" => return Err(by_quorum()),
        Err(error) => return Err(error.into()),
    };
    let AppSession { session, tek, kek, invite } = session;
    let started = if let Some(kek) = kek {
        let credentials = SessionCredentials { session, tek, kek, invite };
        let wanted = Wanted { reason, ttl: None, max_codes: None };
        let asker = Asker { group: *group, principal: held.bearer.principal };
        keep(context, wanted, &pin, client, &credentials, asker)?
    } else {
        let own = Kept::load(&paths.sessions(), &session.id).ok();
        let own = own.filter(|kept| kept.oracle == pin.url && kept.invite.fields().group == Some(*group));
        let kept = own.ok_or(AppError::BegunElsewhere(session.id))?;
        context.ui.say("goes on with the session that you have begun already");
        Started { client, kept, expires_at: session.expires_at }
    };
    let Started { client, kept, .. } = &started;
    let course = Course { timeout: args.timeout, ..Course::default() };
    go_through(context, &course, &started, |wait| {
        let shown_code = code::fetch(context, client, kept, wait)?;
        let copied = if args.copy { Some(context.ui.copy(&shown_code.totp)?) } else { None };
        code::show(context, kept, &shown_code)?;
        match copied {
            Some(copied) if context.ui.json() || !context.ui.watched() => copied.leave(),
            Some(copied) => copied.clear(),
            None => {}
        }
        Ok(())
    })
}
