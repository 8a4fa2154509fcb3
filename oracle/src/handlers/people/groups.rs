//! Groups that the oracle knows, and who stands for their holders. HTTP only.

use super::caller::{Allowed, ChangeGroups, OwnTicket, ReadGroups, Still};
use super::principals::read as principals;
use super::time;
use crate::error::ApiResult;
use crate::extract::{Json, Path};
use crate::service::people::{Damaged, GroupHolder, GroupSummary, KnownGroup, People, PeopleError, PrincipalName};
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::{ErrorBody, JsonText};
use quorate_protocol::header::GroupName;
use quorate_protocol::toc::Group;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use utoipa::ToSchema;

/// A group in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupEntry {
    /// G, 64 hexadecimal digits: the group's name in paths.
    group: String,
    /// The id for people.
    group_id: String,
    /// What the secret opens.
    note: String,
    /// Number of players.
    size: u8,
    /// Number of Tocs that make a session quorate.
    threshold: u8,
    /// When it was dealt, RFC 3339.
    dealt_at: String,
    /// When it was added, RFC 3339.
    added_at: String,
    /// Whether a redeal has replaced it.
    replaced: bool,
}

/// A group with its holders.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupBody {
    #[serde(flatten)]
    entry: GroupEntry,
    /// In the order of their shares.
    holders: Vec<HolderBody>,
    /// Full names of the users, applications and teams that may ask for its codes without a Toc.
    applicants: Vec<String>,
    /// Full names of those whom the database names as holder or applicant by a row that this oracle did not write, or what it has in
    /// place of a name that cannot be read. Such a row counts for nothing, and goes with the next change of holders or applicants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    damaged: Vec<String>,
}

/// A holder of a group.
#[derive(Debug, Serialize, ToSchema)]
pub struct HolderBody {
    /// Number of the share.
    x: u8,
    /// The name in the group file.
    holder: String,
    /// Full name of the principal that stands for them.
    principal: Option<String>,
}

/// Who stands for the holders of a group.
#[derive(Debug, Deserialize, ToSchema)]
pub struct GroupMembersBody {
    /// Full or short names of users and applications, by the names of the holders that they stand for.
    #[schema(example = json!({ "ann": "ann", "ci": "principal/internal/application/ci" }))]
    members: BTreeMap<String, String>,
}

/// Changes of who stands for the holders of a group.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct GroupMemberChanges {
    /// Full or short names of users and applications, by the names of the holders that they stand for from now on.
    #[schema(example = json!({ "ann": "ann" }))]
    add: BTreeMap<String, String>,
    /// Names of holders for whom nobody stands any more.
    #[schema(example = json!(["bob"]))]
    remove: Vec<String>,
}

/// Changes of who may ask for a group's codes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ApplicantChanges {
    /// Full or short names of users, applications and teams.
    #[schema(example = json!(["bob", "principal/internal/group/ops"]))]
    add: Vec<String>,
    /// The same.
    remove: Vec<String>,
}

/// List the groups that the oracle knows
#[utoipa::path(get, path = "/groups", tag = "people", params(("authorization" = String, Header)),
    responses((status = 200, body = Vec<GroupEntry>), (status = "default", body = ErrorBody)))]
pub async fn groups(_: Allowed<ReadGroups>, State(people): State<People>) -> ApiResult<Json<Vec<GroupEntry>>> {
    Ok(Json(people.groups().await?.into_iter().map(GroupEntry::from).collect()))
}

/// List the groups for whose codes one may ask
///
/// As an applicant, or as a member of a team that is one. `POST /sessions` with the name of a group asks for its codes.
#[utoipa::path(get, path = "/groups/mine", tag = "people", params(("authorization" = String, Header)),
    responses((status = 200, body = Vec<GroupEntry>), (status = "default", body = ErrorBody)))]
pub async fn own_groups(by: Allowed<OwnTicket>, State(people): State<People>) -> ApiResult<Json<Vec<GroupEntry>>> {
    Ok(Json(people.own_groups(&by.0).await?.into_iter().map(GroupEntry::from).collect()))
}

/// Add a group
///
/// The body is the group file that `quorate deal` wrote. There is no share in it.
#[utoipa::path(post, path = "/groups", tag = "people", params(("authorization" = String, Header)), request_body = Object,
    responses((status = 201, body = GroupBody), (status = "default", body = ErrorBody)))]
pub async fn add_group(
    by: Allowed<ChangeGroups>,
    State(people): State<People>,
    Still(Json(JsonText(file))): Still<Json<JsonText>>,
) -> ApiResult<(StatusCode, Json<GroupBody>)> {
    let added = people.add_group(file.get().as_bytes(), &by.0).await?;
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// See a group and who stands for its holders
#[utoipa::path(get, path = "/groups/{id}", tag = "people", params(("id" = String, Path), ("authorization" = String, Header)),
    responses((status = 200, body = GroupBody), (status = "default", body = ErrorBody)))]
pub async fn group(
    _: Allowed<ReadGroups>,
    State(people): State<People>,
    Path(id): Path<String>,
) -> ApiResult<Json<GroupBody>> {
    Ok(Json(people.group(named(&id)?).await?.into()))
}

