//! `quorate mfa`: providers of second factors and who has which, with the flags and the output of Secrets Safe. Secrets go in
//! and do not come out; what the oracle generates is shown once. It must not know HTTP.

use super::error::PeopleError;
use super::network::LoggedInAt;
use super::{CliError, Context, authenticator, files};
use crate::client::{Assigned, Assignment, Client, Provider};
use crate::ui::shown;
use clap::{Args, Subcommand};
use quorate_protocol::display::escape_json;
use serde::Serialize;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a file with a provider, or of stdin, that are read at most.
const MAX_FILE: u64 = 64 * 1024;
/// Reads stdin in the place of a file or a secret.
const STDIN: &str = "-";

#[derive(Debug, Args)]
pub(crate) struct MfaArgs {
    #[command(subcommand)]
    command: MfaCommand,
}

#[derive(Debug, Subcommand)]
enum MfaCommand {
    /// Print the configurations of second factors, without their secrets
    Get(GetArgs),
    /// Make a configuration
    Create(CreateArgs),
    /// Change the options of a configuration; secrets that are left out stay
    Update(UpdateArgs),
    /// Remove a configuration that nobody has
    Delete(DeleteArgs),
    /// Have a principal show a second factor at every login
    ///
    /// Assigning again replaces the factor and the recovery codes, and ends what the principal is logged in with.
    AssignPrincipal(AssignArgs),
    /// Take a principal's second factor away: the password alone lets it in
    RemovePrincipal(RemoveArgs),
}

