//! The routes of security keys, as an application calls them for its users: U2F and `WebAuthn`, registered and used. The API secret
//! goes into a header that is never logged.

use super::{ApiKey, Client, ClientError, MAX_ANSWER, REQUEST_TIMEOUT, segment};
use crate::webauthn::{CreationOptions, Credential, RequestOptions};
use reqwest::Method;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};

/// For whom a ceremony of `WebAuthn` is.
#[derive(Clone, Copy, Debug)]
pub struct RelyingParty<'a> {
    /// What keys are bound to.
    pub id: &'a str,
    /// The origin that they are used from.
    pub origin: &'a str,
    /// The user's name, which the keys of some makers show.
    pub user: &'a str,
    /// The user, unless a new one.
    pub uuid: Option<&'a str>,
}

/// A registration that was begun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BegunRegistration {
    /// Names the user from now on. As the oracle sent it, and not yet safe to show.
    pub uuid: String,
    /// What the key is asked.
    pub public_key: CreationOptions,
}

/// A U2F key that is asked. Texts are as the oracle sent them, and not yet safe to show.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct U2fChallenge {
    /// To be signed, base64url.
    pub challenge: String,
    /// What the key is bound to.
    pub app_id: String,
    /// Which key is asked, base64url.
    #[serde(default)]
    pub key_handle: Option<String>,
}

/// What a U2F key answers to a registration, base64url.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct U2fRegistered {
    /// Always `U2F_V2`.
    pub version: &'static str,
    /// The raw message.
    pub registration_data: String,
    /// Who asked.
    pub client_data: String,
}

/// What a U2F key signs, base64url.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct U2fSigned {
    /// The raw message.
    pub signature_data: String,
    /// Who asked.
    pub client_data: String,
    /// Which key.
    pub key_handle: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignResult<'a, T> {
    sign_result: &'a T,
}

impl Client {
    /// `POST /webauthn/register`.
    pub fn begin_key(&self, key: &ApiKey, party: &RelyingParty<'_>) -> Result<BegunRegistration, ClientError> {
        self.json(self.ceremony(Method::POST, "/webauthn/register", key, Some(party), None::<&()>)?, MAX_ANSWER)
    }

    /// `PUT /webauthn/register`: the name of the new key, a hash.
    pub fn finish_key(&self, key: &ApiKey, party: &RelyingParty<'_>, made: &Credential) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Registered {
            key_handle_hash: String,
        }
        let answer = self.ceremony(Method::PUT, "/webauthn/register", key, Some(party), Some(made))?;
        self.json::<Registered>(answer, MAX_ANSWER).map(|registered| registered.key_handle_hash)
    }

    /// `POST /webauthn/login`.
    pub fn begin_key_login(&self, key: &ApiKey, party: &RelyingParty<'_>) -> Result<RequestOptions, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Begun {
            public_key: RequestOptions,
        }
        let answer = self.ceremony(Method::POST, "/webauthn/login", key, Some(party), None::<&()>)?;
        self.json::<Begun>(answer, MAX_ANSWER).map(|begun| begun.public_key)
    }

    /// `PUT /webauthn/login`: the name of the key that signed, a hash.
    pub fn finish_key_login(
        &self,
        key: &ApiKey,
        party: &RelyingParty<'_>,
        signed: &Credential,
    ) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Used {
            key_handle_hash: String,
        }
        let answer = self.ceremony(Method::PUT, "/webauthn/login", key, Some(party), Some(signed))?;
        self.json::<Used>(answer, MAX_ANSWER).map(|used| used.key_handle_hash)
    }

    /// `POST /u2f`: the new user's uuid, and what the key is asked.
    pub fn begin_u2f(&self, key: &ApiKey, app_id: &str) -> Result<(String, U2fChallenge), ClientError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct New<'a> {
            app_id: &'a str,
        }
        #[derive(Deserialize)]
        struct Begun {
            uuid: String,
            challenge: U2fChallenge,
        }
        let answer = self.ceremony(Method::POST, "/u2f", key, None, Some(&New { app_id }))?;
        self.json::<Begun>(answer, MAX_ANSWER).map(|begun| (begun.uuid, begun.challenge))
    }

    /// `PUT /u2f/{uuid}`.
    pub fn finish_u2f(&self, key: &ApiKey, uuid: &str, made: &U2fRegistered) -> Result<(), ClientError> {
        let path = format!("/u2f/{}", segment(uuid)?);
        self.ceremony(Method::PUT, &path, key, None, Some(&SignResult { sign_result: made })).map(drop)
    }

    /// `POST /u2f/{uuid}/auth`.
    pub fn begin_u2f_login(&self, key: &ApiKey, uuid: &str) -> Result<U2fChallenge, ClientError> {
        let path = format!("/u2f/{}/auth", segment(uuid)?);
        self.json(self.ceremony(Method::POST, &path, key, None, None::<&()>)?, MAX_ANSWER)
    }

    /// `PUT /u2f/{uuid}/auth`.
    pub fn finish_u2f_login(&self, key: &ApiKey, uuid: &str, signed: &U2fSigned) -> Result<(), ClientError> {
        let path = format!("/u2f/{}/auth", segment(uuid)?);
        self.ceremony(Method::PUT, &path, key, None, Some(&SignResult { sign_result: signed })).map(drop)
    }

    fn ceremony<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        key: &ApiKey,
        party: Option<&RelyingParty<'_>>,
        body: Option<&T>,
    ) -> Result<Response, ClientError> {
        let header = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap_or(HeaderValue::from_static(""));
        let mut secret = header(&key.secret);
        secret.set_sensitive(true);
        let request = self.bare(method, path).header("x-mfa-apikey", header(&key.value));
        let mut request = request.header("x-mfa-apisecret", secret);
        if let Some(party) = party {
            for (name, value) in [
                ("x-mfa-rpid", party.id),
                ("x-mfa-rpdisplayname", party.id),
                ("x-mfa-rporigin", party.origin),
                ("x-mfa-username", party.user),
                ("x-mfa-userdisplayname", party.user),
            ] {
                request = request.header(name, header(value));
            }
            if let Some(uuid) = party.uuid {
                request = request.header("x-mfa-useruuid", header(uuid));
            }
        }
        if let Some(body) = body {
            let body = serde_json::to_vec(body).expect("request bodies are plain data");
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        self.send(request.timeout(REQUEST_TIMEOUT))
    }
}
