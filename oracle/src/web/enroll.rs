//! Enrolment with a one-time link: a button, a form, and the recovery codes. It must not know when a link serves.

use super::form::{Field, hidden, moment, notice, qr_code};
use crate::service::people::ProviderKind;
use maud::{Markup, html};
use quorate_protocol::api::MIN_PASSWORD;
use quorate_protocol::display::escape_controls;
use quorate_protocol::otp::OtpSecret;
use zeroize::Zeroizing;

/// What the form is for.
pub(crate) struct Blank<'a> {
    /// The way to the oracle's root.
    pub root: &'a str,
    /// The link's last part.
    pub link: &'a str,
    /// Full name of who enrols.
    pub name: String,
    /// Until when the link serves, Unix milliseconds.
    pub expires_at: i64,
    /// The second factor.
    pub provider: Option<(&'a str, ProviderKind)>,
    /// TOTP: the secret as an otpauth URI, until a code has confirmed it.
    pub totp_uri: Option<Zeroizing<String>>,
    /// Security keys: JSON for `PublicKeyCredential.parseCreationOptionsFromJSON`.
    pub key_options: Option<String>,
}

impl std::fmt::Debug for Blank<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blank").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What was wrong with the form that came before; empty where nothing was.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    /// Stable word.
    pub code: &'static str,
    /// With none of the fields.
    pub above: String,
    /// With the password.
    pub password: String,
    /// With its repetition.
    pub again: String,
    /// With the proof of the second factor.
    pub factor: String,
    /// What the new key was to be called, which stays.
    pub key_name: String,
}

/// The page of a link that was opened, and about which nothing was asked.
pub(crate) fn opened(root: &str, link: &str, oracle: &str) -> Markup {
    html! {
        article.narrow {
            h1 { "You have been invited" }
            p.lead { "With this link you choose your password at " strong { (escape_controls(oracle)) } ", once." }
            form.card method="post" action={ (root) "enroll/" (link) "/form" } {
                p { "Go on if somebody you know has sent it to you. Give it to nobody: whoever uses it first is you." }
                p.actions { button autofocus { "Go on" } }
            }
            p.quiet {
                "Opening this page uses nothing up and shows nothing: programs that look into mail open links, too, but press no buttons."
            }
        }
    }
}

/// The form.
pub(crate) fn form(blank: &Blank<'_>, wrong: &Wrong) -> Markup {
    let hint = format!("At least {MIN_PASSWORD} characters. A sentence of your own is long, and easy to keep.");
    let password = Field {
        name: "password",
        label: "Password",
        kind: "password",
        hint: &hint,
        error: &wrong.password,
        fill: "new-password",
        least: MIN_PASSWORD,
        first: true,
        ..Field::default()
    };
    let again = Field {
        name: "again",
        label: "The same password again",
        kind: "password",
        error: &wrong.again,
        fill: "new-password",
        ..Field::default()
    };
    let key = blank.key_options.as_deref();
    html! {
        article.narrow data-code=[(!wrong.code.is_empty()).then_some(wrong.code)] {
            p.eyebrow { "Enrolment, until " (moment(blank.expires_at)) }
            h1 { (escape_controls(blank.name.rsplit('/').next().unwrap_or(&blank.name))) }
            @if !wrong.above.is_empty() { (notice(&wrong.above)) }
            form method="post" action={ (blank.root) "enroll/" (blank.link) "/finish" }
                data-key=[key.map(|_| "create")] data-options=[key] {
                // For password managers, which keep a password under a name.
                input.apart type="text" name="principal" value=(blank.name) autocomplete="username" readonly tabindex="-1" aria-hidden="true";
                section.card {
                    h2 { "Your password" }
                    (password.render())
                    (again.render())
                }
                @if let Some((provider, kind)) = blank.provider {
                    section.card {
                        h2 { "Your second factor: " bdi { (escape_controls(provider)) } }
                        @match kind {
                            ProviderKind::Totp => (authenticator(blank, wrong)),
                            ProviderKind::Webauthn => (security_key(wrong)),
                            ProviderKind::Duo => p { "Duo will ask you at every login. There is nothing to do for it here." },
                        }
                    }
                }
                p.actions {
                    @if key.is_some() {
                        // The form's own: Enter in a field presses it.
                        button data-touch="key" hidden { "Register the security key and enrol" }
                        button.second type="button" data-touch="passkey" hidden { "Use a passkey and enrol" }
                    } @else {
                        button { "Enrol" }
                    }
                }
                p role="status" data-said {}
            }
        }
    }
}

fn authenticator(blank: &Blank<'_>, wrong: &Wrong) -> Markup {
    let code = Field {
        name: "passcode",
        label: "The code that it shows",
        error: &wrong.factor,
        fill: "one-time-code",
        keyboard: "numeric",
        ..Field::default()
    };
    let Some(uri) = &blank.totp_uri else {
        return html! {
            p { "Your authenticator app knows its key already, and goes on with it." }
            (code.render())
        };
    };
    let key = OtpSecret::from_uri(uri).map(|secret| secret.to_base32()).unwrap_or_default();
    html! {
        p { "Scan this with your authenticator app, or type the key into it." }
        @if let Some(picture) = qr_code(uri, "QR code of the key, for the camera of an authenticator app") { (picture) }
        dl {
            dt { "Key" }
            dd { code #key { (key.as_str()) } }
        }
        p.actions { button.second type="button" data-copy="key" hidden { "Copy key" } }
        (code.render())
    }
}

fn security_key(wrong: &Wrong) -> Markup {
    html! {
        (hidden("credential", ""))
        (hidden("kind", ""))
        (Field {
            name: "key_name",
            label: "What the key is called",
            value: &wrong.key_name,
            hint: "Such as: blue, at home",
            optional: true,
            ..Field::default()
        }.render())
        p { "Have your security key at hand, and press the first button below: it asks for a touch." }
        p { "Or use a passkey, which this device, your telephone or your password manager keeps, and which asks each time who you are." }
        @if !wrong.factor.is_empty() { p.error role="alert" { (wrong.factor) } }
        noscript { p { "A browser registers a security key with JavaScript alone. Allow it on this page." } }
    }
}

/// The page of who has enrolled. The codes are shown this once.
pub(crate) fn done(root: &str, name: &str, codes: &[Zeroizing<String>]) -> Markup {
    html! {
        article.narrow {
            p.eyebrow { "Enrolled" }
            h1 { "You can log in now, " (escape_controls(name.rsplit('/').next().unwrap_or(name))) }
            @if !codes.is_empty() {
                section.card.codes {
                    h2 { "Recovery codes" }
                    p {
                        "Each of them lets you in once in place of your second factor, when it is lost. " strong { "They are shown this once." }
                        " Keep them on paper, or where you keep your passwords."
                    }
                    ul #codes .plain { @for code in codes { li { code { (code.as_str()) } } } }
                    p.actions {
                        button type="button" data-copy="codes" hidden { "Copy" }
                        button.second type="button" data-print hidden { "Print" }
                    }
                }
            }
            p.actions { a.button href={ (root) "login" } { "Log in" } }
        }
    }
}

/// The page of a link that does not serve.
pub(crate) fn spent(root: &str) -> Markup {
    html! {
        article.ended data-code="link_unknown" {
            h1 { "This link does not serve any more" }
            p.lead { "It was used already, a newer one took its place, its time is up, or it was cut off on the way." }
            p { "If you have enrolled with it, " a href={ (root) "login" } { "log in" } ". Otherwise ask the operator who sent it for a new one." }
        }
    }
}
