//! `quorate app code`: a code on the screen, in the clipboard if wanted, until it ends.

use super::{AppsAt, find, quorum};
use crate::cli::error::AppError;
use crate::cli::{CliError, Context};
use crate::client::{AppRead, Client};
use clap::Args;
use quorate_protocol::api::{AppCode, ReadCode};
use serde::Serialize;
use std::time::Duration;

/// A code with less time left than this, in milliseconds, cannot be typed in, so the next one is waited for.
const TOO_SHORT: u64 = 3_000;

#[derive(Debug, Args)]
pub(super) struct CodeArgs {
    /// The app: its UUID, or a name that no other has
    #[arg(value_name = "APP")]
    app: String,
    /// Why, for the audit log; of an app by quorum for the players, too, and needed
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
    /// Of an app by quorum: begin a session although one of yours is open
    #[arg(long)]
    pub(super) again: bool,
    /// Of an app by quorum: wait so many seconds for the players
    #[arg(long, value_name = "SECONDS")]
    pub(super) timeout: Option<u64>,
    /// Put it into the clipboard as well, by way of the terminal; when it ends, or at Ctrl-C, the clipboard is emptied
    #[arg(long)]
    pub(super) copy: bool,
    #[command(flatten)]
    pub(super) at: AppsAt,
}

#[derive(Serialize)]
struct Shown<'a> {
    uuid: &'a str,
    code: &'a str,
    /// Milliseconds.
    expires: u64,
    /// Seconds.
    period: u32,
}

pub(super) fn run(context: &Context, args: &CodeArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let app = find(&client, &args.app)?;
    if let Some(quorum) = &app.by_quorum {
        return quorum::run(context, args, client, &app, quorum);
    }
    if args.copy {
        // Before the audit log is told that the code was read.
        context.ui.check_copy()?;
    }
    let code = fetch(context, &client, &app.uuid, args.why.as_deref())?;
    let value = Shown { uuid: &app.uuid, code: &code.otp, expires: code.expires, period: code.period };
    context.ui.print(&value, || code.otp.as_str())?;
    let copied = if args.copy { Some(context.ui.copy(&code.otp)?) } else { None };
    if context.ui.json() || !context.ui.watched() {
        if let Some(copied) = copied {
            copied.leave();
        }
        return Ok(());
    }
    context.ui.count_down("this code ends in", code.expires / 1000);
    if let Some(copied) = copied {
        copied.clear();
    }
    context.ui.say("that code has ended");
    Ok(())
}

/// A code that lives long enough to be typed, where there is one.
fn fetch(context: &Context, client: &Client, uuid: &str, why: Option<&str>) -> Result<AppCode, CliError> {
    let wanted = ReadCode { why: why.map(str::to_owned), again: false };
    let read = || match client.read_app(uuid, &wanted)? {
        AppRead::Code(code) => Ok(code),
        // It was another one's UUID a moment ago.
        AppRead::Session(_) => Err(CliError::from(AppError::Exchanged)),
    };
    let code = read()?;
    if code.expires >= TOO_SHORT || u64::from(code.period) * 1000 <= 2 * TOO_SHORT {
        return Ok(code);
    }
    context.ui.say("this code is about to end; waiting for the next one");
    std::thread::sleep(Duration::from_millis(code.expires + 100));
    read()
}
