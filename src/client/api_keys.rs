//! The routes of API keys: made and activated by whoever has the gateway key, rotated by whoever has both. Secrets go into
//! headers and bodies that are wiped, never into a URL.

use super::{Client, ClientError, MAX_ANSWER, REQUEST_TIMEOUT};
use reqwest::Method;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// Carries the gateway key.
const GATEWAY_HEADER: &str = "x-api-key";

/// An activated API key with its secret.
pub struct ApiKey {
    /// What applications send as `X-MFA-ApiKey`.
    pub value: String,
    /// What they send as `X-MFA-ApiSecret`.
    pub secret: Zeroizing<String>,
}

impl ApiKey {
    /// Reads `KEY:SECRET`. Neither half can hold a colon.
    pub fn parse(text: &str) -> Option<Self> {
        let (value, secret) = text.trim().split_once(':')?;
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        let secret = Zeroizing::new(secret.to_owned());
        (visible(value) && visible(&secret)).then(|| Self { value: value.to_owned(), secret })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("value", &self.value).finish_non_exhaustive()
    }
}

/// What a rotation has moved from one API key to another, and what it has not. Oracles of quorate move everything at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// TOTP secrets that the new key has now.
    pub totp_complete: u64,
    /// TOTP secrets that the old key still has.
    pub totp_incomplete: u64,
    /// Users with U2F or `WebAuthn` credentials that the new key has now.
    pub webauthn_complete: u64,
    /// Users with such credentials that the old key still has.
    pub webauthn_incomplete: u64,
}

#[derive(Serialize)]
struct NewApiKey<'a> {
    email: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Activation<'a> {
    email: &'a str,
    api_key: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Activated {
    api_secret: Zeroizing<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotation<'a> {
    old_key_id: &'a str,
    old_key_secret: &'a str,
    new_key_id: &'a str,
    new_key_secret: &'a str,
}

impl Client {
    /// `POST /api-key`: an API key for `email`, whose value its owner gets by mail or from the oracle's operator.
    pub fn create_api_key(&self, gateway_key: &str, email: &str) -> Result<(), ClientError> {
        self.through_gateway("/api-key", gateway_key, &NewApiKey { email }).map(drop)
    }

    /// `POST /api-key/activate`: the secret of an API key, once.
    pub fn activate_api_key(&self, gateway_key: &str, email: &str, value: &str) -> Result<ApiKey, ClientError> {
        let request = Activation { email, api_key: value };
        let answer = self.through_gateway("/api-key/activate", gateway_key, &request)?;
        let Activated { api_secret } = self.json(answer, MAX_ANSWER)?;
        let activated = Zeroizing::new(format!("{value}:{}", api_secret.as_str()));
        ApiKey::parse(&activated).ok_or_else(|| self.strange("its API secret is unreadable"))
    }

    /// `POST /api-key/rotate`: has `new` take over everything of `old`.
    pub fn rotate_api_key(&self, old: &ApiKey, new: &ApiKey) -> Result<Rotated, ClientError> {
        let request = Rotation {
            old_key_id: &old.value,
            old_key_secret: &old.secret,
            new_key_id: &new.value,
            new_key_secret: &new.secret,
        };
        self.json(self.post("/api-key/rotate", &request)?, MAX_ANSWER)
    }

    fn through_gateway(&self, path: &str, key: &str, body: &impl Serialize) -> Result<Response, ClientError> {
        // What cannot stand in a header is no gateway key either: the oracle says so.
        let mut key = HeaderValue::from_str(key).unwrap_or(HeaderValue::from_static(""));
        key.set_sensitive(true);
        let body = serde_json::to_vec(body).expect("request bodies are plain data");
        let request = self.request(Method::POST, path).header(GATEWAY_HEADER, key);
        self.send(request.header(CONTENT_TYPE, "application/json").body(body).timeout(REQUEST_TIMEOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_key_and_its_secret() {
        let key = ApiKey::parse("0123abcd:c2VjcmV0Cg==\n").expect("a key");
        assert_eq!((key.value.as_str(), key.secret.as_str()), ("0123abcd", "c2VjcmV0Cg=="));
        assert_eq!(format!("{key:?}"), "ApiKey { value: \"0123abcd\", .. }");
        for text in ["", ":", "0123", "0123:", ":secret", "0123:a:b", "0123:a b", "01 23:a", "0123:\u{e9}", "a:b\nc:d"]
        {
            assert!(ApiKey::parse(text).is_none(), "{text:?}");
        }
    }
}
