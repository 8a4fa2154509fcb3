//! Logging in and out: the ticket that a login returns, and who bears it. Passwords and tickets go into bodies and headers,
//! never into a URL, and are never repeated in errors.

use super::{Client, ClientError, MAX_ANSWER, is_time};
use crate::webauthn::Credential;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a login may take: Duo gives a person a minute to answer.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes of a ticket at most.
const MAX_TICKET: usize = 1024;

/// The bearer credential that a login returns. Wiped when dropped.
#[derive(Clone)]
pub struct Ticket(Zeroizing<String>);

impl Ticket {
    /// Reads what an oracle gave: visible ASCII, up to 1,024 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        (visible && text.len() <= MAX_TICKET).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, for whoever keeps it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// As it stands in `Authorization`.
    pub(super) fn bearer(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).expect("visible ASCII is a header value");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}

/// What somebody shows to log in.
#[derive(Clone, Copy, Serialize)]
pub struct Login<'a> {
    /// Full or short name.
    pub principal: &'a str,
    /// A user's password, or an application's secret.
    pub password: &'a str,
    /// A code, a recovery code, or for Duo `push`, `phone` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passcode: Option<&'a str>,
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// What a security key answered to a challenge.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct KeyAnswer<'a> {
    /// Of the challenge.
    pub state: &'a str,
    /// What the key said.
    pub credential: &'a Credential,
}

/// A login that succeeded.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// Goes with every request from now on.
    pub ticket: Ticket,
    /// Whose it is.
    pub bearer: Bearer,
}

/// Whom a ticket stands for. Names are as the oracle sent them, and not yet safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    /// Full name.
    pub principal: String,
    /// `member`, `auditor` or `operator`.
    pub role: String,
    /// When the ticket ends at the latest, RFC 3339. It ends sooner when it is not used.
    pub expires_at: String,
}

#[derive(Deserialize)]
struct Issued {
    ticket: Zeroizing<String>,
    principal: String,
    role: String,
    expires_at: String,
}

#[derive(Serialize)]
struct Logout {
    everywhere: bool,
}

impl Client {
    /// The same connection, which shows `ticket` with every request.
    #[must_use]
    pub fn with_ticket(mut self, ticket: Ticket) -> Self {
        self.ticket = Some(ticket);
        self.function_key = None;
        self
    }

    /// `POST /login`, without any ticket.
    pub fn log_in(&self, login: &Login<'_>) -> Result<LoggedIn, ClientError> {
        self.issued(login)
    }

    /// The same by what a security key answered to the challenge that a right password was refused with.
    pub fn log_in_with_key(&self, principal: &str, answer: &KeyAnswer<'_>) -> Result<LoggedIn, ClientError> {
        #[derive(Serialize)]
        struct Answered<'a> {
            principal: &'a str,
            #[serde(flatten)]
            answer: &'a KeyAnswer<'a>,
        }
        self.issued(&Answered { principal, answer })
    }

    fn issued(&self, login: &impl Serialize) -> Result<LoggedIn, ClientError> {
        let body = serde_json::to_vec(login).expect("request bodies are plain data");
        let request = self.bare(Method::POST, "/login").header(CONTENT_TYPE, "application/json").body(body);
        let issued: Issued = self.json(self.send(request.timeout(LOGIN_TIMEOUT))?, MAX_ANSWER)?;
        let Issued { ticket, principal, role, expires_at } = issued;
        let ticket = Ticket::parse(&ticket).ok_or_else(|| self.strange("its ticket is unreadable"))?;
        Ok(LoggedIn { ticket, bearer: self.timed(Bearer { principal, role, expires_at })? })
    }

    /// `POST /logout`: ends the ticket, or all of its bearer's.
    pub fn log_out(&self, everywhere: bool) -> Result<(), ClientError> {
        self.post("/logout", &Logout { everywhere }).map(drop)
    }

    /// `GET /whoami`: whose the ticket is.
    pub fn whoami(&self) -> Result<Bearer, ClientError> {
        self.timed(self.read("/whoami", None, MAX_ANSWER)?)
    }

    fn timed(&self, bearer: Bearer) -> Result<Bearer, ClientError> {
        if is_time(&bearer.expires_at) { Ok(bearer) } else { Err(self.strange("its times are unreadable")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_visible_text_and_nobody_sees_it() {
        let ticket = Ticket::parse("c2VjcmV0").expect("a ticket");
        assert_eq!((ticket.expose(), format!("{ticket:?}").as_str()), ("c2VjcmV0", "Ticket"));
        assert!(ticket.bearer().is_sensitive());
        for text in ["", " ", "a b", "a\n", "a\u{1b}", "\u{e9}", &"a".repeat(1025)] {
            assert!(Ticket::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn neither_password_nor_code_is_in_what_is_logged() {
        let login = Login { principal: "bob", password: "hunter2", passcode: Some("77552") };
        assert_eq!(format!("{login:?}"), "Login { principal: \"bob\", .. }");
        let sent = serde_json::to_string(&Login { passcode: None, ..login }).expect("plain data");
        assert_eq!(sent, r#"{"principal":"bob","password":"hunter2"}"#);
    }
}
