//! Numbering: what waits is taken as it was committed, gets the next numbers, and a new head of the tree is signed over it, all
//! in one step that goes on from the newest head. Of nodes that number at once, the one whose head is written first has done
//! it, and the others have done nothing.

use super::{Audit, AuditError, Entry, Kind, Outcome, Who, waiting};
use crate::service::at_rest::Place;
use crate::store::{AuditHead, NumberedAudit, NumberedRow, PendingAudit};
use quorate_protocol::audit::checkpoint::Checkpoint;
use quorate_protocol::audit::tree::{Frontier, leaf_hash};

/// Events that get their numbers at once.
const BATCH: i64 = 500;

impl Audit {
    /// Numbers events that wait; true when there may be more.
    pub async fn number(&self) -> Result<bool, AuditError> {
        let (head, pending) = self.inner.store.pending_audit(BATCH).await?;
        if pending.is_empty() {
            return Ok(false);
        }
        let all = i64::try_from(pending.len()).is_ok_and(|pending| pending < BATCH);
        let numbered = self.grow(head, &pending)?;
        // Whoever was slower looks again.
        let done = self.inner.store.number_audit(numbered).await?;
        Ok(!(done && all))
    }

    /// Numbers all events that wait.
    pub async fn number_all(&self) -> Result<(), AuditError> {
        while self.number().await? {}
        Ok(())
    }

    fn grow(&self, head: Option<AuditHead>, pending: &[PendingAudit]) -> Result<NumberedAudit, AuditError> {
        let (mut frontier, previous) = match head {
            Some(head) => (self.frontier(&head)?, head.size),
            None => (Frontier::default(), 0),
        };
        let mut rng = self.inner.rng.clone();
        let mut rows = Vec::with_capacity(pending.len());
        for (number, event) in (previous + 1..).zip(pending) {
            let leaf = self.leaf(event);
            let hash = leaf_hash(leaf.as_bytes());
            frontier.push(hash);
            let sealed = self.inner.at_rest.seal(numbered(&[&number.to_be_bytes()]), leaf.as_bytes(), &mut rng);
            rows.push((event.place, NumberedRow { number, hash, sealed }));
        }
        let size = previous + i64::try_from(rows.len()).expect("a batch is small");
        let origin = self.inner.verifier.origin.clone();
        let checkpoint = Checkpoint { origin, size: frontier.size(), root: frontier.root() };
        let note = checkpoint.sign(self.inner.keys.audit_key()).into_bytes();
        Ok(NumberedAudit { head: AuditHead { size, previous, frontier: frontier.to_bytes(), note }, rows })
    }

    /// What the tree grows on from, if it is what this oracle signed: nothing is ever signed on top of what was altered.
    fn frontier(&self, head: &AuditHead) -> Result<Frontier, AuditError> {
        let checkpoint =
            self.checkpoint(head).ok_or(AuditError::Altered("its newest checkpoint is not this oracle's"))?;
        Frontier::from_bytes(checkpoint.size, &head.frontier)
            .filter(|frontier| frontier.root() == checkpoint.root)
            .ok_or(AuditError::Altered("the state of its tree is not that of the newest checkpoint"))
    }

    /// The checkpoint of a head, if this oracle signed it.
    pub(super) fn checkpoint(&self, head: &AuditHead) -> Option<Checkpoint> {
        let checkpoint = Checkpoint::open(std::str::from_utf8(&head.note).ok()?, &self.inner.verifier).ok()?;
        (i64::try_from(checkpoint.size) == Ok(head.size)).then_some(checkpoint)
    }

    /// An event as it was written. In the place of one that was altered meanwhile stands that it was.
    fn leaf(&self, event: &PendingAudit) -> String {
        let opened = self.inner.at_rest.open(waiting(&[&event.id]), &event.sealed).ok();
        opened.and_then(|leaf| String::from_utf8(leaf.to_vec()).ok()).unwrap_or_else(|| {
            tracing::error!(place = event.place, "an event of the audit log was altered before it had its number");
            let lost = Entry::new(Kind::AuditDamaged, Who::Oracle).ended(Outcome::Failed).with("place", event.place);
            self.event(lost).1.to_leaf()
        })
    }
}

/// Where an event is once it has its number: for no other number does it open.
pub(super) fn numbered<'a>(number: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "audit_log", row: number, column: "sealed" }
}
