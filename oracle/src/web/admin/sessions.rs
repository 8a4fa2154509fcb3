//! Open quorum sessions: counts and no names, which only the invite shows.

use super::{act, confirm, done};
use crate::service::sessions::list::Listed;
use crate::web::form::notice;
use maud::{Markup, html};
use quorate_protocol::api::Session;
use quorate_protocol::display::escape_controls;

/// What the list shows.
#[derive(Debug)]
pub(crate) struct List<'a> {
    /// The way to the oracle's root.
    pub root: &'a str,
    /// What forms carry; `None` for whoever only looks.
    pub token: Option<&'a str>,
    /// Newest first.
    pub sessions: &'a [Listed],
    /// Before what to look for older ones.
    pub older: Option<i64>,
    /// What was done just now.
    pub done: &'a str,
    /// Stable word and sentence.
    pub refusal: Option<(&'a str, &'a str)>,
}

/// The list.
pub(crate) fn list(list: &List<'_>) -> Markup {
    let root = list.root;
    html! {
        div data-code=[list.refusal.map(|(code, _)| code)] {
            h1 { "Sessions" }
            @if let Some((_, sentence)) = list.refusal { (notice(sentence)) }
            (done(list.done))
            p.quiet { "Who asks, why, and who has joined stands in the audit log, and for players behind the invite." }
            @if list.sessions.is_empty() { p.card { "No session is open." } }
            @for session in list.sessions {
                @match session {
                    Listed::Damaged(id) => { (damaged(list, id)) }
                    Listed::Open(session) => { (card(list, session)) }
                }
            }
            @if let Some(before) = list.older { p { a rel="next" href={ (root) "admin/sessions?before=" (before) } { "Older" } } }
        }
    }
}

fn card(list: &List<'_>, session: &Session) -> Markup {
    html! {
        section.card {
            h2 {
                "A " (session.purpose.as_str()) " of group " bdi { (escape_controls(&session.toc_group_id)) }
            }
            p { strong { (session.tocs_provided) " of " (session.tocs_threshold) " joined" } @if session.denials > 0 { ", " (session.denials) " said no" } "." }
            p.quiet {
                "Begun " time datetime=(session.created_at) { (minute(&session.created_at)) } ", ends " time datetime=(session.expires_at) { (minute(&session.expires_at)) } ". "
                a href={ (list.root) "s/" (session.id) } { "Its page" }
            }
            (end(list, &session.id))
        }
    }
}

fn damaged(list: &List<'_>, id: &str) -> Markup {
    html! {
        section.card {
            h2 { "A session that cannot be read" }
            p { "What is stored of it does not open: it was altered, or another root secret is in use. It gives nobody a code." }
            p.quiet { "Its id is " code { (escape_controls(id)) } "." }
            (end(list, id))
        }
    }
}

/// What ends a session, for whoever may.
fn end(list: &List<'_>, id: &str) -> Markup {
    html! {
        @if let Some(token) = list.token {
            details {
                summary { "End it" }
                (act(&format!("{}admin/sessions", list.root), token, id, &html! {
                    (confirm(&format!("confirm-{id}"), &html! { "Yes: nobody can join it any more, and it gives no code" }))
                    p.actions { button.danger { "End the session" } }
                }))
            }
        }
    }
}

/// RFC 3339 to the minute, as far as it is one.
fn minute(rfc3339: &str) -> String {
    let at = rfc3339.parse::<jiff::Timestamp>();
    at.map_or_else(|_| rfc3339.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
