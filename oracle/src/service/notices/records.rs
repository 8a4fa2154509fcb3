//! What is told of acts that the audit log records. Sessions are told of by themselves, with more.

use super::{Facts, Notices};
use crate::config::NoticeKind;
use crate::service::audit::{Entry, Kind, Outcome};
use crate::store::NewNotice;

/// The notice that an act is told by; none of most.
fn kind(kind: Kind) -> Option<NoticeKind> {
    match kind {
        Kind::ApiKeyActivated | Kind::PrincipalEnrolled | Kind::PrincipalKeyAdded | Kind::PrincipalKeyRemoved => {
            Some(NoticeKind::KeyAdded)
        }
        Kind::FactorAssigned
        | Kind::FactorRemoved
        | Kind::ProviderCreated
        | Kind::ProviderRemoved
        | Kind::ProviderUpdated => Some(NoticeKind::ProviderChanged),
        _ => None,
    }
}

impl Notices {
    /// What is to be written with the record of an act that was done.
    pub fn of_record(&self, entry: &Entry) -> Vec<NewNotice> {
        match kind(entry.kind()) {
            Some(kind) if entry.outcome() == Outcome::Done => self.about(kind, &facts(entry)),
            _ => Vec::new(),
        }
    }
}

/// The word of the act for everybody; whom it concerns and who did it for those who ask for names.
fn facts(entry: &Entry) -> Facts {
    let who = entry.who().to_string();
    Facts::default()
        .with("act", entry.kind().as_str())
        .with("meaning", entry.kind().meaning())
        .named("by", &who)
        .named("to", entry.subject())
}
