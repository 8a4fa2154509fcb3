//! An export of the log, JSON lines of rows and checkpoints, and the check of one: every row by its hash, every checkpoint by
//! its signature, and all of them together by the root of the tree that the rows make.
//!
//! A row's event and its hash are compared with each other first, and the tree is grown from both: so a changed row is named
//! itself, where the root alone could only say that some row was. What was changed in both is named with the rows of its
//! checkpoint.

mod finding;

pub use finding::Finding;

use super::checkpoint::{Checkpoint, VerifierKey};
use super::event::Event;
use super::tree::{Frontier, Hash, leaf_hash};
use crate::encoding::Base64;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Bytes of a line at most.
pub const MAX_LINE: usize = 256 * 1024;
/// Findings that are kept; more are counted.
const MAX_FINDINGS: usize = 100;

/// One line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// An event with its number.
    Row(Row),
    /// The head of the tree after the rows before it.
    Head(Head),
}

/// An event with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// 1, 2, 3 without gaps.
    pub number: i64,
    /// Its leaf's hash.
    pub hash: Base64,
    /// The leaf, whose UTF-8 is hashed; nothing when what is stored does not open.
    pub event: Option<String>,
}

/// A checkpoint as the oracle keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The signed note.
    pub checkpoint: String,
    /// Its size.
    pub size: i64,
    /// The size of the checkpoint before it; 0 for the first.
    pub previous: i64,
    /// With the newest, what the tree grows on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontier: Option<Base64>,
}

/// Reads an export line by line and remembers what is wrong with it.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<VerifierKey>,
    older: Vec<Checkpoint>,
    lines: u64,
    last_row: i64,
    last_head: i64,
    /// Grown from the events; nothing once a row is missing or no checkpoint fits.
    by_event: Option<Frontier>,
    /// Grown from the hashes that stand beside them.
    by_hash: Option<Frontier>,
    ids: HashMap<String, i64>,
    newest: Option<Checkpoint>,
    findings: Vec<Finding>,
    more: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The number of the last row.
    pub rows: i64,
    /// The newest checkpoint that the keys have signed, if there is any.
    pub newest: Option<Checkpoint>,
    /// What is wrong; empty when nothing is.
    pub findings: Vec<Finding>,
    /// How many more findings there were than are kept.
    pub more: u64,
}

impl Report {
    /// Whether the export is what the oracle wrote.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Verifier {
    /// For an export of the log whose checkpoints one of `keys` has signed, and which goes on from each of `older`.
    pub fn new(keys: Vec<VerifierKey>, mut older: Vec<Checkpoint>) -> Self {
        older.sort_by_key(|checkpoint| checkpoint.size);
        let mut verifier = Self {
            keys,
            older,
            lines: 0,
            last_row: 0,
            last_head: 0,
            by_event: Some(Frontier::default()),
            by_hash: Some(Frontier::default()),
            ids: HashMap::new(),
            newest: None,
            findings: Vec::new(),
            more: 0,
        };
        verifier.compare_with_older();
        verifier
    }

    /// Takes the next line. Empty ones are passed over.
    pub fn push(&mut self, line: &str) -> Option<Line> {
        self.lines += 1;
        if line.trim().is_empty() {
            return None;
        }
        let Ok(line) = serde_json::from_str(line) else {
            self.find(Finding::NoLine { line: self.lines });
            return None;
        };
        match &line {
            Line::Row(row) => self.row(row),
            Line::Head(head) => self.head(head),
        }
        Some(line)
    }

    /// The end of the export.
    pub fn finish(mut self) -> Report {
        if self.last_row > self.last_head {
            self.find(Finding::Unsigned { first: self.last_head.saturating_add(1), last: self.last_row });
        }
        let last = self.last_row;
        for older in std::mem::take(&mut self.older) {
            if i64::try_from(older.size).is_ok_and(|size| size > last) {
                self.find(Finding::Truncated { last, size: older.size });
            }
        }
        if (last, self.last_head, self.findings.len()) == (0, 0, 0) {
            // What was emptied, or is another file, must not pass for a log.
            self.find(Finding::Empty);
        }
        Report { rows: last, newest: self.newest, findings: self.findings, more: self.more }
    }

