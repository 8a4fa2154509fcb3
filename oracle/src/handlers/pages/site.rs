//! What every page with forms is answered with: its place, its frame, redirections, and refusals that people can read.

use crate::error::{ApiError, RefusalCode};
use crate::service::people::Caller;
use crate::service::people::rights::{Act, may};
use crate::state::AppState;
use crate::web::form::notice;
use crate::web::{Frame, Kind};
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use std::convert::Infallible;

/// Bytes of a place to go on to at most.
const MAX_NEXT: usize = 300;

/// The oracle as a page sees it: its state, and the way from the page's folder to the oracle's root.
#[derive(Debug, Clone)]
pub struct Site {
    /// The state.
    pub state: AppState,
    /// Empty, or with a slash at the end.
    pub root: String,
}

impl FromRequestParts<AppState> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let path = parts.extensions.get::<MatchedPath>().map_or("/", MatchedPath::as_str);
        let path = path.strip_prefix(state.config.base_path.as_str()).unwrap_or(path);
        let root = "../".repeat(path.matches('/').count().saturating_sub(1));
        Ok(Self { state: state.clone(), root })
    }
}

impl Site {
    /// The page of that title, for whoever is logged in; `here` is its place in their menu.
    pub fn page(&self, status: StatusCode, title: &str, to: Option<&Caller>, here: &str, content: &Markup) -> Response {
        let menu = to.map(menu_of).unwrap_or_default();
        let (oracle, root) = (self.state.config.name.as_str(), self.root.as_str());
        Frame { title, oracle, root, kind: Kind::Forms, menu: &menu, here }.page(status, content)
    }

    /// The page that tells of a refusal and has nothing else to offer than the way on.
    pub fn refused(&self, error: impl Into<ApiError>, to: Option<&Caller>) -> Response {
        let told = Told::of(error.into());
        let title = match told.status {
            StatusCode::FORBIDDEN => "That is not allowed",
            StatusCode::NOT_FOUND => "There is no such thing",
            StatusCode::TOO_MANY_REQUESTS => "Too often",
            status if status.is_server_error() => "The oracle cannot answer now",
            _ => "That did not work",
        };
        let content = html! {
            article.ended data-code=(told.code) {
                h1 { (title) }
                p.lead { (told.sentence) }
                p.actions {
                    @match to {
                        Some(_) => { a href={ (self.root) "account" } { "Your account" } }
                        None => { a href={ (self.root) "login" } { "Log in" } }
                    }
                }
            }
        };
        told.mark(self.page(told.status, title, to, "", &content))
    }

    /// A form again, above which stands why it was refused.
    pub fn again(&self, told: &Told, title: &str, to: Option<&Caller>, here: &str, form: &Markup) -> Response {
        let content = html! { div data-code=(told.code) { (notice(&told.sentence)) (form) } };
        told.mark(self.page(told.status, title, to, here, &content))
    }

    /// Leads on to a place of ours, seen from the root.
    pub fn see_other(&self, place: &str) -> Response {
        let location = if self.root.is_empty() && place.is_empty() { "./" } else { &format!("{}{place}", self.root) };
        let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("./"));
        (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
    }
}

/// Where a role can go.
fn menu_of(caller: &Caller) -> Vec<(&'static str, &'static str)> {
    let pages = [
        (Act::ReadPrincipals, "admin/principals", "Principals"),
        (Act::ReadProviders, "admin/providers", "Providers"),
        (Act::ReadAudit, "admin/sessions", "Sessions"),
        (Act::ReadAudit, "admin/audit", "Audit"),
        (Act::OwnTicket, "apps", "Apps"),
        (Act::OwnTicket, "account", "Account"),
    ];
    pages.into_iter().filter(|(act, ..)| may(caller.role, *act)).map(|(_, path, label)| (path, label)).collect()
}

/// A refusal as a page tells it. It is logged when it is made.
#[derive(Debug)]
pub struct Told {
    /// As the same refusal has it elsewhere.
    pub status: StatusCode,
    /// Its stable word.
    pub code: &'static str,
    /// One or two sentences.
    pub sentence: String,
    wait: Option<u32>,
}

impl Told {
    /// What there is to say of an error.
    pub fn of(error: ApiError) -> Self {
        let (status, code, wait) = (error.status(), error.code(), error.wait());
        let mut letters = error.message().chars();
        let mut sentence: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let again = wait.map(|seconds| format!(" Try again in {}.", span(seconds))).unwrap_or_default();
        sentence.push('.');
        sentence.push_str(&again);
        let _logged = error.into_response();
        Self { status, code, sentence, wait }
    }

    /// The page of the refusal, with what programs look at.
    pub fn mark(&self, mut page: Response) -> Response {
        page.extensions_mut().insert(RefusalCode(self.code));
        if let Some(seconds) = self.wait {
            page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        page
    }
}

/// A time in words: seconds, or whole minutes from two minutes on.
fn span(seconds: u32) -> String {
    match seconds {
        1 => "1 second".to_owned(),
        0..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// A place to go on to after a login: a path of ours as seen from the root, perhaps with a query. Whatever could lead
/// elsewhere is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Next(Option<String>);

impl Next {
    /// Reads it as strangers may have written it into a link.
    pub fn parse(text: &str) -> Self {
        let path = text.split('?').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%/?=&+@".contains(c);
        let inside = path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('%'));
        let fits = text.len() <= MAX_NEXT && text.chars().all(plain) && inside;
        Self(fits.then(|| text.to_owned()))
    }

    /// The place, or the one that is meant when none was named.
    pub fn or<'a>(&'a self, usual: &'a str) -> &'a str {
        self.0.as_deref().unwrap_or(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_our_own_pages_alone() {
        for ours in ["account", "admin", "admin/principals?search=b%20b&page=2", "s/ABC", "admin/audit?kind=login.done"]
        {
            assert_eq!(Next::parse(ours).or("usual"), ours);
        }
        let long = "a".repeat(MAX_NEXT + 1);
        for elsewhere in [
            "",
            "/account",
            "//evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "\\\\evil.example",
            "/\\evil.example",
            "..//evil.example",
            "../evil",
            "a/../../evil",
            "a//evil.example",
            "./evil",
            "%2e%2e/evil",
            "%2F%2Fevil.example",
            "a\r\nSet-Cookie: x=y",
            "a b",
            "a#b",
            "\u{202e}a",
            "@evil.example:443",
            long.as_str(),
        ] {
            assert_eq!(Next::parse(elsewhere).or("usual"), "usual", "{elsewhere}");
        }
    }

    #[test]
    fn a_refusal_says_for_how_long() {
        let told = Told::of(ApiError::too_many("login_locked", "too many failed logins", 30));
        assert_eq!(told.sentence, "Too many failed logins. Try again in 30 seconds.");
        assert_eq!(
            [1, 119, 120, 121, 900].map(span),
            ["1 second", "119 seconds", "2 minutes", "3 minutes", "15 minutes"]
        );
        let page = told.mark(Response::new(axum::body::Body::empty()));
        assert_eq!(page.headers()[header::RETRY_AFTER], "30");
        assert_eq!(page.extensions().get::<RefusalCode>().map(|code| code.0), Some("login_locked"));
    }
}
