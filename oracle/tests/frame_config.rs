//! The settings: every key from every place, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use quorate_oracle::config::{Config, ConfigError, KEYS};
use std::path::PathBuf;

/// A value that differs from the default, for each key.
const OTHER: [(&str, &str); 68] = [
    ("state", "/tmp/elsewhere"),
    ("database", "sqlite:/tmp/x.db"),
    ("postgres.password_file", "/tmp/password"),
    ("postgres.connections", "5"),
    ("postgres.connect_seconds", "4"),
    ("postgres.wait_seconds", "5"),
    ("postgres.statement_seconds", "6"),
    ("postgres.operation_seconds", "7"),
    ("postgres.ca", "/tmp/ca.pem"),
    ("mail.server", "smtps://mail.example.com:4650"),
    ("mail.from", "Oracle <oracle@example.com>"),
    ("mail.user", "oracle"),
    ("mail.password_file", "/tmp/mail.password"),
    ("mail.ca", "/tmp/mail.pem"),
    ("mail.seconds", "3"),
    ("duo.hosts", "127.0.0.1:8443,duo.example"),
    ("duo.ca", "/tmp/duo.pem"),
    ("duo.seconds", "5"),
    ("notices", "[{\"mail\":\"ops@example.com\",\"events\":[\"session.denied\"]}]"),
    ("webhooks.allow", "127.0.0.1/32"),
    ("webhooks.ca", "/tmp/webhooks.pem"),
    ("webhooks.seconds", "3"),
    ("approve.origins", "https://approve.example,https://approve.example.org:8443"),
    ("name", "oracle of Delphi"),
    ("listen", "127.0.0.1:9999"),
    ("url", "https://oracle.example/prod"),
    ("apps.key_in_query", "false"),
    ("base_path", "/prod"),
    ("behind_proxy", "true"),
    ("trusted_proxies", "10.0.0.0/8,192.0.2.1/32"),
    ("tls.certificate", "/tmp/c.pem"),
    ("tls.key", "/tmp/k.pem"),
    ("metrics.listen", "127.0.0.1:9100"),
    ("log.level", "debug"),
    ("log.format", "json"),
    ("limits.connections", "7"),
    ("limits.connections_per_source", "6"),
    ("limits.header_seconds", "8"),
    ("limits.request_seconds", "9"),
    ("limits.write_seconds", "11"),
    ("limits.shutdown_seconds", "0"),
    ("crypto.threads", "3"),
    ("crypto.queue", "17"),
    ("invite.days", "30"),
    ("sessions.pending_seconds", "120"),
    ("sessions.max_codes", "4"),
    ("sessions.remember_seconds", "60"),
    ("sessions.require_login", "true"),
    ("sessions.approve_with", "webauthn"),
    ("tickets.idle_seconds", "120"),
    ("tickets.seconds", "240"),
    ("links.seconds", "3600"),
    ("passwords.memory_kib", "19456"),
    ("passwords.passes", "2"),
    ("passwords.lanes", "1"),
    ("passwords.at_once", "1"),
    ("passwords.waiting", "5"),
    ("drills.days", "3"),
    ("drills.remind_hours", "12,6"),
    ("drills.keep_days", "30"),
    ("redeal.keep_days", "7"),
    ("sessions.open", "50"),
    ("sessions.open_per_source", "5"),
    ("sessions.open_per_principal", "4"),
    ("audit.per_source", "6"),
    ("audit.in_all", "7"),
    ("audit.checkpoints", "/srv/checkpoints"),
    ("audit.webhook", "https://witness.example/quorate"),
];

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oracle.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let (_folder, path) = file(text);
    Config::load(Some(&path), |_| None, &[])
}

fn shown(config: &Config) -> Vec<(&'static str, String)> {
    KEYS.iter().map(|key| (key.path, key.show(config))).collect()
}

fn others() -> Vec<(&'static str, String)> {
    OTHER.map(|(path, value)| (path, value.to_owned())).to_vec()
}

#[test]
fn every_key_is_in_this_test_and_differs_from_its_default() {
    let paths: Vec<_> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(paths, OTHER.map(|(path, _)| path));
    for ((_, default), (path, other)) in shown(&Config::default()).iter().zip(OTHER) {
        assert_ne!(default, other, "{path}");
    }
}

