//! The open sessions, for operators and auditors: counts, as whoever has an id sees them, and no names.

use super::Sessions;
use super::error::SessionError;
use super::show::summary;
use quorate_protocol::api::Session;

/// Sessions that one look returns at most.
const PAGE: i64 = 50;

/// A session in the list.
#[derive(Debug)]
pub enum Listed {
    /// What is stored of the session of that id does not open: an operator can still end it.
    Damaged(String),
    /// As it stands.
    Open(Box<Session>),
}

/// Open sessions, newest first.
#[derive(Debug)]
pub struct OpenSessions {
    /// The sessions.
    pub sessions: Vec<Listed>,
    /// Before what to look for older ones, if there may be some.
    pub older: Option<i64>,
}

impl Sessions {
    /// The newest open sessions, or those made before the one that an earlier look named.
    pub async fn open_sessions(&self, before: Option<i64>) -> Result<OpenSessions, SessionError> {
        let rows = self.inner.store.sessions_before(before.unwrap_or(i64::MAX), PAGE).await?;
        let full = i64::try_from(rows.len()) == Ok(PAGE);
        let older = rows.last().filter(|_| full).map(|(number, _)| *number);
        let mut sessions = Vec::with_capacity(rows.len());
        for (_, overview) in rows {
            match self.open_record(overview.row.clone()) {
                Ok((_, record)) => sessions.push(Listed::Open(Box::new(summary(&overview, &record)))),
                // Its time is up, and nobody has swept it yet.
                Err(SessionError::Over(_)) => {}
                // One that was altered hides none of the others.
                Err(SessionError::Damaged) => sessions.push(Listed::Damaged(overview.row.id)),
                Err(error) => return Err(error),
            }
        }
        Ok(OpenSessions { sessions, older })
    }
}
