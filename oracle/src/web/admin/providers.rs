//! Providers of second factors: all of them, and one of them with its options.

use super::{act, confirm, done, select};
use crate::service::people::{Options, Provider, ProviderKind};
use crate::web::form::{Field, encoded, hidden, notice};
use maud::{Markup, html};
use quorate_protocol::display::escape_controls;

/// What was typed into the form for a new one. Its secret is not shown again.
#[derive(Debug, Default)]
pub(crate) struct Typed<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub options: Options,
}

/// All of them. `token` is what forms carry; `None` for whoever only looks. `refusal`: stable word and sentence.
pub(crate) fn list(
    root: &str,
    token: Option<&str>,
    providers: &[Provider],
    word: &str,
    typed: &Typed<'_>,
    refusal: Option<(&str, &str)>,
) -> Markup {
    html! {
        div data-code=[refusal.map(|(code, _)| code)] {
            h1 { "Providers" }
            @if let Some((_, sentence)) = refusal { (notice(sentence)) }
            (done(word))
            section.card {
                h2 { "Second factors that can be assigned" }
                @if providers.is_empty() { p { "None yet." } } @else {
                    table.stack {
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Type" } th scope="col" { "Options" } } }
                        tbody {
                            @for provider in providers {
                                tr {
                                    th scope="row" data-label="Name" {
                                        a href={ (root) "admin/provider?name=" (encoded(provider.name.as_str())) } {
                                            bdi { (escape_controls(provider.name.as_str())) }
                                        }
                                    }
                                    td data-label="Type" { (provider.kind.word()) }
                                    td data-label="Options" { (said(&provider.options)) }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(token) = token { (add(root, token, typed)) }
        }
    }
}

/// The options that are set, but for secrets.
fn said(options: &Options) -> Markup {
    let named = [
        ("Issuer", &options.issuer),
        ("RpId", &options.rp_id),
        ("Origin", &options.origin),
        ("Host", &options.host),
        ("IntegrationKey", &options.integration_key),
    ];
    let set: Vec<_> = named.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
    html! {
        @if set.is_empty() { "those of the oracle" }
        @for (nth, (name, value)) in set.iter().enumerate() { @if nth > 0 { ", " } (name) " " bdi { (escape_controls(value)) } }
    }
}

fn add(root: &str, token: &str, typed: &Typed<'_>) -> Markup {
    let name = Field {
        name: "name",
        label: "Name",
        value: typed.name,
        hint: "For good: it cannot be changed.",
        ..Field::default()
    };
    let kinds = [
        ("totp", "totp: an authenticator app"),
        ("webauthn", "webauthn: a security key or passkey"),
        ("duo", "duo: Duo decides"),
    ];
    html! {
        section.card {
            h2 { "Add" }
            form.narrow method="post" action={ (root) "admin/providers" } {
                (hidden("form", token))
                (name.render())
                (select("kind", "kind", "Type", &kinds, typed.kind))
                fieldset { legend { "totp" } (fields(ProviderKind::Totp, &typed.options, false)) }
                fieldset { legend { "webauthn" } (fields(ProviderKind::Webauthn, &typed.options, false)) }
                fieldset { legend { "duo" } (fields(ProviderKind::Duo, &typed.options, false)) }
                p.actions { button { "Add" } }
            }
        }
    }
}

/// The fields of a type's options. A secret that is `kept` need not be typed again.
fn fields(kind: ProviderKind, options: &Options, kept: bool) -> Markup {
    let field = |name, label, hint, value: &Option<String>| {
        let value = value.as_deref().unwrap_or_default();
        Field { name, label, hint, value, optional: true, ..Field::default() }.render()
    };
    html! {
        @match kind {
            ProviderKind::Totp => {
                (field("issuer", "Issuer", "What apps show above the account; empty: the oracle's name.", &options.issuer))
            }
            ProviderKind::Webauthn => {
                (field("rp_id", "RpId", "The domain that keys are bound to; empty: that of the oracle's address.", &options.rp_id))
                (field("origin", "Origin", "Where keys are used, such as https://oracle.example; empty: the oracle's address.", &options.origin))
            }
            ProviderKind::Duo => {
                (field("host", "Host", "Such as api-12345678.duosecurity.com", &options.host))
                (field("integration_key", "IntegrationKey", "", &options.integration_key))
                (Field {
                    name: "secret_key",
                    label: "SecretKey",
                    kind: "password",
                    hint: if kept { "Never shown. Empty: it stays as it is." } else { "Never shown again." },
                    optional: true,
                    ..Field::default()
                }.render())
            }
        }
    }
}

/// One of them.
pub(crate) fn one(
    root: &str,
    token: Option<&str>,
    provider: &Provider,
    word: &str,
    refusal: Option<(&str, &str)>,
) -> Markup {
    let (name, action) = (provider.name.as_str(), format!("{root}admin/provider"));
    html! {
        article.narrow data-code=[refusal.map(|(code, _)| code)] {
            p.eyebrow { a href={ (root) "admin/providers" } { "Providers" } " · " (provider.kind.word()) }
            h1 { bdi { (escape_controls(name)) } }
            @if let Some((_, sentence)) = refusal { (notice(sentence)) }
            (done(word))
            @match token {
                None => { section.card { h2 { "Options" } p { (said(&provider.options)) } } }
                Some(token) => {
                    section.card {
                        h2 { "Options" }
                        (act(&action, token, name, &html! {
                            (hidden("kind", provider.kind.word()))
                            (fields(provider.kind, &provider.options, true))
                            p.actions { button name="act" value="update" { "Change" } }
                        }))
                    }
                    section.card {
                        h2 { "Remove" }
                        p { "Only a provider that nobody has can be removed." }
                        (act(&action, token, name, &html! {
                            (confirm("confirm-remove", &html! { "Yes, remove " bdi { (escape_controls(name)) } }))
                            p.actions { button.danger name="act" value="remove" { "Remove" } }
                        }))
                    }
                }
            }
        }
    }
}
