//! The routes of the audit log, for auditors and operators: its lines in pages, and its newest checkpoint. They pass as they
//! are: what they say is checked by their readers.

use super::{Client, ClientError, MAX_ANSWER};
use quorate_protocol::audit::export::Line;
use quorate_protocol::display::escape_controls;
use std::ops::ControlFlow;

/// Rows of a page, as oracles give them.
const PAGE: u32 = 1000;
/// Bytes of a page at most: every row twice as long as the longest event.
const MAX_PAGE: u64 = 64 * 1024 * 1024;

impl Client {
    /// `GET /audit` again and again: hands each line behind row `after` over, with its line feed, until there are no more or
    /// `act` breaks off.
    pub fn audit_lines<E: From<ClientError>>(
        &self,
        mut after: i64,
        mut act: impl FnMut(&str) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        loop {
            let page = self.read_bytes(&format!("/audit?after={after}&limit={PAGE}"), None, MAX_PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            // What is not UTF-8 is no line of an export, and is told as such by whoever reads it.
            let page = String::from_utf8_lossy(&page);
            let numbers = page.lines().filter_map(|line| match serde_json::from_str(line) {
                Ok(Line::Row(row)) => Some(row.number),
                _ => None,
            });
            let last = numbers.max().filter(|last| *last > after);
            after = last.ok_or_else(|| self.strange("its audit log does not go on where it ended"))?;
            for line in page.split_inclusive('\n') {
                if act(line)?.is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// `GET /audit/checkpoint`: the newest checkpoint, a signed note.
    pub fn audit_checkpoint(&self) -> Result<String, ClientError> {
        let note = self.read_bytes("/audit/checkpoint", None, MAX_ANSWER)?;
        // It is printed as it is.
        let plain = |note: &String| note.lines().all(|line| escape_controls(line) == line);
        let note = String::from_utf8(note.to_vec()).ok().filter(plain);
        note.ok_or_else(|| self.strange("its checkpoint is unreadable"))
    }
}
