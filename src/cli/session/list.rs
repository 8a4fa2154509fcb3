//! `quorate session list`: the sessions whose keys are kept here, for who has closed the window that said their ids. It asks no
//! oracle: `session show` does.

use super::kept::Kept;
use crate::cli::{CliError, Context};
use crate::ui::{shown, time};
use serde::Serialize;

#[derive(Serialize)]
struct Listed<'a> {
    session: &'a str,
    purpose: &'static str,
    group_id: &'a str,
    note: &'a str,
    reason: &'a str,
    oracle: &'a str,
    /// Unix seconds.
    created: i64,
    /// When it is over if nobody completes it, Unix seconds.
    expires: i64,
    invite: String,
}

pub(super) fn run(context: &Context) -> Result<(), CliError> {
    let sessions = Kept::list(&context.paths()?.sessions(), context.now());
    if sessions.is_empty() {
        context.ui.say("no session that was started here is open: `quorate ask TOC --reason …` starts one");
    }
    for kept in &sessions {
        let listed = listed(kept);
        context.ui.print(&listed, || line(&listed))?;
    }
    Ok(())
}

fn listed(kept: &Kept) -> Listed<'_> {
    let fields = kept.invite.fields();
    Listed {
        session: kept.id(),
        purpose: fields.purpose.as_str(),
        group_id: &fields.group_id,
        note: &fields.note,
        reason: &fields.reason,
        oracle: &kept.oracle,
        created: fields.created,
        expires: fields.expires,
        invite: kept.invite.to_url(),
    }
}

fn line(listed: &Listed<'_>) -> String {
    format!(
        "{}  {}  {}  until {}  {}",
        listed.session,
        listed.purpose,
        shown(listed.group_id),
        time(listed.expires),
        shown(listed.reason)
    )
}
