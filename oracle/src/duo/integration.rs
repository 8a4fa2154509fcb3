//! An application at Duo: its keys and the server that knows it. It must not know where they are kept.

use std::fmt;
use url::{Host, Url};
use zeroize::Zeroizing;

/// The domains of Duo's servers, for everybody and for the authorities of the United States.
const DOMAINS: [&str; 2] = [".duosecurity.com", ".duofederal.com"];
/// Characters of a key at most; Duo's have 20 and 40.
const MAX_KEY: usize = 128;

/// Why an application at Duo cannot be used. No key is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntegrationError {
    /// A server that is none of Duo's and was not allowed.
    #[error(
        "{0} is no server of Duo's such as api-1234abcd.duosecurity.com; others have to stand in the setting duo.hosts"
    )]
    Host(String),
    /// No integration key.
    #[error("the integration key is not 1 to {MAX_KEY} letters and digits")]
    Key,
    /// No secret key.
    #[error("the secret key is not 1 to {MAX_KEY} letters and digits")]
    Secret,
}

/// Which servers may be asked: Duo's, and those of the operator of this very machine.
#[derive(Debug, Clone, Default)]
pub struct HostRules(Vec<String>);

impl HostRules {
    /// Duo's, and `besides`: names or addresses, with a port where it is not 443.
    pub fn new(besides: &[String]) -> Self {
        Self(besides.iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    fn allow(&self, host: &str) -> bool {
        let name = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain)?.strip_prefix("api-"));
        let of_duo = name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        of_duo || self.0.iter().any(|besides| besides == host)
    }
}

/// An application at Duo.
#[derive(Clone)]
pub struct Integration {
    key: String,
    secret: Zeroizing<String>,
    url: Url,
}

impl fmt::Debug for Integration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Integration").field("host", &self.url.authority()).finish_non_exhaustive()
    }
}

impl Integration {
    /// From the integration key, the secret key and the API host name that Duo's administrators see.
    pub fn new(key: &str, secret: Zeroizing<String>, host: &str, rules: &HostRules) -> Result<Self, IntegrationError> {
        let plain = |text: &str| (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain(key) {
            return Err(IntegrationError::Key);
        }
        if !plain(&secret) {
            return Err(IntegrationError::Secret);
        }
        let host = host.to_ascii_lowercase();
        // What was allowed is a host and nothing else; the comparison shows that the URL has taken it for one.
        let url = Url::parse(&format!("https://{host}/")).ok().filter(|url| url.authority() == host);
        match url {
            Some(url) if rules.allow(&host) => Ok(Self { key: key.to_owned(), secret, url }),
            _ => {
                let shown: String = host.chars().take(MAX_KEY).collect();
                Err(IntegrationError::Host(quorate_protocol::display::escape_controls(&shown)))
            }
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Its server, without a port: what is signed.
    pub(super) fn host(&self) -> String {
        self.url.host().map(|host: Host<&str>| host.to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str) -> Result<Integration, IntegrationError> {
        let rules = HostRules::new(&["127.0.0.1:8443".to_owned(), "Duo.Proxy.example".to_owned()]);
        Integration::new("DIXXXXXXXXXXXXXXXXXX", Zeroizing::new("hunter2".to_owned()), host, &rules)
    }

    #[test]
    fn only_duos_servers_and_those_allowed_are_asked() {
        for host in [
            "api-1234abcd.duosecurity.com",
            "API-1234ABCD.duosecurity.com",
            "api-x.duofederal.com",
            "127.0.0.1:8443",
            "duo.proxy.example",
        ] {
            assert_eq!(at(host).unwrap().url().scheme(), "https", "{host}");
        }
        for host in [
            "",
            "duosecurity.com",
            "api-.duosecurity.com",
            "admin-1234abcd.duosecurity.com",
            "api-1234abcd.duosecurity.com.example.com",
            "api-1234abcd.duosecurity.com:8443",
            "api-1234abcd.duosecurity.com/",
            "api-1234abcd.duosecurity.com#",
            "api-a.b.duosecurity.com",
            "api-evil.example/.duosecurity.com",
            "user@api-1234abcd.duosecurity.com",
            "http://api-1234abcd.duosecurity.com",
            "127.0.0.1",
            "127.0.0.1:443",
            "169.254.169.254",
            "api-1234abcd.duosecurity.com\r\nX: y",
        ] {
            let error = at(host).unwrap_err();
            assert!(matches!(&error, IntegrationError::Host(_)), "{host:?}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn keys_are_plain_and_the_secret_one_is_never_shown() {
        let rules = HostRules::default();
        let new = |key: &str, secret: &str| {
            Integration::new(key, Zeroizing::new(secret.to_owned()), "api-1.duosecurity.com", &rules)
        };
        assert!(!format!("{:?}", new("DI1", "hunter2").unwrap()).contains("hunter2"));
        for key in ["", "DI:1", "DI 1", "DI\n1", &"x".repeat(MAX_KEY + 1)] {
            assert_eq!(new(key, "s").unwrap_err(), IntegrationError::Key, "{key:?}");
            assert_eq!(new("DI1", key).unwrap_err(), IntegrationError::Secret, "{key:?}");
        }
    }
}
