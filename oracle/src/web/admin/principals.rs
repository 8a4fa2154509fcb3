//! Principals: the list, one of them, and what is shown once.

use super::{Listed, act, confirm, done, select};
use crate::service::apps::AppsLeft;
use crate::service::people::{Assigned, Link, PrincipalName, Provider, Shown};
use crate::service::webauthn::NotedKey;
use crate::store::{PrincipalKind, Role};
use crate::web::account::story;
use crate::web::form::{Field, encoded, hidden, moment, notice, qr_code};
use maud::{Markup, html};
use quorate_protocol::display::escape_controls;
use zeroize::Zeroizing;

/// What the list shows.
#[derive(Debug)]
pub(crate) struct List<'a> {
    /// The way to the oracle's root.
    pub root: &'a str,
    /// What forms carry; `None` for whoever only looks.
    pub token: Option<&'a str>,
    /// What is looked for.
    pub search: &'a str,
    /// What was done just now.
    pub done: &'a str,
    /// Who was found.
    pub listed: &'a Listed<Shown>,
    /// The form for a new one.
    pub adding: &'a Adding<'a>,
}

/// What was typed into the form for a new principal, and why it cannot be.
#[derive(Debug, Default)]
pub(crate) struct Adding<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub role: &'a str,
    pub error: &'a str,
}

/// What one principal's page shows.
#[derive(Debug)]
pub(crate) struct One<'a> {
    pub root: &'a str,
    pub token: Option<&'a str>,
    pub shown: &'a Shown,
    /// Of a team.
    pub members: Option<&'a [PrincipalName]>,
    pub providers: &'a [Provider],
    /// What becomes of apps when it is removed.
    pub apps: &'a AppsLeft,
    /// Security keys, oldest first; `None` where there can be none.
    pub keys: Option<&'a [NotedKey]>,
    pub done: &'a str,
    /// Stable word and sentence.
    pub refusal: Option<(&'a str, &'a str)>,
}

/// What is shown once.
#[derive(Debug)]
pub(crate) enum Given {
    /// A second factor, with its key and recovery codes.
    Factor(Box<Assigned>),
    /// A user's link.
    Link(Link),
    /// An application's secret.
    Secret(Zeroizing<String>),
}

impl Given {
    /// Whether there is a text to be copied.
    fn is_text(&self) -> bool {
        !matches!(self, Self::Factor(assigned) if assigned.recovery_codes.is_empty())
    }
}

/// The list.
pub(crate) fn list(list: &List<'_>) -> Markup {
    let List { root, token, search, done: word, listed, adding } = list;
    let at = format!("{root}admin/principals?search={}&", encoded(search));
    html! {
        h1 { "Principals" }
        (done(word))
        form.search method="get" action={ (root) "admin/principals" } role="search" {
            (Field { name: "search", label: "Search by name", kind: "search", value: search, optional: true, ..Field::default() }.render())
            p.actions { button.second { "Search" } }
        }
        section.card {
            h2 { (listed.all) @if search.is_empty() { " in all" } @else { " found" } }
            @if listed.items.is_empty() { p { "Nobody has such a name." } } @else {
                table.stack {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Kind" } th scope="col" { "Role" } th scope="col" { "Second factor" } th scope="col" { "State" } } }
                    tbody { @for shown in &listed.items { (row(root, shown)) } }
                }
            }
            (listed.pager(&at))
        }
        @if let Some(token) = token { (add(root, token, adding)) }
    }
}

fn row(root: &str, shown: &Shown) -> Markup {
    let at = format!("{root}admin/principal?name={}", encoded(&shown.name.to_string()));
    html! {
        tr {
            th scope="row" data-label="Name" { a href=(at) { (escape_controls(shown.name.own())) } }
            td data-label="Kind" { (kind_of(shown.name.kind())) }
            td data-label="Role" { (role_of(shown)) }
            td data-label="Second factor" {
                @match &shown.provider { Some((name, _)) => bdi { (escape_controls(name)) }, None => "none" }
            }
            td data-label="State" { (state_of(shown)) }
        }
    }
}

fn add(root: &str, token: &str, adding: &Adding<'_>) -> Markup {
    let name = Field {
        name: "name",
        label: "Name",
        value: adding.name,
        error: adding.error,
        hint: "Letters, digits and . _ - @ +",
        first: !adding.error.is_empty(),
        ..Field::default()
    };
    let kinds = [
        ("user", "user: a person"),
        ("application", "application: a program"),
        ("group", "team: users and applications"),
    ];
    let roles =
        [("member", "member"), ("auditor", "auditor: sees everything"), ("operator", "operator: does everything")];
    html! {
        section.card {
            h2 { "Add" }
            form.narrow method="post" action={ (root) "admin/principals" } {
                (hidden("form", token))
                (name.render())
                (select("kind", "kind", "Kind", &kinds, adding.kind))
                (select("role", "role", "Role", &roles, adding.role))
                p.actions { button { "Add" } }
            }
        }
    }
}

