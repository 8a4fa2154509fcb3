//! The page of a drill: what is asked, how many have answered, and who, for those who may see it. It changes nothing: answers
//! come from `quorate drill answer`, which verifies what a page cannot.

use super::form::time;
use maud::{Markup, html};
use quorate_protocol::api::{Drill, DrillDetails, DrillPlayer, Standing};
use quorate_protocol::display::escape_controls;

/// The page; `root` is the way to the oracle's root, `reports` says whether it is for somebody who reads reports.
pub(crate) fn content(root: &str, drill: &Drill, reports: bool) -> Markup {
    let open = drill.state == "open";
    html! {
        article.narrow data-drill=(drill.id) data-state=(drill.state) {
            p.eyebrow { "Drill · group " bdi { (escape_controls(&drill.group_id)) } }
            h1 { (title(drill)) }
            @if let Some(details) = &drill.details { (asked(details)) }
            section.card aria-labelledby="count" {
                p #count .count { strong { (drill.answered) } " of " (drill.size) " have answered" }
                progress max=(drill.size) value=(drill.answered) aria-labelledby="count" {}
                p.quiet {
                    @match &drill.closed_at {
                        Some(at) => { (ended(&drill.state)) ", " (time(at)) "." }
                        None => { "Ends " (time(&drill.expires_at)) ". " a href="" { "Look again" } }
                    }
                }
                @if let Some(details) = drill.details.as_ref().filter(|_| reports) {
                    p { strong { (in_words(details.standing)) } @if open { " So far." } }
                }
            }
            @match &drill.details {
                Some(details) => (players(details)),
                None => (who_sees_names(root, drill)),
            }
            @if open { (answer()) }
        }
    }
}

/// What the page is about.
pub(crate) fn title(drill: &Drill) -> &'static str {
    if drill.state == "open" { "Does your Toc still open?" } else { "This drill is over" }
}

fn asked(details: &DrillDetails) -> Markup {
    html! {
        p.lead {
            bdi { (escape_controls(&details.asker)) } " asks the players of "
            @if details.note.is_empty() { "this group." } @else { "“" bdi { (escape_controls(&details.note)) } "”." }
        }
        @if !details.reason.is_empty() {
            figure.reason {
                figcaption { "Why, in their words" }
                blockquote dir="auto" { (escape_controls(&details.reason)) }
            }
        }
    }
}

fn players(details: &DrillDetails) -> Markup {
    html! {
        section.card.who {
            h2 { "Players" }
            ul.people { @for known in &details.players { (player(known)) } }
        }
    }
}

fn player(player: &DrillPlayer) -> Markup {
    let mark = if player.answered_at.is_some() { "✓" } else { "○" };
    html! {
        li.waiting[player.answered_at.is_none()] {
            span aria-hidden="true" { (mark) }
            " " bdi { (escape_controls(&player.holder)) }
            @if let Some(principal) = &player.principal { " (" bdi { (escape_controls(principal)) } ")" }
            " "
            small {
                @match (&player.answered_at, &player.last_proof) {
                    (Some(at), _) => { "answered " (time(at)) }
                    (None, Some(proof)) => { "no answer; last opened " (time(&proof.at)) }
                    (None, None) => "no answer"
                }
            }
        }
    }
}

fn who_sees_names(root: &str, drill: &Drill) -> Markup {
    html! {
        section.card.notice {
            h2 { "Names need a login" }
            p {
                "Who asks, and who has answered, is shown to those who stand for a holder of this group, to auditors and operators: "
                a href={ (root) "login?next=drill/" (drill.id) } { "log in" } ". Players with the whole link see it with "
                code { "quorate drill report" } "."
            }
        }
    }
}

fn answer() -> Markup {
    html! {
        section.card.join {
            h2 { "Answer" }
            p { "On the machine with your key and your Toc:" }
            pre tabindex="0" aria-label="Command" { code { "quorate drill answer '<the whole link>'" } }
            p.quiet {
                "Your Toc is opened there and stays there: a signature is sent, no code is made. This page does not verify the link. "
                "The command does, against the key in your own Toc, and says who asks before you touch your key. Believe it, not a page."
            }
        }
    }
}

fn ended(state: &str) -> &'static str {
    match state {
        "complete" => "Everybody has answered",
        "closed" => "An operator ended it",
        _ => "Its time ran out",
    }
}

fn in_words(standing: Standing) -> &'static str {
    match standing {
        Standing::LockedOut => "Fewer Tocs were shown to open than a code takes.",
        Standing::OneLossAway => "Just as many Tocs open as a code takes: one loss more locks everybody out.",
        Standing::Spare => "More Tocs open than a code takes.",
    }
}
