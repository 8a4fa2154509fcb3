//! The routes of principals, teams and who has which second factor, for operators. What is shown once is wiped when dropped.

use super::{Client, ClientError, MAX_ANSWER, segment};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// How full names begin.
const PREFIX: &str = "principal/internal/";

/// A principal. Names are as the oracle sent them, and not yet safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Full name.
    pub principal: String,
    /// `user`, `application` or `group`.
    pub kind: String,
    /// `member`, `auditor` or `operator`; a team has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When its password or secret was set.
    pub enrolled_at: Option<String>,
    /// When it was disabled.
    pub disabled_at: Option<String>,
    /// Name of the provider that it has been assigned.
    pub provider: Option<String>,
    /// What becomes of apps when it is removed; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apps: Option<AppsLeft>,
    /// Its security keys and passkeys, oldest first; absent in lists, and where the provider takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<PrincipalKey>>,
}

/// A security key or a passkey of a principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalKey {
    /// What its owner calls it, or is shown in place of that.
    pub name: String,
    /// By what the audit log tells of it.
    pub key_hash: String,
    /// Whether it is a passkey.
    pub passkey: bool,
    /// Whether it lets its owner in.
    pub usable: bool,
    /// When it was registered, RFC 3339.
    pub added_at: Option<String>,
    /// When it was last used.
    pub used_at: Option<String>,
}

/// What becomes of apps when a principal is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppsLeft {
    /// UUIDs of those that go, because nobody else may read them.
    pub ending: Vec<String>,
    /// UUIDs of those that stay for others, of whom nobody in use may manage them.
    pub unmanaged: Vec<String>,
}

/// What a new principal starts with, or what a user gets again. Shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Newcomer {
    /// Full name.
    pub principal: String,
    /// A user's one-time link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Zeroizing<String>>,
    /// Until when the link serves, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_expires_at: Option<String>,
    /// An application's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Zeroizing<String>>,
}

impl fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Newcomer").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// The members of a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Full names, oldest first.
    pub members: Vec<String>,
}

/// Who comes into a team and who leaves.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct MemberChanges<'a> {
    /// Full or short names.
    pub add: &'a [String],
    /// Full or short names.
    pub remove: &'a [String],
}

/// A provider to be assigned.
#[derive(Clone, Copy, Serialize)]
pub struct Assignment<'a> {
    /// Its name.
    pub provider: &'a str,
    /// TOTP: the key, base32; the oracle makes one when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// Duo: the user's id there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
}

impl fmt::Debug for Assignment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assignment").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// What was assigned. Secrets are shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Assigned {
    /// Full name of the principal.
    pub principal: String,
    /// Name of the provider.
    pub provider: String,
    /// Its type.
    pub r#type: String,
    /// TOTP: the generated key, base32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Zeroizing<String>>,
    /// TOTP: the same for an authenticator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otpauth_uri: Option<Zeroizing<String>>,
    /// Each stands in for the factor, once.
    pub recovery_codes: Vec<Zeroizing<String>>,
}

impl fmt::Debug for Assigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assigned").field("principal", &self.principal).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct NewPrincipal<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
}

impl Client {
    /// `GET /principals`: all of them, oldest first.
    pub fn principals(&self) -> Result<Vec<Principal>, ClientError> {
        self.read("/principals", None, MAX_ANSWER * 16)
    }

    /// `GET /principals/{name}`, by its full or short name.
    pub fn principal(&self, name: &str) -> Result<Principal, ClientError> {
        self.read(&path_of(name, "")?, None, MAX_ANSWER)
    }

    /// `POST /principals`: makes one; `role` is `member` when left out.
    pub fn create_principal(&self, name: &str, role: Option<&str>) -> Result<Newcomer, ClientError> {
        self.json(self.post("/principals", &NewPrincipal { name, role })?, MAX_ANSWER)
    }

    /// `DELETE /principals/{name}`.
    pub fn remove_principal(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &path_of(name, "")?, None::<&()>).map(drop)
    }

    /// `POST /principals/{name}/disable`, or `…/enable`.
    pub fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), ClientError> {
        let act = if disabled { "/disable" } else { "/enable" };
        self.act(Method::POST, &path_of(name, act)?, None::<&()>).map(drop)
    }

    /// `POST /principals/{name}/link`: a new one-time link for a user.
    pub fn renew_link(&self, name: &str) -> Result<Newcomer, ClientError> {
        self.json(self.act(Method::POST, &path_of(name, "/link")?, None::<&()>)?, MAX_ANSWER)
    }

    /// `GET /principals/{team}/members`.
    pub fn members(&self, team: &str) -> Result<Members, ClientError> {
        self.read(&path_of(team, "/members")?, None, MAX_ANSWER)
    }

    /// `POST /principals/{team}/members`; gives the members from then on.
    pub fn change_members(&self, team: &str, changes: MemberChanges<'_>) -> Result<Members, ClientError> {
        self.json(self.post(&path_of(team, "/members")?, &changes)?, MAX_ANSWER)
    }

    /// `PUT /principals/{name}/multi_factor`: assigns a provider in the place of the one before.
    pub fn assign(&self, name: &str, assignment: &Assignment<'_>) -> Result<Assigned, ClientError> {
        self.json(self.act(Method::PUT, &path_of(name, "/multi_factor")?, Some(assignment))?, MAX_ANSWER)
    }

    /// `DELETE /principals/{name}/multi_factor`.
    pub fn unassign(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &path_of(name, "/multi_factor")?, None::<&()>).map(drop)
    }
}

/// The path of a principal. A full name stands there as it is, since proxies may refuse encoded slashes.
fn path_of(name: &str, more: &str) -> Result<String, ClientError> {
    let path = match name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')) {
        Some((kind, own)) => format!("{PREFIX}{}/{}", segment(kind)?, segment(own)?),
        None => segment(name)?,
    };
    Ok(format!("/principals/{path}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_principal_and_nowhere_else() {
        for (name, path) in [
            ("bob", "/principals/bob"),
            ("bob@example.com", "/principals/bob%40example.com"),
            ("principal/internal/group/ops", "/principals/principal/internal/group/ops"),
            ("principal/internal/group/ops/../x", "/principals/principal/internal/group/ops%2F..%2Fx"),
            ("a/b?c#d", "/principals/a%2Fb%3Fc%23d"),
            ("é", "/principals/%C3%A9"),
        ] {
            assert_eq!(path_of(name, "").expect("a path"), path);
        }
        assert_eq!(path_of("ops", "/members").expect("a path"), "/principals/ops/members");
        for name in
            ["", ".", "..", "principal/internal/group/..", "principal/internal/../x", "principal/internal/group/"]
        {
            assert!(path_of(name, "").is_err(), "{name}");
        }
    }
}
