//! `quorate app change`: other names, or the account's new secret, under the same UUID and for the same readers.

use super::{AppsAt, find, show};
use crate::cli::secret::SecretArgs;
use crate::cli::{CliError, Context};
use clap::Args;
use quorate_protocol::api::ChangedApp;

#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// The app: its UUID, or a name that no other has
    #[arg(value_name = "APP")]
    app: String,
    /// What to call it besides; empty for nothing
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Whose account it is for
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// The account
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Put the account's new secret in the place of the old one, for the owner: asked for, or from stdin or a picture
    #[arg(long)]
    new_secret: bool,
    #[command(flatten)]
    at: AppsAt,
    #[command(flatten)]
    secret: SecretArgs,
}

pub(super) fn run(context: &Context, args: &ChangeArgs) -> Result<(), CliError> {
    args.secret.check()?;
    let renewed = args.new_secret || args.secret.is_given();
    if !renewed && args.name.is_none() && args.issuer.is_none() && args.label.is_none() {
        return Err(CliError::Usage("say what changes: --name, --issuer, --label or --new-secret".to_owned()));
    }
    let client = args.at.client(context)?;
    let app = find(&client, &args.app)?;
    let otpauth = if renewed { Some(args.secret.read(context.ui)?.to_uri()) } else { None };
    let (issuer, label, name) = (args.issuer.clone(), args.label.clone(), args.name.clone());
    let app = client.change_app(&app.uuid, &ChangedApp { otpauth, issuer, label, name })?;
    show(context, &client, &app)?;
    if renewed {
        context.ui.say(
            "its codes are of the new secret from now on: try one at the account before the old one is thrown away",
        );
    }
    Ok(())
}
