//! Who is dealt to: players as arguments and TOML files name them, checked before anything is asked or written. It must not
//! know secrets or Tocs.

use super::CliError;
use crate::token::identities::Person;
use crate::ui::{Ui, shown};
use age::plugin::{Recipient as PluginRecipient, RecipientPluginV1};
use quorate_protocol::header::{HeaderError, MAX_HOLDER, MAX_PLAYERS};
use quorate_protocol::plan::MAX_RECIPIENTS;
use quorate_protocol::recipient::{KeyId, NativeRecipient, RecipientError, check_kinds};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a file of players that are read at most.
const MAX_FILE: u64 = 1024 * 1024;

/// One player: a name, and the recipients of their key and its spares.
#[derive(Debug, Clone)]
pub(crate) struct Player {
    /// The name that stands in the header.
    pub(crate) holder: String,
    /// At least one.
    pub(crate) recipients: Vec<PlayerRecipient>,
}

/// A recipient that age knows by itself, or one that a plugin must be asked about.
#[derive(Debug, Clone)]
pub(crate) enum PlayerRecipient {
    /// `age1…`, `age1tag1…`, `age1tagpq1…`, `age1yubikey1…`.
    Native(Box<NativeRecipient>),
    /// Any other; the plugin's name and the recipient in lower case.
    Plugin(String, String),
}

/// Two recipients with the same identity open the same files.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Native(KeyId),
    Plugin(String),
}

