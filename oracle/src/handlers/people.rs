//! Routes of people: logins and tickets, enrolment, principals and teams, providers. HTTP only; the rules are in
//! `service::people`.

mod caller;
mod enrolment;
mod groups;
mod login;
mod principals;
mod providers;
mod refusal;

pub use self::caller::{
    Actor, Allowed, CancelSessions, ChangeGroups, ChangePrincipals, ChangeProviders, Named, OwnTicket, ReadAudit,
    ReadDrills, ReadGroups, ReadPrincipals, ReadProviders, Right, RunDrills, Still,
};
pub use self::enrolment::{__path_enrol, __path_invitation, enrol, invitation};
pub use self::groups::{
    __path_add_group, __path_change_group_applicants, __path_change_group_members, __path_group, __path_groups,
    __path_own_groups, __path_remove_group, __path_set_group_members, add_group, change_group_applicants,
    change_group_members, group, groups, own_groups, remove_group, set_group_members,
};
pub(super) use self::login::second_factor_required;
pub use self::login::{__path_log_in, __path_log_out, __path_whoami, SecondFactorRequired, log_in, log_out, whoami};
pub use self::principals::{
    __path_assign, __path_change_members, __path_create, __path_disable, __path_enable, __path_link, __path_list,
    __path_members, __path_remove, __path_show, __path_unassign, assign, change_members, create, disable, enable, link,
    list, members, remove, show, unassign,
};
pub use self::providers::{
    __path_create_provider, __path_providers, __path_remove_provider, __path_update_provider, create_provider,
    providers, remove_provider, update_provider,
};

use crate::store::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a principal may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// See everything, and change nothing.
    Auditor,
    /// What concerns them alone.
    #[default]
    Member,
    /// Everything.
    Operator,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Auditor => Self::Auditor,
            Role::Member => Self::Member,
            Role::Operator => Self::Operator,
        }
    }
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Auditor => Self::Auditor,
            RoleName::Member => Self::Member,
            RoleName::Operator => Self::Operator,
        }
    }
}

/// RFC 3339, of Unix milliseconds.
fn time(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}
