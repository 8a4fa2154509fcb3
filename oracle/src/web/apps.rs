//! Apps: codes that somebody may read, with a search and a form for more. It must not know who may what.

pub(crate) mod one;
pub(crate) mod quorum;

use super::form::{Field, NOTICE, hidden, notice};
use maud::{Markup, html};
use quorate_protocol::api::{App, AppRight};
use quorate_protocol::display::escape_controls;

/// Where the pages of apps are, from the oracle's root.
pub(crate) const HERE: &str = "apps";

/// What the list shows.
#[derive(Debug)]
pub(crate) struct List<'a> {
    /// The way to the oracle's root.
    pub root: &'a str,
    /// What forms carry.
    pub token: &'a str,
    /// What is looked for.
    pub search: &'a str,
    /// What was done just now.
    pub done: &'a str,
    /// What was found.
    pub apps: &'a [App],
    /// The form for more.
    pub adding: &'a Adding<'a>,
}

/// What was typed into the form for more, and what came of it. A secret is never shown again.
#[derive(Debug, Default)]
pub(crate) struct Adding<'a> {
    /// What the app was to be called.
    pub name: &'a str,
    /// Whose quorum was to make its codes.
    pub group: &'a str,
    /// Stable word and sentence.
    pub refusal: Option<(&'a str, &'a str)>,
    /// What became of several: of each its name, and why it was left out if it was.
    pub several: &'a [(String, Option<String>)],
}

/// The list.
pub(crate) fn list(list: &List<'_>) -> Markup {
    let search = Field {
        name: "search",
        label: "Search",
        kind: "search",
        value: list.search,
        optional: true,
        ..Field::default()
    };
    html! {
        div data-code=[list.adding.refusal.map(|(code, _)| code)] {
            h1 { "Apps" }
            p.lead { "One-time codes of accounts that you share. You see codes, and nobody but an owner ever sees a secret." }
            @if let Some((_, sentence)) = list.adding.refusal { (notice(sentence)) }
            (done(list.done))
            (came_of(list.adding.several))
            form.search method="get" action={ (list.root) (HERE) } role="search" data-filter="apps" {
                (search.render())
                p.actions { button.second { "Search" } }
            }
            p.quiet #found role="status" { (found(list)) }
            ul.apps #apps { @for app in list.apps { (card(list, app)) } }
            (add(list))
        }
    }
}

fn found(list: &List<'_>) -> String {
    match (list.apps.len(), list.search.is_empty()) {
        (0, true) => "None yet.".to_owned(),
        (count, true) => format!("{count} in all"),
        (count, false) => format!("{count} found"),
    }
}

/// An app in the list. Its words are what the script searches.
fn card(list: &List<'_>, app: &App) -> Markup {
    let at = format!("{}{HERE}/{}", list.root, app.uuid);
    html! {
        li.card {
            div {
                h2 { a href=(at) { (title(app)) } }
                p.quiet {
                    @if let Some(name) = &app.name { bdi { (escape_controls(name)) } " · " }
                    @match &app.by_quorum {
                        Some(quorum) => { strong { "by quorum" } ": " (quorum.threshold) " of " (quorum.size) }
                        None => { (may(app.right)) }
                    }
                }
            }
            @if app.by_quorum.is_some() {
                a.button.second href=(at) { "Ask" span.apart { " for a code of " (title(app)) } }
            } @else {
                form method="post" action=(at) {
                    (hidden("form", list.token))
                    button name="act" value="code" { "Show the code" span.apart { " of " (title(app)) } }
                }
            }
        }
    }
}

/// What an app is called: its issuer and the account there.
fn title(app: &App) -> Markup {
    html! {
        @if !app.issuer.is_empty() { bdi { (escape_controls(&app.issuer)) } }
        @if !app.issuer.is_empty() && !app.label.is_empty() { " · " }
        @if !app.label.is_empty() { bdi { (escape_controls(&app.label)) } }
        @if app.issuer.is_empty() && app.label.is_empty() { bdi { (escape_controls(app.name.as_deref().unwrap_or("without a name"))) } }
    }
}

/// The same as text, for a window's title.
pub(crate) fn title_text(app: &App) -> String {
    let parts = [app.issuer.as_str(), app.label.as_str(), app.name.as_deref().unwrap_or_default()];
    let said = parts.into_iter().filter(|part| !part.is_empty()).take(2).collect::<Vec<_>>().join(" · ");
    if said.is_empty() { "App".to_owned() } else { said }
}

