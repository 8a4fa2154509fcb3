//! What of an export cannot be imported: where it stands, and why. Knows no record.

use super::lines::LineError;
use super::record::RecordError;
use std::fmt;
use std::path::PathBuf;

/// Lines that are told one by one.
const TOLD: usize = 100;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinePlace {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
}

impl fmt::Display for LinePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = quorate_protocol::display::escape_controls(&self.file.display().to_string());
        write!(f, "{file} line {}", self.line)
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Its API key has handed its data over, or the secret that reads what is imported is forgotten, since the import began.
    #[error("belongs to an API key that was rotated, or whose old secret was forgotten, meanwhile: import again")]
    Closed,
    /// Something of its name is here, and differs.
    #[error("is here already, and not the same")]
    Conflict,
    /// Its API key owns as many data keys as one may, and each import makes one more.
    #[error("belongs to an API key that has taken over, or imported, too often")]
    Full,
    /// It cannot be read.
    #[error(transparent)]
    Line(#[from] LineError),
    /// Its API key is in none of the files and was not imported before, or has no secret.
    #[error("belongs to an API key that is not among the activated ones: give the files of all tables at once")]
    Owner,
    /// Its API key is here already, and not the same: it may have another secret.
    #[error("belongs to an API key that is here already, and not the same")]
    OwnerConflict,
    /// It is no record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its name stands in another line.
    #[error("has the name of {0}")]
    Twice(LinePlace),
}

/// Records that cannot be imported: the first hundred lines, and how many records there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    told: Vec<String>,
    lines: u64,
    records: u64,
}

impl Refused {
    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Adds a line, and the records that cannot be imported because of it.
    pub(super) fn add(&mut self, place: &LinePlace, fault: &Fault, records: u64) {
        if self.told.len() < TOLD {
            self.told.push(format!("{place}: {fault}"));
        }
        self.lines += 1;
        self.records += records;
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told.join("\n"))?;
        match self.lines - self.told.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\nand {more} more lines"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_lines_are_told_and_how_many_more_there_are() {
        let mut refused = Refused::default();
        assert_eq!(refused.to_string(), "");
        for line in 1..=103 {
            refused.add(&LinePlace { file: "a\u{7}".into(), line }, &Fault::Conflict, 2);
        }
        let text = refused.to_string();
        assert_eq!(text.lines().next(), Some("a\\u{7} line 1: is here already, and not the same"));
        assert_eq!((text.lines().count(), text.lines().last()), (101, Some("and 3 more lines")));
        assert_eq!(refused.records(), 206);
    }
}
