//! The page of one app: its code with the time that is left, and for managers who may read it. It must not know who may what.

use super::quorum::{self, Begun};
use super::{HERE, done, title};
use crate::web::form::{Field, NOTICE, confirm, hidden, notice, select, time};
use maud::{Markup, html};
use quorate_protocol::api::{App, AppCode, AppGrant, AppRight};
use quorate_protocol::display::escape_controls;

/// What it shows.
#[derive(Debug)]
pub(crate) struct One<'a> {
    /// The way to the oracle's root.
    pub root: &'a str,
    /// What forms carry.
    pub token: &'a str,
    /// The app.
    pub app: &'a App,
    /// Its code, when it was asked for just now.
    pub code: Option<&'a AppCode>,
    /// Why it was asked for.
    pub why: &'a str,
    /// The session that the reader has begun for a code.
    pub begun: Option<&'a Begun<'a>>,
    /// Who else may read it, for managers.
    pub grants: Option<&'a [AppGrant]>,
    /// To whom it was to be granted.
    pub grantee: &'a str,
    /// What was done just now.
    pub done: &'a str,
    /// Stable word and sentence.
    pub refusal: Option<(&'a str, &'a str)>,
}

impl One<'_> {
    fn at(&self) -> String {
        format!("{}{HERE}/{}", self.root, self.app.uuid)
    }

    /// A form that does one thing, with what it has to carry.
    pub(super) fn act(&self, content: &Markup) -> Markup {
        html! { form method="post" action=(self.at()) { (hidden("form", self.token)) (content) } }
    }
}

/// The page.
pub(crate) fn content(one: &One<'_>) -> Markup {
    let app = one.app;
    html! {
        article.narrow data-code=[one.refusal.map(|(code, _)| code)] {
            p.eyebrow { a href={ (one.root) (HERE) } { "Apps" } @if let Some(name) = &app.name { " · " bdi { (escape_controls(name)) } } }
            h1 { (title(app)) }
            @if let Some((_, sentence)) = one.refusal { (notice(sentence)) }
            (done(one.done))
            @match &app.by_quorum {
                Some(quorum) => (quorum::section(one, quorum)),
                None => (read(one)),
            }
            @if let Some(grants) = one.grants { (granted(one, grants)) }
            section.card {
                h2 { "About it" }
                dl {
                    dt { "Owner" }
                    dd { @match &app.owner { Some(owner) => { bdi { (escape_controls(owner)) } } None => "nobody any more" } }
                    dt { "Added" }
                    dd { (time(&app.added_at)) }
                    dt { "UUID, for programs" }
                    dd { code { (escape_controls(&app.uuid)) } }
                }
            }
            @if app.right < AppRight::Owner { (leave(one)) }
            @if app.right >= AppRight::Manage { (remove(one)) }
        }
    }
}

/// The code, and the button for the next one.
fn read(one: &One<'_>) -> Markup {
    let why = Field {
        name: "why",
        label: "Why",
        value: one.why,
        hint: "For the audit log, with your name and the time.",
        optional: true,
        ..Field::default()
    };
    html! {
        @if let Some(code) = one.code { (shown(code)) }
        section.card aria-label="Read a code" {
            (one.act(&html! {
                (why.render())
                p.actions {
                    button name="act" value="code" autofocus[one.code.is_none()] {
                        @if one.code.is_some() { "Show the next code" } @else { "Show the code" }
                    }
                }
            }))
        }
    }
}

/// A code and how long it holds. Without the script the ring stands still, and says what it was.
pub(super) fn shown(code: &AppCode) -> Markup {
    let whole = u64::from(code.period).max(1).saturating_mul(1000);
    let left = code.expires.min(whole);
    html! {
        section.card.progress.reading aria-label="Code" data-expires=(code.expires) data-whole=(whole) {
            div.ring {
                svg viewBox="0 0 120 120" aria-hidden="true" {
                    circle.track cx="60" cy="60" r="54" {}
                    circle.hand cx="60" cy="60" r="54" pathLength="100" stroke-dasharray="100"
                        stroke-dashoffset=(100 - left.saturating_mul(100) / whole) transform="rotate(-90 60 60)" {}
                }
                p { span role="timer" data-left { (code.expires.div_ceil(1000)) } " " small { "s left" } }
            }
            div.standing {
                p.digits { output id="code" { (code.otp.as_str()) } }
                p.actions { button type="button" data-copy="code" data-first hidden { "Copy" } }
                p.quiet role="status" data-over="This code’s time is over." { "Read at the oracle just now; this was recorded." }
            }
        }
    }
}

