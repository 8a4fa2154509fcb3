//! The kinds of values that settings have: read from text, shown as text. They must not know which setting they are.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::mail::{MailServer, Mailbox};
use crate::store::DatabaseUrl;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// A value of one setting.
pub(super) trait Setting: Sized {
    /// Reads it; the error says what it should be.
    fn parse(text: &str) -> Result<Self, String>;
    /// The text that [`Setting::parse`] would read, except for passwords.
    fn show(&self) -> String;
}

impl Setting for bool {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is not a whole number from 0 to {}", Self::MAX))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) { Err("control characters".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Setting for DatabaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    /// Without the password, and without what else would only be needed with it.
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for MailServer {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Mailbox {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("{text:?} is no sender: write oracle@example.com or \"Oracle <oracle@example.com>\"");
        text.parse().map_err(wrong)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for SocketAddr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is not ADDRESS:PORT, as in 127.0.0.1:8080 or [::1]:8080"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Empty text is no value.
impl<T: Setting> Setting for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map(Setting::show).unwrap_or_default()
    }
}

/// Separated by commas.
impl<T: Setting> Setting for Vec<T> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(T::parse).collect()
    }

    fn show(&self) -> String {
        self.iter().map(Setting::show).collect::<Vec<_>>().join(",")
    }
}

/// The origin of a page elsewhere, as browsers write it (RFC 6454 §6.2): `https://HOST` or `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Its text, as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether pages of `host` may ask the passkeys of this one's: it has the same host, or one below it (`WebAuthn` L3 §5.1.3).
    pub fn shares_passkeys_with(&self, host: &str) -> bool {
        let page = url::Url::parse(&self.0).expect("it was an origin when it was read");
        let own = page.host_str().expect("https has a host");
        host == own || host.strip_suffix(own).is_some_and(|below| below.ends_with('.'))
    }
}

impl Setting for Origin {
    /// In the one spelling that browsers have for it, or it would never be met.
    fn parse(text: &str) -> Result<Self, String> {
        let spelled = url::Url::parse(text).ok().filter(|url| url.scheme() == "https");
        match spelled.map(|url| url.origin().ascii_serialization()) {
            Some(origin) if origin == text => Ok(Self(origin)),
            Some(origin) => Err(format!("{text:?} is no origin: did you mean {origin}?")),
            None => Err(format!("{text:?} is no origin: write https://HOST or https://HOST:PORT")),
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// As a filter.
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::builder().parse(&self.0).expect("it was a filter when it was read")
    }
}

impl Setting for LogLevel {
    /// Of a word that is no level the filter makes a target of which everything is logged, and of everything else nothing: a
    /// misspelt level would silence the oracle.
    fn parse(text: &str) -> Result<Self, String> {
        let alone = |directive: &str| directive.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c));
        let mut levels = text.split(',').map(str::trim).filter(|directive| alone(directive));
        let plain = levels.all(|word| !word.is_empty() && word.parse::<LevelFilter>().is_ok());
        match EnvFilter::builder().parse(text) {
            Ok(_) if plain => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "{text:?} is neither error, warn, info, debug, trace or off, nor directives such as info,quorate_oracle=debug"
            )),
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object on each line.
    Json,
    /// For people.
    Text,
}

impl Setting for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(format!("{other:?} is neither text nor json")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Json => "json".to_owned(),
            Self::Text => "text".to_owned(),
        }
    }
}

/// An address, or a range as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    first: IpAddr,
    bits: u8,
}

impl IpRange {
    /// Whether `address` lies within. IPv4 addresses inside IPv6 count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                same_prefix(u128::from(first.to_bits()), u128::from(address.to_bits()), 32 - self.bits)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                same_prefix(first.to_bits(), address.to_bits(), 128 - self.bits)
            }
            _ => false,
        }
    }
}

fn same_prefix(one: u128, other: u128, host_bits: u8) -> bool {
    (one ^ other).checked_shr(u32::from(host_bits)).unwrap_or(0) == 0
}

impl FromStr for IpRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither an address nor a range such as 10.0.0.0/8");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > most { Err(wrong()) } else { Ok(Self { first, bits }) }
    }
}

/// What an approval takes besides the player's proof, where the oracle asks for a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApproveWith {
    /// The login alone.
    Login,
    /// An answer of the principal's security key at that very moment as well.
    Webauthn,
}

impl Setting for ApproveWith {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "login" => Ok(Self::Login),
            "webauthn" => Ok(Self::Webauthn),
            _ => Err("login or webauthn".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Login => "login".to_owned(),
            Self::Webauthn => "webauthn".to_owned(),
        }
    }
}

impl Setting for IpRange {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let range = IpRange::parse("10.1.0.0/16").unwrap();
        assert!(range.contains("10.1.255.3".parse().unwrap()));
        assert!(range.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!range.contains("10.2.0.1".parse().unwrap()));
        assert!(!range.contains("::1".parse().unwrap()));
        let one = IpRange::parse("2001:db8::7").unwrap();
        assert!(one.contains("2001:db8::7".parse().unwrap()) && !one.contains("2001:db8::8".parse().unwrap()));
        assert!(IpRange::parse("0.0.0.0/0").unwrap().contains("203.0.113.9".parse().unwrap()));
        for wrong in ["10.0.0.0/33", "::/129", "proxy", "10.0.0.0/x", "10.0.0.0/-1"] {
            assert!(IpRange::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_level_does_not_silence_the_log() {
        for good in
            ["error", "WARN", "off", "info,quorate_oracle=debug", "warn,quorate_oracle::serve=trace", "[request]=debug"]
        {
            assert_eq!(LogLevel::parse(good).unwrap().show(), good);
        }
        for bad in ["", "warning", "loud", "info,quorate_oracle", "quorate_oracle=loud", "info,", "a=b=c"] {
            assert!(LogLevel::parse(bad).is_err_and(|error| error.contains("error, warn, info")), "{bad}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for url in [
            "postgres://oracle:hunter2@db/quorate",
            "postgres://oracle:hun/ter2@db/quorate",
            "postgres://oracle@db/quorate?pass%77ord=hunter2&sslmode=require",
        ] {
            let read = <Option<DatabaseUrl> as Setting>::parse(url).unwrap();
            assert_eq!(read.show(), "postgres://oracle@db/quorate");
            assert!(!format!("{read:?}").contains("ter2"), "{read:?}");
        }
        let wrong = <Option<DatabaseUrl> as Setting>::parse("postgres://oracle:hun@ter2@db/quorate").unwrap_err();
        assert!(wrong.contains("%40") && !wrong.contains("ter2"), "{wrong}");
        let file = <DatabaseUrl as Setting>::parse("sqlite:/var/lib/quorate.db").unwrap();
        assert_eq!(file.show(), "sqlite:/var/lib/quorate.db");
        for odd in ["mysql://oracle:hunter2@db", "/var/lib/hunter2.db", "hunter2", "SQLITE:hunter2"] {
            let error = <DatabaseUrl as Setting>::parse(odd).unwrap_err();
            assert!(error.contains("sqlite: or postgres:") && !error.contains("hunter2"), "{error}");
        }
    }
}
