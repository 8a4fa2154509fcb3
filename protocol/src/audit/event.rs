//! One event: what happened, when, who did it, from where, to what, and how it ended. Its bytes are a leaf of the tree and are
//! kept and sent as they were written; nothing re-serialises them.

use crate::display::escape_json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes of the longest leaf: every part of an event is bounded, and a character is escaped in 12 bytes at most.
pub const MAX_LEAF: usize = 48 * 1024;
/// Characters of a name, subject or source at most; what is longer is cut.
pub const MAX_NAME: usize = 256;
/// Characters of one detail at most; what is longer is cut.
pub const MAX_DETAIL: usize = 1024;
/// Bytes that one text of the details takes at most as it is written in the leaf; what is longer is cut.
const MAX_TEXT: usize = 3 * 1024;
/// Bytes that the details of an event take at most, without lists; the names of what does not fit are in `left_out`.
const MAX_DETAILS: usize = 8 * 1024;
/// Bytes that the lists of an event take at most: 255 names of players among them.
const MAX_LISTS: usize = 24 * 1024;
/// Bytes of the random id.
pub const ID_BYTES: usize = 16;

/// An event. The order of the members is that of the leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1.
    pub v: u8,
    /// Lowercase hexadecimal of 16 random bytes: no two events are alike, and a leaf's hash tells nothing of the event.
    pub id: String,
    /// Unix milliseconds.
    pub time: i64,
    /// One of a closed list of words, as in `session.code`.
    pub kind: String,
    /// What kind of name it is, a blank, and the name: `principal principal/internal/user/bob`, `holder ann`, `unverified ann`,
    /// `api-key KEY`; or `operator`, `oracle` and `nobody` alone.
    pub who: String,
    /// Network address that the request came from; empty for what no request caused.
    pub source: String,
    /// What it was done to; empty when the kind says it all.
    pub subject: String,
    /// `done`, `refused` or `failed`.
    pub result: String,
    /// The rest, by name. Never a secret.
    pub details: Map<String, Value>,
}

impl Event {
    /// Cuts what is too long.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.kind, &mut self.who, &mut self.source, &mut self.subject, &mut self.result] {
            cut(text, MAX_NAME);
        }
        let (mut left, mut lists, mut out) = (MAX_DETAILS, MAX_LISTS, Vec::new());
        self.details.retain(|name, value| {
            bound(value);
            let left = if value.is_array() { &mut lists } else { &mut left };
            let length = name.len() + written(value);
            let fits = length <= *left;
            if fits {
                *left -= length;
            } else {
                out.push(Value::from(name.as_str()));
            }
            fits
        });
        if !out.is_empty() {
            self.details.insert("left_out".to_owned(), out.into());
        }
        self
    }

    /// The leaf: JSON in UTF-8 without blanks, in which what could deceive the eye is escaped.
    pub fn to_leaf(&self) -> String {
        escape_json(&serde_json::to_string(self).expect("plain data always serialises"))
    }

    /// Reads a leaf; `None` for what is none.
    pub fn from_leaf(leaf: &str) -> Option<Self> {
        serde_json::from_str(leaf).ok().filter(|event: &Self| event.v == 1)
    }
}

fn bound(value: &mut Value) {
    match value {
        Value::String(text) => {
            cut(text, MAX_DETAIL);
            // Characters that are escaped take more.
            let mut most = MAX_DETAIL;
            while written(value) > MAX_TEXT {
                most /= 2;
                if let Value::String(text) = value {
                    cut(text, most);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Object(members) => members.values_mut().for_each(bound),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Bytes of a value in the leaf.
fn written(value: &Value) -> usize {
    escape_json(&value.to_string()).len()
}

fn cut(text: &mut String, most: usize) {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let details =
            Map::from_iter([("reason".to_owned(), Value::from("rotate \u{202e}the\u{1b}[31m alarm\u{e0041}"))]);
        Event {
            v: 1,
            id: "00112233445566778899aabbccddeeff".to_owned(),
            time: 1_800_000_000_123,
            kind: "session.asked".to_owned(),
            who: "holder Zoë".to_owned(),
            source: "192.0.2.7".to_owned(),
            subject: "session abc".to_owned(),
            result: "done".to_owned(),
            details,
        }
    }

    #[test]
    fn a_leaf_is_read_as_it_was_written_and_deceives_no_eye() {
        let leaf = event().to_leaf();
        assert_eq!(
            leaf,
            r#"{"v":1,"id":"00112233445566778899aabbccddeeff","time":1800000000123,"kind":"session.asked","who":"holder Zoë","source":"192.0.2.7","subject":"session abc","result":"done","details":{"reason":"rotate \u202ethe\u001b[31m alarm\udb40\udc41"}}"#
        );
        assert_eq!(Event::from_leaf(&leaf), Some(event()));
        assert_eq!(crate::display::escape_controls(&leaf), leaf);
    }

    #[test]
    fn whatever_a_stranger_says_a_leaf_stays_small() {
        let long = "\u{202e}".repeat(100_000);
        let mut event = Event { who: long.clone(), source: long.clone(), subject: long.clone(), ..event() };
        for number in 0..100 {
            event.details.insert(format!("detail {number}"), Value::from(vec![long.as_str(); 3]));
        }
        let leaf = event.bounded().to_leaf();
        assert!(leaf.len() <= MAX_LEAF, "{}", leaf.len());
        assert!(Event::from_leaf(&leaf).is_some());
    }

    #[test]
    fn nobodys_name_is_left_out_because_of_what_somebody_said() {
        let names: Vec<_> = (0..255).map(|number| format!("{number:064}")).collect();
        for reason in ["deploy", &"\u{1}".repeat(10_000), &"\u{e0041}".repeat(1_024)] {
            let details = Map::from_iter([
                ("reason".to_owned(), Value::from(reason)),
                ("tocs_of".to_owned(), Value::from(names.clone())),
            ]);
            let event = Event { details, ..event() }.bounded();
            assert_eq!(event.details["tocs_of"].as_array().map(Vec::len), Some(255));
            assert!(event.details["reason"].as_str().is_some_and(|kept| kept.starts_with(&reason[..4])));
            assert!(event.to_leaf().len() <= MAX_LEAF);
        }
        let details = (0..9).map(|number| (format!("detail {number}"), "x".repeat(1_024).into())).collect();
        let event = Event { details, ..event() }.bounded();
        assert_eq!(event.details["left_out"], serde_json::json!(["detail 7", "detail 8"]), "what is missing is named");
    }

    #[test]
    fn what_is_no_event_is_none() {
        let leaf = event().to_leaf();
        for wrong in ["", "{}", "[]", &leaf[1..], &leaf.replace("\"v\":1", "\"v\":2")] {
            assert_eq!(Event::from_leaf(wrong), None, "{wrong}");
        }
    }
}
