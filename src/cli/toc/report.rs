//! What `quorate toc show` says of an open Toc: everything but the share, and the share when it was asked for. It must not
//! know how the Toc was opened.

use crate::cli::drawer::Card;
use crate::cli::opening::OpenedToc;
use crate::ui::{shown, time};
use quorate_protocol::api::fingerprint;
use quorate_protocol::encoding::base64;
use quorate_protocol::toc::Toc;
use serde::Serialize;
use zeroize::Zeroizing;

/// What a Toc says, for people and as JSON.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    card: Card,
    /// Who dealt it: `quorate` or `farmfa`.
    dealt_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle_fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Zeroizing<String>>,
}

impl Report {
    /// `None` for a Toc as it is sent to an oracle.
    pub(super) fn of(opened: &OpenedToc, with_share: bool) -> Option<Self> {
        let card = Card::of(&opened.toc)?;
        let oracle_fingerprint = card.oracle.as_ref().map(|pin| fingerprint(&pin.root_key.0));
        let share = with_share.then(|| share_text(opened)).flatten();
        let (dealt_by, x) = match &opened.toc {
            Toc::Whole(whole) => ("quorate", Some(whole.share().x())),
            Toc::Short(_) | Toc::Farmfa(_) => ("farmfa", None),
        };
        Some(Self { card, dealt_by, x, oracle_fingerprint, share })
    }

    /// The same for people: a word and its value a line.
    pub(super) fn lines(&self) -> Zeroizing<String> {
        let card = &self.card;
        let mut lines = vec![("note", shown(&card.note))];
        match card.group {
            Some(group) => lines.push(("group", group.to_string())),
            None => lines.push(("dealt by", "farMFA, so it cannot prove which group it is of".to_owned())),
        }
        lines.push(("group id", shown(&card.group_id)));
        if let (Some(holder), Some(x)) = (&card.holder, self.x) {
            lines.push(("holder", format!("{} (share {x} of {})", shown(holder), card.size)));
        }
        lines.push(("Toc id", shown(&card.toc_id)));
        lines.push(("threshold", format!("{} of {}", card.threshold, card.size)));
        if !card.players.is_empty() {
            lines.push(("players", card.players.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")));
        }
        if let Some(at) = card.dealt_at {
            lines.push(("dealt at", time(at)));
        }
        if let Some(replaced) = card.replaces {
            lines.push(("replaces", replaced.to_string()));
        }
        match (&card.oracle, &self.oracle_fingerprint) {
            (Some(pin), Some(fingerprint)) => lines.push(("oracle", format!("{} ({fingerprint})", shown(&pin.url)))),
            _ => lines.push(("oracle", "none named".to_owned())),
        }
        // Reserved at once for the share at the end: a text that grows leaves copies behind.
        let length = lines.iter().map(|(_, value)| value.len() + 12).sum::<usize>();
        let share = self.share.as_deref().map_or("", String::as_str);
        let mut text = Zeroizing::new(String::with_capacity(length + share.len() + 16));
        for (index, (word, value)) in lines.iter().enumerate() {
            let feed = if index == 0 { "" } else { "\n" };
            text.extend([feed, &format!("{word:11}"), value]);
        }
        if !share.is_empty() {
            text.extend(["\nshare      ", share]);
        }
        text
    }
}

/// The share as its dealer wrote it.
fn share_text(opened: &OpenedToc) -> Option<Zeroizing<String>> {
    #[derive(serde::Deserialize)]
    struct OnlyShare {
        share: Zeroizing<String>,
    }
    match &opened.toc {
        Toc::Whole(whole) => Some(Zeroizing::new(base64(whole.share().as_bytes()))),
        Toc::Short(_) | Toc::Farmfa(_) => serde_json::from_slice::<OnlyShare>(&opened.json).ok().map(|toc| toc.share),
    }
}
