//! `quorate api-key`: makes API keys of applications at an oracle, activates and rotates them. Secrets come from files or the
//! environment, never from an argument. It must not know HTTP.

use super::network::OracleAt;
use super::{CliError, Context, files};
use crate::client::{ApiKey, Rotated};
use crate::ui::shown;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a file with a key at most.
const MAX_KEY_FILE: u64 = 64 * 1024;
/// Holds the gateway key.
const GATEWAY_VARIABLE: &str = "QUORATE_GATEWAY_KEY";

#[derive(Debug, Args)]
pub(crate) struct ApiKeyArgs {
    #[command(subcommand)]
    command: ApiKeyCommand,
}

#[derive(Debug, Subcommand)]
enum ApiKeyCommand {
    /// Ask for an API key; its value is mailed to EMAIL, or passed on by the oracle's operator
    Create(CreateArgs),
    /// Activate an API key, once, and print it with its secret as KEY:SECRET
    Activate(ActivateArgs),
    /// Have a new API key take over everything that an old one owns
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Whose API key it is
    #[arg(value_name = "EMAIL")]
    email: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    oracle: OracleAt,
}

#[derive(Debug, Args)]
struct ActivateArgs {
    /// The address that it was made for
    #[arg(value_name = "EMAIL")]
    email: String,
    /// Its value, as mailed or as `quorate-oracle api-keys list` shows it
    #[arg(value_name = "KEY")]
    value: String,
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    oracle: OracleAt,
}

#[derive(Debug, Args)]
struct RotateArgs {
    /// File with the old API key: one line KEY:SECRET, as `activate` prints it
    #[arg(long, value_name = "FILE")]
    old: PathBuf,
    /// File with the new one, which is activated already
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    #[command(flatten)]
    oracle: OracleAt,
}

#[derive(Debug, Args)]
struct GatewayArgs {
    #[arg(
        long,
        value_name = "FILE",
        help = "File with the oracle's gateway key; without it, the key itself is taken from QUORATE_GATEWAY_KEY"
    )]
    gateway_key_file: Option<PathBuf>,
}

impl GatewayArgs {
    fn key(&self) -> Result<Zeroizing<String>, CliError> {
        let text = match &self.gateway_key_file {
            Some(file) => read(file)?,
            None => std::env::var(GATEWAY_VARIABLE).map(Zeroizing::new).map_err(|_| CliError::NoGatewayKey)?,
        };
        let key = Zeroizing::new(text.trim().to_owned());
        if key.is_empty() { Err(CliError::NoGatewayKey) } else { Ok(key) }
    }
}

/// An API key that was just activated.
#[derive(Serialize)]
struct Activated<'a> {
    api_key: &'a str,
    api_secret: &'a str,
}

impl fmt::Display for Activated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.api_key, self.api_secret)
    }
}

/// What a rotation has moved.
#[derive(Serialize)]
struct Moved {
    totp: u64,
    webauthn: u64,
}

pub(crate) fn run(context: &Context, args: &ApiKeyArgs) -> Result<(), CliError> {
    match &args.command {
        ApiKeyCommand::Create(args) => create(context, args),
        ApiKeyCommand::Activate(args) => activate(context, args),
        ApiKeyCommand::Rotate(args) => rotate(context, args),
    }
}

fn create(context: &Context, args: &CreateArgs) -> Result<(), CliError> {
    let key = args.gateway.key()?;
    args.oracle.client(context)?.create_api_key(&key, &args.email)?;
    context.ui.say(format_args!(
        "an API key was made for {}: its value comes by mail, or from the oracle's operator (`quorate-oracle api-keys list`)",
        shown(&args.email)
    ));
    Ok(())
}

fn activate(context: &Context, args: &ActivateArgs) -> Result<(), CliError> {
    let key = args.gateway.key()?;
    let ApiKey { value, secret } = args.oracle.client(context)?.activate_api_key(&key, &args.email, &args.value)?;
    let activated = Activated { api_key: &value, api_secret: &secret };
    context.ui.print(&activated, || &activated)?;
    context.ui.say(
        "this is the only time that the secret is shown: keep the line where only the application can read it; \
         X-MFA-ApiKey is what stands before the colon, X-MFA-ApiSecret what stands behind it",
    );
    Ok(())
}

fn rotate(context: &Context, args: &RotateArgs) -> Result<(), CliError> {
    let (old, new) = (read_key(&args.old)?, read_key(&args.new)?);
    let moved = args.oracle.client(context)?.rotate_api_key(&old, &new)?;
    let Rotated { totp_complete: totp, totp_incomplete, webauthn_complete: webauthn, webauthn_incomplete } = moved;
    context.ui.print(&Moved { totp, webauthn }, || format!("totp      {totp}\nwebauthn  {webauthn}"))?;
    let left = totp_incomplete.saturating_add(webauthn_incomplete);
    if left > 0 {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let all = left.saturating_add(totp).saturating_add(webauthn);
        return Err(CliError::Failed { failed: count(left), of: count(all), what: "records" });
    }
    context.ui.say(format_args!(
        "the old API key still works and owns nothing: when nothing uses it, `quorate-oracle api-keys revoke {}`",
        shown(&old.value)
    ));
    Ok(())
}

/// The API key with its secret that is in `file`.
pub(crate) fn read_key(file: &Path) -> Result<ApiKey, CliError> {
    ApiKey::parse(&read(file)?).ok_or_else(|| CliError::ApiKeyFile(file.to_owned()))
}

fn read(file: &Path) -> Result<Zeroizing<String>, CliError> {
    let bytes = files::read(file, MAX_KEY_FILE)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| CliError::ApiKeyFile(file.to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}
