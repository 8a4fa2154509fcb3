//! A code, from the oracle to the screen, with its countdown. It must not know how a session comes about.

use super::follow::{Wait, until_quorate};
use super::kept::Kept;
use crate::cli::error::SessionError;
use crate::cli::{CliError, Context};
use crate::client::{Client, ClientError};
use crate::ui::shown;
use jiff::Timestamp;
use quorate_protocol::api::TotpCode;
use quorate_protocol::invite::Purpose;
use serde::Serialize;
use std::time::Duration;

/// A code with less time left than this cannot be typed in, so the next one is waited for.
const TOO_SHORT: i64 = 3_000;

#[derive(Serialize)]
struct Shown<'a> {
    code: &'a str,
    code_expires_at: &'a str,
    session: &'a str,
    session_expires_at: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    dropped: &'a [String],
}

/// Gets the code of a session that is quorate, or waits until it is.
pub(crate) fn fetch(context: &Context, client: &Client, kept: &Kept, wait: Wait) -> Result<TotpCode, CliError> {
    if kept.invite.fields().purpose != Purpose::Code {
        return Err(SessionError::Purpose("is for a redeal, not for a code").into());
    }
    let attempt = || client.code(kept.id(), &kept.kek);
    let code = until_quorate(context, client, &kept.invite, wait, attempt)?;
    // An allowance may be counted in codes: then the next one is not taken without being asked for.
    match left(&code) {
        Some(left) if left < TOO_SHORT && !kept.counted => {
            context.ui.say("this code is about to end; waiting for the next one");
            std::thread::sleep(Duration::from_millis(u64::try_from(left.max(0) + 100).unwrap_or(100)));
            match attempt() {
                Ok(next) => Ok(next),
                // The session itself may have ended with the code: the one at hand is better than none.
                Err(ClientError::Refused(_)) => Ok(code),
                Err(error) => Err(error.into()),
            }
        }
        _ => Ok(code),
    }
}

/// Prints the code on stdout, and counts down to its end where somebody watches.
pub(crate) fn show(context: &Context, kept: &Kept, code: &TotpCode) -> Result<(), CliError> {
    for name in &code.dropped {
        context.ui.warn(format_args!("a false Toc was dropped: {}", shown(name)));
    }
    let value = Shown {
        code: &code.totp,
        code_expires_at: &code.totp_expires_at,
        session: kept.id(),
        session_expires_at: &code.session_expires_at,
        dropped: &code.dropped,
    };
    context.ui.print(&value, || code.totp.as_str())?;
    let seconds = left(code).map_or(0, |left| left.clamp(0, 24 * 3600 * 1000) / 1000);
    if context.ui.json() || !context.ui.watched() || seconds == 0 {
        return Ok(());
    }
    let seconds = u64::try_from(seconds).unwrap_or_default();
    context.ui.count_down("this code ends in", seconds);
    context.ui.say(format_args!("that code has ended; `quorate session code {}` shows the next one", kept.id()));
    Ok(())
}

/// Milliseconds until `code` ends, by this machine's clock; `None` when the oracle's time cannot be read.
fn left(code: &TotpCode) -> Option<i64> {
    let end: Timestamp = code.totp_expires_at.parse().ok()?;
    Some(end.as_millisecond() - Timestamp::now().as_millisecond())
}
