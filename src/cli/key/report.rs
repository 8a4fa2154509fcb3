//! What is said of a key: on a line, in full, and as JSON. It must not know where the key is.

use crate::token::identities::OwnRecipient;
use crate::token::sealed_identity::Label;
use crate::token::stub::Stub;
use crate::token::{PivKey, TokenInfo, TokenKind};
use crate::ui::{shown, time_of};
use serde::Serialize;

/// A key in a token.
#[derive(Serialize)]
pub(super) struct KeyReport {
    token: String,
    serial: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    firmware: Option<String>,
    slot: String,
    label: String,
    /// `age1yubikey1…` and `age1tag1…`: the same key.
    recipients: [String; 2],
    pin_policy: Option<String>,
    touch_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    origin: String,
    /// `AGE-PLUGIN-YUBIKEY-1…`: what age wants in an identity file. No secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
}

impl KeyReport {
    pub(super) fn new(token: &TokenInfo, key: &PivKey) -> Self {
        Self {
            token: token.to_string(),
            serial: token.serial,
            firmware: token.firmware.clone(),
            slot: key.slot.to_string(),
            label: key.label.clone(),
            recipients: key.recipients().map(|recipient| recipient.to_string()),
            pin_policy: key.pin_policy.map(|policy| policy.to_string()),
            touch_policy: key.touch_policy.map(|policy| policy.to_string()),
            created: key.created.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            origin: key.origin.to_string(),
            identity: (token.kind == TokenKind::YubiKey)
                .then(|| Stub::of(token.serial, key))
                .flatten()
                .map(|stub| stub.to_string()),
        }
    }

    pub(super) fn line(&self) -> String {
        let [yubikey, tag] = &self.recipients;
        format!("{tag}  slot {}  {}  {}\n  or {yubikey}", self.slot, shown(&self.label), shown(&self.token))
    }

    pub(super) fn lines(&self) -> String {
        let [yubikey, tag] = &self.recipients;
        let unknown = || "unknown".to_owned();
        let lines = [
            ("token", shown(&self.token)),
            ("slot", self.slot.clone()),
            ("label", shown(&self.label)),
            ("recipient", yubikey.clone()),
            ("or", tag.clone()),
            ("PIN", self.pin_policy.clone().unwrap_or_else(unknown)),
            ("touch", self.touch_policy.clone().unwrap_or_else(unknown)),
            ("created", self.created.as_deref().map_or_else(unknown, time_of)),
            ("origin", self.origin.clone()),
        ];
        let identity = self.identity.iter().map(|identity| ("for age", identity.clone()));
        let firmware = self.firmware.iter().map(|firmware| ("firmware", firmware.clone()));
        let lines = lines.into_iter().chain(identity).chain(firmware);
        in_columns(lines)
    }
}

fn in_columns(lines: impl Iterator<Item = (&'static str, String)>) -> String {
    lines.map(|(word, value)| format!("{word:10} {value}")).collect::<Vec<_>>().join("\n")
}

/// An identity that is sealed to a passkey.
#[derive(Serialize)]
pub(super) struct SealedReport {
    identity: String,
    recipients: [String; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle: Option<String>,
    relying_party: String,
    /// `AGE-PLUGIN-FIDO2PRF-1…`: what age wants in an identity file. No secret.
    passkey: String,
}

impl SealedReport {
    pub(super) fn new(file: &str, label: &Label) -> Self {
        Self {
            identity: file.to_owned(),
            recipients: [label.recipient.clone()],
            oracle: label.oracle.clone(),
            relying_party: label.passkey.rp_id.clone(),
            passkey: label.passkey.to_string(),
        }
    }

    /// The file, for people.
    pub(super) fn file(&self) -> String {
        shown(&self.identity)
    }

    pub(super) fn lines(&self) -> String {
        let oracle = self.oracle.iter().map(|oracle| ("oracle", shown(oracle)));
        let lines = [("file", self.file()), ("recipient", self.recipients[0].clone())].into_iter().chain(oracle);
        let lines = lines.chain([("party", shown(&self.relying_party)), ("for age", self.passkey.clone())]);
        in_columns(lines)
    }
}

/// A key in an age identity file.
#[derive(Serialize)]
pub(super) struct PlainReport {
    identity: String,
    recipients: [String; 1],
}

impl PlainReport {
    pub(super) fn new(own: OwnRecipient) -> Self {
        Self { identity: own.source, recipients: [own.recipient] }
    }

    pub(super) fn line(&self) -> String {
        format!("{}  {}", self.recipients[0], shown(&self.identity))
    }
}
