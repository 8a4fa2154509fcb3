//! Numbering: what waits is taken as it was committed, gets the next numbers, and a new head of the tree is signed over it, all
//! in one step that goes on from the newest head. Of nodes that number at once, the one whose head is written first has done
//! it, and the others have done nothing.

use super::{Audit, AuditError, Entry, Kind, Outcome, Who, waiting};
use crate::service::at_rest::Place;
use crate::store::{AuditHead, NumberedAudit, NumberedRow, PendingAudit};
use quorate_protocol::audit::checkpoint::Checkpoint;
use quorate_protocol::audit::tree::{Frontier, Hash, leaf_hash};
use std::sync::PoisonError;

/// Events that get their numbers at once.
const BATCH: i64 = 500;
/// Hashes of rows that are read at once.
const HASHES: i64 = 10_000;
/// Somebody else has signed it, or nobody.
pub(super) const NOT_OURS: AuditError = AuditError::Altered("its newest checkpoint is not this oracle's");

/// A checkpoint from which the log goes on, and the state of its tree where that is known.
#[derive(Debug, Clone)]
pub(super) struct Met {
    pub(super) checkpoint: Checkpoint,
    tree: Option<Frontier>,
}

impl Audit {
    /// Numbers events that wait; true when there may be more.
    pub async fn number(&self) -> Result<bool, AuditError> {
        // First what is known, then what is there: that must be as much, whoever else numbers meanwhile.
        let met = self.met().await?;
        let (head, pending) = self.inner.store.pending_audit(BATCH).await?;
        let newest = self.goes_on(met, head.as_ref()).await?;
        if pending.is_empty() {
            return Ok(false);
        }
        let all = i64::try_from(pending.len()).is_ok_and(|pending| pending < BATCH);
        let numbered = self.grow(head.zip(newest), &pending)?;
        let (previous, head) = (numbered.head.previous, numbered.head.clone());
        if self.inner.store.number_audit(numbered).await? {
            self.goes_on(None, Some(&head)).await?;
            return Ok(!all);
        }
        // Whoever was slower looks again, at what the faster one has written.
        match self.inner.store.audit_head().await?.map_or(0, |head| head.size) {
            size if size == previous => Err(AuditError::Altered("something else goes on from its newest checkpoint")),
            _ => Ok(true),
        }
    }

    /// Numbers all events that wait.
    pub async fn number_all(&self) -> Result<(), AuditError> {
        while self.number().await? {}
        Ok(())
    }

    /// What this node has met last; at first the published checkpoint, if there is any.
    async fn met(&self) -> Result<Option<Met>, AuditError> {
        let met = self.inner.met.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if met.is_some() {
            return Ok(met);
        }
        Ok(self.published().await?.map(|checkpoint| Met { checkpoint, tree: None }))
    }

    /// The checkpoint of the newest head, if the log goes on from the one that was met. That is met from now on.
    async fn goes_on(&self, met: Option<Met>, head: Option<&AuditHead>) -> Result<Option<Checkpoint>, AuditError> {
        let newest = head.map(|head| self.checkpoint(head).ok_or(NOT_OURS)).transpose()?;
        if let Some(met) = met {
            let known = &met.checkpoint;
            let (kept, root) = newest.as_ref().map_or((0, None), |newest| (newest.size, Some(newest.root)));
            if kept < known.size || (kept == known.size && root != Some(known.root)) {
                return Err(AuditError::Behind { met: known.size, kept });
            }
            if let Some(newest) = newest.as_ref().filter(|newest| newest.size > known.size)
                && !self.extends(&met, newest).await?
            {
                return Err(AuditError::Altered(
                    "its newest checkpoint does not go on from one that was signed before",
                ));
            }
        }
        if let Some((newest, head)) = newest.as_ref().zip(head) {
            let tree = frontier(head, newest).ok();
            let mut met = self.inner.met.lock().unwrap_or_else(PoisonError::into_inner);
            if met.as_ref().is_none_or(|met| met.checkpoint.size < newest.size) {
                *met = Some(Met { checkpoint: newest.clone(), tree });
            }
        }
        Ok(newest)
    }

    /// Whether this node has seen that the log goes on to a checkpoint of that size. No other leaves the database.
    pub(super) fn vouches(&self, size: u64) -> bool {
        let met = self.inner.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.as_ref().is_some_and(|met| met.checkpoint.size >= size)
    }

    /// Whether the rows that came after a checkpoint lead to a newer one: both are this oracle's, and could be of two histories.
    async fn extends(&self, met: &Met, newest: &Checkpoint) -> Result<bool, AuditError> {
        let mut tree = met.tree.clone().unwrap_or_default();
        loop {
            if tree.size() == met.checkpoint.size && tree.root() != met.checkpoint.root {
                return Ok(false);
            }
            if tree.size() == newest.size {
                return Ok(tree.root() == newest.root);
            }
            // To the one that was met first, whose root is compared on the way.
            let until = if tree.size() < met.checkpoint.size { met.checkpoint.size } else { newest.size };
            let limit = i64::try_from(until - tree.size()).map_or(HASHES, |left| left.min(HASHES));
            let after = i64::try_from(tree.size()).unwrap_or(i64::MAX);
            let hashes = self.inner.store.audit_hashes(after, limit).await?;
            if hashes.is_empty() {
                return Ok(false);
            }
            for (number, hash) in hashes {
                let follows = u64::try_from(number) == Ok(tree.size() + 1);
                let Some(hash) = Hash::try_from(hash.as_slice()).ok().filter(|_| follows) else { return Ok(false) };
                tree.push(hash);
            }
        }
    }

    fn grow(
        &self,
        head: Option<(AuditHead, Checkpoint)>,
        pending: &[PendingAudit],
    ) -> Result<NumberedAudit, AuditError> {
        let (mut frontier, previous) = match head {
            Some((head, checkpoint)) => (frontier(&head, &checkpoint)?, head.size),
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

/// What the tree grows on from, if it is what this oracle signed: nothing is ever signed on top of what was altered.
fn frontier(head: &AuditHead, checkpoint: &Checkpoint) -> Result<Frontier, AuditError> {
    Frontier::from_bytes(checkpoint.size, &head.frontier)
        .filter(|frontier| frontier.root() == checkpoint.root)
        .ok_or(AuditError::Altered("the state of its tree is not that of the newest checkpoint"))
}

/// Where an event is once it has its number: for no other number does it open.
pub(super) fn numbered<'a>(number: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "audit_log", row: number, column: "sealed" }
}
