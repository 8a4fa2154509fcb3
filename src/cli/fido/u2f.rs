//! The ceremonies of U2F for an application's user. It must not know messages of keys or HTTP.

use super::{ApplicationArgs, Registered, as_named, print};
use crate::cli::security_key::announce;
use crate::cli::{CliError, Context, api_key};
use crate::client::{U2fChallenge, U2fRegistered, U2fSigned};
use crate::token::fido::hash;
use crate::webauthn::{Site, SiteError};
use quorate_protocol::encoding::{base64url, from_base64url};

/// Version of U2F, the only one.
const VERSION: &str = "U2F_V2";

pub(super) fn register(context: &Context, application: &ApplicationArgs) -> Result<(), CliError> {
    let (app_id, site) = whose(application)?;
    let (key, client) = (api_key::read_key(&application.api_key)?, application.oracle.client(context)?);
    let purpose = application.agreed(context, &client, &site, "a registration")?;
    let (uuid, asked) = client.begin_u2f(&key, app_id)?;
    let client_data = site.u2f_client_data("finishEnrollment", checked(&asked, app_id)?)?;
    let mut token = application.key.only_or_new(context)?;
    announce(context, app_id, &purpose);
    let message = token.u2f_register(&hash(&client_data), &hash(app_id.as_bytes()), &context.ui)?;
    let made = U2fRegistered {
        version: VERSION,
        registration_data: base64url(&message),
        client_data: base64url(&client_data),
    };
    client.finish_u2f(&key, &uuid, &made)?;
    print(context, &Registered { uuid: &uuid, key_handle_hash: None })
}

pub(super) fn authenticate(context: &Context, application: &ApplicationArgs, uuid: &str) -> Result<(), CliError> {
    let (app_id, site) = whose(application)?;
    let (key, client) = (api_key::read_key(&application.api_key)?, application.oracle.client(context)?);
    let purpose = application.agreed(context, &client, &site, "a signature")?;
    let asked = client.begin_u2f_login(&key, uuid)?;
    let client_data = site.u2f_client_data("getAssertion", checked(&asked, app_id)?)?;
    let named = asked.key_handle.as_deref().and_then(from_base64url);
    let handle = named.ok_or_else(|| SiteError::Malformed(client.url().to_owned()))?;
    let mut token = application.key.holder(context, app_id, &handle)?;
    announce(context, app_id, &purpose);
    let message = token.u2f_sign(&hash(&client_data), &hash(app_id.as_bytes()), &handle, &context.ui)?;
    let signed = U2fSigned {
        signature_data: base64url(&message),
        client_data: base64url(&client_data),
        key_handle: base64url(&handle),
    };
    client.finish_u2f_login(&key, uuid, &signed)?;
    print(context, &Registered { uuid, key_handle_hash: None })
}

/// The app ID, and the pages that may use it.
fn whose(application: &ApplicationArgs) -> Result<(&str, Site), CliError> {
    let app_id = application.app_id.as_deref().expect("without a domain there is an app ID: the definition says so");
    let site = Site::of(application.origin.as_deref().unwrap_or(app_id))?;
    site.own_app_id(app_id)?;
    Ok((app_id, site))
}

/// The challenge, if it is for the keys that we asked about.
fn checked<'a>(asked: &'a U2fChallenge, app_id: &str) -> Result<&'a str, SiteError> {
    as_named(&asked.app_id, app_id)?;
    Ok(&asked.challenge)
}
