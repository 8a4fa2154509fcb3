//! Principals and teams, for operators. HTTP only.

use super::caller::{Allowed, ChangePrincipals, Named, ReadPrincipals, Still};
use super::{RoleName, time};
use crate::error::ApiResult;
use crate::extract::{Json, SensitiveJson};
use crate::service::apps::AppsLeft;
use crate::service::people::{
    Assigned, Assignment, GeneratedKey, Link, NameError, NewcomerOutcome, People, PeopleError, PrincipalName, Shown,
};
use crate::service::webauthn::{Note, NotedKey, ToldKey};
use crate::store::PrincipalKind;
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A principal to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewPrincipal {
    /// `bob`, or a full name such as `principal/internal/application/ci` or `principal/internal/group/ops`.
    #[schema(example = "bob")]
    name: String,
    /// What it may do; left out: `member`. A team has no role.
    #[serde(default)]
    role: RoleName,
}

/// What a new principal starts with, shown this once.
#[derive(Serialize, ToSchema)]
pub struct Newcomer {
    /// Full name.
    principal: String,
    /// A user's one-time link, with which they set their password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    link: Option<Zeroizing<String>>,
    /// Until when the link serves, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    link_expires_at: Option<String>,
    /// An application's secret, with which it logs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    secret: Option<Zeroizing<String>>,
}

/// A principal.
#[derive(Debug, Serialize, ToSchema)]
pub struct PrincipalBody {
    /// Full name.
    principal: String,
    /// `user`, `application` or `group`.
    kind: &'static str,
    /// What it may do; a team does nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<RoleName>,
    /// When it was made, RFC 3339.
    created_at: String,
    /// When its password or secret was set, RFC 3339.
    enrolled_at: Option<String>,
    /// When it was disabled, RFC 3339.
    disabled_at: Option<String>,
    /// Name of the provider that it has been assigned.
    provider: Option<String>,
    /// What becomes of shared codes when it is removed; said of one principal, not in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    apps: Option<AppsLeftBody>,
    /// Its security keys and passkeys, oldest first, where the provider takes some; said of one principal, not in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<KeyBody>>,
}

/// A security key or a passkey, as it is told of to others than its owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyBody {
    /// What its owner calls it, or is shown in place of that.
    name: String,
    /// The beginning of its keyed hash, by which the audit log tells of it.
    key_hash: String,
    /// Whether it is a passkey.
    passkey: bool,
    /// Whether it lets its owner in: it is for the address that logins are for.
    usable: bool,
    /// When it was registered, RFC 3339.
    added_at: Option<String>,
    /// When it was last used, RFC 3339.
    used_at: Option<String>,
}

/// What becomes of apps when a principal is removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppsLeftBody {
    /// UUIDs of those that nobody else may read: they go, with their secrets.
    ending: Vec<String>,
    /// UUIDs of those that stay for others, of whom nobody in use may manage or export them.
    unmanaged: Vec<String>,
}

/// The members of a team, by their full names.
#[derive(Debug, Serialize, ToSchema)]
pub struct Members {
    /// Oldest first.
    members: Vec<String>,
}

/// Who comes into a team and who leaves.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct MemberChanges {
    /// Full or short names.
    add: Vec<String>,
    /// Full or short names.
    remove: Vec<String>,
}

/// A provider to be assigned.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AssignmentBody {
    /// Its name.
    #[schema(example = "TotpDemoConfig")]
    provider: String,
    /// TOTP: the key, base32. Left out: one is generated.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    key: Option<Zeroizing<String>>,
    /// Duo: the user's id there. Left out: the principal's own name.
    #[serde(default)]
    user: Option<String>,
}

/// What was assigned; secrets are shown this once.
#[derive(Serialize, ToSchema)]
pub struct AssignedBody {
    /// Full name.
    principal: String,
    /// The provider's name.
    provider: String,
    /// The provider's type.
    #[serde(rename = "type")]
    kind: &'static str,
    /// TOTP: the generated key, base32.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    key: Option<Zeroizing<String>>,
    /// TOTP: the same as an otpauth URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    otpauth_uri: Option<Zeroizing<String>>,
    /// Each lets the principal in once in place of the factor. None for a user who has to enrol first, which gives them theirs.
    #[schema(value_type = Vec<String>)]
    recovery_codes: Vec<Zeroizing<String>>,
}

