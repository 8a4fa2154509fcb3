//! The command line: one definition from which parsing, help, manual pages and completions all come. Each command has a
//! file of its own; errors become text in `error`, and `ui` alone prints. It must not know formats or devices.

mod api_key;
mod app;
mod ask;
mod audit;
mod authenticator;
mod completions;
mod deal;
mod doctor;
mod drawer;
mod drill;
mod enroll;
mod error;
mod fido;
mod files;
mod group;
mod join;
mod key;
mod login;
mod man;
mod mfa;
mod network;
mod opening;
mod oracle;
mod password;
mod paths;
mod picture;
mod players;
mod principal;
mod redeal;
mod secret;
mod security_key;
mod session;
mod tickets;
mod toc;
mod trust;

use crate::ui::Ui;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use error::CliError;
pub(crate) use network::NetworkArgs;
pub(crate) use paths::Paths;

const ENVIRONMENT: &str = "\
Identities:
  -i names files of AGE-SECRET-KEY and AGE-PLUGIN lines, sealed with a passphrase or not, identities
  that are sealed to a passkey, and soft tokens; also security keys that may be asked for a passkey,
  by their device or the file of a soft one. Without -i, $XDG_CONFIG_HOME/quorate/identities is
  tried, a file or a folder of such files. Only a key that can open a Toc is asked for its PIN.

Environment:
  QUORATE_FIDO_PIN_COMMAND
                       Like QUORATE_PIN_COMMAND, for the PINs of security keys (FIDO)
  QUORATE_GATEWAY_KEY  The oracle's gateway key, for `api-key create` and `api-key activate`
  QUORATE_NO_SECURITY_KEYS
                       Set to anything, no connected security key is looked for
  QUORATE_PIN_COMMAND  Program (run by sh) whose first line of output is the PIN; QUORATE_PIN_PROMPT
                       tells it what is asked for. Run once for each token, never for its last try,
                       and for no other secret: all others are typed on the terminal
  QUORATE_PUK_COMMAND  The same for the PUK
  QUORATE_SOFT_TOUCH   yes, no or timeout: answers the touches of soft tokens, and of nothing else
  SSL_CERT_FILE        Certificate authorities to trust instead of the system's
  XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_RUNTIME_DIR, XDG_STATE_HOME
                       Where identities and trusted oracles, filed Tocs, sessions, and tickets are kept";

/// Split a second factor among people; a quorum of touches yields one code, never the secret.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not quorate, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, disable_help_subcommand = true, max_term_width = 100, after_long_help = ENVIRONMENT)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct GlobalArgs {
    /// Age identity file or soft token to open Tocs with; may be given again
    #[arg(short = 'i', long = "identity", value_name = "FILE", global = true)]
    identities: Vec<PathBuf>,
    /// Print data as JSON, one value a line
    #[arg(long, global = true)]
    json: bool,
    /// Leave out messages that are neither warnings nor errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, list and look after the keys in tokens
    Key(key::KeyArgs),
    /// List security keys, register them for an application's users, have them sign
    Fido(fido::FidoArgs),
    /// Split a secret into Tocs, one encrypted file per player
    Deal(deal::DealArgs),
    /// File, list, show and check Tocs
    Toc(toc::TocArgs),
    /// Ask the other players for a code, or for a redeal
    Ask(ask::AskArgs),
    /// Answer an invite: say who asks for what, wait for the touch, send your Toc
    Join(join::JoinArgs),
    /// Look at, continue or end a session
    Session(session::SessionArgs),
    /// Decide which oracles to trust
    Oracle(oracle::OracleArgs),
    /// Open a one-time link: choose a password, confirm your second factor
    Enroll(enroll::EnrollArgs),
    /// Log in at an oracle that knows you by name
    Login(login::LoginArgs),
    /// Log out
    Logout(login::LogoutArgs),
    /// Show whom you are logged in as
    Whoami(login::WhoamiArgs),
    /// Look after users, applications and teams
    Principal(principal::PrincipalArgs),
    /// Configure second factors, and say who has which
    Mfa(mfa::MfaArgs),
    /// Make groups known to an oracle, and say who stands for their holders
    Group(group::GroupArgs),
    /// Share authenticator entries: codes for a team, the secret for nobody
    App(app::AppArgs),
    /// Make, activate and rotate API keys of applications
    ApiKey(api_key::ApiKeyArgs),
    /// Find out whether the Tocs of a group still open, without making a code
    Drill(drill::DrillArgs),
    /// Read and check what an oracle exports of its audit log
    Audit(audit::AuditArgs),
    /// Check what quorate needs, and say the cure for what is wrong
    Doctor(doctor::DoctorArgs),
    /// Print the completion script of a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write the pages of all commands to a folder
    Man(man::ManArgs),
}

/// What every command is given besides its own arguments.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Speaks to people.
    pub(crate) ui: Ui,
    /// The files of `-i`, in order.
    pub(crate) identities: Vec<PathBuf>,
}

impl Context {
    /// Where files of this person live.
    #[expect(clippy::unused_self, reason = "commands reach their surroundings through the context")]
    pub(crate) fn paths(&self) -> Result<Paths, CliError> {
        Paths::find()
    }

    /// The time, in seconds since the Unix epoch.
    #[expect(clippy::unused_self, reason = "commands reach their surroundings through the context")]
    pub(crate) fn now(&self) -> i64 {
        jiff::Timestamp::now().as_second()
    }
}

/// Runs the command line `arguments`, the program's name included, and returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with 0, mistakes to stderr with 2. Who closed the pipe wants neither.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let ui = Ui::new(cli.global.json, cli.global.quiet);
    let context = Context { ui, identities: cli.global.identities };
    match run(&context, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(context: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Key(args) => key::run(context, &args),
        Command::Fido(args) => fido::run(context, &args),
        Command::Deal(args) => deal::run(context, &args),
        Command::Toc(args) => toc::run(context, &args),
        Command::Ask(args) => ask::run(context, &args),
        Command::Join(args) => join::run(context, &args),
        Command::Session(args) => session::run(context, &args),
        Command::Oracle(args) => oracle::run(context, args),
        Command::Enroll(args) => enroll::run(context, &args),
        Command::Login(args) => login::log_in(context, &args),
        Command::Logout(args) => login::log_out(context, &args),
        Command::Whoami(args) => login::whoami(context, &args),
        Command::Principal(args) => principal::run(context, &args),
        Command::Group(args) => group::run(context, &args),
        Command::Mfa(args) => mfa::run(context, &args),
        Command::App(args) => app::run(context, &args),
        Command::ApiKey(args) => api_key::run(context, &args),
        Command::Drill(args) => drill::run(context, &args),
        Command::Audit(args) => audit::run(context, &args),
        Command::Doctor(args) => doctor::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
    }
}

/// The definition of the command line, for completions and manual pages.
fn definition() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::definition().debug_assert();
    }
}
