//! `quorate fido`: security keys, and what an application does with those of its users, at a terminal: it registers them at the
//! oracle and has them sign. It must not know messages of keys or HTTP.

mod pin;
mod u2f;

use super::network::OracleAt;
use super::security_key::{self, WhichKey};
use super::{CliError, Context, api_key};
use crate::client::{Client, RelyingParty};
use crate::token::fido::soft::SoftFidoToken;
use crate::token::fido::{FidoInfo, FidoToken, ports};
use crate::ui::shown;
use crate::webauthn::{Site, SiteError};
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct FidoArgs {
    #[command(subcommand)]
    command: FidoCommand,
}

#[derive(Debug, Subcommand)]
enum FidoCommand {
    /// List the security keys that are connected
    List(ListArgs),
    /// Register a security key for a user of an application
    Register(RegisterArgs),
    /// Have a registered security key sign, and the oracle say whether it is right
    Authenticate(AuthenticateArgs),
    /// Set or change the PIN of a security key
    Pin(pin::PinArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Soft security key to show instead
    #[arg(long = "soft", value_name = "FILE")]
    soft: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("one party").args(["rp_id", "app_id"])))]
struct RegisterArgs {
    /// The user, who has other keys already; a new one when left out
    #[arg(long, value_name = "UUID", conflicts_with = "app_id")]
    user: Option<String>,
    #[command(flatten)]
    application: ApplicationArgs,
}

#[derive(Debug, Args)]
struct AuthenticateArgs {
    /// The user, as `quorate fido register` printed it
    #[arg(value_name = "UUID")]
    user: String,
    #[command(flatten)]
    application: ApplicationArgs,
}

/// In whose name keys are asked.
#[derive(Debug, Args)]
struct ApplicationArgs {
    /// File with the application's API key: one line KEY:SECRET, as `quorate api-key activate` prints it
    #[arg(long, value_name = "FILE")]
    api_key: PathBuf,
    #[arg(
        long = "rp",
        value_name = "DOMAIN",
        required_unless_present = "app_id",
        help = "WebAuthn: the domain that keys are bound to"
    )]
    rp_id: Option<String>,
    /// U2F: the https address that keys are bound to. Beside --rp, with authenticate: that of keys which were registered by U2F
    #[arg(long, value_name = "URL")]
    app_id: Option<String>,
    /// Where the application's pages are; https at that domain when left out
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Name of the user, for those keys that show it
    #[arg(long, value_name = "TEXT", default_value = "quorate")]
    name: String,
    /// Do not ask for a confirmation where the oracle is at another host than the application's pages
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    oracle: OracleAt,
    #[command(flatten)]
    key: WhichKey,
}

/// A key, as it is listed.
#[derive(Serialize)]
struct KeyReport {
    name: String,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    firmware: Option<String>,
    u2f: bool,
    versions: Vec<String>,
    /// Whether a PIN is set; nothing of keys without PINs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin_set: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin_tries: Option<u8>,
}

#[derive(Serialize)]
struct Registered<'a> {
    uuid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_handle_hash: Option<&'a str>,
}

pub(crate) fn run(context: &Context, args: &FidoArgs) -> Result<(), CliError> {
    match &args.command {
        FidoCommand::List(args) => list(context, args),
        FidoCommand::Register(args) => register(context, args),
        FidoCommand::Authenticate(args) => authenticate(context, args),
        FidoCommand::Pin(args) => pin::run(context, args),
    }
}

fn list(context: &Context, args: &ListArgs) -> Result<(), CliError> {
    if let Some(path) = &args.soft {
        return show(context, &mut SoftFidoToken::open(path)?);
    }
    let found = ports::connected()?;
    if found.is_empty() {
        context.ui.say("no security key is connected");
    }
    let (of, mut failed) = (found.len(), 0);
    for found in found {
        let which = format!("{} at {}", shown(&found.name), shown(&found.place));
        if let Err(error) = found.open().map_err(CliError::from).and_then(|mut key| show(context, key.as_mut())) {
            failed += 1;
            context.ui.warn(format_args!("{which}: {}", shown(&error.to_string())));
            if let Some(hint) = error.hint() {
                context.ui.say(format_args!("hint: {}", shown(&hint)));
            }
        }
    }
    if failed > 0 { Err(CliError::Failed { failed, of, what: "security keys" }) } else { Ok(()) }
}

fn show(context: &Context, key: &mut dyn FidoToken) -> Result<(), CliError> {
    let FidoInfo { token, place, u2f, ctap2 } = key.info().clone();
    let pin_set = ctap2.as_ref().and_then(|ctap2| ctap2.pin_set);
    let pin_tries = if pin_set == Some(true) { Some(key.pin_tries()?) } else { None };
    let versions = ctap2.map(|ctap2| ctap2.versions).unwrap_or_default();
    let report =
        KeyReport { name: token.to_string(), place, firmware: token.firmware, u2f, versions, pin_set, pin_tries };
    Ok(context.ui.print(&report, || report.line())?)
}

