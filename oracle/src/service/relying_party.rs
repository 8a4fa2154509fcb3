//! Who may speak for whom: the RP ID that a `WebAuthn` key is bound to, the app ID of a U2F key, and the web origins that
//! may use either. It must not know requests, keys or the store.
//!
//! Without a list of its own a tenant's origins must be https and equal to or under the RP ID (for U2F: of the app ID's
//! registrable domain, as FIDO's rule for facets has it); with one they must be on it, and under the RP ID as well. For U2F
//! the list alone decides: an app ID may name facets of any domain, and browsers have looked there. Public suffixes, IP
//! addresses and plain http are refused whatever the list says, but for `localhost` and names under it, which browsers
//! keep on the machine.

use std::fmt;
use url::{Host, Url};

/// Bytes of the longest domain, RFC 1035 §2.3.4.
const MAX_DOMAIN: usize = 253;
/// Bytes of the longest app ID that is taken.
const MAX_APP_ID: usize = 1024;

/// Why a relying party or an origin is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartyError {
    /// Not the name of a host.
    #[error("the RP ID is not a domain: send the domain alone, such as example.com")]
    RpId,
    /// A suffix under which anybody can register names.
    #[error("a public suffix such as com or co.uk, or a name without a dot, cannot be an RP ID or an app ID")]
    PublicSuffix,
    /// Not scheme, host and perhaps port.
    #[error("the origin is not one: send scheme and host, such as https://login.example.com")]
    Origin,
    /// Not an address of a host.
    #[error("the app ID is not an https URL")]
    AppId,
    /// Plain http.
    #[error("plain http is for localhost only: use https")]
    PlainHttp,
    /// An address in place of a name.
    #[error("an IP address cannot hold security keys: use a name")]
    IpAddress,
    /// An origin that does not belong to the RP ID or the app ID.
    #[error("the origin is not equal to or under the domain that it asks for")]
    ForeignOrigin,
    /// An origin that the operator did not allow.
    #[error("this origin is not on the list of the API key")]
    NotListed,
}

/// Origins that an operator allows an application's users; without a list, all that fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Option<Vec<Origin>>);

/// The domain that `WebAuthn` keys are bound to, in lower case and ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpId(String);

/// A web origin that security keys can be used from: scheme, name, port.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(Url);

/// The app ID that U2F keys are bound to: exactly as given, since its hash is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppId {
    text: String,
    domain: String,
}

impl AllowList {
    /// Reads a list; an empty one is none. What is no origin allows nothing.
    pub fn parse(list: &[String]) -> Self {
        let origins = || list.iter().filter_map(|text| Origin::parse(text).ok()).collect();
        Self((!list.is_empty()).then(origins))
    }

    fn admit(&self, origin: &Origin) -> Result<(), PartyError> {
        match &self.0 {
            Some(list) if !list.contains(origin) => Err(PartyError::NotListed),
            _ => Ok(()),
        }
    }
}

impl RpId {
    /// Reads a domain; a public suffix is none.
    pub fn parse(text: &str) -> Result<Self, PartyError> {
        if text.len() > MAX_DOMAIN || text.ends_with('.') {
            return Err(PartyError::RpId);
        }
        match Host::parse(text) {
            Ok(Host::Domain(domain)) => {
                registrable(&domain).ok_or(PartyError::PublicSuffix)?;
                Ok(Self(domain))
            }
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => Err(PartyError::IpAddress),
            Err(_) => Err(PartyError::RpId),
        }
    }

    /// The domain.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The origin of a page on the domain itself.
    pub fn own_origin(&self) -> Origin {
        Origin(Url::parse(&format!("https://{}", self.0)).expect("a domain makes a URL"))
    }

    /// Whether keys of this RP ID may be used from `origin`.
    pub fn admit(&self, origin: &Origin, allowed: &AllowList) -> Result<(), PartyError> {
        let domain = origin.domain();
        let under = domain.strip_suffix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if !under {
            return Err(PartyError::ForeignOrigin);
        }
        allowed.admit(origin)
    }
}

