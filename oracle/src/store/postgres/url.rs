//! What the URL of a server says, as the driver reads it, and what of it may be shown. Makes no connection.

use std::{borrow::Cow, fmt::Write as _, net::IpAddr};

use tokio_postgres::{
    Config,
    config::{ChannelBinding, Host, SslMode},
};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::store::error::{EngineError, StoreError};

/// A URL as it was understood.
pub(in crate::store) struct ServerUrl {
    pub(super) config: Config,
}

/// Why a URL is refused; never with a part of it, for any part may be one of the password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

fn refused(why: &'static str) -> StoreError {
    StoreError::Url { source: EngineError::new(Refused(why)) }
}

impl ServerUrl {
    /// Reads a URL and decides how a server is to prove itself: one that is not on this machine speaks TLS, and a password
    /// is then bound to that TLS, unless the URL says otherwise.
    pub(in crate::store) fn read(url: &str) -> Result<Self, StoreError> {
        // The driver ends the user's part at the first @, and takes what follows for a host.
        let (user, place) = url.split_at(url.find('@').map_or(0, |end| end + 1));
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        if place.contains('@') {
            return Err(refused("an @ in the user's name or password must be written as %40"));
        }
        let (mut mode, mut binding, mut kept) = (None, false, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = form_urlencoded::parse(pair.as_bytes()).next().unwrap_or_default();
            match (&*key, &*value) {
                ("sslmode", "disable") => mode = Some(SslMode::Disable),
                // Names and chains are checked whenever TLS is spoken.
                ("sslmode", "require" | "verify-ca" | "verify-full") => mode = Some(SslMode::Require),
                ("sslmode", "allow" | "prefer") => {
                    return Err(refused("sslmode: whoever is in between would turn it off; say disable or require"));
                }
                ("sslmode", _) => return Err(refused("sslmode must be disable, require, verify-ca or verify-full")),
                (key, _) => {
                    binding |= key == "channel_binding";
                    kept.push(pair);
                }
            }
        }
        let text = Zeroizing::new(format!("{user}{place}?{}", kept.join("&")));
        let mut config: Config = text
            .parse()
            .map_err(|_| refused("it is not postgres://USER@HOST/NAME?OPTION=VALUE with options that are known"))?;
        let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
        let many = hosts.len().max(addresses.len());
        if many == 0 || [hosts.len(), addresses.len()].iter().any(|count| *count > 0 && *count != many) {
            return Err(refused("it must name hosts, and as many addresses as hosts if it names any"));
        }
        if ports.len() > 1 && ports.len() != many {
            return Err(refused("it must name one port, or as many as hosts"));
        }
        let mode = mode.unwrap_or(if is_here(&config) { SslMode::Disable } else { SslMode::Require });
        config.ssl_mode(mode);
        if mode == SslMode::Require && !binding {
            config.channel_binding(ChannelBinding::Require);
        }
        Ok(Self { config })
    }

    /// What to connect with to each of the servers, in their order.
    pub(super) fn servers(&self) -> Vec<Config> {
        (0..self.hosts().len()).map(|place| self.server(place)).collect()
    }

    /// The driver cannot be told to leave out a host, and takes the first that is not down.
    fn server(&self, place: usize) -> Config {
        let (all, mut one) = (&self.config, Config::new());
        match all.get_hosts().get(place) {
            Some(Host::Tcp(name)) => drop(one.host(name)),
            Some(Host::Unix(folder)) => drop(one.host_path(folder)),
            None => {}
        }
        if let Some(address) = all.get_hostaddrs().get(place) {
            one.hostaddr(*address);
        }
        if let Some(port) = self.port(place) {
            one.port(port);
        }
        if let Some(user) = all.get_user() {
            one.user(user);
        }
        if let Some(password) = all.get_password() {
            one.password(password);
        }
        if let Some(name) = all.get_dbname() {
            one.dbname(name);
        }
        if let Some(options) = all.get_options() {
            one.options(options);
        }
        if let Some(name) = all.get_application_name() {
            one.application_name(name);
        }
        if let Some(time) = all.get_connect_timeout() {
            one.connect_timeout(*time);
        }
        one.ssl_mode(all.get_ssl_mode()).ssl_negotiation(all.get_ssl_negotiation());
        one.channel_binding(all.get_channel_binding()).keepalives(all.get_keepalives());
        one.target_session_attrs(all.get_target_session_attrs()).load_balance_hosts(all.get_load_balance_hosts());
        one
    }

    /// The name, with its port, by which a server is found whose address is not given.
    pub(super) fn name_to_resolve(server: &Config) -> Option<(String, u16)> {
        match (server.get_hosts(), server.get_hostaddrs()) {
            ([Host::Tcp(name)], []) => Some((name.clone(), server.get_ports().first().copied().unwrap_or(5432))),
            _ => None,
        }
    }

    pub(in crate::store) fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// User, hosts and database, and nothing else.
    pub(in crate::store) fn show(&self) -> String {
        let mut shown = "postgres://".to_owned();
        if let Some(user) = self.config.get_user() {
            escape(user.as_bytes(), &mut shown);
            shown.push('@');
        }
        for (place, host) in self.hosts().iter().enumerate() {
            if place > 0 {
                shown.push(',');
            }
            self.push_server(place, host, &mut shown);
        }
        if let Some(name) = self.config.get_dbname() {
            shown.push('/');
            escape(name.as_bytes(), &mut shown);
        }
        shown
    }

