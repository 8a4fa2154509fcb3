//! Who is told of what, as the settings say: the list `notices`. It must not know how anybody is told.

use super::kinds::Setting;
use crate::mail;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use url::Url;

/// Targets at most.
const MAX_TARGETS: usize = 32;

/// What somebody can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoticeKind {
    /// A drill is over.
    #[serde(rename = "drill.ended")]
    DrillEnded,
    /// Answers to a drill are missing, and its end is near.
    #[serde(rename = "drill.reminder")]
    DrillReminder,
    /// The players of a group are asked to prove that their Tocs open.
    #[serde(rename = "drill.started")]
    DrillStarted,
    /// An application or a person has got a key.
    #[serde(rename = "key.added")]
    KeyAdded,
    /// A configuration of second factors was made, changed, removed, assigned or taken away.
    #[serde(rename = "provider.changed")]
    ProviderChanged,
    /// A player said no.
    #[serde(rename = "session.denied")]
    SessionDenied,
    /// A session's time was up before anything came of it.
    #[serde(rename = "session.expired")]
    SessionExpired,
    /// A session has as many Tocs as it needs.
    #[serde(rename = "session.quorate")]
    SessionQuorate,
    /// Somebody asks for a code or a redeal.
    #[serde(rename = "session.started")]
    SessionStarted,
}

impl NoticeKind {
    /// Whether strangers can cause it where anybody may start sessions, as often as they like: in groups of their own they deny, too.
    pub fn is_anybodys(self) -> bool {
        match self {
            Self::SessionDenied | Self::SessionExpired | Self::SessionQuorate | Self::SessionStarted => true,
            Self::DrillEnded | Self::DrillReminder | Self::DrillStarted | Self::KeyAdded | Self::ProviderChanged => {
                false
            }
        }
    }
}

/// What a webhook understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The JSON of ntfy; the last part of the URL is the topic.
    Ntfy,
    /// Our own JSON, signed in the manner of Standard Webhooks.
    #[default]
    Quorate,
    /// The JSON of Slack's incoming webhooks, which others understand too.
    Slack,
}

/// One target: a webhook, by its URL or by a file that holds it, or a mail address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeTarget {
    /// The webhook's URL. Whoever knows Slack's can write there, so it had better stand in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A private file that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// A mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// What the webhook understands.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shape: Shape,
    /// What it is told of; all, when none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<NoticeKind>,
    /// Whether it is told names, notes and reasons as well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub names: bool,
    /// A private file with the key that signs our own JSON, or ntfy's access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl fmt::Debug for NoticeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoticeTarget").field("shape", &self.shape).field("events", &self.events).finish_non_exhaustive()
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoticeTargets(pub Vec<NoticeTarget>);

impl NoticeTarget {
    /// Whether it is told of `kind`.
    pub fn wants(&self, kind: NoticeKind) -> bool {
        self.events.is_empty() || self.events.contains(&kind)
    }

