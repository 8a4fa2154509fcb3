//! Everything that can be set, in one table: path in the file, kind, default, meaning. The file, the environment, the
//! flags and `config show` all read it. It must not know what a setting does.
//!
//! A flag wins over `QUORATE_…` in the environment, that over the file, and that over the default. The root secret and
//! the gateway key are not settings: see [`crate::keys`].

mod kinds;
mod notices;

pub use kinds::{ApproveWith, IpRange, LogFormat, LogLevel, Origin};
pub use notices::{NoticeKind, NoticeTarget, NoticeTargets, Shape, webhook};

use crate::mail::{MailServer, Mailbox};
use crate::service::people::Cost;
use crate::store::DatabaseUrl;
use etcetera::BaseStrategy as _;
use kinds::Setting;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a request's body at most.
pub const BODY_LIMIT: usize = 128 * 1024;

/// KiB for one password at most.
const MAX_PASSWORD_KIB: u32 = 1024 * 1024;

/// One setting.
pub struct Key {
    /// Path in the TOML file.
    pub path: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Its value when nobody sets it, as text. Empty: unset.
    pub default: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
    show: fn(&Config) -> String,
}

impl Key {
    /// The environment variable that overrides it.
    pub fn env(&self) -> String {
        format!("QUORATE_{}", self.path.to_ascii_uppercase().replace('.', "_"))
    }

    /// Its value in `config`, as it could stand in the environment. Passwords in URLs are left out.
    pub fn show(&self, config: &Config) -> String {
        (self.show)(config)
    }
}

