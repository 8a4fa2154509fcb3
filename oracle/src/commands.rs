//! The command line of the oracle: what an operator types, and how errors reach them. It must not know how anything is
//! done.

mod api_keys;
mod apps;
mod audit;
mod certify;
mod config;
mod health;
mod import;
mod init;
mod recover;
mod serve;

use crate::config::{Config, ConfigError};
use crate::state::AppState;
use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// The oracle of quorate: with enough players present it shows one code, never the secret.
#[derive(Debug, Parser)]
#[command(name = "quorate-oracle", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List, revoke or restrict the API keys of applications
    ApiKeys(api_keys::ApiKeysCommand),
    /// List shared codes, and end what nobody else can
    Apps(apps::AppsCommand),
    /// Export the audit log, print its newest checkpoint or its key
    Audit(audit::AuditCommand),
    /// Certify the invite key, or a successor of the root key
    Certify(certify::Certify),
    /// Check or show the settings
    Config(config::ConfigCommand),
    /// Ask the running oracle whether it can serve; exit status 0 if so
    Health(health::Health),
    /// Take over what another service keeps
    Import(import::ImportCommand),
    /// Make keys and database, and show the fingerprint
    Init(init::Init),
    /// Print the description of the interface that /openapi.json serves
    Openapi,
    /// Read a picture of QR codes; the oracle calls it for pictures that people send
    #[command(name = crate::service::pictures::COMMAND, hide = true)]
    ReadPicture,
    /// Print a link with which a user sets a new password, when no operator can make one
    ///
    /// The audit log shows it. Failed logins of the name are forgotten with the new password.
    Recover(recover::Recover),
    /// Serve; makes keys and database on first start
    Serve(SettingFlags),
}

/// Settings that have flags of their own; the rest is in the file and the environment.
#[derive(Debug, Args)]
struct SettingFlags {
    /// TOML file with settings; `quorate-oracle config show` writes one
    #[arg(long, value_name = "FILE", env = "QUORATE_CONFIG")]
    config: Option<PathBuf>,
    #[arg(long, value_name = "DIR", help = "Folder of keys and data [default: $XDG_STATE_HOME/quorate]")]
    state: Option<String>,
    /// Where data are kept: sqlite:FILE, or postgres: and the rest of its URL [default: sqlite:STATE/quorate.db]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Address and port to serve on; port 0 picks one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// The oracle's address as people and Tocs know it [default: the address it listens on]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A path such as /prod under which all routes answer as well
    #[arg(long, value_name = "PATH")]
    base_path: Option<String>,
    /// A proxy in front terminates TLS and reports clients in X-Forwarded-For
    #[arg(long)]
    behind_proxy: bool,
    /// PEM file of the TLS certificate and its chain
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// PEM file of the TLS private key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Address and port that serve /metrics [default: none]
    #[arg(long, value_name = "ADDR:PORT")]
    metrics_listen: Option<String>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl SettingFlags {
    fn load(&self) -> Result<Config, ConfigError> {
        let proxy = self.behind_proxy.then(|| "true".to_owned());
        let flags: Vec<_> = [
            ("state", &self.state),
            ("database", &self.database),
            ("listen", &self.listen),
            ("url", &self.url),
            ("base_path", &self.base_path),
            ("behind_proxy", &proxy),
            ("tls.certificate", &self.tls_certificate),
            ("tls.key", &self.tls_key),
            ("metrics.listen", &self.metrics_listen),
            ("log.level", &self.log_level),
            ("log.format", &self.log_format),
        ]
        .into_iter()
        .filter_map(|(path, value)| Some((path, value.clone()?)))
        .collect();
        Config::load(self.config.as_deref(), |name| std::env::var(name).ok(), &flags)
    }
}

/// What a command can end with.
type Outcome = Result<(), Box<dyn Error>>;

/// Runs the command that the arguments name. Exit status: 0 done, 1 failed, 2 wrong usage or settings.
pub fn run() -> ExitCode {
    // Whatever is made here is for its owner alone, the database's own files included.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let outcome = match Cli::parse().command {
        Command::ApiKeys(command) => command.run(),
        Command::Apps(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Certify(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Health(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Init(command) => command.run(),
        Command::Openapi => openapi(),
        Command::ReadPicture => crate::service::pictures::read_from_stdin().map_err(Into::into),
        Command::Recover(command) => command.run(),
        Command::Serve(settings) => serve::run(&settings),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

/// Does what an operator does with the data of an oracle that is there already, whether it serves at the moment or not.
fn beside_oracle(settings: &SettingFlags, work: impl AsyncFnOnce(&AppState) -> Outcome) -> Outcome {
    crate::memory::harden();
    let config = settings.load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let state = AppState::open_existing(config).await?;
        let outcome = work(&state).await;
        state.store.shutdown().await;
        outcome
    })
}

/// Links lead to the oracle's address, which these settings may not know.
fn warn_of_address(config: &Config) {
    if config.url.is_none() {
        let url = config.own_url();
        tell(&format!(
            "the link leads to {url}: if the oracle serves elsewhere, say so with --url or --listen as to serve"
        ));
    }
}

fn openapi() -> Outcome {
    let document = serde_json::to_string_pretty(&crate::router::document(None))?;
    print(&format!("{document}\n"))
}

fn fail(error: &(dyn Error + 'static)) -> ExitCode {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    tell(&format!("quorate-oracle: {text}"));
    if error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// To stdout: data.
fn print(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// To stderr: messages. Nobody is left to tell when that fails.
fn tell(text: &str) {
    let _unheard = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
