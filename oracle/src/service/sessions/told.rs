//! What is told of a session to those who were not asked: counts and times to everybody, names and words to those who want them.

use super::Sessions;
use super::record::{EventText, Record};
use crate::config::NoticeKind;
use crate::service::notices::Facts;
use crate::store::{NewNotice, Quorate};
use quorate_protocol::invite::Applicant;

impl Sessions {
    pub(super) fn told_of_start(&self, record: &Record) -> Vec<NewNotice> {
        self.inner.notices.about(NoticeKind::SessionStarted, &facts(record))
    }

    pub(super) fn told_of_expiry(&self, record: &Record) -> Vec<NewNotice> {
        self.inner.notices.about(NoticeKind::SessionExpired, &facts(record))
    }

    pub(super) fn told_of_denial(&self, record: &Record, said: &EventText) -> Vec<NewNotice> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let facts = facts(record).named("denied by", &text(&said.who)).named("because", &text(&said.reason));
        self.inner.notices.about(NoticeKind::SessionDenied, &facts)
    }

    /// For whichever Toc completes the quorum. Of a group whose Tocs can prove themselves only proofs count; a stranger can send
    /// anything else.
    pub(super) fn told_of_quorum(&self, record: &Record) -> Option<Quorate> {
        let notices = self.inner.notices.about(NoticeKind::SessionQuorate, &facts(record));
        let (threshold, proved) = (record.fields().threshold.into(), record.group.is_some());
        (!notices.is_empty()).then_some(Quorate { threshold, proved, notices })
    }
}

/// Who asks: a player, as whom they have logged in, or who did without a Toc.
fn asked_by(record: &Record) -> String {
    match &record.fields().applicant {
        Applicant::Named { holder, principal, .. } => format!("{holder} ({principal})"),
        Applicant::Login { principal } => format!("{principal}, by login, without a Toc"),
        Applicant::Proved { .. } | Applicant::Unverified => record.applicant(),
    }
}

fn facts(record: &Record) -> Facts {
    let fields = record.fields();
    let until = jiff::Timestamp::from_second(fields.expires).unwrap_or_default().to_string();
    let facts = Facts::default().with("purpose", fields.purpose.as_str());
    // What farMFA calls a group is whatever its Toc says.
    let facts = match record.group {
        Some(_) => facts.with("group", fields.group_id.as_str()),
        None => facts.named("group", &fields.group_id),
    };
    facts
        .with("needed", fields.threshold)
        .with("players", fields.size)
        .with("until", until)
        .with("session", record.id())
        .with("page", format!("{}/s/{}", fields.oracle, record.id()))
        .named("note", &fields.note)
        .named("asked by", &asked_by(record))
        .named("why", &fields.reason)
}