fn may(right: AppRight) -> &'static str {
    match right {
        AppRight::Code => "you may read codes",
        AppRight::Manage => "you may read codes, and grant that to others",
        AppRight::Owner => "yours",
    }
}

/// The form for more. A picture is read at the oracle: see `docs/apps.md`.
fn add(list: &List<'_>) -> Markup {
    let adding = list.adding;
    let told_by = adding.refusal.map_or("", |_| NOTICE);
    let uri = Field {
        name: "otpauth",
        label: "otpauth URI",
        hint: "What the account shows as otpauth://…",
        told_by,
        optional: true,
        ..Field::default()
    };
    let group = Field {
        name: "group",
        label: "Or the group whose quorum makes the codes",
        value: adding.group,
        hint: "64 hexadecimal digits; then the oracle holds no secret, and reading a code begins a session.",
        told_by,
        optional: true,
        ..Field::default()
    };
    let name = Field {
        name: "name",
        label: "What it is called besides",
        value: adding.name,
        optional: true,
        ..Field::default()
    };
    html! {
        details.card open[adding.refusal.is_some()] {
            summary { "Add" }
            form.narrow method="post" action={ (list.root) (HERE) } enctype="multipart/form-data" data-pictures {
                (hidden("form", list.token))
                (uri.render())
                div.field {
                    label for="picture" { "Or a picture of QR codes " small { "(PNG or JPEG)" } }
                    p.quiet #picture-hint {
                        "Of one account, or an export of Google Authenticator. It is read at the oracle and not kept."
                        span data-scripted hidden { " It can be dropped or pasted anywhere on this page." }
                    }
                    input type="file" id="picture" name="picture" accept="image/png,image/jpeg" aria-describedby="picture-hint";
                }
                (group.render())
                (name.render())
                p role="status" data-said {}
                p.actions { button { "Add" } }
            }
        }
    }
}

/// What became of a picture with several.
fn came_of(several: &[(String, Option<String>)]) -> Markup {
    let added = several.iter().filter(|(_, reason)| reason.is_none()).count();
    html! {
        @if !several.is_empty() {
            section.card.done role="status" {
                h2 { (added) " of " (several.len()) " were added" }
                ul.plain {
                    @for (name, reason) in several {
                        li {
                            bdi { (escape_controls(name)) }
                            @if let Some(reason) = reason { ": " strong.error { "left out" } ", " (escape_controls(reason)) }
                        }
                    }
                }
            }
        }
    }
}

/// What was done, by the word in the address; nothing for another word.
fn done(word: &str) -> Markup {
    let sentence = match word {
        "added" => "It was added.",
        "left" => "You gave your right up.",
        "granted" => "It was granted.",
        "revoked" => "It was revoked: no code is read with that grant any more.",
        "removed" => "It was removed.",
        _ => return html! {},
    };
    html! { p.card.done role="status" { (sentence) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(issuer: &str, label: &str) -> App {
        App {
            uuid: "0b1e".to_owned(),
            issuer: issuer.to_owned(),
            label: label.to_owned(),
            name: None,
            right: AppRight::Code,
            owner: None,
            added_at: "2026-01-01T00:00:00Z".to_owned(),
            by_quorum: None,
        }
    }

    #[test]
    fn what_strangers_call_an_app_is_escaped() {
        let text = title(&app("<b>\u{202e}", "a\nb")).into_string();
        assert_eq!(text, "<bdi>&lt;b&gt;\\u{202e}</bdi> · <bdi>a\\nb</bdi>");
        assert_eq!(title(&app("", "")).into_string(), "<bdi>without a name</bdi>");
        assert_eq!(["", "a"].map(|issuer| title_text(&app(issuer, ""))), ["App", "a"]);
    }

    #[test]
    fn several_are_told_one_by_one() {
        let several = [("good".to_owned(), None), ("bad <b>".to_owned(), Some("no\u{202e}".to_owned()))];
        let text = came_of(&several).into_string();
        assert!(text.contains("1 of 2 were added") && text.contains("bad &lt;b&gt;"), "{text}");
        assert!(text.contains("no\\u{202e}") && !text.contains('\u{202e}'), "{text}");
        assert_eq!(came_of(&[]).into_string(), "");
    }
}