/// Who may read it, and the form for one more.
fn granted(one: &One<'_>, grants: &[AppGrant]) -> Markup {
    let wrong = !one.grantee.is_empty();
    let grantee = Field {
        name: "grantee",
        label: "Who",
        value: one.grantee,
        hint: "bob, a team as principal/internal/group/ops, or api-key/VALUE.",
        told_by: if wrong { NOTICE } else { "" },
        ..Field::default()
    };
    html! {
        section.card {
            h2 { "Who may read it" }
            @if grants.is_empty() { p { "Nobody else yet." } } @else {
                table.stack {
                    thead { tr { th scope="col" { "Who" } th scope="col" { "May" } th scope="col" { "Since" } th scope="col" { "Revoke" } } }
                    tbody { @for (number, grant) in grants.iter().enumerate() { (row(one, number, grant)) } }
                }
            }
            details open[wrong] {
                summary { "Grant" }
                (one.act(&html! {
                    (grantee.render())
                    (select("right", "right", "May", &[("code", "read codes"), ("manage", "read codes, grant and revoke, remove")], "code"))
                    p.actions { button name="act" value="grant" { "Grant" } }
                }))
            }
        }
    }
}

fn row(one: &One<'_>, number: usize, grant: &AppGrant) -> Markup {
    let id = format!("confirm-{number}");
    html! {
        tr {
            th scope="row" data-label="Who" { bdi { (escape_controls(&grant.grantee)) } }
            td data-label="May" { (grant.right.word()) }
            td data-label="Since" { (time(&grant.granted_at)) }
            td data-label="Revoke" {
                @if grant.right == AppRight::Owner { "the owner’s stays" } @else {
                    details {
                        summary { "Revoke" span.apart { " that of " bdi { (escape_controls(&grant.grantee)) } } }
                        (one.act(&html! {
                            (hidden("grantee", &grant.grantee))
                            (confirm(&id, &html! { "Yes, at once" }))
                            p.actions { button.danger name="act" value="revoke" { "Revoke" } }
                        }))
                    }
                }
            }
        }
    }
}

/// The way out for whoever was granted it, asked or not.
fn leave(one: &One<'_>) -> Markup {
    html! {
        section.card {
            h2 { "Leave" }
            p { "Give your own right up: one of its managers can grant it again. What a team has, its members have." }
            (one.act(&html! {
                (confirm("confirm-leave", &html! { "Yes, at once" }))
                p.actions { button.second name="act" value="leave" { "Give it up" } }
            }))
        }
    }
}

fn remove(one: &One<'_>) -> Markup {
    html! {
        section.card {
            h2 { "Remove" }
            p {
                @if one.app.by_quorum.is_none() {
                    "Its secret is gone then, for everybody. Its owner can take it out before, with " code { "quorate app export" } "."
                } @else {
                    "It is gone then from everybody’s list. The group and its Tocs stay."
                }
            }
            (one.act(&html! {
                (confirm("confirm-remove", &html! { "Yes, remove it" }))
                p.actions { button.danger name="act" value="remove" { "Remove" } }
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    #[test]
    fn a_ring_stands_for_what_is_left() {
        let code = |expires, period| AppCode { otp: Zeroizing::new("012345".to_owned()), expires, period };
        for (expires, period, offset, seconds) in
            [(30_000, 30, 0, 30), (7_500, 30, 75, 8), (0, 30, 100, 0), (90_000, 60, 0, 90), (1, 0, 100, 1)]
        {
            let text = shown(&code(expires, period)).into_string();
            assert!(text.contains(&format!("stroke-dashoffset=\"{offset}\"")), "{expires} of {period}: {text}");
            assert!(text.contains(&format!("data-left>{seconds}</span>")), "{expires} of {period}: {text}");
            assert!(text.contains("<output id=\"code\">012345</output>"), "{text}");
        }
    }
}
