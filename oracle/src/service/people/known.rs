//! What other services may know of principals: by what they are named for good, how they are called, and who is in which team.

use super::People;
use super::error::PeopleError;
use super::name::PrincipalName;
use crate::store::{Digest, PrincipalKind, Role};
use subtle::ConstantTimeEq as _;

impl People {
    /// What names a principal or a team for good.
    pub(in crate::service) async fn id_of(&self, name: &PrincipalName) -> Result<Digest, PeopleError> {
        Ok(self.row(name).await?.id)
    }

    /// The name of a principal or a team, from what its row holds.
    pub(in crate::service) fn name_of(
        &self,
        id: &Digest,
        kind: PrincipalKind,
        role: Role,
        sealed: &[u8],
    ) -> Result<PrincipalName, PeopleError> {
        self.inner.sealer.open_name_of(id, kind, role, sealed)
    }

    /// Whether an operator has made that principal a member of that team.
    pub(in crate::service) fn is_member(&self, team: &Digest, member: &Digest, bound: &Digest) -> bool {
        self.inner.hashes.member(team, member).ct_eq(bound).into()
    }
}