/// One of them.
pub(crate) fn one(one: &One<'_>) -> Markup {
    let One { root, token, shown, done: word, refusal, .. } = one;
    html! {
        article data-code=[refusal.map(|(code, _)| code)] {
            p.eyebrow { a href={ (root) "admin/principals" } { "Principals" } " · " (kind_of(shown.name.kind())) }
            h1 { (escape_controls(shown.name.own())) }
            @if let Some((_, sentence)) = refusal { (notice(sentence)) }
            (done(word))
            section.card {
                dl {
                    dt { "Full name" } dd { code { (escape_controls(&shown.name.to_string())) } }
                    dt { "State" } dd { (state_of(shown)) }
                    dt { "Role" } dd { (role_of(shown)) }
                    dt { "Second factor" }
                    dd {
                        @match &shown.provider {
                            Some((name, kind)) => { bdi { (escape_controls(name)) } " (" (kind.word()) ")" }
                            None => "none"
                        }
                    }
                    dt { "Made" } dd { (moment(shown.created_at)) }
                    @if let Some(at) = shown.enrolled_at { dt { "Enrolled" } dd { (moment(at)) } }
                    @if let Some(at) = shown.disabled_at { dt { "Disabled" } dd { (moment(at)) } }
                }
            }
            @if let Some(keys) = one.keys { (keys_of(keys)) }
            @if let Some(members) = one.members { (team(one, members)) }
            @if let Some(token) = token { (acts(one, token)) }
        }
    }
}

/// Somebody's keys, which they alone add and remove.
fn keys_of(keys: &[NotedKey]) -> Markup {
    html! {
        section.card {
            h2 { "Security keys and passkeys: " (keys.len()) }
            @if keys.is_empty() { p { "None is registered: a link leads there." } }
            ul.people {
                @for key in keys {
                    li {
                        strong { bdi { (escape_controls(&key.told.name)) } }
                        p.quiet { (story(key)) " In the audit log: " code { (key.told.hash) } }
                    }
                }
            }
        }
    }
}

fn team(one: &One<'_>, members: &[PrincipalName]) -> Markup {
    html! {
        section.card {
            h2 { "Members" }
            @if members.is_empty() { p { "None." } }
            ul.plain { @for member in members { li { (escape_controls(&member.to_string())) } } }
            @if let Some(token) = one.token {
                (act(&at(one), token, &one.shown.name.to_string(), &html! {
                    (Field { name: "add", label: "Who comes in", hint: "Names with blanks in between", optional: true, ..Field::default() }.render())
                    (Field { name: "drop", label: "Who leaves", optional: true, ..Field::default() }.render())
                    p.actions { button name="act" value="members" { "Change members" } }
                }))
            }
        }
    }
}

fn acts(one: &One<'_>, token: &str) -> Markup {
    let (shown, name, at) = (one.shown, one.shown.name.to_string(), at(one));
    let kind = shown.name.kind();
    html! {
        @if kind == PrincipalKind::User {
            section.card {
                h2 { "New link" }
                p { "With a new link they choose another password. It takes the place of the one before and is shown once; the old password serves until it is used." }
                (act(&at, token, &name, &html! { p.actions { button name="act" value="link" { "Make a new link" } } }))
            }
        }
        @if kind != PrincipalKind::Team { (factor(one, token)) }
        section.card {
            h2 { "Access" }
            @if shown.disabled_at.is_some() {
                (act(&at, token, &name, &html! { p.actions { button name="act" value="enable" { "Enable" } } }))
            } @else {
                p { "Whoever is disabled is logged out at once, and cannot log in." }
                (act(&at, token, &name, &html! { p.actions { button.danger name="act" value="disable" { "Disable" } } }))
            }
        }
        section.card {
            h2 { "Remove" }
            p { "All that is its own is lost. Whoever gets the name later gets nothing else of it." }
            (left(&one.apps.ending, "Of shared codes these go with it, since nobody else may read them:"))
            (left(&one.apps.unmanaged, "These stay, and nobody may grant, remove or export them any more:"))
            (act(&at, token, &name, &html! {
                (confirm("confirm-remove", &html! { "Yes, remove " (escape_controls(shown.name.own())) }))
                p.actions { button.danger name="act" value="remove" { "Remove" } }
            }))
        }
    }
}

/// Apps that somebody leaves behind; nothing where there are none.
fn left(uuids: &[String], what: &str) -> Markup {
    html! {
        @if !uuids.is_empty() {
            p { strong { (what) } }
            ul { @for uuid in uuids { li { code { (uuid) } } } }
        }
    }
}

