//! `quorate login`, `logout` and `whoami`: a ticket for an oracle, its end, and whose it is. The ticket goes into a file of
//! one's own and is never printed. It must not know HTTP.

use super::error::PeopleError;
use super::network::{self, LoggedInAt, OracleAt};
use super::password::PasswordArgs;
use super::security_key::{self, WhichKey};
use super::tickets::Held;
use super::{CliError, Context};
use crate::client::{Bearer, Client, ClientError, KeyAnswer, LoggedIn, Login};
use crate::ui::{shown, time_of};
use crate::webauthn::Site;
use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

/// In the place of a code: a security key.
const KEY: &str = "key";

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Who: bob, or a full name such as principal/internal/application/ci, whose secret is its password
    #[arg(short = 'u', long = "user", value_name = "NAME")]
    user: String,
    /// Second factor: a code, a recovery code, key for a security key, or for Duo push, phone or auto; asked for on a terminal
    #[arg(short = 'm', long = "mfa", value_name = "CODE")]
    mfa: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    at: OracleAt,
    #[command(flatten)]
    key: WhichKey,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// End every ticket that you have at this oracle, on whatever machine
    #[arg(long)]
    everywhere: bool,
    /// Forget the ticket here without asking the oracle, such as one that is gone; there the ticket ends in its own time
    #[arg(long, conflicts_with = "everywhere")]
    local: bool,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
pub(crate) struct WhoamiArgs {
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Serialize)]
struct Shown<'a> {
    oracle: &'a str,
    #[serde(flatten)]
    bearer: &'a Bearer,
}

/// `quorate login`.
pub(crate) fn log_in(context: &Context, args: &LoginArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    network::check_key(context, client.url(), &args.at.network.options())?;
    let password = args.password.read(context.ui, &format!("password of {}", shown(&args.user)))?;
    let passcode = second_factor(context, args)?;
    let login = Login { principal: &args.user, password: &password, passcode: passcode.as_ref().map(|code| &***code) };
    if passcode.as_ref().is_some_and(|code| matches!(code.as_str(), "push" | "phone" | "auto")) {
        context.ui.say("waiting for an answer on your phone");
    }
    let LoggedIn { ticket, bearer } = match client.log_in(&login) {
        Err(refused) if refused.challenge().is_some() => with_key(context, args, &client, &refused)?,
        Err(refused) if refused.code() == Some("login_refused") && args.mfa.is_none() && passcode.is_none() => {
            return Err(PeopleError::NoFactor.into());
        }
        result => result?,
    };
    let held = Held { oracle: client.url().to_owned(), ticket, bearer };
    let folder = context.paths()?.tickets();
    let former = Held::load(&folder, &held.oracle, context.now()).ok().flatten();
    held.save(&folder, context.now())?;
    if let Some(former) = former {
        end(context, &client, former);
    }
    print(context, &held.oracle, &held.bearer)?;
    context.ui.say("logged in until then, or until `quorate logout`; a ticket that is not used ends sooner");
    Ok(())
}

/// Ends the ticket that a new one has replaced: nobody could reach it any more.
fn end(context: &Context, client: &Client, former: Held) {
    let whose = shown(&former.bearer.principal);
    match client.clone().with_ticket(former.ticket).log_out(false) {
        Ok(()) => context.ui.say(format_args!("the earlier login, of {whose}, has ended")),
        Err(error) if error.code() == Some("ticket_required") => {}
        Err(error) => context.ui.warn(format_args!("the earlier login, of {whose}, ends by itself: {error}")),
    }
}

/// Has a security key answer what a right password was refused with.
fn with_key(context: &Context, args: &LoginArgs, client: &Client, refused: &ClientError) -> Result<LoggedIn, CliError> {
    let needed = || PeopleError::KeyNeeded(client.url().to_owned());
    let challenge = refused.challenge().ok_or_else(needed)?;
    // Whoever brought a code did not think of a key.
    if args.mfa.as_ref().is_some_and(|given| given != KEY) {
        return Err(needed().into());
    }
    let purpose = format!("a login as {} at {}", args.user, client.url());
    let credential = security_key::get(context, &args.key, &Site::of(client.url())?, challenge, &purpose)?;
    Ok(client.log_in_with_key(&args.user, &KeyAnswer { state: &challenge.state, credential: &credential })?)
}

/// `quorate logout`.
pub(crate) fn log_out(context: &Context, args: &LogoutArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    if args.local {
        Held::forget(&context.paths()?.tickets(), client.url())?;
        context.ui.say(format_args!("the ticket for {} is forgotten here", shown(client.url())));
        return Ok(());
    }
    let ended = client.log_out(args.everywhere);
    let over = matches!(&ended, Err(error) if error.code() == Some("ticket_required"));
    if ended.is_ok() || over {
        Held::forget(&context.paths()?.tickets(), client.url())?;
    }
    // What was over ends no other.
    if !over || args.everywhere {
        ended?;
    }
    let wherever = if args.everywhere { ", wherever you were logged in" } else { "" };
    context.ui.say(format_args!("logged out of {}{wherever}", shown(client.url())));
    Ok(())
}

/// `quorate whoami`.
pub(crate) fn whoami(context: &Context, args: &WhoamiArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    print(context, client.url(), &client.whoami()?)
}

/// What goes with the password. A security key is asked by the oracle, in its own time.
fn second_factor(context: &Context, args: &LoginArgs) -> Result<Option<Zeroizing<String>>, CliError> {
    let typed = match &args.mfa {
        Some(given) if given == KEY => return Ok(None),
        Some(given) => Zeroizing::new(given.clone()),
        None if args.password.is_typed() => context.ui.ask_hidden(
            "second factor (a code, a recovery code, push or phone; empty for a security key, or for none)",
        )?,
        None => return Ok(None),
    };
    Ok(Some(typed).filter(|typed| !typed.is_empty()))
}

fn print(context: &Context, oracle: &str, bearer: &Bearer) -> Result<(), CliError> {
    let Bearer { principal, role, expires_at } = bearer;
    Ok(context.ui.print(&Shown { oracle, bearer }, || {
        format!(
            "principal  {}\nrole       {}\noracle     {}\nuntil      {}",
            shown(principal),
            shown(role),
            shown(oracle),
            time_of(expires_at)
        )
    })?)
}