impl Origin {
    /// Reads `https://name` or `https://name:port`; plain http only for localhost.
    pub fn parse(text: &str) -> Result<Self, PartyError> {
        let url = Url::parse(text).map_err(|_| PartyError::Origin)?;
        check_url(&url, PartyError::Origin)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if bare { Ok(Self(url)) } else { Err(PartyError::Origin) }
    }

    /// Scheme, host and port, as a URL without a path.
    pub fn url(&self) -> &Url {
        &self.0
    }

    fn domain(&self) -> &str {
        self.0.domain().expect("an origin has a name")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl AppId {
    /// Reads an https URL, with any path: it may be that of a list of facets.
    pub fn parse(text: &str) -> Result<Self, PartyError> {
        if text.len() > MAX_APP_ID {
            return Err(PartyError::AppId);
        }
        let url = Url::parse(text).map_err(|_| PartyError::AppId)?;
        check_url(&url, PartyError::AppId)?;
        let host = url.domain().ok_or(PartyError::AppId)?;
        let domain = registrable(host).ok_or(PartyError::PublicSuffix)?.to_owned();
        Ok(Self { text: text.to_owned(), domain })
    }

    /// The text, whose SHA-256 is the application parameter.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a page of this RP ID may ask for keys of this app ID, by the extension `appid` (`WebAuthn` §10.1.1).
    pub fn fits(&self, rp_id: &RpId) -> bool {
        registrable(&rp_id.0) == Some(self.domain.as_str())
    }

    /// Whether keys of this app ID may be used from `origin`.
    pub fn admit(&self, origin: &Origin, allowed: &AllowList) -> Result<(), PartyError> {
        if allowed.0.is_none() && registrable(origin.domain()) != Some(self.domain.as_str()) {
            return Err(PartyError::ForeignOrigin);
        }
        allowed.admit(origin)
    }
}

fn check_url(url: &Url, malformed: PartyError) -> Result<(), PartyError> {
    let Some(host) = url.host() else { return Err(malformed) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(malformed);
    }
    let Host::Domain(domain) = host else { return Err(PartyError::IpAddress) };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_local(domain) => Ok(()),
        "http" => Err(PartyError::PlainHttp),
        _ => Err(malformed),
    }
}

/// The part of a domain that one party registers: a public suffix and one label. `None` for a public suffix.
fn registrable(domain: &str) -> Option<&str> {
    if is_local(domain) { Some("localhost") } else { psl::domain_str(domain) }
}

fn is_local(domain: &str) -> bool {
    domain == "localhost" || domain.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(rp_id: &str, origin: &str) -> Result<(), PartyError> {
        RpId::parse(rp_id)?.admit(&Origin::parse(origin)?, &AllowList::default())
    }

    #[test]
    fn an_origin_is_equal_to_or_under_the_rp_id() {
        for origin in ["https://example.com", "https://example.com:8443/", "https://a.b.Example.com"] {
            assert_eq!(admitted("example.com", origin), Ok(()), "{origin}");
        }
        assert_eq!(admitted("EXAMPLE.com", "https://example.com"), Ok(()));
        assert_eq!(admitted("bücher.example", "https://xn--bcher-kva.example"), Ok(()));
        for origin in ["https://example.org", "https://badexample.com", "https://com", "https://example.com.evil.org"] {
            assert_eq!(admitted("example.com", origin), Err(PartyError::ForeignOrigin), "{origin}");
        }
        assert_eq!(admitted("login.example.com", "https://example.com"), Err(PartyError::ForeignOrigin));
    }

    #[test]
    fn loopback_may_be_plain_and_nothing_else() {
        for origin in ["http://localhost", "http://localhost:8080", "http://app.localhost"] {
            assert_eq!(admitted("localhost", origin), Ok(()), "{origin}");
        }
        assert_eq!(admitted("example.com", "http://example.com"), Err(PartyError::PlainHttp));
        assert_eq!(admitted("localhost.example.com", "http://localhost.example.com"), Err(PartyError::PlainHttp));
    }

    #[test]
    fn what_is_not_one_partys_domain_is_no_rp_id() {
        for suffix in ["com", "co.uk", "github.io", "intranet"] {
            assert_eq!(RpId::parse(suffix), Err(PartyError::PublicSuffix), "{suffix}");
        }
        for address in ["127.0.0.1", "[::1]", "2130706433", "0x7f.1"] {
            assert_eq!(RpId::parse(address), Err(PartyError::IpAddress), "{address}");
        }
        let long = "a.".repeat(130) + "com";
        for text in ["", "https://example.com", "example.com/a", "exa mple.com", "example.com:443", "a.com.", &long] {
            assert_eq!(RpId::parse(text), Err(PartyError::RpId), "{text}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let odd = [
            "",
            "example.com",
            "https://example.com/login",
            "https://example.com?a",
            "https://example.com#a",
            "https://user@example.com",
            "ftp://example.com",
            "android:apk-key-hash:abc",
            "null",
            "https://",
        ];
        for text in odd {
            assert_eq!(Origin::parse(text), Err(PartyError::Origin), "{text}");
        }
        assert_eq!(Origin::parse("https://192.0.2.1"), Err(PartyError::IpAddress));
        assert_eq!(Origin::parse("http://127.0.0.1:8080"), Err(PartyError::IpAddress));
        assert_eq!(Origin::parse("https://Example.com:443/").unwrap().to_string(), "https://example.com");
    }

    #[test]
    fn a_list_narrows_and_never_widens() {
        let rp_id = RpId::parse("example.com").unwrap();
        let listed = Origin::parse("https://login.example.com").unwrap();
        let other = Origin::parse("https://www.example.com").unwrap();
        let foreign = Origin::parse("https://example.org").unwrap();
        let list = AllowList::parse(&[listed.to_string(), foreign.to_string()]);
        assert_eq!(rp_id.admit(&listed, &list), Ok(()));
        assert_eq!(rp_id.admit(&other, &list), Err(PartyError::NotListed));
        assert_eq!(rp_id.admit(&foreign, &list), Err(PartyError::ForeignOrigin));
        let unreadable = AllowList::parse(&["nonsense".to_owned()]);
        assert_eq!(rp_id.admit(&listed, &unreadable), Err(PartyError::NotListed), "a list all the same");
    }

    #[test]
    fn facets_share_the_app_ids_registrable_domain() {
        let app = AppId::parse("https://example.co.uk/app-id.json").unwrap();
        assert_eq!(app.as_str(), "https://example.co.uk/app-id.json");
        let admit = |text| app.admit(&Origin::parse(text).unwrap(), &AllowList::default());
        assert_eq!(admit("https://login.example.co.uk"), Ok(()));
        assert_eq!(admit("https://other.co.uk"), Err(PartyError::ForeignOrigin));
        let list = AllowList::parse(&["https://facet.example.org".to_owned()]);
        let admit = |text| app.admit(&Origin::parse(text).unwrap(), &list);
        assert_eq!(admit("https://facet.example.org"), Ok(()), "the operator has named it");
        assert_eq!(admit("https://login.example.co.uk"), Err(PartyError::NotListed));
        assert!(app.fits(&RpId::parse("login.example.co.uk").unwrap()));
        assert!(!app.fits(&RpId::parse("other.co.uk").unwrap()));
        let local = AppId::parse("http://localhost:8080").unwrap();
        assert_eq!(local.admit(&Origin::parse("http://localhost:8081").unwrap(), &AllowList::default()), Ok(()));
        for (text, error) in [
            ("https://co.uk", PartyError::PublicSuffix),
            ("https://192.0.2.1/app", PartyError::IpAddress),
            ("http://example.com", PartyError::PlainHttp),
            ("example.com", PartyError::AppId),
            ("", PartyError::AppId),
        ] {
            assert_eq!(AppId::parse(text).unwrap_err(), error, "{text}");
        }
        assert_eq!(AppId::parse(&format!("https://example.com/{}", "a".repeat(1024))), Err(PartyError::AppId));
    }
}
