//! What a notice says. It must not know how it is sent.

use crate::config::NoticeKind;
use quorate_protocol::display::escape_controls;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Characters of one value at most.
const MAX_VALUE: usize = 300;

/// What is known of what happened: some of it everybody may be told, names and words of people only those who ask for
/// them. None of it is a secret.
#[derive(Debug, Clone, Default)]
pub struct Facts(Vec<Fact>);

#[derive(Debug, Clone)]
struct Fact {
    label: &'static str,
    value: Value,
    named: bool,
}

impl Facts {
    /// With something that everybody may be told.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) => cut(&text).into(),
            other => other,
        };
        self.0.push(Fact { label, value, named: false });
        self
    }

    /// With a name, or with what somebody wrote.
    #[must_use]
    pub fn named(mut self, label: &'static str, text: &str) -> Self {
        if !text.is_empty() {
            self.0.push(Fact { label, value: cut(text).into(), named: true });
        }
        self
    }

    /// As one target may have them.
    pub(super) fn for_target(&self, names: bool) -> Vec<(String, Value)> {
        let told = self.0.iter().filter(|fact| names || !fact.named);
        told.map(|fact| (fact.label.to_owned(), fact.value.clone())).collect()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_VALUE).collect()
}

/// A notice, open.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Text {
    /// What happened.
    pub kind: NoticeKind,
    /// Label and value, in the order in which people read them.
    pub facts: Vec<(String, Value)>,
}

impl Text {
    /// What happened, in a few words.
    pub fn title(&self) -> &'static str {
        match self.kind {
            NoticeKind::DrillEnded => "a drill has ended",
            NoticeKind::DrillReminder => "answers to a drill are missing",
            NoticeKind::DrillStarted => "a drill has begun",
            NoticeKind::KeyAdded => "a key was added or removed",
            NoticeKind::ProviderChanged => "second factors were changed",
            NoticeKind::SessionDenied => "a player said no",
            NoticeKind::SessionExpired => "a session expired",
            NoticeKind::SessionQuorate => "a session is quorate",
            NoticeKind::SessionStarted => "a session was started",
        }
    }

    /// A line for each fact, with nothing in it that could act on what is around it.
    pub fn lines(&self) -> Vec<String> {
        let line = |(label, value): &(String, Value)| match value {
            Value::String(text) => format!("{label}: {}", escape_controls(text)),
            other => format!("{label}: {other}"),
        };
        self.facts.iter().map(line).collect()
    }

    /// The page on which people see more, if there is one.
    pub fn page(&self) -> Option<&str> {
        self.facts.iter().find(|(label, _)| label == "page").and_then(|(_, value)| value.as_str())
    }
}
