//! An app whose codes a quorum makes: how its session is begun, and the code that comes of it. It must not know who may ask.

use super::one::{One, shown};
use crate::web::form::{Field, hidden, qr_code};
use maud::{Markup, html};
use quorate_protocol::api::AppQuorum;
use quorate_protocol::display::escape_controls;

/// A session that was begun on the page. Its key is in this page alone, for whoever asked.
pub(crate) struct Begun<'a> {
    /// The session.
    pub id: &'a str,
    /// What opens it, for the applicant; empty when another page has it, where the session was begun.
    pub kek: &'a str,
    /// The link for the players; empty when the page was left for it before.
    pub invite: &'a str,
}

impl std::fmt::Debug for Begun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What stands in place of the code of an app with a secret.
pub(super) fn section(one: &One<'_>, quorum: &AppQuorum) -> Markup {
    html! {
        @if let Some(code) = one.code { (shown(code)) }
        @match one.begun {
            Some(begun) if begun.kek.is_empty() => (elsewhere(one, begun)),
            Some(begun) => (going_on(one, begun)),
            None => (ask(one, quorum)),
        }
    }
}

/// The session goes on: its link for the players, and the button for the code.
fn going_on(one: &One<'_>, begun: &Begun<'_>) -> Markup {
    html! {
        section.card {
            h2 { "The session" }
            @if !begun.invite.is_empty() {
                p { "Send this link to the players. They check it with " code { "quorate join" } " before they touch their keys." }
                pre #invite tabindex="0" aria-label="Link" { code { (begun.invite) } }
                p.actions { button type="button" data-copy="invite" hidden { "Copy" } }
                @if let Some(picture) = qr_code(begun.invite, "QR code of the link") { (picture) }
            }
            p {
                a href={ (one.root) "s/" (begun.id) @if let Some((_, fragment)) = begun.invite.split_once('#') { "#" (fragment) } } target="_blank" { "Its page" }
                " shows who has joined, in another tab: keep this one, which alone can show the code."
            }
            (one.act(&html! {
                (hidden("session", begun.id))
                (hidden("kek", begun.kek))
                (hidden("invite", begun.invite))
                p.actions { button name="act" value="quorum" { "Show the code" } }
            }))
        }
    }
}

/// A session of the reader's is open already, and its key is where it was begun.
fn elsewhere(one: &One<'_>, begun: &Begun<'_>) -> Markup {
    html! {
        section.card {
            h2 { "You have begun a session already" }
            p { "It is open, so nobody was asked anew. The code is shown where you began it, and nowhere else: in that tab, or by " code { "quorate session code " (begun.id) } " on that machine." }
            p {
                a href={ (one.root) "s/" (begun.id) @if let Some((_, fragment)) = begun.invite.split_once('#') { "#" (fragment) } } target="_blank" { "Its page" }
                " shows who has joined."
            }
            (one.act(&html! {
                (hidden("why", one.why))
                p.actions { button.second name="act" value="another" { "Begin another session" } }
            }))
        }
    }
}

/// Who has to say yes, and the button that asks them.
fn ask(one: &One<'_>, quorum: &AppQuorum) -> Markup {
    let why = Field {
        name: "why",
        label: "Why",
        value: one.why,
        hint: "The players read it before they say yes, and it stands in the audit log.",
        ..Field::default()
    };
    html! {
        section.card {
            h2 { "A code of this app takes a quorum" }
            p {
                strong { (quorum.threshold) " of " (quorum.size) } " players of group "
                bdi { (escape_controls(&quorum.group_id)) } " have to say yes, each with their own key. The oracle holds no secret of it."
            }
            (one.act(&html! {
                (why.render())
                p.actions { button name="act" value="code" { "Begin a session" } }
            }))
            p.quiet { "For those whom an operator lets ask by their login. Players ask with their own Toc:" }
            pre #ask tabindex="0" aria-label="Command" { code { "quorate ask " (quorum.group) " --reason 'why'" } }
            p.actions { button.second type="button" data-copy="ask" hidden { "Copy" } }
        }
    }
}
