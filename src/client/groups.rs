//! The routes of groups that an oracle knows, for operators and auditors.

use super::{Client, ClientError, MAX_ANSWER};
use quorate_protocol::api::JsonText;
use quorate_protocol::header::GroupName;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A group in a list. What people wrote is as the oracle sent it, and not yet safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGroup {
    /// G.
    pub group: GroupName,
    /// The id for people.
    pub group_id: String,
    /// What the secret opens.
    pub note: String,
    /// Number of players.
    pub size: u8,
    /// Number of Tocs that make a session quorate.
    pub threshold: u8,
    /// When it was dealt, RFC 3339.
    pub dealt_at: String,
    /// When it was added, RFC 3339.
    pub added_at: String,
    /// Whether a redeal has replaced it.
    pub replaced: bool,
    /// In the order of their shares; empty in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<GroupHolder>,
    /// Full names of those who may ask for its codes without a Toc; empty in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applicants: Vec<String>,
    /// Full names of those whom the oracle's database names as holder or applicant by a row that the oracle did not write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// A holder of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupHolder {
    /// Number of the share.
    pub x: u8,
    /// The name in the group file.
    pub holder: String,
    /// Full name of the principal that stands for them.
    pub principal: Option<String>,
}

/// Changes of who stands for the holders of a group.
#[derive(Debug, Default, Serialize)]
pub struct GroupMemberChanges {
    /// Principals, by the names of the holders that they stand for from now on.
    pub add: BTreeMap<String, String>,
    /// Names of holders for whom nobody stands any more.
    pub remove: Vec<String>,
}

/// Changes of who may ask for a group's codes.
#[derive(Debug, Default, Serialize)]
pub struct ApplicantChanges {
    /// Principals, teams among them.
    pub add: Vec<String>,
    /// The same.
    pub remove: Vec<String>,
}

impl Client {
    /// `GET /groups`: all that the oracle knows, those first that were added first.
    pub fn groups(&self) -> Result<Vec<KnownGroup>, ClientError> {
        self.read("/groups", None, MAX_ANSWER * 16)
    }

    /// `GET /groups/{id}`.
    pub fn group(&self, name: GroupName) -> Result<KnownGroup, ClientError> {
        self.read(&format!("/groups/{name}"), None, MAX_ANSWER)
    }

    /// `POST /groups`: adds the group of a group file.
    pub fn add_group(&self, file: &JsonText) -> Result<KnownGroup, ClientError> {
        self.json(self.post("/groups", file)?, MAX_ANSWER)
    }

    /// `DELETE /groups/{id}`.
    pub fn remove_group(&self, name: GroupName) -> Result<(), ClientError> {
        self.act(Method::DELETE, &format!("/groups/{name}"), None::<&()>).map(drop)
    }

    /// `GET /groups/mine`: those for whose codes the bearer of the ticket may ask.
    pub fn own_groups(&self) -> Result<Vec<KnownGroup>, ClientError> {
        self.read("/groups/mine", None, MAX_ANSWER * 16)
    }

    /// `POST /groups/{id}/members`.
    pub fn change_group_members(
        &self,
        name: GroupName,
        changes: &GroupMemberChanges,
    ) -> Result<KnownGroup, ClientError> {
        self.json(self.post(&format!("/groups/{name}/members"), changes)?, MAX_ANSWER)
    }

    /// `POST /groups/{id}/applicants`.
    pub fn change_applicants(&self, name: GroupName, changes: &ApplicantChanges) -> Result<KnownGroup, ClientError> {
        self.json(self.post(&format!("/groups/{name}/applicants"), changes)?, MAX_ANSWER)
    }
}
