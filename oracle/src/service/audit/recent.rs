//! The newest events of the log, for people who look for something. Whoever has to prove something takes the export.

use super::{Audit, AuditError};
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::Line;

/// Events that one look returns at most.
const PAGE: usize = 50;
/// Rows that are read at once.
const BATCH: i64 = 200;
/// Rows that one look reads at most: what is looked for may be rare.
const LOOKED_AT: i64 = 2000;

/// What is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// The kind's word; all when empty.
    pub kind: &'a str,
    /// A part of a name, an address or a subject, in either case; anything when empty.
    pub text: &'a str,
    /// Only events with smaller numbers.
    pub before: Option<i64>,
}

/// Events, newest first.
#[derive(Debug)]
pub struct Recent {
    /// Number and event; `None` for a row that cannot be read.
    pub events: Vec<(i64, Option<Event>)>,
    /// Before what number to go on, if there are older ones.
    pub older: Option<i64>,
    /// Events in the log.
    pub size: i64,
    /// The newest checkpoint, as a signed note.
    pub checkpoint: Option<String>,
}

impl Audit {
    /// The newest events that fit.
    pub async fn recent(&self, filter: Filter<'_>) -> Result<Recent, AuditError> {
        let head = self.inner.store.audit_head().await?;
        let size = head.as_ref().map_or(0, |head| head.size);
        let checkpoint = head.map(|head| String::from_utf8_lossy(&head.note).into_owned());
        let text = filter.text.to_lowercase();
        let mut next = filter.before.unwrap_or(i64::MAX).min(size.saturating_add(1)).max(1);
        let lowest = next.saturating_sub(LOOKED_AT).max(1);
        let mut events = Vec::new();
        while next > lowest && events.len() < PAGE {
            let after = next.saturating_sub(BATCH + 1).max(lowest - 1);
            let rows = self.export(after, next - after - 1).await?.into_iter().filter_map(row);
            // Where rows are missing, as many come, and the last of them have been looked at before.
            let mut rows: Vec<_> = rows.filter(|(number, _)| *number < next).collect();
            rows.reverse();
            for (number, event) in rows {
                next = number;
                if fits(event.as_ref(), filter.kind, &text) {
                    events.push((number, event));
                }
                if events.len() == PAGE {
                    break;
                }
            }
            if events.len() < PAGE {
                next = after + 1;
            }
        }
        Ok(Recent { events, older: (next > 1).then_some(next), size, checkpoint })
    }
}

fn row(line: Line) -> Option<(i64, Option<Event>)> {
    match line {
        Line::Row(row) => Some((row.number, row.event.as_deref().and_then(Event::from_leaf))),
        Line::Head(_) => None,
    }
}

fn fits(event: Option<&Event>, kind: &str, text: &str) -> bool {
    let Some(event) = event else { return kind.is_empty() && text.is_empty() };
    let holds = |field: &str| field.to_lowercase().contains(text);
    (kind.is_empty() || event.kind == kind)
        && [&event.who, &event.subject, &event.source].into_iter().any(|field| holds(field))
}
