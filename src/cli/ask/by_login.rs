//! Asking with a login alone: nobody's Toc is opened here, and none is sent. It must not know how the session goes on.

use super::AskArgs;
use super::start::{Asking, Started, Wanted, settle};
use crate::cli::error::PeopleError;
use crate::cli::tickets::Held;
use crate::cli::trust::TrustStore;
use crate::cli::{CliError, Context, group, network};
use crate::client::Client;
use quorate_protocol::api::{NewSession, SessionCredentials};
use quorate_protocol::header::{GroupName, OraclePin};
use quorate_protocol::invite::{Applicant, InvitePayload, Purpose};

/// Starts the session at the oracle where this person is logged in. It must be trusted: no Toc says whether its signature counts.
pub(super) fn start(context: &Context, args: &AskArgs) -> Result<Started, CliError> {
    let paths = context.paths()?;
    let url = args.oracle.clone().map_or_else(|| network::only(context), Ok)?;
    let pin = TrustStore::load(&paths)?.find(&url)?.pin();
    let held = Held::load(&paths.tickets(), &pin.url, context.now())?;
    let held = held.ok_or_else(|| PeopleError::NotLoggedIn(pin.url.clone()))?;
    let client = Client::new(&pin.url, &args.network.options())?.with_ticket(held.ticket);
    let group = group::find_own(&client, &args.toc)?;
    let credentials = client.create(&NewSession {
        group: Some(group),
        purpose: Some(Purpose::Code),
        reason: Some(args.reason.clone()),
        ttl: args.ttl.map(i64::from),
        max_codes: args.max_codes.map(i64::from),
        ..NewSession::default()
    })?;
    keep(context, args.wanted(), &pin, client, &credentials, Asker { group, principal: held.bearer.principal })
}

/// Who asks by a login, and for whose codes.
pub(crate) struct Asker {
    pub(crate) group: GroupName,
    /// The full name.
    pub(crate) principal: String,
}

/// Keeps a session that was started for a login.
pub(crate) fn keep(
    context: &Context,
    wanted: Wanted<'_>,
    pin: &OraclePin,
    client: Client,
    credentials: &SessionCredentials,
    Asker { group, principal }: Asker,
) -> Result<Started, CliError> {
    let asking = Asking { context, wanted, pin, plan: None, now: context.now() };
    let same = |invite: &InvitePayload| {
        vec![("group", invite.group == Some(group)), ("applicant", invite.applicant == Applicant::Login { principal })]
    };
    // The threshold must come from others: there is no Toc to send.
    settle(&asking, client, credentials, same, |_, _| Ok(()))
}
