//! What an act of somebody who has logged in rests on: their login, whom they stand for, what lets them ask, and who approved. The
//! service looks at all of it, with keys that the store does not have. Here it is looked at once more, in the transaction that
//! writes the act, and must be what the service has seen, keyed hashes included.
//!
//! What is looked at here is held until that transaction ends: whoever takes something away comes after the act, or before it, and
//! then there is no act.

use super::{
    applicants::{self, Ground},
    engine::Tx,
    error::StoreError,
    rows::Digest,
};

/// A login, as it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who has logged in.
    pub principal: Digest,
    /// The principal's version then: it rises with whatever a login rests on.
    pub version: i64,
    /// Keyed hash of the ticket.
    pub ticket: Digest,
}

/// A principal that acts for a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acting {
    /// G.
    pub group: Digest,
    /// The player's number.
    pub x: u8,
    /// Keyed hash of group, number and principal.
    pub bound: Digest,
    /// Who acts.
    pub login: Login,
}

/// A principal that asks for codes with its login alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applying {
    /// G.
    pub group: Digest,
    /// Who asks.
    pub login: Login,
    /// Why it may, for as long as one of them stands.
    pub grounds: Vec<Ground>,
}

/// The principal that starts a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Without a Toc.
    ByLogin(Applying),
    /// For a player, whose Toc proves it as well.
    Player(Acting),
}

/// A principal whose approval counts. It may have logged out since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approver {
    /// Number of the player that it stands for.
    pub x: u8,
    /// Who.
    pub principal: Digest,
    /// Its version when it approved.
    pub version: i64,
    /// Keyed hash of group, number and principal.
    pub bound: Digest,
}

/// What a code or a redeal rests on in a session that somebody has started who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Who asks.
    pub by: Asking,
    /// Whose approvals were counted; none in a session without names.
    pub approved: Vec<Approver>,
}

/// What of a basis stands no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fallen {
    /// Who asks may not, or is not logged in any more.
    Asker,
    /// Somebody whose approval was counted stands for the player no more, or is not who approved.
    Approval,
}

/// Finds a principal that is enabled and as it was, with its ticket.
pub(super) const LOGGED_IN: &str = "SELECT 1 FROM principals JOIN tickets ON tickets.principal = principals.id
     WHERE principals.id = $1 AND principals.version = $2 AND principals.disabled_at IS NULL AND tickets.hash = $3";

/// Whether a login is still one.
pub(super) async fn still_logged_in(tx: &mut dyn Tx, login: &Login) -> Result<bool, StoreError> {
    let Login { principal, version, ticket } = login;
    Ok(!tx.held(LOGGED_IN, &[principal.into(), (*version).into(), ticket.into()]).await?.is_empty())
}

/// Whether a principal still stands for the player that it acts for, and is logged in.
pub(super) async fn still_stands(tx: &mut dyn Tx, acting: &Acting) -> Result<bool, StoreError> {
    let Acting { group, x, bound, login } = acting;
    if !still_logged_in(tx, login).await? {
        return Ok(false);
    }
    let held = "SELECT 1 FROM group_members WHERE group_fp = $1 AND x = $2 AND principal = $3 AND bound = $4";
    let values = [group.into(), (*x).into(), (&login.principal).into(), bound.into()];
    Ok(!tx.held(held, &values).await?.is_empty())
}

/// Whether the principal that asks still may, and is logged in.
pub(super) async fn still_asks(tx: &mut dyn Tx, asking: &Asking) -> Result<bool, StoreError> {
    match asking {
        Asking::ByLogin(Applying { group, login, grounds }) => {
            if !still_logged_in(tx, login).await? {
                return Ok(false);
            }
            let stand = applicants::grounds(tx, group, &login.principal).await?;
            Ok(stand.iter().any(|ground| grounds.contains(ground)))
        }
        Asking::Player(acting) => still_stands(tx, acting).await,
    }
}

/// What of a basis stands no more, if anything.
pub(super) async fn fallen(tx: &mut dyn Tx, basis: Option<&Basis>) -> Result<Option<Fallen>, StoreError> {
    let Some(Basis { by, approved }) = basis else { return Ok(None) };
    if !still_asks(tx, by).await? {
        return Ok(Some(Fallen::Asker));
    }
    if approved.is_empty() {
        return Ok(None);
    }
    let (Asking::ByLogin(Applying { group, .. }) | Asking::Player(Acting { group, .. })) = by;
    let held = "SELECT held.x, held.principal, held.bound, principals.version FROM group_members AS held
                JOIN principals ON principals.id = held.principal
                WHERE held.group_fp = $1 AND principals.disabled_at IS NULL";
    let mut stand = Vec::new();
    for row in tx.held(held, &[group.into()]).await? {
        let (x, principal, bound, version) = (row.x(0)?, row.digest(1)?, row.digest(2)?, row.int(3)?);
        stand.push(Approver { x, principal, version, bound });
    }
    Ok(approved.iter().any(|approver| !stand.contains(approver)).then_some(Fallen::Approval))
}
