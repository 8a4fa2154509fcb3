//! The page of whoever is logged in: who they are, and the way out.

use super::form::{hidden, moment};
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
    /// The role's word.
    pub role: &'a str,
    /// When the login ends at the latest, Unix milliseconds.
    pub expires_at: i64,
    /// Name and type of the provider of second factors.
    pub provider: Option<(&'a str, &'a str)>,
}

/// The page.
pub(crate) fn content(account: &Account<'_>) -> Markup {
    let action = format!("{}account/logout", account.root);
    html! {
        article.narrow {
            p.eyebrow { "Logged in" }
            h1 { (escape_controls(&account.name)) }
            section.card {
                dl {
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
        }
    }
}
