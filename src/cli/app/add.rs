//! `quorate app add`: one account becomes an app, its secret from a prompt, stdin or a picture; or a group's quorum does.

use super::{AppsAt, show};
use crate::cli::error::AppError;
use crate::cli::secret::SecretArgs;
use crate::cli::{CliError, Context, group};
use crate::client::Client;
use clap::Args;
use quorate_protocol::api::{NewApp, WantedApp};

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// What to call it besides
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Whose account it is for, instead of what the secret says
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// The account, instead of what the secret says
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// The UUID that it had elsewhere
    #[arg(long, value_name = "UUID")]
    uuid: Option<String>,
    /// No secret: codes take the quorum of this group, which the oracle knows (`quorate group list`)
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["api_key", "otpauth", "qr", "account", "stdin", "issuer", "label"])]
    by_quorum: Option<String>,
    /// Add it even if you have an app already that makes the same codes
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    at: AppsAt,
    #[command(flatten)]
    secret: SecretArgs,
}

pub(super) fn run(context: &Context, args: &AddArgs) -> Result<(), CliError> {
    args.secret.check()?;
    let client = args.at.client(context)?;
    let (name, uuid) = (args.name.clone(), args.uuid.clone());
    let new = if let Some(wanted) = &args.by_quorum {
        NewApp { group: Some(group::find(&client, wanted)?.to_string()), name, uuid, ..NewApp::default() }
    } else {
        let secret = args.secret.read(context.ui)?;
        let issuer = args.issuer.clone().or_else(|| secret.issuer().map(str::to_owned));
        let label = args.label.clone().unwrap_or_else(|| secret.account().to_owned());
        let secret = secret.with_names(issuer.as_deref(), &label)?;
        NewApp { otpauth: Some(secret.to_uri()), name, uuid, ..NewApp::default() }
    };
    if !args.again {
        check_new(&client, &new)?;
    }
    let app = client.add_app(&new)?;
    drop(new);
    show(context, &client, &app)?;
    context.ui.say(format_args!(
        "only you may read it yet: `quorate app grant {} WHO`; then remove the secret from phones and password managers",
        crate::ui::shown(&app.uuid)
    ));
    Ok(())
}

/// Fails when an app of one's own makes the same codes: a name that two have serves nobody.
fn check_new(client: &Client, new: &NewApp) -> Result<(), CliError> {
    let Some(otpauth) = &new.otpauth else { return Ok(()) };
    let wanted = WantedApp { otpauth: Some(otpauth.clone()), uuid: None };
    let known = client.known_apps(vec![wanted])?.pop().unwrap_or_default();
    match known.same.into_iter().next() {
        Some(uuid) => Err(AppError::There(uuid).into()),
        None => Ok(()),
    }
}
