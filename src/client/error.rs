//! Why a request to an oracle failed: its own words with their stable code, or what went wrong on the way. Knows nothing
//! of exit codes and cures; foreign text is made safe to show here, once.

use crate::webauthn::RequestOptions;
use quorate_protocol::api::ErrorBody;
use quorate_protocol::display::escape_controls;
use serde::Deserialize;
use std::path::PathBuf;

/// Characters of an oracle's own message that are kept.
const SHOWN_MESSAGE: usize = 300;

/// Why a request failed. Never repeats a body that was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The answer is none that an oracle of quorate gives.
    #[error("{url} does not answer as an oracle does: {detail}")]
    Answer {
        /// The oracle's base URL.
        url: String,
        /// What was found.
        detail: String,
    },
    /// The file of certificate authorities cannot be used.
    #[error("cannot read certificate authorities from {}: {cause}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// `http://` to another machine.
    #[error("{url} is not encrypted: everybody on the way could read the codes")]
    Insecure {
        /// The URL.
        url: String,
    },
    /// A name that no path leads to.
    #[error("`{0}` is the name of nothing that an oracle has")]
    Name(String),
    /// Neither the system nor `SSL_CERT_FILE` names a certificate authority.
    #[error("no certificate authorities were found on this machine, so the oracle's certificate cannot be checked")]
    NoRoots,
    /// The oracle said no.
    #[error("the oracle refuses: {0}")]
    Refused(Box<Refusal>),
    /// No connection, or it broke.
    #[error("cannot reach the oracle at {url}: {cause}")]
    Unreachable {
        /// The oracle's base URL.
        url: String,
        /// The innermost cause.
        cause: String,
    },
    /// Not a URL that an oracle can have.
    #[error("`{url}` cannot be the URL of an oracle: http or https, without credentials, query or fragment")]
    Url {
        /// What was given, safe to show.
        url: String,
    },
}

/// What an oracle answers when it says no.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable word for machines, such as `not_quorate`; empty when the answer came from something else, such as a proxy.
    pub code: String,
    /// Sentence for people, safe to show.
    pub message: String,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u64>,
    /// Tocs that are in and Tocs that it takes, of a session that is not quorate.
    pub counts: Option<(u32, u32)>,
    /// What a security key has to answer before the same is not refused.
    pub challenge: Option<KeyChallenge>,
}

/// What a security key is asked before something is done.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyChallenge {
    /// Goes along with the key's answer.
    pub state: String,
    /// For the key.
    #[serde(rename = "publicKey")]
    pub public_key: RequestOptions,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl ClientError {
    /// The stable word of a refusal.
    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.code.as_str())
    }

    /// What the oracle said, when it said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// What a security key has to answer before the same is not refused.
    pub fn challenge(&self) -> Option<&KeyChallenge> {
        self.refusal().filter(|refusal| refusal.code == "second_factor_required")?.challenge.as_ref()
    }

    /// Whether the same request may succeed a moment later: nothing was decided.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => matches!(refusal.status, 429 | 502..=504),
            _ => false,
        }
    }

    pub(crate) fn unreachable(url: &str, error: &dyn std::error::Error) -> Self {
        let mut innermost = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self::Unreachable { url: url.to_owned(), cause: escape_controls(&innermost.to_string()) }
    }

    /// Reads an error body; what is none still has its status.
    pub(crate) fn refused(status: u16, retry_after: Option<u64>, body: &[u8]) -> Self {
        let refusal = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Refusal {
                status,
                code: escape_controls(&body.code),
                message: escape_controls(&body.message.chars().take(SHOWN_MESSAGE).collect::<String>()),
                retry_after,
                counts: body.tocs_provided.zip(body.tocs_threshold),
                challenge: None,
            },
            Err(_) => Refusal {
                status,
                code: String::new(),
                message: format!("HTTP status {status}"),
                retry_after,
                counts: None,
                challenge: None,
            },
        };
        let refusal = Refusal { challenge: serde_json::from_slice(body).ok(), ..refusal };
        Self::Refused(Box::new(refusal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_word_and_its_counts() {
        let body = br#"{"status":409,"code":"not_quorate","message":"1 of 2","error":"1 of 2","tocs_provided":1,"tocs_threshold":2}"#;
        let error = ClientError::refused(409, None, body);
        assert_eq!(error.code(), Some("not_quorate"));
        assert_eq!(error.refusal().and_then(|refusal| refusal.counts), Some((1, 2)));
        assert!(!error.is_passing());
    }

    #[test]
    fn what_an_oracle_says_cannot_steer_a_terminal() {
        let body = serde_json::json!({"status": 400, "code": "x", "message": format!("\u{1b}[2J{}", "y".repeat(999)), "error": ""});
        let shown = ClientError::refused(400, None, body.to_string().as_bytes()).to_string();
        assert!(!shown.contains('\u{1b}') && shown.len() < 400, "{shown}");
    }

    #[test]
    fn a_proxy_in_between_is_told_by_its_status() {
        let error = ClientError::refused(502, Some(3), b"<html>Bad gateway</html>");
        assert_eq!(error.to_string(), "the oracle refuses: HTTP status 502");
        assert!(error.is_passing());
    }
}