/// List principals
#[utoipa::path(get, path = "/principals", tag = "people", params(("authorization" = String, Header)),
    responses((status = 200, body = Vec<PrincipalBody>), (status = "default", body = ErrorBody)))]
pub async fn list(_: Allowed<ReadPrincipals>, State(people): State<People>) -> ApiResult<Json<Vec<PrincipalBody>>> {
    Ok(Json(people.principals().await?.into_iter().map(PrincipalBody::from).collect()))
}

/// Make a principal
///
/// A user gets a one-time link, an application a secret; both are shown this once.
#[utoipa::path(post, path = "/principals", tag = "people", params(("authorization" = String, Header)), request_body = NewPrincipal,
    responses((status = 201, body = Newcomer), (status = "default", body = ErrorBody)))]
pub async fn create(
    by: Allowed<ChangePrincipals>,
    State(people): State<People>,
    Still(Json(NewPrincipal { name, role })): Still<Json<NewPrincipal>>,
) -> ApiResult<(StatusCode, Json<Newcomer>)> {
    let name = PrincipalName::parse(&name).map_err(PeopleError::from)?;
    let mut newcomer = Newcomer { principal: name.to_string(), link: None, link_expires_at: None, secret: None };
    match people.make_principal(&name, role.into(), &by.0).await? {
        NewcomerOutcome::Link(Link { url, expires_at }) => {
            (newcomer.link, newcomer.link_expires_at) = (Some(url), Some(time(expires_at)));
        }
        NewcomerOutcome::Secret(secret) => newcomer.secret = Some(secret.into_text()),
        NewcomerOutcome::Team => {}
    }
    Ok((StatusCode::CREATED, Json(newcomer)))
}

/// See a principal
#[utoipa::path(get, path = "/principals/{name}", tag = "people",
    params(("name" = String, Path, description = "Short name, or full name with its slashes percent-encoded or as they are"),
        ("authorization" = String, Header)),
    responses((status = 200, body = PrincipalBody), (status = "default", body = ErrorBody)))]
pub async fn show(
    _: Allowed<ReadPrincipals>,
    State(people): State<People>,
    Named(name): Named,
) -> ApiResult<Json<PrincipalBody>> {
    let AppsLeft { ending, unmanaged } = people.apps_left_by(&name).await?;
    let apps = Some(AppsLeftBody { ending, unmanaged });
    let keys = people.keys_of(&name).await?.map(|keys| keys.into_iter().map(KeyBody::from).collect());
    Ok(Json(PrincipalBody { apps, keys, ..people.principal(&name).await?.into() }))
}

/// Remove a principal
///
/// Its tickets end, and whoever gets its name later gets nothing else of it.
#[utoipa::path(delete, path = "/principals/{name}", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)),
    responses((status = 204, description = "removed"), (status = "default", body = ErrorBody)))]
pub async fn remove(
    by: Allowed<ChangePrincipals>,
    State(people): State<People>,
    Named(name): Named,
) -> ApiResult<StatusCode> {
    people.remove_principal(&name, &by.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Disable a principal
///
/// Its tickets end at once, and it cannot log in until it is enabled.
#[utoipa::path(post, path = "/principals/{name}/disable", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)),
    responses((status = 204, description = "disabled"), (status = "default", body = ErrorBody)))]
pub async fn disable(
    by: Allowed<ChangePrincipals>,
    State(people): State<People>,
    Named(name): Named,
) -> ApiResult<StatusCode> {
    people.set_disabled(&name, true, &by.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable a principal again
///
/// Also one that failed logins have locked: they are forgotten.
#[utoipa::path(post, path = "/principals/{name}/enable", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)),
    responses((status = 204, description = "enabled"), (status = "default", body = ErrorBody)))]
pub async fn enable(
    by: Allowed<ChangePrincipals>,
    State(people): State<People>,
    Named(name): Named,
) -> ApiResult<StatusCode> {
    people.set_disabled(&name, false, &by.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new enrolment link for a user
///
/// It replaces the one before. The old password serves until the link is used.
#[utoipa::path(post, path = "/principals/{name}/link", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)),
    responses((status = 201, body = Newcomer), (status = "default", body = ErrorBody)))]
pub async fn link(
    by: Allowed<ChangePrincipals>,
    State(people): State<People>,
    Named(name): Named,
) -> ApiResult<(StatusCode, Json<Newcomer>)> {
    let Link { url, expires_at } = people.renew_link(&name, &by.0).await?;
    let (link, link_expires_at) = (Some(url), Some(time(expires_at)));
    Ok((StatusCode::CREATED, Json(Newcomer { principal: name.to_string(), link, link_expires_at, secret: None })))
}