    /// One of the hosts, with its port.
    pub(super) fn show_server(&self, place: usize) -> String {
        let mut shown = String::new();
        if let Some(host) = self.hosts().get(place) {
            self.push_server(place, host, &mut shown);
        }
        shown
    }

    fn push_server(&self, place: usize, host: &Host, shown: &mut String) {
        match host {
            Host::Unix(folder) => escape(folder.as_os_str().as_encoded_bytes(), shown),
            Host::Tcp(name) if name.contains(':') => shown.extend(["[", name, "]"]),
            Host::Tcp(name) => escape(name.as_bytes(), shown),
        }
        if let Some(port) = self.port(place).filter(|port| *port != 5432) {
            write!(shown, ":{port}").expect("writing to a string succeeds");
        }
    }

    fn port(&self, place: usize) -> Option<u16> {
        let ports = self.config.get_ports();
        ports.get(place).or(ports.first()).copied()
    }

    fn hosts(&self) -> Cow<'_, [Host]> {
        match self.config.get_hosts() {
            [] => self.config.get_hostaddrs().iter().map(|address| Host::Tcp(address.to_string())).collect(),
            hosts => Cow::Borrowed(hosts),
        }
    }
}

fn escape(bytes: &[u8], into: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            write!(into, "%{byte:02X}").expect("writing to a string succeeds");
        }
    }
}

/// Whether every server is this machine. Where an address is given the name decides nothing.
fn is_here(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    let local = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
        Host::Unix(_) => true,
    };
    addresses.iter().all(IpAddr::is_loopback) && (!addresses.is_empty() || config.get_hosts().iter().all(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_must_speak_tls_unless_the_url_says_otherwise() {
        for (url, mode) in [
            ("postgres://u:p@db.example/quorate", SslMode::Require),
            ("postgres://u@10.0.0.7/quorate", SslMode::Require),
            ("postgres://u@localhost,db.example/quorate", SslMode::Require),
            ("postgres://u@localhost/quorate?hostaddr=10.0.0.7", SslMode::Require),
            ("postgres://u@/quorate?hostaddr=10.0.0.7", SslMode::Require),
            ("postgres://u@db.example/quorate?application_name=sslmode=disable", SslMode::Require),
            ("postgres://u@db.example/quorate?sslmode=verify-full", SslMode::Require),
            ("postgres://u@localhost/quorate?sslmode=verify-ca", SslMode::Require),
            ("postgres://u@db.example/quorate?ssl%6dode=disable", SslMode::Disable),
            ("postgres://u@db.example/quorate?sslmode=disable", SslMode::Disable),
            ("postgres://u@127.0.0.1:5433/quorate", SslMode::Disable),
            ("postgres://u@db.example/quorate?hostaddr=127.0.0.1", SslMode::Disable),
            ("postgres://u@[::1]/quorate", SslMode::Disable),
            ("postgres://u@localhost/quorate?sslmode=require", SslMode::Require),
            ("postgres://u@%2Frun%2Fpostgresql/quorate", SslMode::Disable),
        ] {
            assert_eq!(ServerUrl::read(url).unwrap().config.get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn a_password_is_bound_to_the_tls_unless_the_url_says_otherwise() {
        for (url, binding) in [
            ("postgres://u:p@db.example/quorate", ChannelBinding::Require),
            ("postgres://u:p@db.example/quorate?channel_binding=prefer", ChannelBinding::Prefer),
            ("postgres://u:p@localhost/quorate", ChannelBinding::Prefer),
        ] {
            assert_eq!(ServerUrl::read(url).unwrap().config.get_channel_binding(), binding, "{url}");
        }
    }

    #[test]
    fn what_is_shown_has_no_password_in_it() {
        for (url, shown) in [
            ("postgres://oracle:hunter2@db.example/quorate", "postgres://oracle@db.example/quorate"),
            ("postgres://oracle:hun/ter2@db/q", "postgres://oracle@db/q"),
            ("postgres://oracle:hun?ter2@db/q", "postgres://oracle@db/q"),
            ("postgres://oracle@db:5433,[::1]/q?pass%77ord=hunter2", "postgres://oracle@db:5433,[::1]/q"),
            ("postgresql://oracle@db/q?password=hunter2&sslmode=verify-full", "postgres://oracle@db/q"),
            ("postgres://a%40b@%2Frun%2Fpg/q", "postgres://a%40b@%2Frun%2Fpg/q"),
        ] {
            let read = ServerUrl::read(url).unwrap();
            assert_eq!((read.show().as_str(), read.has_password()), (shown, url.contains("ter2")), "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_its_password() {
        for url in [
            "postgres://u:hunter2@[::1/quorate",
            "postgres://u:hunter2@h/q?sslmode=hunter2",
            "postgres://u:pass@hunter2/a@h/q",
            "postgres://u:p@h/q?hunter2=1",
            "postgres://u:hunter2@h/q?sslmode=prefer",
            "postgres://u:hunter2@h/q?x=y",
        ] {
            let error = ServerUrl::read(url).err().unwrap();
            assert!(matches!(error, StoreError::Url { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