impl KeyReport {
    fn line(&self) -> String {
        let mut speaks = self.versions.clone();
        if self.u2f && !speaks.iter().any(|version| version == "U2F_V2") {
            speaks.insert(0, "U2F_V2".to_owned());
        }
        let pin = match (self.pin_set, self.pin_tries) {
            (Some(true), Some(left)) => format!("PIN set, tries left: {left}"),
            (Some(_), _) => "no PIN set".to_owned(),
            (None, _) => "knows no PINs".to_owned(),
        };
        format!("{}  {}  {}  {pin}", shown(&self.place), shown(&self.name), shown(&speaks.join(" ")))
    }
}

fn register(context: &Context, args: &RegisterArgs) -> Result<(), CliError> {
    let application = &args.application;
    let Some(rp_id) = &application.rp_id else { return u2f::register(context, application) };
    let (key, client) = (api_key::read_key(&application.api_key)?, application.oracle.client(context)?);
    let site = application.site(rp_id)?;
    let purpose = application.agreed(context, &client, &site, "a registration")?;
    let mut party = application.party(rp_id, &site, args.user.as_deref());
    let begun = client.begin_key(&key, &party)?;
    party.uuid = Some(&begun.uuid);
    let asked = site.registration(&begun.public_key)?;
    as_named(&asked.rp_id, rp_id)?;
    let made = security_key::make(context, &application.key, &asked, &purpose)?;
    let name = client.finish_key(&key, &party, &made)?;
    print(context, &Registered { uuid: &begun.uuid, key_handle_hash: Some(&name) })
}

fn authenticate(context: &Context, args: &AuthenticateArgs) -> Result<(), CliError> {
    let application = &args.application;
    let Some(rp_id) = &application.rp_id else { return u2f::authenticate(context, application, &args.user) };
    let (key, client) = (api_key::read_key(&application.api_key)?, application.oracle.client(context)?);
    let site = application.site(rp_id)?;
    let purpose = application.agreed(context, &client, &site, "a signature")?;
    let party = application.party(rp_id, &site, Some(&args.user));
    let asked = site.request(&client.begin_key_login(&key, &party)?)?;
    as_named(&asked.rp_id, rp_id)?;
    if let Some(app_id) = &asked.app_id {
        // Signed for as well, and known to whoever uses keys from U2F's days.
        as_named(app_id, application.app_id.as_deref().unwrap_or(rp_id))?;
    }
    let signed = security_key::sign(context, &application.key, &asked, &purpose)?;
    let name = client.finish_key_login(&key, &party, &signed)?;
    print(context, &Registered { uuid: &args.user, key_handle_hash: Some(&name) })
}

impl ApplicationArgs {
    fn site(&self, domain: &str) -> Result<Site, CliError> {
        let own = format!("https://{domain}");
        Ok(Site::of(self.origin.as_deref().unwrap_or(&own))?)
    }

    /// What the key is asked for, once somebody has agreed to it: what it signs is good at the site, and the oracle may pass it on
    /// there. An oracle at the site's own host is the site.
    fn agreed(&self, context: &Context, client: &Client, site: &Site, act: &str) -> Result<String, CliError> {
        let (origin, oracle) = (site.origin(), client.url());
        if !self.yes && !site.is_at(oracle) {
            let question = format!(
                "The key would sign as {}, where the answer is good, and the oracle at {} gets it. Is that the oracle of this site?",
                shown(origin),
                shown(oracle)
            );
            if !context.ui.confirm(&question)? {
                return Err(SiteError::Declined(origin.to_owned()).into());
            }
        }
        Ok(format!("{act} as {origin}, for the oracle at {oracle}"))
    }

    fn party<'a>(&'a self, id: &'a str, site: &'a Site, uuid: Option<&'a str>) -> RelyingParty<'a> {
        RelyingParty { id, origin: site.origin(), user: &self.name, uuid }
    }
}

/// Fails when the oracle asks in another name than the one that was given.
fn as_named(party: &str, named: &str) -> Result<(), SiteError> {
    if party == named {
        return Ok(());
    }
    Err(SiteError::Other { party: party.to_owned(), named: named.to_owned() })
}

fn print(context: &Context, done: &Registered<'_>) -> Result<(), CliError> {
    let lines = || match done.key_handle_hash {
        Some(name) => format!("user  {}\nkey   {}", shown(done.uuid), shown(name)),
        None => format!("user  {}", shown(done.uuid)),
    };
    Ok(context.ui.print(done, lines)?)
}
