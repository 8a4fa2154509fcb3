//! The log as auditors read it: lines that anybody can check, in pages.

use super::number::numbered;
use super::{Audit, AuditError};
use crate::store::{AuditHead, AuditRow};
use quorate_protocol::audit::export::{Head, Line, Row};

/// Rows of a page at most.
pub const MAX_PAGE: i64 = 1000;

impl Audit {
    /// The lines after row number `after`: up to `limit` rows, and the checkpoints after the rows that they are over.
    pub async fn export(&self, after: i64, limit: i64) -> Result<Vec<Line>, AuditError> {
        let (rows, heads) = self.inner.store.audit_after(after, limit.clamp(1, MAX_PAGE)).await?;
        let mut lines = Vec::with_capacity(rows.len() + heads.len());
        let mut heads = heads.into_iter().peekable();
        for row in rows {
            while let Some(head) = heads.next_if(|head| head.size < row.number) {
                lines.push(Line::Head(shown_head(head)));
            }
            lines.push(Line::Row(self.shown(row)));
        }
        lines.extend(heads.map(|head| Line::Head(shown_head(head))));
        Ok(lines)
    }

    /// The newest checkpoint, as a signed note.
    pub async fn newest(&self) -> Result<Option<String>, AuditError> {
        let head = self.inner.store.audit_head().await?;
        Ok(head.map(|head| String::from_utf8_lossy(&head.note).into_owned()))
    }

    fn shown(&self, row: AuditRow) -> Row {
        let opened = self.inner.at_rest.open(numbered(&[&row.number.to_be_bytes()]), &row.sealed).ok();
        let event = opened.and_then(|leaf| String::from_utf8(leaf.to_vec()).ok());
        Row { number: row.number, hash: row.hash.into(), event }
    }
}

fn shown_head(head: AuditHead) -> Head {
    let AuditHead { size, previous, frontier, note } = head;
    let frontier = (!frontier.is_empty()).then(|| frontier.into());
    Head { checkpoint: String::from_utf8_lossy(&note).into_owned(), size, previous, frontier }
}
