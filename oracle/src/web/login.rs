//! The login: a page for the password, and one for what has to follow. Both work without JavaScript, but for security keys.
//! It must not know what is right.

use super::form::{Field, NOTICE, hidden, notice};
use maud::{Markup, html};
use quorate_protocol::display::escape_controls;
use serde::Serialize;

/// What both steps carry on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    /// The way to the oracle's root.
    pub root: &'a str,
    /// Who logs in, as it was typed.
    pub principal: &'a str,
    /// Where to go on to; empty for the usual place.
    pub next: &'a str,
}

/// What has to follow a right password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Factor {
    /// A code, or with Duo a question to somebody's telephone.
    Passcode {
        /// Whether Duo asks.
        duo: bool,
    },
    /// A security key's answer to these options, JSON for `PublicKeyCredential.parseRequestOptionsFromJSON`.
    Key(String),
    /// A recovery code in the place of a security key, after a wrong one.
    Recovery,
}

impl Factor {
    /// A security key that is asked with `options`.
    pub fn key(options: &impl Serialize) -> Self {
        Self::Key(serde_json::to_string(options).expect("plain data always serialises"))
    }

    /// The one that a form names, if it can be tried again.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "passcode" => Some(Self::Passcode { duo: false }),
            "duo" => Some(Self::Passcode { duo: true }),
            "recovery" => Some(Self::Recovery),
            _ => None,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Passcode { duo: false } => "passcode",
            Self::Passcode { duo: true } => "duo",
            Self::Key(_) | Self::Recovery => "recovery",
        }
    }
}

/// The first step. `refusal`: its stable word and sentence.
pub(crate) fn password(step: &Step<'_>, refusal: Option<(&str, &str)>) -> Markup {
    let told_by = refusal.map_or("", |_| NOTICE);
    // Whoever comes back finds the name typed, and types the password.
    let again = refusal.is_some();
    let name = Field {
        name: "principal",
        label: "Name",
        value: step.principal,
        fill: "username",
        told_by,
        first: !again,
        ..Field::default()
    };
    let password = Field {
        name: "password",
        label: "Password",
        kind: "password",
        fill: "current-password",
        told_by,
        first: again,
        ..Field::default()
    };
    html! {
        article.narrow data-code=[refusal.map(|(code, _)| code)] {
            h1 { "Log in" }
            @if let Some((_, sentence)) = refusal { (notice(sentence)) }
            form.card method="post" action={ (step.root) "login/password" } {
                (hidden("next", step.next))
                (name.render())
                (password.render())
                p.actions { button { "Go on" } }
            }
            p.quiet {
                "Nobody has a password here from the start: you choose yours with the link that an operator sends you. Whoever has "
                "lost theirs is sent a new link."
            }
        }
    }
}

/// The second step, with the `state` that the first one gave.
pub(crate) fn factor(step: &Step<'_>, state: &str, factor: &Factor, refusal: Option<(&str, &str)>) -> Markup {
    let carried = html! {
        (hidden("principal", step.principal))
        (hidden("next", step.next))
        (hidden("state", state))
        (hidden("factor", factor.word()))
    };
    let action = format!("{}login/factor", step.root);
    html! {
        article.narrow data-code=[refusal.map(|(code, _)| code)] {
            h1 { "One more proof" }
            p { "The password of " strong { (escape_controls(step.principal)) } " is right. Now the second factor." }
            @if let Some((_, sentence)) = refusal { (notice(sentence)) }
            @match factor {
                Factor::Passcode { duo } => {
                    @if *duo { (telephone(&action, &carried)) }
                    form.card method="post" action=(action) {
                        (carried)
                        (code(*duo, refusal.map_or("", |_| NOTICE)).render())
                        p.actions { button { "Log in" } }
                    }
                }
                Factor::Key(options) => {
                    form.card method="post" action=(action) data-key="get" data-options=(options) {
                        h2 { "Security key or passkey" }
                        (carried)
                        (hidden("credential", ""))
                        p.actions { button data-touch="key" autofocus hidden { "Use the security key" } }
                        p role="status" data-said {}
                        noscript { p { "A browser uses a security key with JavaScript alone. Allow it here, or use a recovery code." } }
                    }
                }
                Factor::Recovery => {
                    form.card method="post" action=(action) {
                        (carried)
                        (Field { told_by: NOTICE, first: true, ..recovery() }.render())
                        p.actions { button { "Log in" } }
                    }
                    p.quiet { "To use your security key, begin again." }
                }
            }
            @if *factor != Factor::Recovery {
                details.card {
                    summary { "Use a recovery code" }
                    form method="post" action=(action) {
                        (carried)
                        (recovery().render())
                        p.actions { button { "Log in" } }
                    }
                }
            }
            p { a href={ (step.root) "login" } { "Begin again" } }
        }
    }
}

/// Duo asks on a telephone: the form stays under way until somebody has answered there.
fn telephone(action: &str, carried: &Markup) -> Markup {
    html! {
        form.card method="post" action=(action) data-wait {
            h2 { "Be asked on your telephone" }
            (carried)
            p.quiet {
                "The page goes on by itself once you have answered there. Say no if you are asked and have not pressed a button here."
            }
            p.actions {
                button name="passcode" value="push" { "Send a push" }
                button.second name="passcode" value="phone" { "Call me" }
            }
            p role="status" data-said data-waiting="Waiting for your answer on the telephone. This can take half a minute." {}
        }
    }
}

fn code(duo: bool, told_by: &'static str) -> Field<'static> {
    Field {
        name: "passcode",
        label: if duo { "Code from Duo" } else { "Code from your authenticator app" },
        fill: "one-time-code",
        keyboard: "numeric",
        told_by,
        first: true,
        ..Field::default()
    }
}

fn recovery() -> Field<'static> {
    Field { name: "passcode", id: "recovery", label: "Recovery code", hint: "Each serves once.", ..Field::default() }
}
