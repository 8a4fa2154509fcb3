//! The page of whoever is logged in: who they are, their security keys, and the way out.

use super::form::{Field, confirm, hidden, moment, notice};
use crate::service::webauthn::NotedKey;
use maud::{Markup, html};
use quorate_protocol::display::escape_controls;

/// What it shows.
#[derive(Debug)]
pub(crate) struct Account<'a> {
    /// The way to the oracle's root.
    pub root: &'a str,
    /// What the forms carry.
    pub token: &'a str,
    /// Full name.
    pub name: String,
    /// Its last part.
    pub own: &'a str,
    /// The role's word.
    pub role: &'a str,
    /// When the login ends at the latest, Unix milliseconds.
    pub expires_at: i64,
    /// Name and type of the provider of second factors.
    pub provider: Option<(&'a str, &'a str)>,
    /// Security keys, oldest first; `None` where there can be none.
    pub keys: Option<&'a [NotedKey]>,
    /// Whether the login is so new that they can be changed.
    pub fresh: bool,
    /// One more, that is to be touched now.
    pub adding: Option<&'a Adding<'a>>,
    /// What was done just now.
    pub done: &'a str,
    /// Stable word and sentence.
    pub refusal: Option<(&'a str, &'a str)>,
}

/// A key that is to be registered.
#[derive(Debug)]
pub(crate) struct Adding<'a> {
    /// JSON for `PublicKeyCredential.parseCreationOptionsFromJSON`.
    pub options: &'a str,
    /// What it is to be called.
    pub name: &'a str,
}

/// The page.
pub(crate) fn content(account: &Account<'_>) -> Markup {
    let action = format!("{}account/logout", account.root);
    html! {
        article.narrow data-code=[account.refusal.map(|(code, _)| code)] {
            p.eyebrow { "Logged in" }
            h1 { (escape_controls(account.own)) }
            @if let Some((_, sentence)) = account.refusal { (notice(sentence)) }
            (done(account.done))
            section.card {
                dl {
                    dt { "Full name" }
                    dd { code { (escape_controls(&account.name)) } }
                    dt { "Role" }
                    dd { (account.role) }
                    dt { "Second factor" }
                    dd {
                        @match account.provider {
                            Some((name, kind)) => { bdi { (escape_controls(name)) } " (" (kind) ")" }
                            None => "none"
                        }
                    }
                    dt { "This login ends" }
                    dd { (moment(account.expires_at)) ", and sooner when it is not used" }
                }
                form method="post" action=(action) {
                    (hidden("form", account.token))
                    p.actions {
                        button { "Log out" }
                        button.second name="everywhere" value="yes" { "Log out everywhere" }
                    }
                }
            }
            @if let Some(keys) = account.keys { (own_keys(account, keys)) }
        }
    }
}

/// Security keys and passkeys: two are better than one, and the last one stays.
fn own_keys(account: &Account<'_>, keys: &[NotedKey]) -> Markup {
    let action = format!("{}account/keys", account.root);
    html! {
        section.card {
            h2 { "Security keys and passkeys" }
            ul.people {
                @for (number, key) in keys.iter().enumerate() {
                    @let spare = keys.iter().any(|other| other.usable && other.key_handle_hash != key.key_handle_hash);
                    (own_key(account, &action, account.fresh && spare, number, key))
                }
            }
            @match account.adding {
                Some(adding) => (touch(account, &action, adding)),
                None if !account.fresh => {
                    p { "Adding or removing a key takes a login of the last five minutes." }
                    p.actions {
                        a.button.second href={ (account.root) "login?next=account" } { "Log in again to change them" }
                    }
                }
                None => {
                    @if keys.len() == 1 { p { "Register a second one, and keep it elsewhere: then losing one keeps nobody out." } }
                    form method="post" action=(action) {
                        (hidden("form", account.token))
                        (Field {
                            name: "name",
                            label: "What one more is called",
                            hint: "Such as: blue, at home",
                            optional: true,
                            ..Field::default()
                        }.render())
                        p.actions { button name="act" value="begin" { "Add a key" } }
                    }
                }
            }
        }
    }
}

fn own_key(account: &Account<'_>, action: &str, spare: bool, number: usize, key: &NotedKey) -> Markup {
    let called = escape_controls(&key.told.name);
    html! {
        li {
            strong { bdi { (called) } }
            p.quiet { (story(key)) }
            @if spare {
                details {
                    summary { "Remove" span.apart { " " bdi { (called) } } }
                    form method="post" action=(action) {
                        (hidden("form", account.token))
                        (hidden("key", &key.key_handle_hash))
                        (confirm(&format!("confirm-{number}"), &html! { "Yes: it lets nobody in any more, and every other login of mine ends" }))
                        p.actions { button.danger name="act" value="remove" { "Remove the key" } }
                    }
                }
            }
        }
    }
}

/// What can be said of a key.
pub(super) fn story(key: &NotedKey) -> Markup {
    html! {
        @if key.told.passkey { "A passkey. " }
        @if let Some(at) = key.note.added_at { "Added " (moment(at)) ". " }
        @if !key.usable { "Of another address than this oracle's logins: it lets nobody in here. " }
        @match key.note.used_at { Some(at) => { "Last used " (moment(at)) "." } None => "Not used yet." }
    }
}

/// The form that the key answers into.
fn touch(account: &Account<'_>, action: &str, adding: &Adding<'_>) -> Markup {
    html! {
        form method="post" action=(action) data-key="create" data-options=(adding.options) {
            (hidden("form", account.token))
            (hidden("act", "add"))
            (hidden("name", adding.name))
            (hidden("credential", ""))
            (hidden("kind", ""))
            p { "Have the new key at hand, and take the others out: the button asks for it. A passkey is kept by this device, your "
                "telephone or your password manager, and asks each time who you are." }
            p.actions {
                button type="button" data-touch="key" autofocus hidden { "Register the security key" }
                button.second type="button" data-touch="passkey" hidden { "Register a passkey" }
                a.button.second href={ (account.root) "account" } { "Cancel" }
            }
            p role="status" data-said {}
            noscript { p { "A browser registers a security key with JavaScript alone. Allow it on this page." } }
        }
    }
}

/// What was done, by the word in the address; nothing for another word.
fn done(word: &str) -> Markup {
    let sentence = match word {
        "added" => "The key was added: it lets you in from now on.",
        "removed" => "The key was removed, and every other login of yours has ended.",
        _ => return html! {},
    };
    html! { p.card.done role="status" { (sentence) } }
}
