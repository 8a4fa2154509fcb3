//! Who is logged in on pages, and whether a form comes from a page of ours. The ticket travels in a cookie:
//!
//! - over HTTPS `__Host-quorate`, which no other host and no plain connection can set; on loopback over plain HTTP `quorate`;
//!   over plain HTTP to anywhere else nobody logs in on pages;
//! - `HttpOnly`, so that no script reads it;
//! - `SameSite=Lax` and not `Strict`: people come by links out of mail and chat, and would look logged out. What a foreign
//!   page can cause with `Lax` is that a page of ours is opened, and opening one changes nothing.
//!
//! A form that changes something is taken when the browser says that a page of ours sent it and, of whoever is logged in,
//! when it carries what only pages made for their ticket carry. The cookie opens no route for programs, and the header
//! `Authorization` no page.

use super::site::Site;
use crate::error::ApiError;
use crate::extract::{ClientAddr, Form, Upload};
use crate::handlers::people::Right;
use crate::service::people::{Caller, PeopleError, Token};
use crate::state::AppState;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use std::fmt;
use std::marker::PhantomData;
use url::{Host, Url};

/// The field that carries what only pages made for a ticket carry.
pub const FORM_TOKEN: &str = "form";

/// Somebody who is logged in on pages, and whose role allows `R`.
pub struct Visitor<R> {
    /// Who.
    pub caller: Caller,
    right: PhantomData<R>,
}

/// A form of a page of ours that nobody in particular has sent.
#[derive(Debug)]
pub struct OwnForm<F = Form>(pub F);

/// A form of a page that was made for whoever has sent it, and whose role allows `R`.
pub struct Sent<R, F = Form> {
    /// Who has sent it.
    pub by: Caller,
    /// What was sent.
    pub form: F,
    right: PhantomData<R>,
}

/// In what a form comes.
pub trait Filled: FromRequest<AppState, Rejection = ApiError> + fmt::Debug + Send {
    /// Its fields.
    fn fields(&self) -> &Form;
}

impl Filled for Form {
    fn fields(&self) -> &Form {
        self
    }
}

impl Filled for Upload {
    fn fields(&self) -> &Form {
        self.fields()
    }
}

impl<R> fmt::Debug for Visitor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl<R, F: fmt::Debug> fmt::Debug for Sent<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("by", &self.by).field("form", &self.form).finish_non_exhaustive()
    }
}

impl<R: Right> FromRequestParts<AppState> for Visitor<R> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let Ok(site) = Site::from_request_parts(parts, state).await;
        let Ok(ClientAddr(source)) = ClientAddr::from_request_parts(parts, state).await;
        let ticket = Door::of(&state.url).ok_or_else(|| site.refused(insecure(), None))?.ticket(&parts.headers);
        match state.people.authenticate(ticket, source).await {
            Ok(caller) => match caller.may(R::ACT) {
                Ok(()) => Ok(Self { caller, right: PhantomData }),
                Err(error) => Err(site.refused(error, Some(&caller))),
            },
            Err(PeopleError::Ticket) => Err(to_login(&site, parts)),
            Err(error) => Err(site.refused(error, None)),
        }
    }
}

impl<F: Filled> FromRequest<AppState> for OwnForm<F> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(site) = Site::from_request_parts(&mut parts, state).await;
        Door::of(&state.url).ok_or_else(|| site.refused(insecure(), None))?;
        if !is_own(&parts.headers, &state.url) {
            return Err(site.refused(foreign(), None));
        }
        let form = F::from_request(Request::from_parts(parts, body), state).await;
        form.map(Self).map_err(|error| site.refused(error, None))
    }
}

impl<R: Right, F: Filled> FromRequest<AppState> for Sent<R, F> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(site) = Site::from_request_parts(&mut parts, state).await;
        Visitor::<R>::from_request_parts(&mut parts, state).await?;
        let mut again = parts.clone();
        let OwnForm(form) = OwnForm::<F>::from_request(Request::from_parts(parts, body), state).await?;
        // The form takes its time to come, and who sends it may have been dismissed meanwhile.
        let Visitor { caller: by, .. } = Visitor::<R>::from_request_parts(&mut again, state).await?;
        if state.people.made_form(&by, form.fields().text(FORM_TOKEN)) {
            Ok(Self { by, form, right: PhantomData })
        } else {
            Err(site.refused(foreign(), Some(&by)))
        }
    }
}

/// Leads to the login, and back to the page afterwards. What a form would have done is not done then.
fn to_login(site: &Site, parts: &Parts) -> Response {
    let page = parts.uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/');
    if parts.method != Method::GET || page.is_empty() {
        return site.see_other("login");
    }
    let next: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
    site.see_other(&format!("login?next={next}"))
}

pub fn insecure() -> ApiError {
    let message = "logging in on pages needs https: an operator has to set url to an https address";
    ApiError::forbidden("insecure", message)
}

fn foreign() -> ApiError {
    let message = "this form was not sent by a page of this oracle that was made for you: open the page again; if that does \
                   not help, an operator has to set url to the address that you use";
    ApiError::forbidden("form_refused", message)
}

/// How tickets come in on pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Plain HTTP that does not leave the machine.
    Loopback,
    /// HTTPS.
    Tls,
}

