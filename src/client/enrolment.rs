//! Enrolling with a one-time link. A link is worth a password, and so is what it shows: neither is repeated in errors.

use super::providers::Provider;
use super::{Client, ClientError, MAX_ANSWER, is_time};
use crate::webauthn::{CreationOptions, Credential};
use quorate_protocol::header::check_url;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// What stands in a link between the oracle's address and the token.
const PATH: &str = "/enroll/";

/// A one-time link of an oracle.
#[derive(Clone)]
pub struct EnrolLink {
    oracle: String,
    token: Zeroizing<String>,
}

impl EnrolLink {
    /// Reads `https://oracle/enroll/TOKEN`.
    pub fn parse(text: &str) -> Option<Self> {
        let (oracle, token) = text.trim().rsplit_once(PATH)?;
        let plain =
            !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        (plain && check_url(oracle).is_ok())
            .then(|| Self { oracle: oracle.to_owned(), token: Zeroizing::new(token.to_owned()) })
    }

    /// The base URL of the oracle that made it, as it says.
    pub fn oracle(&self) -> &str {
        &self.oracle
    }
}

impl fmt::Debug for EnrolLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolLink").field("oracle", &self.oracle).finish_non_exhaustive()
    }
}

/// What a link is good for. Names are as the oracle sent them, and not yet safe to show.
#[derive(Deserialize)]
pub struct Invitation {
    /// The full name of who enrols.
    pub principal: String,
    /// Until when the link serves, RFC 3339.
    pub expires_at: String,
    /// The provider of the second factor that is to be confirmed.
    #[serde(default)]
    pub provider: Option<Provider>,
    /// TOTP: the secret for the authenticator.
    #[serde(default)]
    pub otpauth_uri: Option<Zeroizing<String>>,
    /// What a new security key is asked, when one has to be registered.
    #[serde(default, rename = "publicKey")]
    pub public_key: Option<CreationOptions>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// What the holder of a link chooses and proves.
#[derive(Clone, Copy, Serialize)]
pub struct Enrolment<'a> {
    /// The new password.
    pub password: &'a str,
    /// TOTP: the code that the authenticator shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passcode: Option<&'a str>,
    /// `WebAuthn`: what the new security key answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<&'a Credential>,
    /// `WebAuthn`: what that key is called, in 64 bytes at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<&'a str>,
}

impl fmt::Debug for Enrolment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enrolment(…)")
    }
}

/// Who has enrolled.
#[derive(Deserialize)]
pub struct Enrolled {
    /// Full name.
    pub principal: String,
    /// Each stands in for the second factor, once. Shown this once.
    pub recovery_codes: Vec<Zeroizing<String>>,
}

impl fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolled").field("principal", &self.principal).finish_non_exhaustive()
    }
}

impl Client {
    /// `POST /enroll/{link}/begin`: what the link is good for. Uses nothing up.
    pub fn invitation(&self, link: &EnrolLink) -> Result<Invitation, ClientError> {
        let path = Zeroizing::new(format!("{PATH}{}/begin", link.token.as_str()));
        let invitation: Invitation = self.json(self.act(Method::POST, &path, None::<&()>)?, MAX_ANSWER)?;
        if is_time(&invitation.expires_at) { Ok(invitation) } else { Err(self.strange("its times are unreadable")) }
    }

    /// `POST /enroll/{link}`: sets the password and confirms the second factor, once.
    pub fn enrol(&self, link: &EnrolLink, enrolment: &Enrolment<'_>) -> Result<Enrolled, ClientError> {
        let path = Zeroizing::new(format!("{PATH}{}", link.token.as_str()));
        self.json(self.post(&path, enrolment)?, MAX_ANSWER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_an_address_and_a_token() {
        let link = EnrolLink::parse(" https://oracle.example/mfa/enroll/c2Vj_-0\n").expect("a link");
        assert_eq!((link.oracle(), link.token.as_str()), ("https://oracle.example/mfa", "c2Vj_-0"));
        assert_eq!(format!("{link:?}"), "EnrolLink { oracle: \"https://oracle.example/mfa\", .. }");
        for text in [
            "",
            "c2Vj",
            "/enroll/c2Vj",
            "oracle.example/enroll/c2Vj",
            "https://oracle.example/enroll/",
            "https://oracle.example/enroll/c2Vj/begin",
            "https://oracle.example/enroll/c2Vj?x",
            "https://oracle.example/enroll/..",
            "https://ann:pw@oracle.example/enroll/c2Vj",
            "https://oracle.example/s/c2Vj",
        ] {
            assert!(EnrolLink::parse(text).is_none(), "{text}");
        }
    }
}
