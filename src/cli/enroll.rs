//! `quorate enroll`: opens a one-time link. Its holder chooses a password, and takes the second factor over into an authenticator
//! app, which a code proves, or has a security key registered. It must not know HTTP.

use super::error::PeopleError;
use super::password::PasswordArgs;
use super::security_key::{self, WhichKey};
use super::{CliError, Context, NetworkArgs, authenticator, network};
use crate::client::{Client, ClientError, EnrolLink, Enrolled, Enrolment, Invitation};
use crate::ui::{shown, time_of};
use crate::webauthn::{Credential, Site};
use clap::Args;
use quorate_protocol::api::MIN_PASSWORD;
use serde::Serialize;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use zeroize::Zeroizing;

/// Bytes of a link that are read at most.
const MAX_LINK: usize = 4096;
/// Bytes of what a key is called at most.
const MAX_KEY_NAME: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct EnrollArgs {
    /// The link that an operator gave you, or that `quorate-oracle init` printed; - asks for it, or reads the first line of stdin
    ///
    /// Others on this machine can see arguments while the command runs, and the link is worth a password.
    #[arg(value_name = "LINK", default_value = "-")]
    link: String,
    /// Only show what the link is good for, the authenticator's secret included; nothing is used up
    #[arg(long)]
    show: bool,
    /// The code that your authenticator shows; asked for on a terminal
    #[arg(short = 'm', long = "mfa", value_name = "CODE", conflicts_with = "show")]
    mfa: Option<String>,
    /// What the security key that you enrol with is called, to tell it from others: blue, at home
    #[arg(long, value_name = "NAME", value_parser = key_name, conflicts_with = "show")]
    key_name: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    key: WhichKey,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Serialize)]
struct ShownInvitation<'a> {
    oracle: &'a str,
    principal: &'a str,
    expires_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otpauth_uri: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownEnrolled<'a> {
    principal: &'a str,
    recovery_codes: &'a [Zeroizing<String>],
}

pub(crate) fn run(context: &Context, args: &EnrollArgs) -> Result<(), CliError> {
    let link = if args.link == "-" { &*read_link(context)? } else { args.link.as_str() };
    let link = EnrolLink::parse(link).ok_or(PeopleError::Link)?;
    let options = args.network.options();
    network::check_key(context, link.oracle(), &options)?;
    let client = Client::new(link.oracle(), &options)?;
    let invitation = client.invitation(&link)?;
    if args.show {
        return show(context, client.url(), &invitation, true);
    }
    if args.key_name.is_some() && invitation.public_key.is_none() {
        return Err(CliError::Usage("this link asks for no security key: leave --key-name out".to_owned()));
    }
    if asks_code(args, &invitation) && !args.password.is_typed() {
        return Err(PeopleError::NoCode.into());
    }
    // Whoever brings the code has the secret already.
    if args.mfa.is_none() {
        show(context, client.url(), &invitation, false)?;
    }
    let enrolled = enrol(context, args, &client, &link, &invitation)?;
    report(context, &client, &enrolled, invitation.public_key.is_some())
}

/// The link, typed unseen, or the first line of stdin; a password may follow there.
fn read_link(context: &Context) -> Result<Zeroizing<String>, CliError> {
    if io::stdin().is_terminal() {
        return Ok(context.ui.ask_hidden("link")?);
    }
    let mut line = Zeroizing::new(String::with_capacity(MAX_LINK));
    let read = io::stdin().lock().take(MAX_LINK as u64).read_line(&mut line);
    read.map_err(|error| CliError::read("stdin", error.kind().into()))?;
    Ok(line)
}