    fn check(&self) -> Result<(), String> {
        let places = [self.url.is_some(), self.url_file.is_some(), self.mail.is_some()];
        if places.iter().filter(|set| **set).count() != 1 {
            return Err("each target has one of url, url_file and mail".to_owned());
        }
        if let Some(mail) = &self.mail {
            mail::address(mail).ok_or("mail is one address, such as ops@example.com")?;
            if self.shape != Shape::default() || self.secret_file.is_some() {
                return Err("shape and secret_file are for webhooks".to_owned());
            }
            return Ok(());
        }
        if let Some(url) = &self.url {
            webhook(url)?;
        }
        match (self.shape, &self.secret_file) {
            (Shape::Quorate, None) => {
                Err("a webhook of shape quorate needs secret_file, the key that signs".to_owned())
            }
            (Shape::Slack, Some(_)) => Err("Slack's webhooks have no secret but their URL".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The URL of a webhook. The error does not repeat it.
pub fn webhook(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    let url = url.ok_or("the URL of a webhook begins with https://, or http:// for addresses in webhooks.allow")?;
    if url.username().is_empty() && url.password().is_none() && url.fragment().is_none() {
        Ok(url)
    } else {
        Err("the URL of a webhook has no user, password or fragment".to_owned())
    }
}

/// A list of tables in the file, or the same as JSON.
impl Setting for NoticeTargets {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let targets: Vec<NoticeTarget> = serde_json::from_str(text).map_err(|error| {
            // Its words may repeat a value, which may be a URL that is a secret.
            let what = error.to_string();
            let field = what.split('`').nth(1).filter(|_| what.starts_with("unknown "));
            field.map_or_else(
                || "it is a list of targets, each with url, url_file or mail; see docs/notices.md".to_owned(),
                |field| format!("{} is no field, shape or event of a target; see docs/notices.md", shown(field)),
            )
        })?;
        if targets.len() > MAX_TARGETS {
            return Err(format!("there are {MAX_TARGETS} targets at most"));
        }
        targets.iter().try_for_each(NoticeTarget::check)?;
        Ok(Self(targets))
    }

    /// As JSON, with no more of a URL than its host.
    fn show(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut targets = self.0.clone();
        for target in &mut targets {
            if let Some(url) = target.url.as_ref().and_then(|url| webhook(url).ok()) {
                target.url = Some(format!("{}/…", url.origin().ascii_serialization()));
            }
        }
        serde_json::to_string(&targets).expect("plain data always serialises")
    }
}

fn shown(text: &str) -> String {
    quorate_protocol::display::escape_controls(&text.chars().take(40).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_shown_without_secrets() {
        let text = r#"[{"url": "https://hooks.example.com/services/hunter2?x=hunter2", "shape": "slack"},
            {"url": "https://example.com/in", "secret_file": "/etc/key", "events": ["session.denied"], "names": true},
            {"mail": "ops@example.com"}]"#;
        let targets = NoticeTargets::parse(text).unwrap();
        assert!(targets.0[0].wants(NoticeKind::KeyAdded) && !targets.0[1].wants(NoticeKind::KeyAdded));
        assert!(targets.0[1].wants(NoticeKind::SessionDenied));
        assert!(!format!("{targets:?}").contains("hunter2"));
        assert!(!targets.show().contains("hunter2") && targets.show().contains("https://hooks.example.com/…"));
        let mails = NoticeTargets::parse(r#"[{"mail":"a@example.com","events":["key.added"]}]"#).unwrap();
        assert_eq!(NoticeTargets::parse(&mails.show()), Ok(mails));
    }

    #[test]
    fn what_is_no_target_is_refused_without_being_repeated() {
        for text in [
            "hunter2",
            r#"{"mail": "hunter2@example.com"}"#,
            "[{}]",
            r#"[{"mail": "a@example.com", "url": "https://hunter2.example"}]"#,
            r#"[{"mail": "hunter2"}]"#,
            r#"[{"mail": "a@example.com", "shape": "slack"}]"#,
            r#"[{"url": "hunter2"}]"#,
            r#"[{"url": "ftp://hunter2.example/", "shape": "slack"}]"#,
            r#"[{"url": "https://user:hunter2@example.com/", "shape": "slack"}]"#,
            r#"[{"url": "https://example.com/#hunter2", "shape": "slack"}]"#,
            r#"[{"url": "https://example.com/hunter2"}]"#,
            r#"[{"url": "https://example.com/", "shape": "slack", "secret_file": "hunter2"}]"#,
            r#"[{"url": 2, "shape": "hunter2"}]"#,
        ] {
            let error = NoticeTargets::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
        for (text, name) in [
            (r#"[{"uri": "x"}]"#, "uri"),
            (r#"[{"mail": "a@example.com", "events": ["session.begun"]}]"#, "session.begun"),
        ] {
            assert!(NoticeTargets::parse(text).unwrap_err().starts_with(name));
        }
    }
}