/// Why the players are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PlayersError {
    /// The TOML file is not what it should be.
    #[error("{file} is no list of players: {cause}")]
    File {
        /// The file.
        file: String,
        /// What the TOML reader said.
        cause: String,
    },
    /// A name that cannot stand in a header.
    #[error("`{0}` is no name for a player: it needs 1 to {MAX_HOLDER} bytes without control characters")]
    Name(String),
    /// Nobody was named.
    #[error("no player was named")]
    None,
    /// An argument without `=`.
    #[error("`{0}` is no player")]
    Player(String),
    /// A player without recipients, or with too many.
    #[error("{0} needs between 1 and {MAX_RECIPIENTS} recipients")]
    Recipients(String),
    /// One name for two players.
    #[error("{0} is named twice")]
    RepeatedName(String),
    /// One key, in whatever spelling, for two players or twice for one.
    #[error("{first} and {second} have the same key, so one person would hold two Tocs")]
    SharedKey {
        /// Who was named first.
        first: String,
        /// Who has the key too.
        second: String,
    },
    /// One key, in whatever spelling, twice for one player.
    #[error("{0} has the same key twice")]
    SameKey(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlayersFile {
    player: Vec<PlayerEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlayerEntry {
    name: String,
    recipients: Vec<String>,
}

/// Reads and checks the players of `-p` and `-P`, in that order, and the threshold.
pub(crate) fn read(arguments: &[String], file: Option<&Path>, threshold: usize) -> Result<Vec<Player>, CliError> {
    let mut players = arguments.iter().map(|text| parse_argument(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = file {
        players.extend(parse_file(path)?);
    }
    check(&players)?;
    let size = players.len();
    if threshold < 2 || threshold > size || size > MAX_PLAYERS {
        return Err(HeaderError::Threshold { threshold, size }.into());
    }
    Ok(players)
}

/// Reads `NAME=RECIPIENT[,SPARE…]`.
pub(crate) fn parse_argument(text: &str) -> Result<Player, CliError> {
    // Recipients hold no `=`, names may.
    let (name, recipients) = text.rsplit_once('=').ok_or_else(|| PlayersError::Player(brief(text)))?;
    player(name, recipients.split(','))
}

/// A player of a name and recipients as people write them.
pub(crate) fn player<'a>(name: &str, recipients: impl Iterator<Item = &'a str>) -> Result<Player, CliError> {
    let holder = name.trim().to_owned();
    if holder.is_empty() || holder.len() > MAX_HOLDER || holder.chars().any(char::is_control) {
        return Err(PlayersError::Name(brief(name)).into());
    }
    let recipients = recipients
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| parse_recipient(text).map_err(|reason| CliError::Recipient { holder: holder.clone(), reason }))
        .collect::<Result<Vec<_>, _>>()?;
    if !(1..=MAX_RECIPIENTS).contains(&recipients.len()) {
        return Err(PlayersError::Recipients(holder).into());
    }
    let player = Player { holder, recipients };
    let natives = player.natives();
    if !natives.is_empty() {
        check_kinds(&natives).map_err(|reason| CliError::Recipient { holder: player.holder.clone(), reason })?;
    }
    Ok(player)
}

fn parse_file(path: &Path) -> Result<Vec<Player>, CliError> {
    let text = super::files::read_text(path, MAX_FILE)?;
    let file: PlayersFile = toml::from_str(&text).map_err(|error| PlayersError::File {
        file: path.to_string_lossy().into_owned(),
        cause: error.message().to_owned(),
    })?;
    file.player.iter().map(|entry| player(&entry.name, entry.recipients.iter().map(String::as_str))).collect()
}

fn parse_recipient(text: &str) -> Result<PlayerRecipient, RecipientError> {
    match text.parse::<NativeRecipient>() {
        Ok(native) => Ok(PlayerRecipient::Native(Box::new(native))),
        Err(RecipientError::Plugin(name)) => Ok(PlayerRecipient::Plugin(name, text.to_lowercase())),
        Err(error) => Err(error),
    }
}

/// Refuses a name or a key that stands twice.
fn check(players: &[Player]) -> Result<(), PlayersError> {
    if players.is_empty() {
        return Err(PlayersError::None);
    }
    let (mut names, mut keys) = (HashSet::new(), HashMap::new());
    for player in players {
        if !names.insert(&player.holder) {
            return Err(PlayersError::RepeatedName(player.holder.clone()));
        }
        for recipient in &player.recipients {
            let second = player.holder.clone();
            match keys.insert(recipient.identity(), &player.holder) {
                Some(first) if *first == second => return Err(PlayersError::SameKey(second)),
                Some(first) => return Err(PlayersError::SharedKey { first: first.clone(), second }),
                None => {}
            }
        }
    }
    Ok(())
}

impl Player {
    /// The recipients that need no plugin.
    pub(crate) fn natives(&self) -> Vec<NativeRecipient> {
        let native = |recipient: &PlayerRecipient| match recipient {
            PlayerRecipient::Native(native) => Some((**native).clone()),
            PlayerRecipient::Plugin(..) => None,
        };
        self.recipients.iter().filter_map(native).collect()
    }

    /// What age encrypts this player's Toc to. A plugin that is not installed is refused here, before anything is written.
    pub(crate) fn age_recipients(&self, ui: Ui) -> Result<Vec<Box<dyn age::Recipient>>, CliError> {
        let mut boxed: Vec<Box<dyn age::Recipient>> = Vec::new();
        let mut of_plugins: HashMap<&str, Vec<PluginRecipient>> = HashMap::new();
        for recipient in &self.recipients {
            match recipient {
                PlayerRecipient::Native(native) => boxed.push(native.clone()),
                PlayerRecipient::Plugin(name, text) => {
                    let parsed = text.parse().map_err(|cause| CliError::Recipient {
                        holder: self.holder.clone(),
                        reason: RecipientError::Key { shown: brief(text), cause },
                    })?;
                    of_plugins.entry(name).or_default().push(parsed);
                }
            }
        }
        for (name, recipients) in of_plugins {
            let person = Person::at_plugin(name, &(Arc::new(ui) as _));
            let plugin = RecipientPluginV1::new(name, &recipients, &[], person)
                .map_err(|_| CliError::NoPlugin { name: name.to_owned(), holder: self.holder.clone() })?;
            boxed.push(Box::new(plugin));
        }
        Ok(boxed)
    }
}

impl PlayerRecipient {
    fn identity(&self) -> Identity {
        match self {
            Self::Native(native) => Identity::Native(native.key_id()),
            Self::Plugin(_, text) => Identity::Plugin(text.clone()),
        }
    }
}

/// The start of what a person typed, fit for one line of an error.
fn brief(text: &str) -> String {
    const SHOWN: usize = 40;
    let start: String = text.chars().take(SHOWN).collect();
    let more = if text.chars().count() > SHOWN { "…" } else { "" };
    shown(&start) + more
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn tag_and_yubikey() -> [String; 2] {
        let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
        [
            NativeRecipient::tag(&secret.public_key()).to_string(),
            NativeRecipient::yubikey(&secret.public_key()).to_string(),
        ]
    }

    fn refused(arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        read(&arguments, None, 2).expect_err("refused").to_string()
    }

    #[test]
    fn a_player_is_a_name_and_recipients() {
        let [tag, _] = tag_and_yubikey();
        let player = parse_argument(&format!(" Ann = A ={ANN}, {tag}")).unwrap();
        assert_eq!((player.holder.as_str(), player.natives().len()), ("Ann = A", 2));
    }

    #[test]
    fn one_key_serves_one_player_in_whatever_spelling() {
        let [tag, yubikey] = tag_and_yubikey();
        let same = "ann and bob have the same key, so one person would hold two Tocs";
        assert_eq!(refused(&[&format!("ann={ANN}"), &format!("bob={}", ANN.to_uppercase())]), same);
        assert_eq!(refused(&[&format!("ann={tag}"), &format!("bob={yubikey}")]), same);
        assert_eq!(refused(&[&format!("ann={tag},{yubikey}"), &format!("bob={ANN}")]), "ann has the same key twice");
        let plugin = "age1sss1xpfnx6";
        let plugin = if plugin.parse::<PluginRecipient>().is_ok() { plugin.to_owned() } else { plugin_recipient() };
        assert_eq!(refused(&[&format!("ann={plugin}"), &format!("bob={}", plugin.to_uppercase())]), same);
    }

    fn plugin_recipient() -> String {
        bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age1other").unwrap(), &[1, 2, 3]).unwrap()
    }

    #[test]
    fn what_is_no_player_is_refused() {
        let long = "x".repeat(65);
        for (arguments, reason) in [
            (vec![], "no player was named"),
            (vec!["ann"], "`ann` is no player"),
            (vec!["=age1x"], "`` is no name for a player: it needs 1 to 64 bytes without control characters"),
            (
                vec!["a\u{7}=age1x"],
                "`a\\u{7}` is no name for a player: it needs 1 to 64 bytes without control characters",
            ),
            (vec!["ann="], "ann needs between 1 and 8 recipients"),
        ] {
            assert_eq!(refused(&arguments), reason);
        }
        assert!(refused(&[&format!("{long}={ANN}")]).contains("is no name"));
        assert!(refused(&[&format!("ann={ANN}"), "ann=age1"]).starts_with("the recipient of ann is refused"));
        assert_eq!(
            refused(&[&format!("ann={ANN}")]),
            "the threshold must be between 2 and the number of players (1), not 2"
        );
        let identity = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWX9QY7";
        assert!(!refused(&[&format!("ann={identity}")]).contains("QQQSYQ"), "a private key is not repeated");
    }

    #[test]
    fn a_file_of_players_is_checked_as_arguments_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("players.toml");
        let [tag, _] = tag_and_yubikey();
        std::fs::write(&path, format!("[[player]]\nname = \"ann\"\nrecipients = [\"{ANN}\"]\n")).unwrap();
        let players = read(&[format!("bob={tag}")], Some(&path), 2).unwrap();
        assert_eq!(players.iter().map(|player| player.holder.as_str()).collect::<Vec<_>>(), ["bob", "ann"]);
        std::fs::write(&path, "[[player]]\nname = \"ann\"\nrecipient = \"x\"\n").unwrap();
        assert!(read(&[], Some(&path), 2).unwrap_err().to_string().contains("is no list of players"));
    }
}