/// See the members of a team
#[utoipa::path(get, path = "/principals/{name}/members", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)),
    responses((status = 200, body = Members), (status = "default", body = ErrorBody)))]
pub async fn members(
    _: Allowed<ReadPrincipals>,
    State(people): State<People>,
    Named(name): Named,
) -> ApiResult<Json<Members>> {
    Ok(Json(people.members(&name).await?.into()))
}

/// Change the members of a team
///
/// Who is there already stays, and who is not there is gone.
#[utoipa::path(post, path = "/principals/{name}/members", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)), request_body = MemberChanges,
    responses((status = 200, body = Members), (status = "default", body = ErrorBody)))]
pub async fn change_members(
    by: Allowed<ChangePrincipals>,
    State(people): State<People>,
    Named(name): Named,
    Still(Json(MemberChanges { add, remove })): Still<Json<MemberChanges>>,
) -> ApiResult<Json<Members>> {
    Ok(Json(people.change_members(&name, &read(&add)?, &read(&remove)?, &by.0).await?.into()))
}

/// Assign a provider of second factors
///
/// A principal has one at most: assigning again replaces it. Its tickets end. A team has none.
#[utoipa::path(put, path = "/principals/{name}/multi_factor", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)), request_body = AssignmentBody,
    responses((status = 200, body = AssignedBody), (status = "default", body = ErrorBody)))]
pub async fn assign(
    by: Allowed<ChangePrincipals>,
    State(people): State<People>,
    Named(name): Named,
    Still(SensitiveJson(AssignmentBody { provider, key, user })): Still<SensitiveJson<AssignmentBody>>,
) -> ApiResult<Json<AssignedBody>> {
    let assigned = people.assign(&name, Assignment { provider, key, user }, &by.0).await?;
    let Assigned { provider, key, recovery_codes } = assigned;
    let (key, otpauth_uri) = key.map(|GeneratedKey { base32, uri }| (base32, uri)).unzip();
    Ok(Json(AssignedBody {
        principal: name.to_string(),
        provider: provider.name.as_str().to_owned(),
        kind: provider.kind.word(),
        key,
        otpauth_uri,
        recovery_codes,
    }))
}

/// Take the provider of a principal away
///
/// Its tickets end; from then on the password alone lets it in.
#[utoipa::path(delete, path = "/principals/{name}/multi_factor", tag = "people",
    params(("name" = String, Path), ("authorization" = String, Header)),
    responses((status = 204, description = "taken away"), (status = "default", body = ErrorBody)))]
pub async fn unassign(
    by: Allowed<ChangePrincipals>,
    State(people): State<People>,
    Named(name): Named,
) -> ApiResult<StatusCode> {
    people.unassign(&name, &by.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Shown> for PrincipalBody {
    fn from(shown: Shown) -> Self {
        let kind = shown.name.kind();
        Self {
            principal: shown.name.to_string(),
            kind: match kind {
                PrincipalKind::Application => "application",
                PrincipalKind::Team => "group",
                PrincipalKind::User => "user",
            },
            role: (kind != PrincipalKind::Team).then(|| shown.role.into()),
            created_at: time(shown.created_at),
            enrolled_at: shown.enrolled_at.map(time),
            disabled_at: shown.disabled_at.map(time),
            provider: shown.provider.map(|(name, _)| name),
            apps: None,
            keys: None,
        }
    }
}

impl From<NotedKey> for KeyBody {
    fn from(key: NotedKey) -> Self {
        let NotedKey { note, usable, told: ToldKey { name, hash, passkey }, .. } = key;
        let Note { added_at, used_at, .. } = note;
        Self { name, key_hash: hash, passkey, usable, added_at: added_at.map(time), used_at: used_at.map(time) }
    }
}

/// Names as people write them.
pub(super) fn read(names: &[String]) -> Result<Vec<PrincipalName>, PeopleError> {
    Ok(names.iter().map(|name| PrincipalName::parse(name)).collect::<Result<_, NameError>>()?)
}

impl From<Vec<PrincipalName>> for Members {
    fn from(members: Vec<PrincipalName>) -> Self {
        Self { members: members.iter().map(ToString::to_string).collect() }
    }
}
