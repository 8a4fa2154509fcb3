//! What can be wrong with an export, in words for people. Knows nothing of how it was found.

/// Something in the log is not as the oracle wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// Event and hash differ.
    #[error("row {row} was changed")]
    Changed {
        /// Its number.
        row: i64,
    },
    /// Neither a row nor a checkpoint.
    #[error("there is nothing in it, not even a checkpoint")]
    Empty,
    /// A note that no key has signed, or of another size than its row says.
    #[error("the checkpoint of size {size} was changed, or is not signed by the key")]
    HeadChanged {
        /// As its row says.
        size: i64,
    },
    /// Checkpoints that do not follow each other.
    #[error("checkpoints are missing or out of order between the sizes {after} and {before}")]
    HeadMissing {
        /// Size of the one before.
        after: i64,
        /// Size of the one that does not follow.
        before: i64,
    },
    /// Numbers that no row has.
    #[error("{} missing", rows(*.first, *.last))]
    Missing {
        /// The first.
        first: i64,
        /// The last.
        last: i64,
    },
    /// A number that does not rise.
    #[error("row {row} stands behind row {after}")]
    Misplaced {
        /// Its number.
        row: i64,
        /// The highest before it.
        after: i64,
    },
    /// Not JSON, or of no known form.
    #[error("line {line} belongs to no export")]
    NoLine {
        /// Counted from 1.
        line: u64,
    },
    /// The rows fit their hashes and not their checkpoint.
    #[error("of rows {first} to {last} at least one was changed or moved: they are not those of their checkpoint")]
    OneOf {
        /// The first under that checkpoint.
        first: i64,
        /// The last.
        last: i64,
    },
    /// Another history than an older checkpoint's.
    #[error("rows 1 to {size} are not those of the older checkpoint: the log was written anew")]
    Other {
        /// Of the older checkpoint.
        size: u64,
    },
    /// The same event twice.
    #[error("row {row} repeats row {first}")]
    Repeated {
        /// Its number.
        row: i64,
        /// The one before.
        first: i64,
    },
    /// What the tree grows on from.
    #[error("the state kept with the checkpoint of size {size} was changed")]
    StateChanged {
        /// Of the checkpoint.
        size: i64,
    },
    /// An older checkpoint knows of more.
    #[error("the log ends at row {last}, and the older checkpoint was signed over {size} rows")]
    Truncated {
        /// Number of the last row.
        last: i64,
        /// Of the older checkpoint.
        size: u64,
    },
    /// What is stored does not open in its place.
    #[error("row {row} does not open: it was changed or moved")]
    Unreadable {
        /// Its number.
        row: i64,
    },
    /// Rows behind the newest checkpoint.
    #[error("{} under no checkpoint", rows(*.first, *.last))]
    Unsigned {
        /// The first.
        first: i64,
        /// The last.
        last: i64,
    },
}

fn rows(first: i64, last: i64) -> String {
    if first == last { format!("row {first} is") } else { format!("rows {first} to {last} are") }
}
