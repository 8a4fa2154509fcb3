//! Which role may do what: one table. It must not know routes.

use crate::store::Role;

/// What a ticket is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// End somebody else's quorum session.
    CancelSessions,
    /// Add and remove groups, and say which principals stand for their holders.
    ChangeGroups,
    /// Make, change and remove principals, teams, links and assignments.
    ChangePrincipals,
    /// Make, change and remove providers.
    ChangeProviders,
    /// See who one is, and log out.
    OwnTicket,
    /// Read the audit trail.
    ReadAudit,
    /// See who has answered drills.
    ReadDrills,
    /// See groups and who stands for their holders.
    ReadGroups,
    /// See principals and teams.
    ReadPrincipals,
    /// See providers, without their secrets.
    ReadProviders,
    /// Begin and end drills.
    RunDrills,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 11] = [
        Self::CancelSessions,
        Self::ChangeGroups,
        Self::ChangePrincipals,
        Self::ChangeProviders,
        Self::OwnTicket,
        Self::ReadAudit,
        Self::ReadDrills,
        Self::ReadGroups,
        Self::ReadPrincipals,
        Self::ReadProviders,
        Self::RunDrills,
    ];
}

/// Whether the role may. What is not listed, may not.
pub fn may(role: Role, act: Act) -> bool {
    match act {
        Act::CancelSessions | Act::ChangeGroups | Act::ChangePrincipals | Act::ChangeProviders | Act::RunDrills => {
            role == Role::Operator
        }
        Act::ReadAudit | Act::ReadDrills | Act::ReadGroups | Act::ReadPrincipals | Act::ReadProviders => {
            matches!(role, Role::Operator | Role::Auditor)
        }
        Act::OwnTicket => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_less_may_nothing_that_others_may_not() {
        for act in Act::ALL {
            let allowed: Vec<bool> = Role::ALL.into_iter().map(|role| may(role, act)).collect();
            assert!(allowed.is_sorted(), "{act:?}: {allowed:?}");
            assert!(may(Role::Operator, act), "{act:?}");
        }
        let acts = |role| Act::ALL.into_iter().filter(|act| may(role, *act)).count();
        assert_eq!(Role::ALL.map(acts), [1, 6, 11]);
    }
}
