//! `quorate ask`: the applicant's part of a session, from the request to the code. It must not know how codes are made.

pub(crate) mod by_login;
pub(crate) mod start;

use self::start::{Started, Wanted};
use super::drawer::{Card, Drawer};
use super::security_key::WhichKey;
use super::session::code;
use super::session::follow::Wait;
use super::{CliError, Context, NetworkArgs, files, picture, redeal};
use crate::ui::{OnInterrupt, on_interrupt, shown, time_of};
use clap::Args;
use quorate_protocol::invite::Invite;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a reason, as oracles take it.
const MAX_REASON: usize = 1024;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command, as clap takes them")]
pub(crate) struct AskArgs {
    /// Your Toc: a file, or a group whose Toc is filed: its name, the first characters of it, or its id. With --login a group that the
    /// oracle knows
    #[arg(value_name = "TOC")]
    toc: String,
    /// Why, for the people who are asked
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Seconds that codes flow after the first, 60 to 86400
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=86_400))]
    ttl: Option<u32>,
    /// Number of different codes that will be shown at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_codes: Option<u32>,
    /// Ask with your login alone, without a Toc: for groups whose codes you may ask for. The Tocs come from others
    #[arg(long, conflicts_with = "redeal")]
    login: bool,
    /// Ask for a redeal after the plan in -P instead of a code
    #[arg(long, requires = "plan")]
    redeal: bool,
    /// TOML file: threshold and note if they change, and a `[[player]]` with name and recipients for each
    #[arg(short = 'P', long = "plan", value_name = "FILE", requires = "redeal")]
    plan: Option<PathBuf>,
    /// Where to write the new group's public file after a redeal
    #[arg(short = 'o', long = "output", value_name = "FILE", requires = "redeal")]
    output: Option<PathBuf>,
    /// Print the invite and end; `quorate session code --wait ID` goes on
    #[arg(long)]
    no_wait: bool,
    /// Wait so many seconds for the others
    #[arg(long, value_name = "SECONDS", conflicts_with = "no_wait")]
    timeout: Option<u64>,
    /// Show the invite as a QR code too
    #[arg(long)]
    qr: bool,
    /// Write the invite as a QR code to a new PNG file too, to send or to print
    #[arg(long, value_name = "FILE")]
    invite_qr: Option<PathBuf>,
    /// The oracle to ask, for a Toc that names none or with --login; it must be trusted
    #[arg(long, value_name = "URL")]
    oracle: Option<String>,
    #[command(flatten)]
    key: WhichKey,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Serialize)]
struct Asked<'a> {
    session: &'a str,
    invite: String,
    group_id: &'a str,
    threshold: u8,
    expires_at: &'a str,
}

impl AskArgs {
    fn wanted(&self) -> Wanted<'_> {
        Wanted { reason: &self.reason, ttl: self.ttl, max_codes: self.max_codes }
    }
}

/// How a session that has been started is shown, and how long it is waited for.
#[derive(Debug, Default)]
pub(crate) struct Course<'a> {
    /// Whether it is for a redeal.
    pub(crate) redeal: bool,
    /// Whether the invite is shown as a QR code, too.
    pub(crate) qr: bool,
    /// Where it is written as one.
    pub(crate) invite_qr: Option<&'a Path>,
    /// Whether it ends with the invite.
    pub(crate) no_wait: bool,
    /// Seconds to wait for the others at most.
    pub(crate) timeout: Option<u64>,
}

/// Refuses a reason that no oracle takes.
pub(crate) fn check_reason(reason: &str) -> Result<(), CliError> {
    if reason.trim().is_empty() || reason.len() > MAX_REASON {
        return Err(CliError::Usage(format!("a reason has between 1 and {MAX_REASON} bytes")));
    }
    Ok(())
}