#[derive(Debug, Args)]
struct GetArgs {
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct UpdateArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct FileArgs {
    /// JSON file with Type (totp, duo or webauthn), Name and Options; - for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct NameArgs {
    /// Name of the configuration, letter by letter
    #[arg(short = 'n', long = "name", value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
struct PrincipalArgs {
    /// Whom: bob, or a full name such as principal/internal/user/bob
    #[arg(short = 'p', long = "principal", value_name = "PRINCIPAL")]
    principal: String,
}

#[derive(Debug, Args)]
struct AssignArgs {
    #[command(flatten)]
    principal: PrincipalArgs,
    /// Name of the configuration, letter by letter
    #[arg(short = 'c', long = "config", value_name = "NAME")]
    config: String,
    /// duo: the user's id there. totp: a key of your own, base32, - for standard input; without it one is generated
    #[arg(short = 'm', long = "mfa", value_name = "VALUE", allow_hyphen_values = true)]
    value: Option<String>,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    #[command(flatten)]
    principal: PrincipalArgs,
    #[command(flatten)]
    at: LoggedInAt,
}

pub(crate) fn run(context: &Context, args: &MfaArgs) -> Result<(), CliError> {
    match &args.command {
        MfaCommand::Get(args) => print(context, &args.at.client(context)?.providers()?),
        MfaCommand::Create(args) => {
            let provider = read_provider(&args.file.file)?;
            let made = args.at.client(context)?.create_provider(&provider)?;
            say_left_out(context, &provider, &made);
            print(context, &made)
        }
        MfaCommand::Update(args) => {
            let provider = read_provider(&args.file.file)?;
            let changed = args.at.client(context)?.update_provider(&args.name.name, &provider)?;
            say_left_out(context, &provider, &changed);
            print(context, &changed)
        }
        MfaCommand::Delete(args) => {
            args.at.client(context)?.remove_provider(&args.name.name)?;
            context.ui.say(format_args!("{} is removed", shown(&args.name.name)));
            Ok(())
        }
        MfaCommand::AssignPrincipal(args) => assign(context, args),
        MfaCommand::RemovePrincipal(args) => {
            args.at.client(context)?.unassign(&args.principal.principal)?;
            context.ui.say(format_args!("{} needs no second factor any more", shown(&args.principal.principal)));
            Ok(())
        }
    }
}

/// Names what was asked for and is not there, such as a misspelt option: oracles pass over what they do not know.
fn say_left_out(context: &Context, asked: &Provider, made: &Provider) {
    let there = |option: &str| made.options.keys().any(|name| name.eq_ignore_ascii_case(option));
    let empty = |value: &serde_json::Value| value.is_null() || value.as_str() == Some("");
    for (option, _) in asked.options.iter().filter(|(option, value)| !there(option) && !empty(value)) {
        let kind = shown(&made.r#type);
        context.ui.warn(format_args!("{} is no option of type {kind}: it was left out", shown(option)));
    }
}

/// JSON either way, for people on several lines.
fn print(context: &Context, value: &impl Serialize) -> Result<(), CliError> {
    Ok(context.ui.print(value, || {
        escape_json(&serde_json::to_string_pretty(value).expect("what commands print is plain data"))
    })?)
}

fn read_provider(file: &Path) -> Result<Provider, CliError> {
    let (file, text) = if file == Path::new(STDIN) {
        (Path::new("stdin"), from_stdin()?)
    } else {
        (file, files::read(file, MAX_FILE)?)
    };
    // What is wrong could be a secret, so only the place is told.
    let not_one = |error: serde_json::Error| PeopleError::ProviderFile {
        path: file.to_owned(),
        line: error.line(),
        column: error.column(),
    };
    Ok(serde_json::from_slice(&text).map_err(not_one)?)
}

fn from_stdin() -> Result<Zeroizing<Vec<u8>>, CliError> {
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE).unwrap_or_default() + 1));
    let read = io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::read("stdin", error.kind().into()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(CliError::read("stdin", io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

fn assign(context: &Context, args: &AssignArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let (name, provider) = (&args.principal.principal, args.config.as_str());
    let value = args.value.as_deref().map(|value| read_value(context, &client, provider, value)).transpose()?;
    let assignment = match &value {
        None => Assignment { provider, key: None, user: None },
        Some(Value::Key(key)) => Assignment { provider, key: Some(key), user: None },
        Some(Value::User(user)) => Assignment { provider, key: None, user: Some(user) },
    };
    report(context, &client.assign(name, &assignment)?)
}

/// What `-m` means, which depends on the type of the provider.
enum Value {
    Key(Zeroizing<String>),
    User(String),
}

fn read_value(context: &Context, client: &Client, provider: &str, value: &str) -> Result<Value, CliError> {
    let known = client.providers()?.into_iter().find(|known| known.name == provider);
    let kind = known.ok_or_else(|| PeopleError::NoProvider(provider.to_owned()))?.r#type;
    match kind.as_str() {
        "duo" => Ok(Value::User(value.to_owned())),
        "totp" if value == STDIN => {
            let bytes = from_stdin()?;
            let text =
                std::str::from_utf8(&bytes).map_err(|_| CliError::read("stdin", io::ErrorKind::InvalidData.into()))?;
            Ok(Value::Key(Zeroizing::new(text.trim().to_owned())))
        }
        "totp" => {
            context.ui.warn(
                "a key in an argument can be read by other programs and stays in the shell's history: `-m -` reads it from stdin",
            );
            Ok(Value::Key(Zeroizing::new(value.to_owned())))
        }
        _ => Err(CliError::Usage(format!("a configuration of type {kind} takes no -m"))),
    }
}

fn report(context: &Context, assigned: &Assigned) -> Result<(), CliError> {
    let Assigned { principal, provider, r#type, key, otpauth_uri, recovery_codes } = assigned;
    if context.ui.json() {
        context.ui.json_data(assigned)?;
    } else {
        context.ui.data(format_args!("principal  {}", shown(principal)))?;
        context.ui.data(format_args!("provider   {} ({})", shown(provider), shown(r#type)))?;
        for (name, secret) in [("key", key), ("secret", otpauth_uri)] {
            if let Some(secret) = secret {
                authenticator::print_line(context, name, secret)?;
            }
        }
        for code in recovery_codes {
            authenticator::print_line(context, "recovery", code)?;
        }
    }
    if let Some(uri) = otpauth_uri {
        authenticator::show_picture(context, uri);
        context.ui.say("the key is shown this once: hand it over as you would a password, or make its user a link (`quorate principal link`)");
    }
    if recovery_codes.is_empty() {
        context.ui.say("recovery codes come at enrolment: whoever opens the link is shown ten of their own");
    } else {
        authenticator::say_what_codes_are_for(context);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_provider_is_told_without_its_secrets() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for text in ["", "[]", "hunter2", "{\"Type\": \"duo\",\n \"Name\": [\"hunter2\"]}", "{\"Name\": \"hunter2\"}"] {
            std::fs::write(file.path(), text).expect("written");
            let error = read_provider(file.path()).expect_err(text);
            assert!(matches!(error, CliError::People(PeopleError::ProviderFile { .. })), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
