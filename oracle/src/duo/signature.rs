//! The signature that Duo wants on a request, in its fifth version: HMAC-SHA512 of the date, the method, the host, the path,
//! the query's parameters, the hash of the body and that of Duo's own headers, of which there are none here.

use super::Integration;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use hyper::header::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha512};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// All but the unreserved characters of RFC 3986 §2.3 is escaped, as OAuth 1.0 does it (RFC 5849 §3.6).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A signed request: the parts of it that depend on each other.
pub struct Signature {
    date: String,
    query: String,
    body: Zeroizing<String>,
    authorization: Zeroizing<String>,
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signature").field("date", &self.date).finish_non_exhaustive()
    }
}

impl Signature {
    /// Signs a request with `parameters` at the Unix second `now`. They go into the body of a POST, and else into the query.
    pub fn new(
        at: &Integration,
        method: &Method,
        path: &str,
        parameters: &BTreeMap<&'static str, Zeroizing<String>>,
        now: i64,
    ) -> Self {
        let (query, body) = if method == Method::POST {
            let fields: BTreeMap<_, _> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
            (String::new(), serde_json::to_string(&fields).expect("a map of texts always serialises"))
        } else {
            (escaped(parameters), String::new())
        };
        let (date, body) = (date(now), Zeroizing::new(body));
        let lines = Zeroizing::new(
            [
                date.as_str(),
                method.as_str(),
                &at.host().to_ascii_lowercase(),
                path,
                &query,
                &HEXLOWER.encode(&Sha512::digest(body.as_bytes())),
                &HEXLOWER.encode(&Sha512::digest(b"")),
            ]
            .join("\n"),
        );
        let mut mac = Hmac::<Sha512>::new_from_slice(at.secret().as_bytes()).expect("HMAC takes keys of any length");
        mac.update(lines.as_bytes());
        let user = Zeroizing::new(format!("{}:{}", at.key(), HEXLOWER.encode(&mac.finalize().into_bytes())));
        let authorization = Zeroizing::new(format!("Basic {}", BASE64.encode(user.as_bytes())));
        Self { date, query, body, authorization }
    }

    /// The path with the query.
    pub fn uri(&self, path: &str) -> String {
        if self.query.is_empty() { path.to_owned() } else { format!("{path}?{}", self.query) }
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The header `Date` (RFC 5322 §3.3).
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The header `Authorization`.
    pub fn authorization(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.authorization).expect("base64 is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

/// Names and values in the order of the names, which no request here has twice.
fn escaped(parameters: &BTreeMap<&'static str, Zeroizing<String>>) -> String {
    let pair = |(name, value): (&&str, &Zeroizing<String>)| {
        format!("{}={}", utf8_percent_encode(name, ESCAPED), utf8_percent_encode(value, ESCAPED))
    };
    parameters.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn date(now: i64) -> String {
    let at = jiff::Timestamp::from_second(now).unwrap_or_default();
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_string(&at).expect("a year that a clock shows has four digits")
}
