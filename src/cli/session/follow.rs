//! Following a session: its events in words, and waiting until it is quorate. It must not know what a quorate session
//! then gives.

use crate::cli::error::SessionError;
use crate::cli::{CliError, Context};
use crate::client::{Client, ClientError};
use crate::ui::shown;
use quorate_protocol::api::{Event, Session};
use quorate_protocol::invite::Invite;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Events that may wait to be read.
const QUEUE: usize = 64;

/// Whether to wait for the others, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// So long at most.
    AtMost(Duration),
    /// Until the session is quorate or over.
    Forever,
    /// Not at all.
    No,
}

/// An event as people read it.
pub(crate) fn in_words(event: &Event) -> String {
    let who = match (&event.who, &event.principal) {
        // Of a login without a Toc the principal is all there is.
        (Some(who), Some(principal)) if who != principal => format!("{} ({})", shown(who), shown(principal)),
        (Some(who), _) => shown(who),
        (None, _) => "somebody".to_owned(),
    };
    let progress = event.session.as_ref().map(|session| format!(" (now {})", counts(session))).unwrap_or_default();
    match event.kind.as_str() {
        "created" => format!("{who} asked"),
        "joined" => format!("{who} has joined{progress}"),
        "denied" => match event.reason.as_deref().filter(|reason| !reason.is_empty()) {
            Some(reason) => format!("{who} says no: {}", shown(reason)),
            None => format!("{who} says no"),
        },
        "quorate" => format!("the session is quorate{progress}"),
        "dropped" => format!("a false Toc was dropped: {who}{progress}"),
        "code" => "a code was shown".to_owned(),
        "redealt" => "the secret was dealt anew".to_owned(),
        "received" => format!("{who} has received the new Toc"),
        "cancelled" => "the session was cancelled".to_owned(),
        "expired" => "the session has expired".to_owned(),
        "exhausted" => "the session is exhausted".to_owned(),
        other => shown(other),
    }
}

/// `2 of 3 needed`.
pub(crate) fn counts(session: &Session) -> String {
    format!("{} of {} needed", session.tocs_provided, session.tocs_threshold)
}

/// How a session ended, from the stable word of a refusal.
pub(crate) fn ended(code: &str) -> Option<&'static str> {
    Some(match code {
        "session_cancelled" => "the session was cancelled",
        "session_exhausted" => "the session is exhausted",
        "session_expired" => "the session has expired",
        "session_redealt" => "the secret was dealt anew",
        _ => return None,
    })
}

/// Calls `attempt`: once without waiting, else whenever the session may be quorate, until it gives something. Says on
/// stderr who joins.
///
/// A session that ends first, or the time running out, is [`SessionError::NotQuorate`] with the last counts.
pub(crate) fn until_quorate<T>(
    context: &Context,
    client: &Client,
    invite: &Invite,
    wait: Wait,
    mut attempt: impl FnMut() -> Result<T, ClientError>,
) -> Result<T, CliError> {
    let deadline = match wait {
        Wait::No => return Ok(attempt()?),
        Wait::AtMost(limit) => Instant::now().checked_add(limit),
        Wait::Forever => None,
    };
    let id = &invite.fields().session;
    let mut progress = (0, u32::from(invite.fields().threshold));
    let events = listen(client, invite);
    loop {
        let event = match next(&events, deadline) {
            Ok(event) => event?,
            Err(RecvTimeoutError::Timeout) => return Err(not_quorate("nobody more came in time", progress, Some(id))),
            Err(RecvTimeoutError::Disconnected) => return Err(not_quorate("the session is over", progress, None)),
        };
        context.ui.say(in_words(&event));
        match &event.session {
            Some(session) => progress = (session.tocs_provided, session.tocs_threshold),
            None if event.kind == "redealt" => {}
            None => match ended(&format!("session_{}", event.kind)) {
                Some(how) => return Err(not_quorate(how, progress, None)),
                // The session is over, and an event to come says how.
                None => continue,
            },
        }
        if event.session.as_ref().is_some_and(|session| !session.complete) {
            continue;
        }
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => match error.code() {
                // Some Tocs were false, and others may come.
                Some("not_quorate") => {
                    progress = error.refusal().and_then(|refusal| refusal.counts).unwrap_or(progress);
                }
                Some(code) if ended(code).is_some() => {
                    return Err(not_quorate(ended(code).expect("just checked"), progress, None));
                }
                _ => return Err(error.into()),
            },
        }
    }
}

fn listen(client: &Client, invite: &Invite) -> mpsc::Receiver<Result<Event, ClientError>> {
    // Bounded: an oracle that sends faster than is read waits, and fills no memory.
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    let events = client.events(&invite.fields().session, Some(&invite.view_token()), 0);
    // The thread blocks on the stream, so that waiting can have an end; it ends with the program at the latest.
    std::thread::spawn(move || {
        for event in events {
            if sender.send(event).is_err() {
                break;
            }
        }
    });
    receiver
}

fn next(
    events: &mpsc::Receiver<Result<Event, ClientError>>,
    deadline: Option<Instant>,
) -> Result<Result<Event, ClientError>, RecvTimeoutError> {
    match deadline {
        Some(deadline) => events.recv_timeout(deadline.saturating_duration_since(Instant::now())),
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn not_quorate(how: &'static str, (provided, threshold): (u32, u32), open: Option<&str>) -> CliError {
    SessionError::NotQuorate { how, provided, threshold, open: open.map(str::to_owned) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, who: Option<&str>, reason: Option<&str>) -> Event {
        Event {
            seq: 1,
            at: String::new(),
            kind: kind.to_owned(),
            who: who.map(str::to_owned),
            principal: None,
            reason: reason.map(str::to_owned),
            session: None,
        }
    }

    #[test]
    fn names_and_reasons_cannot_steer_the_terminal() {
        let said = in_words(&event("denied", Some("b\u{202e}ob"), Some("\u{1b}[2Jno")));
        assert_eq!(said, "b\\u{202e}ob says no: \\u{1b}[2Jno");
        assert_eq!(in_words(&event("denied", Some("bob"), Some(""))), "bob says no");
        assert_eq!(in_words(&event("\u{7}", None, None)), "\\u{7}");
    }

    #[test]
    fn every_end_has_its_words() {
        for kind in ["cancelled", "exhausted", "expired", "redealt"] {
            assert_eq!(ended(&format!("session_{kind}")), Some(in_words(&event(kind, None, None)).as_str()));
        }
        assert_eq!(ended("session_unknown"), None);
    }
}
