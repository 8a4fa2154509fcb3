//! `quorate oracle`: which oracles this person trusts, and how one comes to be trusted.

use super::trust::{TrustError, TrustStore, TrustedOracle, check, is_successor, same_fingerprint};
use super::{CliError, Context, NetworkArgs};
use crate::client::Client;
use crate::ui::{shown, time_of};
use clap::{Args, Subcommand};
use quorate_protocol::api::fingerprint;
use serde::Serialize;

#[derive(Debug, Args)]
pub(crate) struct OracleArgs {
    #[command(subcommand)]
    command: OracleCommand,
}

#[derive(Debug, Subcommand)]
enum OracleCommand {
    /// Read an oracle's root key, compare its fingerprint, and trust it from then on
    Trust(TrustArgs),
    /// Show a trusted oracle
    Show(UrlArgs),
    /// List the trusted oracles
    List,
    /// Trust an oracle no longer
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
struct TrustArgs {
    /// Address of the oracle
    #[arg(value_name = "URL")]
    url: String,
    /// Fingerprint that the operator published; without it you are asked to compare
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Args)]
struct UrlArgs {
    /// Address of the oracle; may be left out when only one is trusted
    #[arg(value_name = "URL")]
    url: Option<String>,
}

#[derive(Debug, Args)]
struct ForgetArgs {
    /// Address of the oracle
    #[arg(value_name = "URL")]
    url: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    url: &'a str,
    fingerprint: &'a str,
    root_key: String,
    trusted_at: &'a str,
}

pub(crate) fn run(context: &Context, args: OracleArgs) -> Result<(), CliError> {
    match args.command {
        OracleCommand::Trust(args) => trust(context, &args),
        OracleCommand::Show(args) => {
            let store = TrustStore::load(&context.paths()?)?;
            print(context, store.named_or_only(args.url.as_deref())?)
        }
        OracleCommand::List => {
            let store = TrustStore::load(&context.paths()?)?;
            if store.oracles().is_empty() {
                context.ui.say("no oracle is trusted yet: `quorate oracle trust URL`");
            }
            store.oracles().iter().try_for_each(|oracle| list_line(context, oracle))
        }
        OracleCommand::Forget(args) => {
            TrustStore::forget(&context.paths()?, &args.url)?;
            context.ui.say(format_args!("{} is trusted no longer; Tocs that name it keep its key", shown(&args.url)));
            Ok(())
        }
    }
}

fn trust(context: &Context, args: &TrustArgs) -> Result<(), CliError> {
    let paths = context.paths()?;
    let ui = context.ui;
    let description = Client::describe(&args.url, &args.network.options())?;
    let pin = check(&description, &args.url)?;
    let found = fingerprint(&pin.root_key.0);
    if let Some(expected) = &args.fingerprint
        && !same_fingerprint(expected, &found)
    {
        return Err(TrustError::Fingerprint { url: pin.url, expected: shown(expected), found }.into());
    }
    let oracle = TrustedOracle {
        url: pin.url.clone(),
        root_key: pin.root_key.clone(),
        fingerprint: found.clone(),
        trusted_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    };
    let store = TrustStore::load(&paths)?;
    match store.find(&pin.url) {
        Ok(old) if old.root_key == pin.root_key => {
            ui.say(format_args!("{} is trusted already, with this key", pin.url));
            return print(context, old);
        }
        Ok(old) if is_successor(&old.pin(), &pin, &description.certificates, context.now()) => {
            ui.say(format_args!("the old root key {} certifies the new one", old.fingerprint));
        }
        Ok(old) => {
            return Err(TrustError::Changed { url: pin.url, trusted: old.fingerprint.clone(), found }.into());
        }
        Err(_) if args.fingerprint.is_some() => {}
        Err(_) => confirm(context, &pin.url, &found)?,
    }
    TrustStore::trust(&paths, oracle.clone())?;
    ui.say(format_args!("{} is trusted from now on", oracle.url));
    print(context, &oracle)
}

fn confirm(context: &Context, url: &str, found: &str) -> Result<(), CliError> {
    let question = format!(
        "The root key of {url} has the fingerprint\n\n    {found}\n\n\
         Compare it with what the operator published elsewhere. Is it the same?"
    );
    if context.ui.confirm(&question)? { Ok(()) } else { Err(TrustError::Declined(url.to_owned()).into()) }
}

fn print(context: &Context, oracle: &TrustedOracle) -> Result<(), CliError> {
    let lines = || {
        format!(
            "url          {}\nfingerprint  {}\nroot key     {}\ntrusted at   {}",
            shown(&oracle.url),
            oracle.fingerprint,
            oracle.root_key.encode(),
            time_of(&oracle.trusted_at)
        )
    };
    Ok(context.ui.print(&view(oracle), lines)?)
}

fn list_line(context: &Context, oracle: &TrustedOracle) -> Result<(), CliError> {
    Ok(context.ui.print(&view(oracle), || format!("{}  {}", oracle.fingerprint, shown(&oracle.url)))?)
}

fn view(oracle: &TrustedOracle) -> Shown<'_> {
    Shown {
        url: &oracle.url,
        fingerprint: &oracle.fingerprint,
        root_key: oracle.root_key.encode(),
        trusted_at: &oracle.trusted_at,
    }
}