/// What the link is good for; the secret only where it was asked for or is about to be confirmed.
fn show(context: &Context, oracle: &str, invitation: &Invitation, asked: bool) -> Result<(), CliError> {
    let Invitation { principal, expires_at, provider, otpauth_uri, .. } = invitation;
    let uri = otpauth_uri.as_ref().map(|uri| uri.as_str());
    let provider_name = provider.as_ref().map(|provider| provider.name.as_str());
    let kind = provider.as_ref().map(|provider| provider.r#type.as_str());
    if context.ui.json() {
        let value =
            ShownInvitation { oracle, principal, expires_at, provider: provider_name, r#type: kind, otpauth_uri: uri };
        if asked || uri.is_some() {
            context.ui.json_data(&value)?;
        }
        return Ok(());
    }
    let mut lines =
        format!("principal  {}\noracle     {}\nuntil      {}", shown(principal), shown(oracle), time_of(expires_at));
    if let Some((name, kind)) = provider_name.zip(kind) {
        lines = format!("{lines}\nprovider   {} ({})", shown(name), shown(kind));
    }
    if asked {
        context.ui.data(lines)?;
    } else {
        context.ui.say(lines);
    }
    if let Some(uri) = uri {
        authenticator::print_line(context, "secret", uri)?;
        authenticator::show_picture(context, uri);
    }
    Ok(())
}

/// Enrols. Whoever sits at a terminal may mend a password or a code that was refused: the link still serves.
fn enrol(
    context: &Context,
    args: &EnrollArgs,
    client: &Client,
    link: &EnrolLink,
    invitation: &Invitation,
) -> Result<Enrolled, CliError> {
    let asks_code = asks_code(args, invitation);
    let what = format!("new password of {}", shown(&invitation.principal));
    let mut password = new_password(context, args, &what)?;
    let credential = new_key(context, args, client, invitation)?;
    loop {
        let typed =
            if asks_code { Some(context.ui.ask_hidden("the code that the authenticator shows now")?) } else { None };
        let passcode = typed.as_ref().map(|code| code.as_str()).or(args.mfa.as_deref());
        let (credential, key_name) = (credential.as_ref(), args.key_name.as_deref());
        let refused = match client.enrol(link, &Enrolment { password: &password, passcode, credential, key_name }) {
            Ok(enrolled) => return Ok(enrolled),
            Err(error) => error,
        };
        match refused.code() {
            Some("weak_password") if args.password.is_typed() => {
                warn(context, &refused);
                password = new_password(context, args, &what)?;
            }
            Some("factor_not_confirmed") if asks_code => warn(context, &refused),
            _ => return Err(refused.into()),
        }
    }
}

/// A password that is long enough: nobody touches a key for one that is not.
fn new_password(context: &Context, args: &EnrollArgs, what: &str) -> Result<Zeroizing<String>, CliError> {
    loop {
        let password = args.password.read_new(context.ui, what)?;
        if password.chars().count() >= MIN_PASSWORD {
            return Ok(password);
        }
        if !args.password.is_typed() {
            return Err(PeopleError::ShortPassword.into());
        }
        context.ui.warn(format_args!("{}: try again", PeopleError::ShortPassword));
    }
}

/// Has a security key make the credential that the link asks for.
fn new_key(
    context: &Context,
    args: &EnrollArgs,
    client: &Client,
    invitation: &Invitation,
) -> Result<Option<Credential>, CliError> {
    let Some(options) = &invitation.public_key else { return Ok(None) };
    let purpose = format!("the enrolment of {} at {}", invitation.principal, client.url());
    security_key::create(context, &args.key, &Site::of(client.url())?, options, &purpose).map(Some)
}

fn key_name(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.len() <= MAX_KEY_NAME;
    fits.then(|| text.to_owned()).ok_or("a key is called something of 1 to 64 bytes")
}

fn asks_code(args: &EnrollArgs, invitation: &Invitation) -> bool {
    invitation.otpauth_uri.is_some() && args.mfa.is_none()
}

fn warn(context: &Context, refused: &ClientError) {
    context.ui.warn(format_args!("{}: try again", shown(&refused.to_string())));
}

fn report(context: &Context, client: &Client, enrolled: &Enrolled, by_key: bool) -> Result<(), CliError> {
    let Enrolled { principal, recovery_codes } = enrolled;
    if context.ui.json() {
        context.ui.json_data(&ShownEnrolled { principal, recovery_codes })?;
    } else if !recovery_codes.is_empty() {
        context.ui.data(authenticator::lines_of(recovery_codes).as_str())?;
    }
    if !recovery_codes.is_empty() {
        authenticator::say_what_codes_are_for(context);
    }
    context.ui.say(format_args!(
        "{} has enrolled: `quorate login -u {}{} --oracle {}`",
        shown(principal),
        shown(principal.rsplit('/').next().unwrap_or(principal)),
        if by_key { " -m key" } else { "" },
        shown(client.url())
    ));
    Ok(())
}
