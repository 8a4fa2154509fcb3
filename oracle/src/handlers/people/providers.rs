//! Providers of second factors, in the shapes of Secrets Safe. HTTP only.

use super::caller::{Allowed, ChangeProviders, ReadProviders, Still};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, Path, SensitiveJson};
use crate::service::people::{Options, People, Provider, ProviderKind, ProviderName};
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A provider. Its fields are read with a capital first letter or a small one, and written with a capital.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ProviderBody {
    /// `totp`, `duo` or `webauthn`.
    #[serde(alias = "type")]
    #[schema(example = "totp")]
    r#type: String,
    /// Unique, compared as it stands, and fixed.
    #[serde(alias = "name")]
    #[schema(example = "TotpDemoConfig")]
    name: String,
    /// What the type needs.
    #[serde(default, alias = "options")]
    options: OptionsBody,
}

/// The options of all types.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "PascalCase")]
pub struct OptionsBody {
    /// Duo: the integration key.
    #[serde(alias = "integrationKey", skip_serializing_if = "Option::is_none")]
    integration_key: Option<String>,
    /// Duo: the secret key. It is never shown; an update that leaves it out, or repeats what is shown in its place, keeps it.
    #[serde(alias = "secretKey", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    secret_key: Option<Zeroizing<String>>,
    /// Duo: the API host name.
    #[serde(alias = "host", skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// TOTP: what authenticators show above the account. Left out: the oracle's name.
    #[serde(alias = "issuer", skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// `WebAuthn`: the domain that keys are bound to. Left out: that of the oracle's address.
    #[serde(alias = "rpId", skip_serializing_if = "Option::is_none")]
    rp_id: Option<String>,
    /// `WebAuthn`: the origin of the pages that use them. Left out: that of the oracle's address.
    #[serde(alias = "origin", skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

impl std::fmt::Debug for OptionsBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OptionsBody(…)")
    }
}

/// As it may be shown.
impl From<Provider> for ProviderBody {
    fn from(provider: Provider) -> Self {
        let Provider { name, kind, options } = provider.redacted();
        let Options { host, integration_key, secret_key, issuer, rp_id, origin } = options;
        let options = OptionsBody { integration_key, secret_key, host, issuer, rp_id, origin };
        Self { r#type: kind.word().to_owned(), name: name.as_str().to_owned(), options }
    }
}

impl ProviderBody {
    fn read(self) -> ApiResult<Provider> {
        let Self { r#type, name, options } = self;
        let kind = ProviderKind::parse(&r#type)
            .ok_or_else(|| ApiError::bad_request("invalid_type", "Type is totp, duo or webauthn"))?;
        let OptionsBody { integration_key, secret_key, host, issuer, rp_id, origin } = options;
        let options = Options { host, integration_key, secret_key, issuer, rp_id, origin };
        let name = ProviderName::parse(&name).map_err(crate::service::people::PeopleError::from)?;
        Ok(Provider { name, kind, options })
    }
}

/// List providers
#[utoipa::path(get, path = "/system/multi_factor", tag = "people", params(("authorization" = String, Header)),
    responses((status = 200, body = Vec<ProviderBody>), (status = "default", body = ErrorBody)))]
pub async fn providers(_: Allowed<ReadProviders>, State(people): State<People>) -> ApiResult<Json<Vec<ProviderBody>>> {
    Ok(Json(people.providers().await?.into_iter().map(ProviderBody::from).collect()))
}

/// Make a provider
#[utoipa::path(post, path = "/system/multi_factor", tag = "people", params(("authorization" = String, Header)),
    request_body = ProviderBody,
    responses((status = 201, body = ProviderBody), (status = "default", body = ErrorBody)))]
pub async fn create_provider(
    by: Allowed<ChangeProviders>,
    State(people): State<People>,
    Still(SensitiveJson(body)): Still<SensitiveJson<ProviderBody>>,
) -> ApiResult<(StatusCode, Json<ProviderBody>)> {
    let provider = people.make_provider(body.read()?, &by.0).await?;
    Ok((StatusCode::CREATED, Json(provider.into())))
}

/// Change a provider's options
///
/// Name and type are fixed. A secret that is left out stays.
#[utoipa::path(put, path = "/system/multi_factor/{name}", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)), request_body = ProviderBody,
    responses((status = 200, body = ProviderBody), (status = "default", body = ErrorBody)))]
pub async fn update_provider(
    by: Allowed<ChangeProviders>,
    State(people): State<People>,
    Path(name): Path<String>,
    Still(SensitiveJson(body)): Still<SensitiveJson<ProviderBody>>,
) -> ApiResult<Json<ProviderBody>> {
    Ok(Json(people.update_provider(&name, body.read()?, &by.0).await?.into()))
}

/// Remove a provider that nobody has
#[utoipa::path(delete, path = "/system/multi_factor/{name}", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)),
    responses((status = 204, description = "removed"), (status = "default", body = ErrorBody)))]
pub async fn remove_provider(
    by: Allowed<ChangeProviders>,
    State(people): State<People>,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    people.remove_provider(&name, &by.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