pub(crate) fn run(context: &Context, args: &AskArgs) -> Result<(), CliError> {
    check_reason(&args.reason)?;
    if let Some(path) = args.invite_qr.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(CliError::Exists(path.clone()));
    }
    if args.login {
        let started = by_login::start(context, args)?;
        return go_on_with(context, args, &started, false);
    }
    let plan_file = args.plan.as_deref().map(redeal::read).transpose()?;
    // What the card knows is checked before anybody touches a key.
    let (_, card) = Drawer::new(&context.paths()?).path_of(&args.toc)?;
    if let Some(card) = &card {
        start::choose_oracle(context, args, card.oracle.as_ref())?;
    }
    let (own, _) = context.open_toc(&args.toc, &args.key)?;
    let card = Card::of(&own.toc).ok_or_else(|| super::drawer::DrawerError::Short(own.path.clone()))?;
    let pin = start::choose_oracle(context, args, card.oracle.as_ref())?;
    let plan = plan_file.map(|file| redeal::plan(file, &card)).transpose()?;
    if let Some(plan) = &plan {
        context.ui.say(redeal::in_words(plan, Some(&card), None));
    }
    let started = start::start(context, args, &own, plan.as_ref(), &pin)?;
    // Nothing further needs the share.
    drop(own);
    go_on_with(context, args, &started, plan.is_some())
}

/// From the invite to what was asked for.
fn go_on_with(context: &Context, args: &AskArgs, started: &Started, redeal: bool) -> Result<(), CliError> {
    let AskArgs { qr, invite_qr, no_wait, timeout, output, .. } = args;
    let (qr, no_wait, timeout) = (*qr, *no_wait, *timeout);
    let course = Course { redeal, qr, invite_qr: invite_qr.as_deref(), no_wait, timeout };
    let Started { client, kept, .. } = started;
    go_through(context, &course, started, |wait| {
        if redeal {
            return redeal::run(context, client, kept, wait, output.as_deref());
        }
        let shown_code = code::fetch(context, client, kept, wait)?;
        code::show(context, kept, &shown_code)
    })
}

/// From the invite to its end, which waits for the others.
pub(crate) fn go_through(
    context: &Context,
    course: &Course<'_>,
    Started { kept, expires_at, .. }: &Started,
    end: impl FnOnce(Wait) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let _on_interrupt = say_how_to_go_on(context, kept.id(), course.redeal);
    announce(context, course, &kept.invite, expires_at)?;
    if course.no_wait {
        context.ui.say(format_args!("goes on with: {}", go_on(kept.id(), course.redeal)));
        return Ok(());
    }
    end(course.timeout.map_or(Wait::Forever, |seconds| Wait::AtMost(Duration::from_secs(seconds))))
}

fn announce(context: &Context, course: &Course<'_>, invite: &Invite, expires_at: &str) -> Result<(), CliError> {
    let fields = invite.fields();
    let link = invite.to_url();
    context.ui.say(format_args!(
        "send this invite to the other players of {} ({} of {} needed, until {}):",
        shown(&fields.group_id),
        fields.threshold,
        fields.size,
        time_of(expires_at),
    ));
    let value = Asked {
        session: &fields.session,
        invite: link.clone(),
        group_id: &fields.group_id,
        threshold: fields.threshold,
        expires_at,
    };
    context.ui.print(&value, || link.as_str())?;
    if course.qr || course.invite_qr.is_some() {
        match picture::of(&link) {
            Some(code) => show_picture(context, course, &code)?,
            None => context.ui.warn("this invite is too long for a QR code: send the link"),
        }
    }
    Ok(())
}

fn show_picture(context: &Context, course: &Course<'_>, code: &qrcode::QrCode) -> Result<(), CliError> {
    if course.qr {
        context.ui.say(picture::on_terminal(code));
    }
    if let Some(path) = course.invite_qr {
        files::write_new(path, &picture::png(code))?;
        context.ui.say(format_args!("the invite is in {} as a QR code", crate::ui::shown_path(path)));
    }
    Ok(())
}

fn say_how_to_go_on(context: &Context, id: &str, redeal: bool) -> OnInterrupt {
    let (ui, go_on, id) = (context.ui, go_on(id, redeal), id.to_owned());
    on_interrupt(move || {
        ui.say(format_args!("\nthe session stays open: `{go_on}` goes on, `quorate session cancel {id}` ends it"));
    })
}

fn go_on(id: &str, redeal: bool) -> String {
    if redeal { format!("quorate session redeal --wait {id}") } else { format!("quorate session code --wait {id}") }
}
