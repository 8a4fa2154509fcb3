//! `quorate app add`: one account becomes an app, its secret from a prompt, stdin or a picture; or a group's quorum does.

use super::{AppsAt, show};
use crate::cli::secret::SecretArgs;
use crate::cli::{CliError, Context, group};
use clap::Args;
use quorate_protocol::api::NewApp;

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
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["otpauth", "qr", "account", "stdin", "issuer", "label"])]
    by_quorum: Option<String>,
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
    let app = client.add_app(&new)?;
    drop(new);
    show(context, &client, &app)?;
    context.ui.say(format_args!(
        "only you may read it yet: `quorate app grant {} WHO`; then remove the secret from phones and password managers",
        crate::ui::shown(&app.uuid)
    ));
    Ok(())
}