/// Remove a group
///
/// Its Tocs stay what they are; the oracle does not know any more whose they are.
#[utoipa::path(delete, path = "/groups/{id}", tag = "people",
    params(("id" = String, Path), ("authorization" = String, Header)),
    responses((status = 204, description = "removed"), (status = "default", body = ErrorBody)))]
pub async fn remove_group(
    by: Allowed<ChangeGroups>,
    State(people): State<People>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    people.remove_group(named(&id)?, &by.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say who stands for the holders of a group
///
/// Replaces what was said before: for a holder who is left out nobody stands. A principal stands for one holder of a group.
#[utoipa::path(put, path = "/groups/{id}/members", tag = "people",
    params(("id" = String, Path), ("authorization" = String, Header)), request_body = GroupMembersBody,
    responses((status = 200, body = GroupBody), (status = "default", body = ErrorBody)))]
pub async fn set_group_members(
    by: Allowed<ChangeGroups>,
    State(people): State<People>,
    Path(id): Path<String>,
    Still(Json(GroupMembersBody { members })): Still<Json<GroupMembersBody>>,
) -> ApiResult<Json<GroupBody>> {
    let (name, members) = (named(&id)?, by_holder(members)?);
    Ok(Json(people.set_group_members(name, &members, &by.0).await?.into()))
}

/// Change who stands for the holders of a group
///
/// For holders who are not named it stays as it is. All of it is done, or nothing.
#[utoipa::path(post, path = "/groups/{id}/members", tag = "people",
    params(("id" = String, Path), ("authorization" = String, Header)), request_body = GroupMemberChanges,
    responses((status = 200, body = GroupBody), (status = "default", body = ErrorBody)))]
pub async fn change_group_members(
    by: Allowed<ChangeGroups>,
    State(people): State<People>,
    Path(id): Path<String>,
    Still(Json(GroupMemberChanges { add, remove })): Still<Json<GroupMemberChanges>>,
) -> ApiResult<Json<GroupBody>> {
    let (name, add) = (named(&id)?, by_holder(add)?);
    Ok(Json(people.change_group_members(name, &add, &remove, &by.0).await?.into()))
}

/// Change who may ask for a group's codes without a Toc
///
/// Who may already stays, and who may not is gone. Whoever stands for a holder is let ask like everybody else; Tocs come from
/// holders alone.
#[utoipa::path(post, path = "/groups/{id}/applicants", tag = "people",
    params(("id" = String, Path), ("authorization" = String, Header)), request_body = ApplicantChanges,
    responses((status = 200, body = GroupBody), (status = "default", body = ErrorBody)))]
pub async fn change_group_applicants(
    by: Allowed<ChangeGroups>,
    State(people): State<People>,
    Path(id): Path<String>,
    Still(Json(ApplicantChanges { add, remove })): Still<Json<ApplicantChanges>>,
) -> ApiResult<Json<GroupBody>> {
    let (name, add, remove) = (named(&id)?, principals(&add)?, principals(&remove)?);
    Ok(Json(people.change_group_applicants(name, &add, &remove, &by.0).await?.into()))
}

fn by_holder(members: BTreeMap<String, String>) -> Result<BTreeMap<String, PrincipalName>, PeopleError> {
    members.into_iter().map(|(holder, principal)| Ok((holder, PrincipalName::parse(&principal)?))).collect()
}

/// What is no name names no group.
fn named(id: &str) -> Result<GroupName, PeopleError> {
    id.parse().map_err(|_| PeopleError::GroupUnknown)
}

impl GroupEntry {
    fn of(group: &Group, added_at: i64, replaced: bool) -> Self {
        let fields = group.header.fields();
        Self {
            group: group.name().to_string(),
            group_id: fields.group_id.clone(),
            note: fields.note.clone(),
            size: fields.size,
            threshold: fields.threshold,
            dealt_at: time(fields.dealt_at.saturating_mul(1000)),
            added_at: time(added_at),
            replaced,
        }
    }
}

impl From<GroupSummary> for GroupEntry {
    fn from(GroupSummary { group, added_at, replaced }: GroupSummary) -> Self {
        Self::of(&group, added_at, replaced)
    }
}

impl From<KnownGroup> for GroupBody {
    fn from(KnownGroup { group, added_at, replaced, holders, applicants, damaged }: KnownGroup) -> Self {
        let holder = |GroupHolder { x, holder, principal }| HolderBody {
            x,
            holder,
            principal: principal.map(|name| name.to_string()),
        };
        Self {
            entry: GroupEntry::of(&group, added_at, replaced),
            holders: holders.into_iter().map(holder).collect(),
            applicants: applicants.iter().map(ToString::to_string).collect(),
            damaged: once_each(damaged),
        }
    }
}

/// Whom damaged rows name, each once.
fn once_each(damaged: Vec<Damaged>) -> Vec<String> {
    let mut seen = HashSet::new();
    damaged.into_iter().map(|damaged| damaged.names).filter(|names| seen.insert(names.clone())).collect()
}
