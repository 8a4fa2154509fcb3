//! The typed client of an oracle: blocking, bounded in time and size, without redirects. It sends and reads bodies and maps
//! refusals; what the answers mean, whom to trust and what to show is decided by its callers. Bodies are never logged or
//! repeated in errors.

mod api_keys;
mod apps;
mod audit;
mod drills;
mod enrolment;
mod error;
mod events;
mod groups;
mod people;
mod principals;
mod providers;
mod security_keys;
mod tls;

pub use api_keys::{ApiKey, Rotated};
pub use apps::AppRead;
pub use enrolment::{EnrolLink, Enrolled, Enrolment, Invitation};
pub use error::{ClientError, KeyChallenge, Refusal};
pub use events::Events;
pub use groups::{ApplicantChanges, GroupHolder, GroupMemberChanges, KnownGroup};
pub use people::{Bearer, KeyAnswer, LoggedIn, Login, Ticket};
pub use principals::{AppsLeft, Assigned, Assignment, MemberChanges, Members, Newcomer, Principal, PrincipalKey};
pub use providers::Provider;
pub use security_keys::{BegunRegistration, RelyingParty, U2fChallenge, U2fRegistered, U2fSigned};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quorate_protocol::api::{
    AddToc, Denial, NewSession, OracleDescription, Receipt, Redeal, Session, SessionCredentials, SessionKey, TotpCode,
};
use quorate_protocol::display::escape_controls;
use quorate_protocol::header::check_url;
use quorate_protocol::session::Kek;
use reqwest::Method;
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// Bytes of an answer that are read at most.
const MAX_ANSWER: u64 = 1024 * 1024;
/// Bytes of a redeal's answer: up to 255 encrypted Tocs.
const MAX_REDEAL: u64 = 36 * 1024 * 1024;
/// How long one request may take, connecting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an event stream may be silent. Oracles send a heartbeat far more often.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(90);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long codes may flow after the first, in seconds.
const TTL: RangeInclusive<i64> = 60..=86_400;
/// How often a request that changes nothing is tried.
const ATTEMPTS: u32 = 3;
/// What stands in a path as it is: RFC 3986, "Unreserved Characters".
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The header that shows names to whoever has the invite.
const VIEW_HEADER: &str = "quorate-invite";

/// How to connect.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// PEM file of certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Whether `http://` may leave this machine.
    pub insecure_http: bool,
}

/// A connection to one oracle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::blocking::Client,
    url: String,
    ticket: Option<Ticket>,
    function_key: Option<apps::FunctionKey>,
}

