//! A target: where a notice goes, how, and what it is told. Its secrets are read once and never shown.

use crate::config::{NoticeKind, NoticeTarget, Shape, webhook};
use crate::keys::KeyError;
use crate::keys::files::{self, FileError};
use crate::mail::{self, Address};
use crate::store::Digest;
use crate::tls::TlsError;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use std::path::Path;
use url::Url;
use zeroize::Zeroizing;

/// Bytes of a signing key: what Standard Webhooks asks for.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// What stands before a signing key.
const KEY_PREFIX: &str = "whsec_";

/// Why nobody can be told. No secret is repeated.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The certificates of `webhooks.ca`.
    #[error(transparent)]
    Ca(#[from] TlsError),
    /// A file with a URL or a secret.
    #[error("notices: {0}")]
    File(#[from] KeyError),
    /// What stands in it.
    #[error("notices: target {number}: {reason}")]
    Target {
        /// Its place in the settings, from 1.
        number: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Where a notice goes.
pub(super) enum Way {
    /// To a mail address.
    Mail(Address),
    /// To ntfy.
    Ntfy {
        /// The topic's.
        url: Url,
        /// The access token.
        token: Option<Zeroizing<String>>,
    },
    /// To whoever understands our own JSON.
    Quorate {
        /// The webhook's.
        url: Url,
        /// The key that signs.
        key: Zeroizing<Vec<u8>>,
    },
    /// To Slack, or whoever understands the same.
    Slack {
        /// The webhook's.
        url: Url,
    },
}

/// A target.
pub(super) struct Target {
    id: Digest,
    number: usize,
    settings: NoticeTarget,
    pub way: Way,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Target {
    /// The one at that place in the settings. `places` is the key under which the store knows it.
    pub fn open(number: usize, settings: &NoticeTarget, places: &[u8; 32]) -> Result<Self, NoticeError> {
        let wrong = |reason: String| NoticeError::Target { number, reason };
        let read = |path: &Path| {
            let text = files::read_private(path)?.ok_or_else(|| FileError::vanished(path))?;
            Ok::<_, FileError>(Zeroizing::new(text.trim().to_owned()))
        };
        let secret = settings.secret_file.as_deref().map(read).transpose().map_err(KeyError::from)?;
        let url = match (&settings.url, &settings.url_file) {
            (Some(url), _) => Some(webhook(url).map_err(wrong)?),
            (None, Some(file)) => Some(webhook(&read(file).map_err(KeyError::from)?).map_err(wrong)?),
            (None, None) => None,
        };
        let way = match (url, settings.shape) {
            (None, _) => {
                let address = settings.mail.as_deref().and_then(mail::address);
                Way::Mail(address.ok_or_else(|| wrong("it has no address".to_owned()))?)
            }
            (Some(url), Shape::Ntfy) => {
                let topic = url.path_segments().and_then(|mut parts| parts.next_back().map(str::to_owned));
                if topic.is_none_or(|topic| topic.is_empty()) {
                    return Err(wrong(
                        "the last part of ntfy's URL is a topic, as in https://ntfy.sh/topic".to_owned(),
                    ));
                }
                if secret.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
                    return Err(wrong("what is in secret_file is no access token".to_owned()));
                }
                Way::Ntfy { url, token: secret }
            }
            (Some(url), Shape::Quorate) => {
                let key = secret.as_deref().and_then(|text| signing_key(text));
                let reason = || format!("secret_file holds {KEY_PREFIX} and the base64 of 24 to 64 random bytes");
                Way::Quorate { url, key: key.ok_or_else(|| wrong(reason()))? }
            }
            (Some(url), Shape::Slack) => Way::Slack { url },
        };
        Ok(Self { id: way.id(places), number, settings: settings.clone(), way })
    }

    /// By which the store knows it.
    pub fn id(&self) -> &Digest {
        &self.id
    }

    /// By which operators know it: its place in the settings, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Whether it is told of `kind`.
    pub fn wants(&self, kind: NoticeKind) -> bool {
        self.settings.wants(kind)
    }

    /// Whether it is told names.
    pub fn names(&self) -> bool {
        self.settings.names
    }
}

impl Way {
    /// The same for as long as it leads to the same place, and telling nobody who reads the database where.
    fn id(&self, places: &[u8; 32]) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(places).expect("HMAC takes keys of any length");
        match self {
            Self::Mail(address) => mac.update(format!("mail\0{address}").as_bytes()),
            Self::Ntfy { url, .. } => mac.update(format!("ntfy\0{url}").as_bytes()),
            Self::Quorate { url, .. } => mac.update(format!("quorate\0{url}").as_bytes()),
            Self::Slack { url } => mac.update(format!("slack\0{url}").as_bytes()),
        }
        mac.finalize().into_bytes().into()
    }
}

fn signing_key(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let encoded = text.strip_prefix(KEY_PREFIX).unwrap_or(text);
    let key = Zeroizing::new(BASE64.decode(encoded.as_bytes()).ok()?);
    Some(key).filter(|key| KEY_BYTES.contains(&key.len()))
}