    fn row(&mut self, row: &Row) {
        if row.number <= self.last_row {
            self.find(Finding::Misplaced { row: row.number, after: self.last_row });
            return self.lose();
        }
        if row.number > self.last_row + 1 {
            self.find(Finding::Missing { first: self.last_row + 1, last: row.number - 1 });
            self.lose();
        }
        self.last_row = row.number;
        let stored = Hash::try_from(row.hash.0.as_slice()).ok();
        let made = row.event.as_ref().map(|event| leaf_hash(event.as_bytes()));
        match (made, stored) {
            (None, _) => self.find(Finding::Unreadable { row: row.number }),
            (Some(made), stored) if stored != Some(made) => self.find(Finding::Changed { row: row.number }),
            _ => {}
        }
        grow(&mut self.by_event, made.or(stored));
        grow(&mut self.by_hash, stored.or(made));
        if let Some(event) = row.event.as_deref().and_then(Event::from_leaf)
            && let Some(first) = self.ids.insert(event.id, row.number)
        {
            self.find(Finding::Repeated { row: row.number, first });
        }
        self.compare_with_older();
    }

    fn head(&mut self, head: &Head) {
        if head.previous != self.last_head || head.size <= self.last_head {
            self.find(Finding::HeadMissing { after: self.last_head, before: head.size });
        }
        let first = self.last_head.saturating_add(1);
        let opened = self.keys.iter().find_map(|key| Checkpoint::open(&head.checkpoint, key).ok());
        let Some(checkpoint) = opened.filter(|opened| i64::try_from(opened.size) == Ok(head.size)) else {
            // Beyond the rows nothing follows from a size that somebody wrote there.
            if head.size <= self.last_row {
                self.last_head = self.last_head.max(head.size);
            }
            return self.find(Finding::HeadChanged { size: head.size });
        };
        self.last_head = self.last_head.max(head.size);
        if head.size > self.last_row {
            self.find(Finding::Missing { first: self.last_row + 1, last: head.size });
            self.last_row = head.size;
            self.lose();
        }
        if let Some(frontier) = self.agreed(&checkpoint) {
            if head.frontier.as_ref().is_some_and(|kept| kept.0 != frontier.to_bytes()) {
                self.find(Finding::StateChanged { size: head.size });
            }
            (self.by_event, self.by_hash) = (Some(frontier.clone()), Some(frontier));
        } else if self.by_event.is_some() {
            self.find(Finding::OneOf { first, last: head.size });
            self.lose();
        }
        self.newest = Some(checkpoint);
    }

    /// The tree that the rows make, if it is the one that was signed.
    fn agreed(&self, checkpoint: &Checkpoint) -> Option<Frontier> {
        let fits = |frontier: &&Frontier| frontier.size() == checkpoint.size && frontier.root() == checkpoint.root;
        [&self.by_event, &self.by_hash].into_iter().flatten().find(fits).cloned()
    }

    /// Compares with the older checkpoints of the size that is reached.
    fn compare_with_older(&mut self) {
        while let Some(older) = self.older.first().filter(|older| i64::try_from(older.size) == Ok(self.last_row)) {
            if self.by_event.is_some() && self.agreed(older).is_none() {
                let size = older.size;
                self.find(Finding::Other { size });
            }
            self.older.remove(0);
        }
    }

    /// From here on nothing can be said of the tree: a leaf is missing.
    fn lose(&mut self) {
        (self.by_event, self.by_hash) = (None, None);
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

fn grow(frontier: &mut Option<Frontier>, leaf: Option<Hash>) {
    match (frontier.as_mut(), leaf) {
        (Some(grown), Some(leaf)) => grown.push(leaf),
        _ => *frontier = None,
    }
}

#[cfg(test)]
mod tests;