macro_rules! settings {
    ($( $path:literal $field:ident: $kind:ty = $default:literal, $doc:literal; )*) => {
        /// The settings in force.
        #[derive(Debug, Clone)]
        pub struct Config {
            $( #[doc = $doc] pub $field: $kind, )*
        }

        /// Every setting, in the order of the manual.
        pub static KEYS: &[Key] = &[
            $( Key {
                path: $path,
                doc: $doc,
                default: $default,
                set: |config, text| {
                    config.$field = Setting::parse(text)?;
                    Ok(())
                },
                show: |config| config.$field.show(),
            }, )*
        ];

        impl Default for Config {
            fn default() -> Self {
                Self { $( $field: Setting::parse($default).expect("every default in the table is valid"), )* }
            }
        }
    };
}

settings! {
    "state" state: Option<PathBuf> = "",
        "Folder of keys and, unless `database` says otherwise, data. Unset: `$XDG_STATE_HOME/quorate`.";
    "database" database: Option<DatabaseUrl> = "",
        "Where data are kept: a file as sqlite:FILE, or a server as `postgres://USER@HOST/NAME`. Unset: sqlite:STATE/quorate.db.";
    "postgres.password_file" postgres_password_file: Option<PathBuf> = "",
        "File with PostgreSQL's password, for its owner alone. Unset: the systemd credential `postgres.password`, if there is one.";
    "postgres.connections" postgres_connections: u32 = "16",
        "Connections of this oracle to PostgreSQL at most, besides one that listens and one that looks how it is. All oracles' must fit the server's.";
    "postgres.connect_seconds" postgres_connect_seconds: u32 = "3",
        "Seconds that connecting to PostgreSQL may take, for each host of the URL.";
    "postgres.wait_seconds" postgres_wait_seconds: u32 = "2",
        "Seconds that a request may wait for a free connection to PostgreSQL. Then it is answered 503.";
    "postgres.statement_seconds" postgres_statement_seconds: u32 = "3",
        "Seconds that PostgreSQL may take for one statement, locks included.";
    "postgres.operation_seconds" postgres_operation_seconds: u32 = "8",
        "Seconds that PostgreSQL may take for all that one step of a request needs, tries on other connections included.";
    "postgres.ca" postgres_ca: Option<PathBuf> = "",
        "PEM file of the certificates that vouch for PostgreSQL. Unset: those of the system.";
    "mail.server" mail_server: Option<MailServer> = "",
        "SMTP server that mails the values of new API keys: `smtps://HOST` (TLS from the start) or `smtp://HOST` (STARTTLS). Unset: none are mailed.";
    "mail.from" mail_from: Option<Mailbox> = "",
        "Sender of mail, as `Oracle <oracle@example.com>`.";
    "mail.user" mail_user: Option<String> = "",
        "User at the SMTP server. Unset: it takes mail from this machine as it is.";
    "mail.password_file" mail_password_file: Option<PathBuf> = "",
        "File with that user's password, for its owner alone. Unset: the systemd credential `mail.password`, if there is one.";
    "mail.ca" mail_ca: Option<PathBuf> = "",
        "PEM file of the certificates that vouch for the SMTP server. Unset: those of the system.";
    "mail.seconds" mail_seconds: u32 = "10",
        "Seconds that handing over one mail may take. Then it counts as not sent.";
    "duo.hosts" duo_hosts: Vec<String> = "",
        "Servers besides Duo's own that a provider of type `duo` may name, such as a proxy: `HOST` or `HOST:PORT`.";
    "duo.ca" duo_ca: Option<PathBuf> = "",
        "PEM file of the certificates that vouch for Duo. Unset: those of the system.";
    "duo.seconds" duo_seconds: u32 = "25",
        "Seconds that somebody has to answer a push or a call of Duo's. At most a second less than `limits.request_seconds`; Duo itself gives up after 60.";
    "notices" notices: NoticeTargets = "",
        "Who is told of sessions and keys by webhook or mail: a list of tables `[[notices]]`, or the same as JSON; see docs/notices.md.";
    "webhooks.allow" webhooks_allow: Vec<IpRange> = "",
        "Addresses or ranges, besides public ones, that webhooks may be at; there they need no TLS. Unset: none of this machine or of private networks.";
    "webhooks.ca" webhooks_ca: Option<PathBuf> = "",
        "PEM file of the certificates that vouch for webhooks. Unset: those of the system.";
    "webhooks.seconds" webhooks_seconds: u32 = "10",
        "Seconds that handing over a notice to a webhook may take. Then it is tried again later.";
    "approve.origins" approve_origins: Vec<Origin> = "",
        "Origins of approving pages, which browsers then let call this oracle, as `https://approve.example`; see docs/passkeys.md. Unset: none.";
    "name" name: String = "quorate oracle",
        "What this oracle calls itself on its pages.";
    "listen" listen: SocketAddr = "127.0.0.1:8080",
        "Address and port to serve on. Port 0 picks a free one.";
    "url" url: Option<String> = "",
        "The oracle's address as people and Tocs know it. Unset: the address it listens on.";
    "apps.key_in_query" apps_key_in_query: bool = "true",
        "Whether sharedmfa's clients may send their function key as `?code=` in the address, where proxies on the way may log it.";
    "base_path" base_path: String = "",
        "A path such as /prod under which all routes answer as well, for clients that call them there.";
    "behind_proxy" behind_proxy: bool = "false",
        "A proxy in front terminates TLS and reports clients in X-Forwarded-For.";
    "trusted_proxies" trusted_proxies: Vec<IpRange> = "",
        "Addresses or ranges of the proxies whose X-Forwarded-For counts. Empty, with `behind_proxy`: whoever connects.";
    "tls.certificate" tls_certificate: Option<PathBuf> = "",
        "PEM file of the certificate and its chain. Read again on SIGHUP.";
    "tls.key" tls_key: Option<PathBuf> = "",
        "PEM file of the certificate's private key. Read again on SIGHUP.";
    "metrics.listen" metrics_listen: Option<SocketAddr> = "",
        "Address and port that serve /metrics, and nothing else. Unset: none.";
    "log.level" log_level: LogLevel = "info",
        "error, warn, info, debug or trace, or directives such as `info,quorate_oracle=debug`.";
    "log.format" log_format: LogFormat = "text",
        "text or json.";
    "limits.connections" connections: u32 = "4096",
        "Connections at the same time; further ones wait.";
    "limits.connections_per_source" connections_per_source: u32 = "256",
        "Connections at the same time from one IPv4 address or IPv6 /64; further ones are closed. Not for proxies.";
    "limits.header_seconds" header_seconds: u32 = "60",
        "Seconds that a connection may take to send a request's header, or stay idle between requests.";
    "limits.request_seconds" request_seconds: u32 = "30",
        "Seconds from a request's header to the answer's.";
    "limits.write_seconds" write_seconds: u32 = "30",
        "Seconds that a client may read nothing of its answer before its connection is closed.";
    "limits.shutdown_seconds" shutdown_seconds: u32 = "10",
        "Seconds that requests under way get to finish on shutdown.";
    "crypto.threads" crypto_threads: u32 = "0",
        "Threads for cryptography. 0: one for each processor.";
    "crypto.queue" crypto_queue: u32 = "1024",
        "Cryptographic jobs that may wait; further ones are answered 503.";
    "invite.days" invite_days: u32 = "90",
        "Days that a new certificate of the invite key is valid.";
    "sessions.pending_seconds" session_pending_seconds: u32 = "3600",
        "Seconds after which a session that nobody completes expires.";
    "sessions.max_codes" session_max_codes: Option<u32> = "",
        "Codes (distinct time steps) of one session at most. Unset: as many as its time allows.";
    "sessions.remember_seconds" session_remember_seconds: u32 = "3600",
        "Seconds for which the id of a session that is over answers so, before it is unknown.";
    "sessions.require_login" session_require_login: bool = "false",
        "Whether only principals that have logged in start and join sessions, each for the player of a known group that it stands for; see docs/people.md.";
    "sessions.approve_with" session_approve_with: ApproveWith = "login",
        "What an approval takes besides its proof, with `sessions.require_login`: `login`, or `webauthn` for an answer of a security key at that moment.";
    "tickets.idle_seconds" ticket_idle_seconds: u32 = "1800",
        "Seconds after which a ticket that is not used ends.";
    "tickets.seconds" ticket_seconds: u32 = "43200",
        "Seconds that a ticket lasts at most.";
    "links.seconds" link_seconds: u32 = "86400",
        "Seconds that a link with which somebody enrols lasts.";
    "passwords.memory_kib" password_memory_kib: u32 = "65536",
        "KiB of memory that Argon2id takes for one password (RFC 9106). Passwords that are set already keep what they were set with.";
    "passwords.passes" password_passes: u32 = "3",
        "Passes of Argon2id over that memory.";
    "passwords.lanes" password_lanes: u32 = "4",
        "Lanes of Argon2id. They take no more threads.";
    "passwords.at_once" password_at_once: u32 = "2",
        "Passwords that are checked at once, each on a thread of its own and with memory of its own.";
    "passwords.waiting" password_waiting: u32 = "32",
        "Passwords that may wait to be checked; further logins are answered 503.";
    "drills.days" drill_days: u32 = "7",
        "Days that a drill lasts when its operator names no end.";
    "drills.remind_hours" drill_remind_hours: Vec<u32> = "72,24",
        "Hours before a drill's end at which those are told who want to hear of it that answers are missing. Empty: never.";
    "drills.keep_days" drill_keep_days: u32 = "400",
        "Days that the report of a drill is kept that is over.";
    "redeal.keep_days" redeal_keep_days: u32 = "30",
        "Days that a redeal waits for its new players to fetch their Tocs. Then it is gone; the old group stays valid.";
    "sessions.open" session_open: u32 = "200000",
        "Sessions open at the same time.";
    "sessions.open_per_source" session_open_per_source: u32 = "1000",
        "Sessions open at the same time that one client address (IPv6: /64) has started.";
    "sessions.open_per_principal" session_open_per_principal: u32 = "50",
        "Sessions open at the same time that one principal has started with its login alone, from whatever addresses.";
    "audit.per_source" audit_per_source: u32 = "3600",
        "Events an hour that one client address (IPv6: /64) may cause in the audit log without showing who it is; further ones are counted. Also sessions an hour that one principal may start with its login alone.";
    "audit.in_all" audit_in_all: u32 = "36000",
        "The same for all client addresses together.";
    "audit.checkpoints" audit_checkpoints: Option<PathBuf> = "",
        "Folder that the audit log's newest checkpoint is published to, best on another machine. Unset: to none.";
    "audit.webhook" audit_webhook: Option<String> = "",
        "URL that the newest checkpoint is posted to as it is, a signed text; `webhooks.*` says where that may be. Unset: to none.";
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that is not of its kind.
    #[error("{key} from {origin}: {reason}")]
    BadValue {
        /// Its path.
        key: &'static str,
        /// File, variable or flag.
        origin: String,
        /// What it should be.
        reason: String,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Conflict(String),
    /// The file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{path}: there is no setting {key}; `quorate-oracle config show` lists them all")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// Nobody says where the state is, and there is no home folder.
    #[error("no folder for the state: set --state DIR")]
    NoState,
}

impl Config {
    /// Defaults, then `file`, then the environment as `env` gives it, then `flags` (path and value).
    pub fn load(
        file: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
        flags: &[(&'static str, String)],
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let in_file = file.map(read_file).transpose()?.unwrap_or_default();
        for key in KEYS {
            let variable = key.env();
            let given = flags
                .iter()
                .find(|(path, _)| *path == key.path)
                .map(|(path, value)| (value.clone(), format!("--{}", path.replace(['.', '_'], "-"))))
                .or_else(|| env(&variable).map(|value| (value, variable)))
                .or_else(|| {
                    let value = in_file.get(key.path)?;
                    Some((value.clone(), file.map(|file| file.display().to_string()).unwrap_or_default()))
                });
            if let Some((value, origin)) = given {
                (key.set)(&mut config, &value).map_err(|reason| ConfigError::BadValue {
                    key: key.path,
                    origin,
                    reason,
                })?;
            }
        }
        if flags.iter().any(|(path, _)| *path == "database")
            && config.database.as_ref().is_some_and(DatabaseUrl::has_password)
        {
            return Err(ConfigError::Conflict(
                "--database: everybody on this machine can read a password that is an argument: put it into the file that \
                 postgres.password_file names, or the whole URL into QUORATE_DATABASE"
                    .to_owned(),
            ));
        }
        config.check()?;
        Ok(config)
    }

    /// What no single value can violate.
    fn check(&self) -> Result<(), ConfigError> {
        let conflict = |text: String| Err(ConfigError::Conflict(text));
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return conflict("tls.certificate and tls.key go together: set both or neither".to_owned());
        }
        if !self.listen.ip().is_loopback() && !self.tls() && !self.behind_proxy {
            return conflict(format!(
                "listening on {} without TLS would send codes and keys in the clear: set tls.certificate and tls.key, \
                 or --behind-proxy if a proxy in front terminates TLS",
                self.listen
            ));
        }
        if !self.trusted_proxies.is_empty() && !self.behind_proxy {
            return conflict("trusted_proxies is for an oracle with behind_proxy = true".to_owned());
        }
        if let Some(url) = &self.url
            && quorate_protocol::header::check_url(url).is_err()
        {
            return conflict(format!("url: {url} must be http(s)://HOST[:PORT][/PATH], without a slash at the end"));
        }
        let own_url = self.url.clone().unwrap_or_else(|| self.own_url());
        let own_host = url::Url::parse(&own_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let own_host = own_host.unwrap_or_default();
        if let Some(page) = self.approve_origins.iter().find(|page| page.shares_passkeys_with(&own_host)) {
            return conflict(format!(
                "approve.origins: {} and this oracle ({own_url}) could ask the same passkeys: an approving page has a host of its \
                 own, which the oracle's is neither the same as nor below",
                page.as_str()
            ));
        }
        if self.session_approve_with == ApproveWith::Webauthn && !self.session_require_login {
            return conflict("sessions.approve_with is for an oracle with sessions.require_login = true".to_owned());
        }
        if self.mail_server.is_some() != self.mail_from.is_some() {
            return conflict("mail.server and mail.from go together: set both or neither".to_owned());
        }
        if self.mail_user.is_some() && self.mail_server.is_none() {
            return conflict("mail.user is a user of mail.server, which is not set".to_owned());
        }
        if self.mail_password_file.is_some() && self.mail_user.is_none() {
            return conflict("mail.password_file is the password of mail.user, which is not set".to_owned());
        }
        if let Some(Err(reason)) = self.audit_webhook.as_deref().map(webhook) {
            return conflict(format!("audit.webhook: {reason}"));
        }
        if self.mail_server.is_some() && self.mail_seconds >= self.request_seconds {
            return conflict("mail.seconds must be less than limits.request_seconds".to_owned());
        }
        if self.mail_server.is_none() && self.notices.0.iter().any(|target| target.mail.is_some()) {
            return conflict("notices by mail need mail.server".to_owned());
        }
        let path = &self.base_path;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        if !path.is_empty() && (!path.starts_with('/') || path.ends_with('/') || !path.chars().all(plain)) {
            return conflict(format!("base_path: {path} must begin with a slash and end without one, as in /prod"));
        }
        if path == "/api" || path.starts_with("/api/") {
            return conflict("base_path: /api is where the routes of apps are".to_owned());
        }
        let cost =
            Cost { memory_kib: self.password_memory_kib, passes: self.password_passes, lanes: self.password_lanes };
        if !cost.is_possible() || cost.memory_kib > MAX_PASSWORD_KIB {
            return conflict(format!(
                "passwords: Argon2id takes from 8 KiB a lane to {MAX_PASSWORD_KIB} KiB, at least one pass, and one lane at least"
            ));
        }
        let zero = [
            ("limits.connections", self.connections),
            ("limits.connections_per_source", self.connections_per_source),
            ("limits.header_seconds", self.header_seconds),
            ("limits.request_seconds", self.request_seconds),
            ("limits.write_seconds", self.write_seconds),
            ("crypto.queue", self.crypto_queue),
            ("drills.days", self.drill_days),
            ("duo.seconds", self.duo_seconds),
            ("invite.days", self.invite_days),
            ("mail.seconds", self.mail_seconds),
            ("postgres.connections", self.postgres_connections),
            ("postgres.connect_seconds", self.postgres_connect_seconds),
            ("postgres.wait_seconds", self.postgres_wait_seconds),
            ("postgres.statement_seconds", self.postgres_statement_seconds),
            ("postgres.operation_seconds", self.postgres_operation_seconds),
            ("links.seconds", self.link_seconds),
            ("passwords.at_once", self.password_at_once),
            ("passwords.waiting", self.password_waiting),
            ("redeal.keep_days", self.redeal_keep_days),
            ("sessions.pending_seconds", self.session_pending_seconds),
            ("tickets.idle_seconds", self.ticket_idle_seconds),
            ("tickets.seconds", self.ticket_seconds),
            ("webhooks.seconds", self.webhooks_seconds),
        ];
        match zero.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => conflict(format!("{key} must be at least 1")),
            None => Ok(()),
        }
    }

    /// Whether clients can claim any address: behind a proxy that is not named, and reachable past it.
    pub fn believes_anyone(&self) -> bool {
        self.behind_proxy && self.trusted_proxies.is_empty() && !self.listen.ip().is_loopback()
    }

    /// Whether the oracle itself speaks TLS.
    pub fn tls(&self) -> bool {
        self.tls_certificate.is_some()
    }

    /// The address that it listens on, as a URL.
    pub fn own_url(&self) -> String {
        format!("{}://{}", if self.tls() { "https" } else { "http" }, self.listen)
    }

    /// The folder of keys and data.
    pub fn state_dir(&self) -> Result<PathBuf, ConfigError> {
        if let Some(state) = &self.state {
            return Ok(state.clone());
        }
        let base = etcetera::base_strategy::Xdg::new().map_err(|_| ConfigError::NoState)?;
        Ok(base.state_dir().ok_or(ConfigError::NoState)?.join("quorate"))
    }

    /// The database's URL.
    pub fn database_url(&self) -> Result<DatabaseUrl, ConfigError> {
        match &self.database {
            Some(url) => Ok(url.clone()),
            None => Ok(DatabaseUrl::of_file(&self.state_dir()?.join("quorate.db"))),
        }
    }
}

/// The file's values by path, as text.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        // Without the line's text: it may hold the database's password.
        ConfigError::Syntax { path: path.to_owned(), reason: error.message().to_owned() }
    })?;
    let mut values = BTreeMap::new();
    flatten("", &table, &mut values);
    match values.keys().find(|path| !KEYS.iter().any(|key| key.path == *path)) {
        Some(unknown) => Err(ConfigError::UnknownKey { path: path.to_owned(), key: unknown.clone() }),
        None => Ok(values),
    }
}

fn flatten(prefix: &str, table: &toml::Table, values: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            // An empty table of a known name sets nothing.
            toml::Value::Table(inner) => flatten(&path, inner, values),
            // A list of tables, as JSON.
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                values.insert(path, serde_json::to_string(items).unwrap_or_default());
            }
            toml::Value::Array(items) => {
                values.insert(path, items.iter().map(scalar).collect::<Vec<_>>().join(","));
            }
            other => {
                values.insert(path, scalar(other));
            }
        }
    }
}

fn scalar(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
