//! What is told of a drill: to those who asked to hear of it, and to the audit log when it ends.

use super::rfc3339;
use crate::service::audit::Entry;
use crate::service::notices::Facts;
use crate::store::{DrillEnd, NewAudit, NewNotice};
use quorate_protocol::api::{Drill, DrillDetails, Standing};
use quorate_protocol::drill::Call;

/// What everybody may be told of a drill that begins.
pub(super) fn facts(call: &Call) -> Facts {
    let fields = call.fields();
    Facts::default()
        .with("group", fields.group_id.as_str())
        .with("needed", fields.threshold)
        .with("players", fields.size)
        .with("until", rfc3339(fields.expires * 1000))
        .with("drill", fields.drill.as_str())
        .with("page", call.page_url())
        .named("note", &fields.note)
        .named("asked by", &fields.asker)
        .named("why", &fields.reason)
}

/// The same of one in which answers are missing.
pub(super) fn reminder(call: &Call, report: &Drill) -> Facts {
    facts(call).with("answered", report.answered).named("missing", &missing(report.details.as_ref()).join(", "))
}

/// What came of a drill.
pub(super) struct Ended {
    end: DrillEnd,
    answered: u32,
    standing: Standing,
    missing: Vec<String>,
}

impl Ended {
    /// As the report says.
    pub fn of(end: DrillEnd, report: &Drill) -> Self {
        let threshold = report.details.as_ref().map_or(report.size, |details| details.threshold);
        let missing = missing(report.details.as_ref());
        Self { end, answered: report.answered, standing: Standing::of(report.answered, threshold), missing }
    }

    /// With everybody's answer.
    pub fn complete(call: &Call) -> Self {
        let (size, threshold) = (call.fields().size.into(), call.fields().threshold.into());
        let (answered, standing) = (size, Standing::of(size, threshold));
        Self { end: DrillEnd::Complete, answered, standing, missing: Vec::new() }
    }

    /// For the audit log.
    pub fn entry(&self, entry: Entry) -> Entry {
        let entry = entry.with("ended", self.end.as_str()).with("answered", self.answered);
        let entry = entry.with("standing", in_words(self.standing));
        if self.missing.is_empty() { entry } else { entry.with("missing", self.missing.clone()) }
    }

    /// For those who want to hear of it.
    pub fn facts(&self, call: &Call) -> Facts {
        facts(call)
            .with("ended", self.end.as_str())
            .with("answered", self.answered)
            .with("standing", in_words(self.standing))
            .named("missing", &self.missing.join(", "))
    }
}

/// The same event, which others are told of with these notices.
pub(super) fn besides(mut told: NewAudit, notices: Vec<NewNotice>) -> NewAudit {
    told.notices.extend(notices);
    told
}

fn in_words(standing: Standing) -> &'static str {
    match standing {
        Standing::LockedOut => "fewer Tocs were shown to open than a code takes",
        Standing::OneLossAway => "one loss away from being locked out",
        Standing::Spare => "more Tocs open than a code takes",
    }
}

fn missing(details: Option<&DrillDetails>) -> Vec<String> {
    let players = details.map(|details| details.players.as_slice()).unwrap_or_default();
    let missing = players.iter().filter(|player| player.answered_at.is_none());
    missing.map(|player| player.holder.clone()).collect()
}