#[test]
fn every_key_can_be_set_in_the_file() {
    let quoted = |value: &str| {
        if value.parse::<u32>().is_ok() || value == "true" { value.to_owned() } else { format!("{value:?}") }
    };
    let lines = OTHER.map(|(path, value)| format!("{path} = {}", quoted(value)));
    assert_eq!(shown(&from_file(&lines.join("\n")).unwrap()), others());
}

#[test]
fn every_key_can_be_set_in_the_environment_over_the_file() {
    let (_folder, path) = file("name = \"from the file\"\nlog.level = \"warn\"");
    let variables = OTHER.map(|(path, value)| (format!("QUORATE_{}", path.to_uppercase().replace('.', "_")), value));
    let env = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| (*value).to_owned());
    assert_eq!(shown(&Config::load(Some(&path), env, &[]).unwrap()), others());
}

#[test]
fn a_flag_wins_over_the_environment() {
    let env = |name: &str| (name == "QUORATE_NAME").then(|| "from the environment".to_owned());
    let config = Config::load(None, env, &[("name", "from the flag".to_owned())]).unwrap();
    assert_eq!(config.name, "from the flag");
}

#[test]
fn arrays_and_tables_of_toml_are_read() {
    let config =
        from_file("behind_proxy = true\ntrusted_proxies = [\"10.0.0.1\", \"10.0.0.2\"]\n[limits]\nconnections = 5");
    let config = config.unwrap();
    assert_eq!((config.trusted_proxies.len(), config.connections), (2, 5));
}

#[test]
fn a_list_of_tables_is_read() {
    let text = "[mail]\nserver = \"smtps://mail.example.com\"\nfrom = \"oracle@example.com\"\n\
                [[notices]]\nmail = \"ops@example.com\"\nnames = true\n\
                [[notices]]\nurl = \"https://ntfy.example.com/ops\"\nshape = \"ntfy\"\nevents = [\"session.denied\"]";
    let config = from_file(text).unwrap();
    assert_eq!(config.notices.0.len(), 2);
    assert!(config.notices.0[0].names && !config.notices.0[1].names);
    let error = from_file("[[notices]]\nmail = \"ops@example.com\"").unwrap_err();
    assert!(error.to_string().contains("mail.server"), "{error}");
}

#[test]
fn unknown_keys_are_refused_by_name() {
    for (text, key) in [("listn = \"127.0.0.1:1\"", "listn"), ("[tls]\ncert = \"x\"", "tls.cert")] {
        let error = from_file(text).unwrap_err();
        assert!(matches!(&error, ConfigError::UnknownKey { key: found, .. } if found == key), "{error}");
    }
}

#[test]
fn bad_values_name_their_key_and_where_they_came_from() {
    for (path, value) in [
        ("listen", "8080"),
        ("behind_proxy", "perhaps"),
        ("limits.connections", "-1"),
        ("limits.connections", "many"),
        ("database", "mysql://x/y"),
        ("database", "/var/lib/quorate.db"),
        ("log.level", "warning"),
        ("log.level", "loud"),
        ("log.format", "xml"),
        ("trusted_proxies", "10.0.0.0/99"),
        ("metrics.listen", "localhost"),
        ("mail.server", "mail.example.com"),
        ("mail.server", "smtp-plain://mail.example.com"),
        ("mail.from", "oracle"),
        ("approve.origins", "approve.example"),
        ("approve.origins", "http://approve.example"),
        ("approve.origins", "https://approve.example/"),
        ("approve.origins", "https://approve.example:443"),
        ("approve.origins", "https://Approve.example"),
        ("approve.origins", "*"),
    ] {
        let variable = format!("QUORATE_{}", path.to_uppercase().replace('.', "_"));
        let env = |name: &str| (name == variable).then(|| value.to_owned());
        let error = Config::load(None, env, &[]).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(&variable), "{error}");
    }
}

#[test]
fn broken_files_are_refused_without_repeating_them() {
    let error = from_file("database = \"postgres://oracle:hunter2@db\nlisten").unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { .. }));
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let missing = Config::load(Some("/nonexistent/oracle.toml".as_ref()), |_| None, &[]).unwrap_err();
    assert!(matches!(missing, ConfigError::Read { .. }));
}