impl Door {
    /// That of an oracle of this address; `None` where a ticket could be read on its way.
    pub fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        match url.scheme() {
            "https" => Some(Self::Tls),
            "http" if is_loopback(&url) => Some(Self::Loopback),
            _ => None,
        }
    }

    fn cookie(self) -> &'static str {
        match self {
            Self::Loopback => "quorate",
            Self::Tls => "__Host-quorate",
        }
    }

    /// The ticket of a request. Of two cookies of the name none counts: one of them is not ours.
    pub fn ticket(self, headers: &HeaderMap) -> Option<Token> {
        let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(name, _)| *name == self.cookie()).map(|(_, value)| value);
        let value = values.next()?;
        if values.next().is_some() { None } else { Token::presented(value) }
    }

    /// The header that has a browser keep a ticket until it is closed.
    pub fn keep(self, ticket: Token) -> HeaderValue {
        self.header(&ticket.into_text(), "")
    }

    /// The header that has a browser forget it.
    pub fn forget(self) -> HeaderValue {
        self.header("", "; Max-Age=0")
    }

    fn header(self, value: &str, more: &str) -> HeaderValue {
        let secure = if self == Self::Tls { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}", self.cookie());
        let mut value = HeaderValue::from_str(&text).expect("base64url and plain words");
        value.set_sensitive(true);
        value
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host().is_some_and(|host| match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    })
}

/// Whether a page of the oracle at `url` sent the request, as its browser says. Scripts can set neither header.
fn is_own(headers: &HeaderMap, url: &str) -> bool {
    let (site, origin) = (headers.get("sec-fetch-site"), headers.get(header::ORIGIN));
    let Ok(url) = Url::parse(url) else { return false };
    // On loopback and behind proxies people may use another name than the configured one. Over plain HTTP it has to be this
    // machine's: under any other one the request came through a network, or from somebody's page that resolves to here.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let named = format!("{}://{host}", url.scheme());
    if url.scheme() == "http" && !Url::parse(&named).is_ok_and(|named| is_loopback(&named)) {
        return false;
    }
    let own = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        origin == url.origin().ascii_serialization() || origin == named
    };
    (site.is_some() || origin.is_some()) && site.is_none_or(|site| site == "same-origin") && origin.is_none_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_ticket_is_never_where_it_could_be_read() {
        for (url, door) in [
            ("https://oracle.example", Some(Door::Tls)),
            ("https://127.0.0.1:8443", Some(Door::Tls)),
            ("http://127.0.0.1:8080", Some(Door::Loopback)),
            ("http://[::1]:8080", Some(Door::Loopback)),
            ("http://localhost:8080/prod", Some(Door::Loopback)),
            ("http://oracle.example", None),
            ("http://localhost.example", None),
            ("http://10.0.0.1", None),
            ("nonsense", None),
        ] {
            assert_eq!(Door::of(url), door, "{url}");
        }
        let kept = |door: Door| door.keep(Token::presented("abc").unwrap()).to_str().unwrap().to_owned();
        assert_eq!(kept(Door::Tls), "__Host-quorate=abc; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(kept(Door::Loopback), "quorate=abc; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(
            Door::Tls.forget().to_str().unwrap(),
            "__Host-quorate=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0"
        );
    }

    #[test]
    fn a_cookie_is_taken_by_its_exact_name_and_once() {
        let ticket = |door: Door, cookies: &[(&'static str, &'static str)]| {
            door.ticket(&headers(cookies)).map(|token| token.into_text().to_string())
        };
        let found = |line| ticket(Door::Loopback, &[("cookie", line)]);
        assert_eq!(found("a=b; quorate=abc;c=d"), Some("abc".to_owned()));
        for none in ["", "quorate", "quorate=", "xquorate=abc", "quorate =abc", "Quorate=abc", "quorate=a; quorate=b"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(ticket(Door::Loopback, &[("cookie", "quorate=a"), ("cookie", "quorate=b")]), None);
        assert_eq!(ticket(Door::Tls, &[("cookie", "quorate=abc")]), None, "set over plain HTTP, or by a neighbour");
        assert_eq!(ticket(Door::Tls, &[("cookie", "__Host-quorate=abc")]), Some("abc".to_owned()));
    }

    #[test]
    fn a_form_is_ours_when_the_browser_says_so() {
        let url = "https://oracle.example/prod";
        for (sent, own) in [
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://oracle.example")][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", "https://oracle.example")], true),
            (&[("origin", "https://other.test"), ("host", "other.test")], true),
            (&[], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://oracle.example")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "http://oracle.example")], false),
            (&[("origin", "https://oracle.example:444")], false),
            (&[("origin", "https://oracle.example.evil.test"), ("host", "oracle.example")], false),
        ] {
            assert_eq!(is_own(&headers(sent), url), own, "{sent:?}");
        }
        let url = "http://127.0.0.1:8080";
        for (sent, own) in [
            (&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")][..], true),
            (&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], true),
            (&[("origin", "http://[::1]:8080"), ("host", "[::1]:8080"), ("sec-fetch-site", "same-origin")], true),
            (&[("origin", "http://10.0.0.5"), ("host", "10.0.0.5")], false),
            (&[("origin", "http://evil.test:8080"), ("host", "evil.test:8080")], false),
            (&[("sec-fetch-site", "same-origin"), ("host", "evil.test:8080")], false),
            (&[("origin", "http://127.0.0.1:8080"), ("host", "10.0.0.5")], false),
            (&[("origin", "http://127.0.0.1:8080")], false),
        ] {
            assert_eq!(is_own(&headers(sent), url), own, "{sent:?}");
        }
    }
}
