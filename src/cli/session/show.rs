//! A session as people see it: once, or event by event. It must not know who may see what: the oracle decides.

use super::{Target, follow};
use crate::cli::{CliError, Context};
use crate::ui::{shown, time_of};
use quorate_protocol::api::{Approval, Session};

/// Shows the session once.
pub(super) fn once(context: &Context, target: &Target) -> Result<(), CliError> {
    let session = target.client.session(&target.id, target.view.as_deref())?;
    Ok(context.ui.print(&session, || lines(&session))?)
}

/// Shows every event until the session ends.
pub(super) fn watch(context: &Context, target: &Target) -> Result<(), CliError> {
    for event in target.client.events(&target.id, target.view.as_deref(), 0) {
        let event = event?;
        context.ui.print(&event, || format!("{}  {}", time_of(&event.at), follow::in_words(&event)))?;
    }
    Ok(())
}

fn lines(session: &Session) -> String {
    let mut lines = vec![
        ("session", shown(&session.id)),
        ("group id", shown(&session.toc_group_id)),
        ("for", session.purpose.as_str().to_owned()),
        ("state", shown(&session.state)),
        ("Tocs", format!("{} (of {} players)", follow::counts(session), session.tocs_in_group)),
        ("created", time_of(&session.created_at)),
        ("ends", time_of(&session.expires_at)),
    ];
    if session.denials > 0 {
        lines.push(("said no", session.denials.to_string()));
    }
    if let Some(details) = &session.details {
        let names = |names: &[String]| names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        lines.push(("note", shown(&details.note)));
        let asked_by = match &details.applicant_principal {
            Some(principal) if details.applicant_status.as_deref() == Some("login") => {
                format!("{}, by login, without a Toc", shown(principal))
            }
            Some(principal) => format!("{} ({})", shown(&details.applicant), shown(principal)),
            None => shown(&details.applicant),
        };
        lines.push(("asked by", asked_by));
        lines.push(("reason", shown(&details.reason)));
        lines.push(("joined", names(&details.joined)));
        for Approval { holder, principal, with, at, .. } in details.approvals.iter().flatten() {
            let with = if with == "webauthn" { ", with a security key" } else { "" };
            lines.push(("approved", format!("{} ({}{with}) at {}", shown(holder), shown(principal), time_of(at))));
        }
        if !details.denied.is_empty() {
            lines.push(("denied by", names(&details.denied)));
        }
    }
    lines.iter().map(|(word, value)| format!("{word:11}{value}")).collect::<Vec<_>>().join("\n")
}
