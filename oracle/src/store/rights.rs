//! What an act of somebody who has logged in rests on: their login, whom they stand for, what lets them ask, and who approved. The
//! service looks at all of it, with keys that the store does not have. Here it is looked at once more, in the transaction that
//! writes the act, and must be what the service has seen, keyed hashes included.
//!
//! What is looked at here is held until that transaction ends: whoever takes something away comes after the act, or before it, and
//! then there is no act. They meet in lines, of each principal and of groups, so that whoever takes something away waits for the acts
//! that have begun and for none that follow, however many.

use super::{
    applicants::{self, Ground},
    engine::{Row, Turn, Tx},
    error::StoreError,
    rows::Digest,
};
use std::collections::BTreeSet;

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

/// The groups that a principal stands or asks for, itself or as a team.
const GROUPS_OF: &str = "SELECT group_fp FROM group_members WHERE principal = $1
     UNION SELECT group_fp FROM group_applicants WHERE principal = $1";

/// Waits for the acts that rest on a principal or on one of its groups, before something is taken away from it.
pub(super) async fn dismiss(tx: &mut dyn Tx, principal: &Digest) -> Result<(), StoreError> {
    let groups = tx.query(GROUPS_OF, &[principal.into()]).await?;
    let groups = groups.iter().map(|row| row.blob(0).map(group_line)).collect::<Result<BTreeSet<_>, _>>()?;
    let lines: Vec<_> = std::iter::once(line(principal)).chain(groups).collect();
    tx.line_up(&lines, Turn::Alone).await
}

/// Waits for the acts that rest on logins of a principal, before some of those end. Approvals outlive them.
pub(super) async fn end_logins(tx: &mut dyn Tx, principal: &Digest) -> Result<(), StoreError> {
    tx.line_up(&[line(principal)], Turn::Alone).await
}

/// Waits for the acts that rest on a group, before somebody is taken out of it.
pub(super) async fn dismiss_from(tx: &mut dyn Tx, group: &Digest) -> Result<(), StoreError> {
    tx.line_up(&[group_line(group)], Turn::Alone).await
}

/// The line of a principal.
fn line(digest: &[u8]) -> i64 {
    digest.iter().take(8).fold(0, |line, byte| (line << 8) | i64::from(*byte))
}

/// The line of a group, which it shares with one in 256: whoever stands in many must not need more locks than a server has.
fn group_line(group: &[u8]) -> i64 {
    i64::from(group.first().copied().unwrap_or_default())
}

/// Whether a login is still one.
pub(super) async fn still_logged_in(tx: &mut dyn Tx, login: &Login) -> Result<bool, StoreError> {
    tx.line_up(&[line(&login.principal)], Turn::Together).await?;
    is_held(tx, login).await
}

/// The same for an act that rests on a group as well.
async fn still_acts(tx: &mut dyn Tx, login: &Login, group: &Digest) -> Result<bool, StoreError> {
    tx.line_up(&[line(&login.principal), group_line(group)], Turn::Together).await?;
    is_held(tx, login).await
}

async fn is_held(tx: &mut dyn Tx, login: &Login) -> Result<bool, StoreError> {
    let Login { principal, version, ticket } = login;
    Ok(!tx.held(LOGGED_IN, &[principal.into(), (*version).into(), ticket.into()]).await?.is_empty())
}

/// Whether a principal still stands for the player that it acts for, and is logged in.
pub(super) async fn still_stands(tx: &mut dyn Tx, acting: &Acting) -> Result<bool, StoreError> {
    let Acting { group, x, bound, login } = acting;
    if !still_acts(tx, login, group).await? {
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
            if !still_acts(tx, login, group).await? {
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
    // A row that cannot be stands for nobody.
    let stand: Vec<Approver> =
        tx.held(held, &[group.into()]).await?.iter().filter_map(|row| standing(row).ok()).collect();
    Ok(approved.iter().any(|approver| !stand.contains(approver)).then_some(Fallen::Approval))
}

fn standing(row: &Row) -> Result<Approver, StoreError> {
    Ok(Approver { x: row.x(0)?, principal: row.digest(1)?, version: row.int(3)?, bound: row.digest(2)? })
}
