//! `quorate key passkey`: a new identity for one oracle, sealed to a passkey in a security key. It must not know how the key does that.

use super::report::SealedReport;
use crate::cli::security_key::{NewPasskey, WhichKey, make_passkey};
use crate::cli::{CliError, Context, files};
use crate::token::identities::IdentityError;
use crate::token::sealed_identity::{SealedIdentity, SealedIdentityError};
use crate::ui::shown_path;
use crate::webauthn::is_rp_id;
use clap::Args;
use quorate_protocol::header::check_url;
use std::path::PathBuf;

/// A domain that no page can have (RFC 6761 §6.4), so that no browser lets any use the passkey.
const NO_PAGE: &str = "quorate.invalid";

#[derive(Debug, Args)]
pub(super) struct PasskeyArgs {
    /// Address of the oracle that the identity is for: one identity for each, so that none can tell who you are at another
    #[arg(long, value_name = "URL")]
    oracle: String,
    /// Relying party: the domain whose pages may use the passkey too, such as that of your approving page; none may when left out
    #[arg(long, value_name = "DOMAIN", default_value = NO_PAGE, hide_default_value = true)]
    rp: String,
    /// Where to write the sealed identity; among your identities when left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    key: WhichKey,
}

pub(super) fn run(context: &Context, args: &PasskeyArgs) -> Result<(), CliError> {
    let oracle = args.oracle.trim_end_matches('/');
    let url = check_url(oracle)?;
    if !is_rp_id(&args.rp) {
        return Err(CliError::Usage(format!("{} is no domain of one party, such as approve.example.com", args.rp)));
    }
    if !oracle.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliError::Usage(format!("the file takes the oracle's address as one word of ASCII: {url}")));
    }
    let name = url.host_str().unwrap_or_default().trim_end_matches('.');
    if name == args.rp || name.ends_with(&format!(".{}", args.rp)) {
        return Err(CliError::Usage(format!(
            "the oracle's own pages could ask a passkey of {}: name the domain of an approving page that is apart from it",
            args.rp
        )));
    }
    let (path, found_by_itself) = match &args.output {
        Some(path) => (path.clone(), false),
        None => (own_place(context, name)?, true),
    };
    // Before a passkey takes up room in the key.
    if path.symlink_metadata().is_ok() {
        return Err(CliError::Exists(path));
    }
    let nonce = rand::random();
    let new = NewPasskey { rp_id: &args.rp, name, nonce: &nonce };
    let purpose = format!("a passkey that seals your identity for {oracle}");
    let (passkey, secrets) = make_passkey(context, &args.key, &new, &purpose)?;
    let failed =
        |source: SealedIdentityError| IdentityError::Passkey { file: shown_path(&path), source: source.into() };
    let (file, label) = SealedIdentity::seal(&passkey, Some(oracle), nonce, secrets.expose()).map_err(failed)?;
    files::write_new(&path, file.as_bytes())?;
    let report = SealedReport::new(&path.to_string_lossy(), &label);
    context.ui.print(&report, || report.lines())?;
    let opens = if found_by_itself {
        "Tocs open whenever the security key is connected".to_owned()
    } else {
        format!("open Tocs with `-i {}`", report.file())
    };
    context.ui.say(format_args!(
        "give the recipient to the dealer; {opens}. The file opens with this key alone: keep a\ncopy of it, and make a spare with a second key"
    ));
    Ok(())
}

/// The folder that identities are looked for in, closed to others.
fn own_place(context: &Context, name: &str) -> Result<PathBuf, CliError> {
    let folder = context.paths()?.identities();
    if folder.is_file() {
        return Err(CliError::Usage(format!("{} is a file: say where with -o FILE", folder.to_string_lossy())));
    }
    files::private_folder(&folder)?;
    Ok(folder.join(format!("{}.passkey.age", files::safe_name(name))))
}
