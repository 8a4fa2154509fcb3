//! Second factors that somebody else decides about, such as Duo. It must not know how any of them is asked.

use super::name::PrincipalName;
use super::provider::Options;
use futures_util::future::BoxFuture;
use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// What is asked: whether that user of the service is the one who logs in here.
pub struct Question {
    /// The provider's options: where and with which keys to ask.
    pub options: Options,
    /// Who it is, in the service's words.
    pub user: String,
    /// Who logs in.
    pub principal: PrincipalName,
    /// From where.
    pub source: IpAddr,
    /// What for, in a few words that may be shown.
    pub why: String,
    /// What they gave as second factor: a code, the word for a way such as `push`, or nothing.
    pub passcode: Option<Zeroizing<String>>,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("why", &self.why).finish_non_exhaustive()
    }
}

/// What the service says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is them; how that was found, in words for the audit log.
    Allowed(&'static str),
    /// It is not, or they said no; why, in a word for the audit log.
    Refused(&'static str),
}

/// The service could not be asked, or its answer was none. That is a no, and not the user's fault.
#[derive(Debug, thiserror::Error)]
#[error("the service for second factors gave no answer")]
pub struct Unavailable(#[source] pub Box<dyn Error + Send + Sync>);

/// A service for second factors.
pub trait RemoteFactor: Send + Sync + 'static {
    /// Asks it, once.
    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Verdict, Unavailable>>;
}
