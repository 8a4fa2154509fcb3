//! `quorate key`: keys in tokens. It must not know how a token keeps them.

mod hardware;
mod passkey;
mod pin;
mod report;

use self::report::{KeyReport, PlainReport, SealedReport};
use super::{CliError, Context};
use crate::token::identity::PivIdentity;
use crate::token::soft_piv::SoftPivToken;
use crate::token::{NewKey, Pin, PinPolicy, PivKey, PivToken, Puk, Slot, TokenError, TokenPrompts as _, TouchPolicy};
use crate::ui::{shown, shown_path, tries};
use clap::{Args, Subcommand};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// List your keys, with the recipients to give to a dealer
    List,
    /// Make a key in a token, and print its recipients
    Generate(GenerateArgs),
    /// Make an identity for one oracle, sealed to a passkey in a FIDO2 key
    Passkey(passkey::PasskeyArgs),
    /// Show the keys of tokens, and identities sealed to passkeys, in full
    Show(ShowArgs),
    /// Change a token's PIN or PUK, or unblock its PIN
    Pin(pin::PinArgs),
}

#[derive(Debug, Args)]
struct GenerateArgs {
    /// Slot of the key: 82 to 95, or 9d; the first free one from 82 on when left out
    #[arg(long, value_name = "SLOT")]
    slot: Option<Slot>,
    /// When the PIN is asked for: once, always or never
    #[arg(long, value_name = "POLICY", default_value = "once")]
    pin_policy: PinPolicy,
    /// When a touch is asked for: always, cached (for 15 seconds) or never
    #[arg(long, value_name = "POLICY", default_value = "always")]
    touch_policy: TouchPolicy,
    /// Name of the key, for people
    #[arg(long, value_name = "TEXT", default_value = "quorate")]
    label: String,
    /// Soft token, made when the file is not there; for trying out, tests and low stakes
    #[arg(long, value_name = "FILE")]
    soft: Option<PathBuf>,
    /// Serial number of the connected key to use, when there are several
    #[arg(long, value_name = "NUMBER", conflicts_with = "soft")]
    serial: Option<u32>,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Slot of the key; every key when left out
    #[arg(value_name = "SLOT")]
    slot: Option<Slot>,
}

pub(crate) fn run(context: &Context, args: &KeyArgs) -> Result<(), CliError> {
    match &args.command {
        KeyCommand::List => list(context),
        KeyCommand::Generate(args) => generate(context, args),
        KeyCommand::Passkey(args) => passkey::run(context, args),
        KeyCommand::Show(args) => show(context, args.slot),
        KeyCommand::Pin(args) => pin::run(context, args),
    }
}

fn list(context: &Context) -> Result<(), CliError> {
    let identities = context.load_identities()?;
    hardware::warn_of_faults(context, &identities);
    let mut found = false;
    for token in identities.tokens() {
        for key in token.keys() {
            found = true;
            let report = KeyReport::new(token.info(), key);
            context.ui.print(&report, || report.line())?;
        }
    }
    let of_tokens: Vec<String> = identities.tokens().flat_map(PivIdentity::keys).flat_map(own).collect();
    for own in identities.recipients().into_iter().filter(|own| !of_tokens.contains(&own.recipient)) {
        found = true;
        let report = PlainReport::new(own);
        context.ui.print(&report, || report.line())?;
    }
    if !found {
        context.ui.say("no key was found: `quorate key generate` makes one, -i FILE names one");
    }
    Ok(())
}

fn own(key: &PivKey) -> impl Iterator<Item = String> + use<> {
    key.recipients().into_iter().map(|recipient| recipient.to_string())
}