impl Client {
    /// Prepares to talk to the oracle whose base URL is `url`. Nothing is sent yet.
    pub fn new(url: &str, options: &ClientOptions) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/');
        let parsed = check_url(base).map_err(|_| ClientError::Url { url: escape_controls(url) })?;
        tls::check_scheme(&parsed, options)?;
        let builder = reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(tls::config(&parsed, options)?)
            .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(SILENCE_TIMEOUT);
        // A proxy from the environment would see what is sent in the clear because it should not leave the machine.
        let builder = if parsed.scheme() == "http" { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| ClientError::unreachable(base, &error))?;
        Ok(Self { http, url: base.to_owned(), ticket: None, function_key: None })
    }

    /// What the oracle at `url` says of itself: its root key, its certificates, its clock. Nothing in it is to be trusted yet.
    pub fn describe(url: &str, options: &ClientOptions) -> Result<OracleDescription, ClientError> {
        let client = Self::new(url, options)?;
        let description: OracleDescription = client.read("/.well-known/quorate", None, MAX_ANSWER)?;
        if description.version == 1 {
            Ok(description)
        } else {
            Err(client.strange(&format!("it speaks version {} of the protocol", description.version)))
        }
    }

    /// The oracle's base URL, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `POST /sessions`.
    pub fn create(&self, session: &NewSession) -> Result<SessionCredentials, ClientError> {
        let credentials: SessionCredentials = self.json(self.post("/sessions", session)?, MAX_ANSWER)?;
        if TTL.contains(&credentials.session.ttl) {
            Ok(credentials)
        } else {
            Err(self.strange("its session lasts for a time that cannot be"))
        }
    }

    /// `GET /sessions/{id}`; with names and reason when `view` is the invite's token.
    pub fn session(&self, id: &str, view: Option<&str>) -> Result<Session, ClientError> {
        self.read(&format!("/sessions/{id}"), view, MAX_ANSWER)
    }

    /// `POST /sessions/{id}/tocs`.
    pub fn add_toc(&self, id: &str, toc: &AddToc) -> Result<(), ClientError> {
        self.post(&format!("/sessions/{id}/tocs"), toc).map(drop)
    }

    /// The same with what a security key answered to the challenge that the first try was refused with.
    pub fn add_toc_with_key(&self, id: &str, toc: &AddToc, answer: &KeyAnswer<'_>) -> Result<(), ClientError> {
        #[derive(Serialize)]
        struct Answered<'a> {
            #[serde(flatten)]
            toc: &'a AddToc,
            #[serde(flatten)]
            answer: &'a KeyAnswer<'a>,
        }
        self.post(&format!("/sessions/{id}/tocs"), &Answered { toc, answer }).map(drop)
    }

    /// `POST /sessions/{id}/denials`.
    pub fn deny(&self, id: &str, denial: &Denial) -> Result<(), ClientError> {
        self.post(&format!("/sessions/{id}/denials"), denial).map(drop)
    }

    /// `POST /sessions/{id}/totp`: the code, when the session is quorate. Callers print it as it is: nothing but digits
    /// and times passes.
    pub fn code(&self, id: &str, kek: &Kek) -> Result<TotpCode, ClientError> {
        let answer = self.post(&format!("/sessions/{id}/totp"), &SessionKey { kek: kek.to_base64() })?;
        let code: TotpCode = self.json(answer, MAX_ANSWER)?;
        if !is_code(&code.totp) {
            return Err(self.strange("its code is not 6 to 8 digits"));
        }
        if !(is_time(&code.totp_expires_at) && is_time(&code.session_expires_at)) {
            return Err(self.strange("its times are unreadable"));
        }
        Ok(code)
    }

    /// `POST /sessions/{id}/redeal`: runs the approved plan, once.
    pub fn redeal(&self, id: &str, kek: &Kek) -> Result<Redeal, ClientError> {
        self.json(self.post(&format!("/sessions/{id}/redeal"), &SessionKey { kek: kek.to_base64() })?, MAX_REDEAL)
    }

    /// `GET /sessions/{id}/redeal`: the new group and the Tocs that are still to be fetched.
    pub fn redealt(&self, id: &str, view: Option<&str>) -> Result<Redeal, ClientError> {
        self.read(&format!("/sessions/{id}/redeal"), view, MAX_REDEAL)
    }

    /// `POST /sessions/{id}/receipts`.
    pub fn receive(&self, id: &str, receipt: &Receipt) -> Result<(), ClientError> {
        self.post(&format!("/sessions/{id}/receipts"), receipt).map(drop)
    }

    /// `DELETE /sessions/{id}`, by whoever has the KEK.
    pub fn cancel(&self, id: &str, kek: &Kek) -> Result<(), ClientError> {
        let token = kek.cancel_token();
        let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut bearer = HeaderValue::from_str(&bearer).expect("base64url is a header value");
        bearer.set_sensitive(true);
        // The key is shown in the place of a ticket.
        let request = self.bare(Method::DELETE, &format!("/sessions/{id}")).header(AUTHORIZATION, bearer);
        self.send(request.timeout(REQUEST_TIMEOUT)).map(drop)
    }

    /// `GET /sessions/{id}/events` behind event `after` (0: from the first), reconnecting as needed.
    pub fn events(&self, id: &str, view: Option<&str>, after: i64) -> Events {
        Events::new(self.clone(), id, view, after)
    }

    fn open_events(&self, id: &str, view: Option<&str>, after: i64) -> Result<Box<dyn Read + Send>, ClientError> {
        let mut request = with_view(self.request(Method::GET, &format!("/sessions/{id}/events")), view);
        request = request.header(ACCEPT, "text/event-stream");
        if after > 0 {
            request = request.header("last-event-id", after);
        }
        let response = self.send(request)?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(self.strange("it sent no event stream"));
        }
        Ok(Box::new(response))
    }

    fn read<T: DeserializeOwned>(&self, path: &str, view: Option<&str>, limit: u64) -> Result<T, ClientError> {
        self.parse(&self.read_bytes(path, view, limit)?)
    }

    /// A GET, tried again while nothing was decided.
    fn read_bytes(&self, path: &str, view: Option<&str>, limit: u64) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let mut attempt = 1;
        loop {
            let request = with_view(self.request(Method::GET, path), view).timeout(REQUEST_TIMEOUT);
            match self.send(request).and_then(|response| self.bytes(response, limit)) {
                Err(error) if error.is_passing() && attempt < ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(150) * attempt);
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<Response, ClientError> {
        self.act(Method::POST, path, Some(body))
    }

    /// What changes something is asked once, whatever comes of it.
    fn act<T: Serialize>(&self, method: Method, path: &str, body: Option<&T>) -> Result<Response, ClientError> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            let body = serde_json::to_vec(body).expect("request bodies are plain data");
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        self.send(request.timeout(REQUEST_TIMEOUT))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.bare(method, path);
        match (&self.ticket, &self.function_key) {
            (Some(ticket), _) => request.header(AUTHORIZATION, ticket.bearer()),
            (None, Some(key)) => request.header(apps::FUNCTION_KEY_HEADER, key.header()),
            (None, None) => request,
        }
    }

    /// A request without the ticket or the API key.
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).header(ACCEPT, "application/json")
    }

    fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().map_err(|error| ClientError::unreachable(&self.url, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            return Err(self.strange("it redirects elsewhere, which is not followed"));
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = self.bytes(response, MAX_ANSWER).unwrap_or_default();
        Err(ClientError::refused(status.as_u16(), retry_after, &body))
    }

    fn json<T: DeserializeOwned>(&self, response: Response, limit: u64) -> Result<T, ClientError> {
        self.parse(&self.bytes(response, limit)?)
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        // The reason would repeat parts of the body.
        serde_json::from_slice(body).map_err(|_| self.strange("its answer is unreadable"))
    }

    fn bytes(&self, response: Response, limit: u64) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let expected = response.content_length().unwrap_or(4096).min(limit);
        let mut body = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or(4096) + 1));
        let mut limited = response.take(limit + 1);
        limited.read_to_end(&mut body).map_err(|error| ClientError::unreachable(&self.url, &error))?;
        if body.len() as u64 > limit { Err(self.strange("its answer is far too large")) } else { Ok(body) }
    }

    fn strange(&self, detail: &str) -> ClientError {
        ClientError::Answer { url: self.url.clone(), detail: detail.to_owned() }
    }
}

fn with_view(request: RequestBuilder, view: Option<&str>) -> RequestBuilder {
    match view {
        Some(token) => request.header(VIEW_HEADER, token),
        None => request,
    }
}

/// One part of a path. What clients of HTTP take out of paths names nothing.
fn segment(name: &str) -> Result<String, ClientError> {
    if ["", ".", ".."].contains(&name) {
        return Err(ClientError::Name(name.to_owned()));
    }
    Ok(utf8_percent_encode(name, NAME).to_string())
}

fn is_code(text: &str) -> bool {
    (6..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests;