#[test]
fn a_password_in_an_argument_is_refused_with_the_cure_and_shown_nowhere() {
    let url = "postgres://oracle:hun/ter2@db/quorate";
    let error = Config::load(None, |_| None, &[("database", url.to_owned())]).unwrap_err().to_string();
    assert!(error.contains("postgres.password_file") && !error.contains("ter2"), "{error}");
    let env = |name: &str| (name == "QUORATE_DATABASE").then(|| url.to_owned());
    let config = Config::load(None, env, &[]).unwrap();
    assert!(!format!("{config:?} {:?}", shown(&config)).contains("ter2"));
    assert!(Config::load(None, |_| None, &[("database", "postgres://oracle@db/quorate".to_owned())]).is_ok());
}

#[test]
fn beyond_loopback_there_is_tls_or_a_proxy_that_has_it() {
    let load = |flags: &[(&'static str, &str)]| {
        let flags: Vec<_> = flags.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
        Config::load(None, |_| None, &flags)
    };
    for address in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"] {
        assert!(
            matches!(load(&[("listen", address)]), Err(ConfigError::Conflict(text)) if text.contains("--behind-proxy"))
        );
        assert!(load(&[("listen", address), ("behind_proxy", "true")]).is_ok());
        assert!(load(&[("listen", address), ("tls.certificate", "c"), ("tls.key", "k")]).is_ok());
    }
    assert!(load(&[("listen", "[::1]:80")]).is_ok());
    assert!(load(&[("tls.certificate", "c")]).is_err());
    assert!(load(&[("trusted_proxies", "10.0.0.1")]).is_err());
    for url in ["ftp://x", "https://x/", "https://x?y", "oracle.example"] {
        assert!(load(&[("url", url)]).is_err(), "{url}");
    }
    for path in ["prod", "/prod/", "/p rod", "/{id}", "/api", "/api/apps"] {
        assert!(load(&[("base_path", path)]).is_err(), "{path}");
    }
    assert!(load(&[("limits.connections", "0")]).is_err());
}

#[test]
fn an_approving_page_shares_no_passkeys_with_its_oracle() {
    let load = |url: Option<&str>, origins: &str| {
        let mut flags = vec![("approve.origins", origins.to_owned())];
        flags.extend(url.map(|url| ("url", url.to_owned())));
        Config::load(None, |_| None, &flags)
    };
    let url = Some("https://oracle.example.com/mfa");
    for origins in [
        "https://oracle.example.com",
        "https://oracle.example.com:8443",
        "https://approve.example,https://oracle.example.com",
        // A page may ask the passkeys of every host that its own lies below.
        "https://example.com",
    ] {
        let refused = load(url, origins);
        assert!(
            matches!(&refused, Err(ConfigError::Conflict(text)) if text.contains("approve.origins")),
            "{refused:?}"
        );
    }
    for origins in ["https://approve.example.com", "https://approve.oracle.example.com", "https://racle.example.com"] {
        assert!(load(url, origins).is_ok(), "{origins}");
    }
    assert!(load(None, "https://127.0.0.1").is_err(), "an oracle without a name is where it listens");
    assert!(load(None, "https://approve.example").is_ok());
}

#[test]
fn mail_is_set_whole_or_not_at_all() {
    let load = |flags: &[(&'static str, &str)]| {
        let flags: Vec<_> = flags.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
        Config::load(None, |_| None, &flags)
    };
    let (server, from) = (("mail.server", "smtps://mail.example.com"), ("mail.from", "oracle@example.com"));
    let (user, password) = (("mail.user", "oracle"), ("mail.password_file", "/tmp/password"));
    for good in [&[server, from][..], &[server, from, user], &[server, from, user, password]] {
        assert!(load(good).is_ok(), "{good:?}");
    }
    for bad in [
        &[server][..],
        &[from],
        &[user],
        &[server, from, password],
        &[server, from, ("mail.seconds", "0")],
        &[server, from, ("mail.seconds", "30")],
    ] {
        assert!(matches!(load(bad), Err(ConfigError::Conflict(_))), "{bad:?}");
    }
}

#[test]
fn an_unnamed_proxy_in_front_of_an_open_listener_is_noticed() {
    let believes = |flags: &[(&'static str, &str)]| {
        let flags: Vec<_> = flags.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
        Config::load(None, |_| None, &flags).unwrap().believes_anyone()
    };
    let open = ("listen", "0.0.0.0:8080");
    assert!(believes(&[open, ("behind_proxy", "true")]));
    assert!(!believes(&[open, ("behind_proxy", "true"), ("trusted_proxies", "10.0.0.0/8")]));
    assert!(!believes(&[("behind_proxy", "true")]), "on loopback");
    assert!(!believes(&[]));
}