fn show(context: &Context, slot: Option<Slot>) -> Result<(), CliError> {
    let identities = context.load_identities()?;
    hardware::warn_of_faults(context, &identities);
    let mut found = false;
    for token in identities.tokens() {
        for key in token.keys().iter().filter(|key| slot.is_none_or(|slot| slot == key.slot)) {
            if found && !context.ui.json() {
                context.ui.data("")?;
            }
            found = true;
            let key = PivKey { origin: token.origin(key.slot)?, ..key.clone() };
            let report = KeyReport::new(token.info(), &key);
            context.ui.print(&report, || report.lines())?;
        }
    }
    for sealed in identities.sealed().filter(|_| slot.is_none()) {
        let Some(label) = &sealed.label else { continue };
        if found && !context.ui.json() {
            context.ui.data("")?;
        }
        found = true;
        let report = SealedReport::new(&sealed.source, label);
        context.ui.print(&report, || report.lines())?;
    }
    match slot {
        Some(slot) if !found => Err(TokenError::NoKey(slot).into()),
        _ => Ok(()),
    }
}

fn generate(context: &Context, args: &GenerateArgs) -> Result<(), CliError> {
    let ui = context.ui;
    let new = NewKey {
        slot: args.slot,
        label: args.label.clone(),
        pin_policy: args.pin_policy,
        touch_policy: args.touch_policy,
    };
    new.check_label()?;
    if args.touch_policy == TouchPolicy::Never {
        ui.warn("without a touch, malicious software on your machine can use the key unseen");
    }
    if args.pin_policy == PinPolicy::Never {
        ui.warn("without a PIN, whoever finds the token can use the key");
    }
    let mut token: Box<dyn PivToken> = match &args.soft {
        Some(path) => Box::new(soft_token(context, path)?),
        None => hardware::unlocked(context, args.serial)?,
    };
    let key = token.generate(&new, &ui)?;
    let report = KeyReport::new(token.info(), &key);
    ui.print(&report, || report.lines())?;
    match &args.soft {
        Some(path) => ui.say(format_args!(
            "give one of the two recipients to the dealer; open Tocs with `-i {}`, or keep the file in\n\
             $XDG_CONFIG_HOME/quorate/identities",
            shown_path(path)
        )),
        None => ui.say(
            "give one of the two recipients to the dealer; Tocs open whenever the key is connected. Make a spare on a\n\
             second key: what is on this one cannot be copied",
        ),
    }
    Ok(())
}

/// The soft token in `path` with its PIN verified; a new one when nothing is there.
fn soft_token(context: &Context, path: &Path) -> Result<SoftPivToken, CliError> {
    let ui = context.ui;
    if path.symlink_metadata().is_ok() {
        let mut token = SoftPivToken::open(path)?;
        let entered = present_pin(context, &mut token)?;
        token.verify_pin(&entered)?;
        return Ok(token);
    }
    let name = path.file_stem().map_or_else(|| "soft".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let new_pin = pin(&ui.new_pin("new PIN (6 to 8 characters)")?)?;
    new_pin.check_new()?;
    let new_puk = puk(&ui.new_puk("new PUK, which unblocks the PIN (6 to 8 characters)")?)?;
    let mut token = SoftPivToken::create(path, &name, &new_pin, &new_puk)?;
    token.verify_pin(&new_pin)?;
    Ok(token)
}

/// The PIN that a token has now, from whoever knows it: a program has all tries but the last.
fn present_pin(context: &Context, token: &mut dyn PivToken) -> Result<Pin, CliError> {
    let ui = context.ui;
    match token.pin_tries()? {
        0 => Err(TokenError::PinBlocked.into()),
        1 if !ui.may_ask_again() => Err(TokenError::LastTry("PIN").into()),
        left => pin(&ui.pin(&format!("PIN of {} ({})", shown(&token.info().to_string()), tries(left)))?),
    }
}

fn pin(entered: &Zeroizing<String>) -> Result<Pin, CliError> {
    Ok(Pin::parse(SecretString::from(entered.as_str()))?)
}

fn puk(entered: &Zeroizing<String>) -> Result<Puk, CliError> {
    Ok(Puk::parse(SecretString::from(entered.as_str()))?)
}