fn factor(one: &One<'_>, token: &str) -> Markup {
    let (name, at) = (one.shown.name.to_string(), at(one));
    let names = one.providers.iter().map(|provider| {
        let name = provider.name.as_str();
        (name.to_owned(), format!("{} ({})", escape_controls(name), provider.kind.word()))
    });
    let names: Vec<(String, String)> = names.collect();
    let options: Vec<(&str, &str)> = names.iter().map(|(name, words)| (name.as_str(), words.as_str())).collect();
    let chosen = one.shown.provider.as_ref().map_or("", |(name, _)| name.as_str());
    html! {
        section.card {
            h2 { "Second factor" }
            @if options.is_empty() {
                p { "There is no provider yet: " a href={ (one.root) "admin/providers" } { "make one" } "." }
            } @else {
                p { "A new factor takes the place of the one before, with new recovery codes, and logs out everywhere." }
                (act(&at, token, &name, &html! {
                    (select("provider", "provider", "Provider", &options, chosen))
                    details {
                        summary { "A key or a user id of your own" }
                        (Field { name: "key", label: "TOTP: the key, base32", hint: "Empty: one is generated.", optional: true, ..Field::default() }.render())
                        (Field { name: "user", label: "Duo: the user id there", hint: "Empty: the principal's own name.", optional: true, ..Field::default() }.render())
                    }
                    p.actions { button name="act" value="assign" { "Assign" } }
                }))
            }
            @if one.shown.provider.is_some() {
                (act(&at, token, &name, &html! {
                    (confirm("confirm-unassign", &html! { "Yes, let the password alone be enough" }))
                    p.actions { button.danger name="act" value="unassign" { "Take the second factor away" } }
                }))
            }
        }
    }
}

/// What is shown once.
pub(crate) fn given(root: &str, name: &PrincipalName, given: &Given) -> Markup {
    html! {
        article.narrow {
            p.eyebrow { "Shown this once" }
            h1 { (escape_controls(name.own())) }
            section.card {
                @match given {
                    Given::Link(link) => {
                        h2 { "One-time link" }
                        p { "Send it as you would send a password. It serves once, until " (moment(link.expires_at)) "." }
                        pre tabindex="0" aria-label="Link" { code #given { (link.url.as_str()) } }
                    }
                    Given::Secret(secret) => {
                        h2 { "Secret" }
                        p { "The application logs in with it." }
                        pre tabindex="0" aria-label="Secret" { code #given { (secret.as_str()) } }
                    }
                    Given::Factor(assigned) => (factor_given(assigned)),
                }
                p.actions {
                    @if given.is_text() { button type="button" data-copy="given" hidden { "Copy" } }
                    button.second type="button" data-print hidden { "Print" }
                }
            }
            p { a href={ (root) "admin/principal?name=" (encoded(&name.to_string())) } { "Go on" } }
        }
    }
}

fn factor_given(assigned: &Assigned) -> Markup {
    html! {
        h2 { "Second factor: " bdi { (escape_controls(assigned.provider.name.as_str())) } }
        @if let Some(key) = &assigned.key {
            @if let Some(picture) = qr_code(&key.uri, "QR code of the key, for the camera of an authenticator app") { (picture) }
            p { "Key: " code { (key.base32.as_str()) } }
            p.quiet { "A user is shown it on the page of their link as well." }
        }
        h3 { "Recovery codes" }
        @if assigned.recovery_codes.is_empty() {
            p { "They come at enrolment: whoever opens the link is shown ten of their own." }
        } @else {
            p { "Each lets in once in place of the factor. Whoever enrols with a link is shown others, which replace these." }
            ul #given .plain { @for code in &assigned.recovery_codes { li { code { (code.as_str()) } } } }
        }
    }
}

fn at(one: &One<'_>) -> String {
    format!("{}admin/principal", one.root)
}

fn kind_of(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::Application => "application",
        PrincipalKind::Team => "team",
        PrincipalKind::User => "user",
    }
}

fn role_of(shown: &Shown) -> &'static str {
    match (shown.name.kind(), shown.role) {
        (PrincipalKind::Team, _) => "none",
        (_, Role::Auditor) => "auditor",
        (_, Role::Member) => "member",
        (_, Role::Operator) => "operator",
    }
}

fn state_of(shown: &Shown) -> &'static str {
    match (shown.name.kind(), shown.disabled_at, shown.enrolled_at) {
        (_, Some(_), _) => "disabled",
        (PrincipalKind::User, None, None) => "invited, not enrolled",
        (PrincipalKind::Team, None, _) => "in use",
        (_, None, _) => "can log in",
    }
}
