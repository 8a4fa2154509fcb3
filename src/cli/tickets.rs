//! What this person is logged in with: a ticket per oracle, in files that only they can read, until it ends. It must not know
//! how one logs in.

use super::error::PeopleError;
use super::{CliError, Context, files};
use crate::client::{Bearer, Ticket};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file larger than this is none of ours.
const MAX_FILE: u64 = 16 * 1024;
/// Bytes of an address's hash in the name of its file.
const NAME_BYTES: usize = 16;

/// The ticket for the oracle at `url`, if this person is logged in there.
pub(crate) fn ticket(context: &Context, url: &str) -> Result<Option<Ticket>, CliError> {
    let held = Held::load(&context.paths()?.tickets(), url, context.now())?;
    Ok(held.map(|held| held.ticket))
}

/// A ticket, and what the login said of it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// The oracle's base URL, without a trailing slash.
    pub(crate) oracle: String,
    /// The ticket.
    pub(crate) ticket: Ticket,
    /// Whose it is, and until when.
    pub(crate) bearer: Bearer,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    oracle: String,
    principal: String,
    role: String,
    expires_at: String,
    ticket: Zeroizing<String>,
}

impl Held {
    /// Writes the file into `folder`, in the place of an older ticket for that oracle, and removes those that are over at
    /// `now` (Unix seconds).
    pub(crate) fn save(&self, folder: &Path, now: i64) -> Result<(), CliError> {
        files::private_folder(folder)?;
        prune(folder, now);
        let Bearer { principal, role, expires_at } = self.bearer.clone();
        let ticket = Zeroizing::new(self.ticket.expose().to_owned());
        let file = File { version: 1, oracle: self.oracle.clone(), principal, role, expires_at, ticket };
        // Reserved at once: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE).unwrap_or_default()));
        serde_json::to_writer(&mut *text, &file).expect("plain data always serialises");
        files::replace(&path(folder, &self.oracle), &text)
    }

    /// Reads the ticket for the oracle at `url`; none is no error, and one that is over at `now` is none.
    pub(crate) fn load(folder: &Path, url: &str, now: i64) -> Result<Option<Self>, CliError> {
        let url = url.trim_end_matches('/');
        let path = path(folder, url);
        if !path.exists() {
            return Ok(None);
        }
        let held = Self::parse(&files::read(&path, MAX_FILE)?).filter(|held| held.oracle == url);
        let held = held.ok_or_else(|| CliError::from(PeopleError::TicketFile(path)))?;
        Ok(Some(held).filter(|held| !held.is_over(now)))
    }

    /// Every ticket in `folder` that is not over at `now`, by the oracles' addresses. Files that are none are left out.
    pub(crate) fn list(folder: &Path, now: i64) -> Vec<Self> {
        let mut all: Vec<Self> = files_in(folder).filter_map(|path| Self::read(&path)).collect();
        all.retain(|held| !held.is_over(now));
        all.sort_by(|one, other| one.oracle.cmp(&other.oracle));
        all
    }

    /// Forgets the ticket for the oracle at `url`.
    pub(crate) fn forget(folder: &Path, url: &str) -> Result<(), CliError> {
        let path = path(folder, url);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CliError::write(path, error)),
            _ => Ok(()),
        }
    }

    fn read(path: &Path) -> Option<Self> {
        Self::parse(&files::read(path, MAX_FILE).ok()?)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let File { version, oracle, principal, role, expires_at, ticket } = serde_json::from_slice(text).ok()?;
        let held = Self { oracle, ticket: Ticket::parse(&ticket)?, bearer: Bearer { principal, role, expires_at } };
        (version == 1).then_some(held)
    }

    /// A time that nobody can read has passed.
    fn is_over(&self, now: i64) -> bool {
        self.bearer.expires_at.parse().map_or(true, |end: jiff::Timestamp| end.as_second() <= now)
    }
}

fn path(folder: &Path, url: &str) -> PathBuf {
    let hash = Sha256::digest(url.trim_end_matches('/'));
    folder.join(format!("{}.json", HEXLOWER.encode(&hash[..NAME_BYTES])))
}

/// Removes the files of tickets that are over. Best effort: what cannot be read stays.
fn prune(folder: &Path, now: i64) {
    for path in files_in(folder) {
        if Held::read(&path).is_some_and(|held| held.is_over(now)) {
            let _ = fs::remove_file(path);
        }
    }
}

fn files_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const ONE: &str = "https://one.example";
    const OTHER: &str = "https://other.example/mfa";

    fn held(oracle: &str, ticket: &str, expires_at: &str) -> Held {
        Held {
            oracle: oracle.to_owned(),
            ticket: Ticket::parse(ticket).expect("a ticket"),
            bearer: Bearer {
                principal: "principal/internal/user/bob".to_owned(),
                role: "member".to_owned(),
                expires_at: expires_at.to_owned(),
            },
        }
    }

    fn kept(folder: &Path, url: &str, now: i64) -> Option<String> {
        Held::load(folder, url, now).expect("readable").map(|held| held.ticket.expose().to_owned())
    }

    #[test]
    fn a_ticket_is_kept_for_its_owner_only_per_oracle_and_replaced() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("tickets");
        assert_eq!(kept(&folder, ONE, 0), None);
        held(ONE, "first", "1970-01-01T00:01:40Z").save(&folder, 0).expect("saved");
        held(OTHER, "other", "1970-01-01T00:01:40Z").save(&folder, 0).expect("saved");
        held(ONE, "second", "1970-01-01T00:03:20Z").save(&folder, 0).expect("saved");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path(&folder, ONE))), (0o700, 0o600));
        assert_eq!(kept(&folder, ONE, 99), Some("second".to_owned()));
        assert_eq!(kept(&folder, &format!("{OTHER}/"), 99), Some("other".to_owned()));
        let all = |now| Held::list(&folder, now).into_iter().map(|held| held.oracle).collect::<Vec<_>>();
        assert_eq!((all(99), all(100)), (vec![ONE.to_owned(), OTHER.to_owned()], vec![ONE.to_owned()]));
        Held::forget(&folder, ONE).expect("forgotten");
        Held::forget(&folder, ONE).expect("there is none");
        assert_eq!(kept(&folder, ONE, 99), None);
    }

    #[test]
    fn what_is_over_is_none_and_goes_with_the_next_login() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("tickets");
        held(ONE, "first", "1970-01-01T00:01:40Z").save(&folder, 0).expect("saved");
        assert_eq!((kept(&folder, ONE, 99), kept(&folder, ONE, 100)), (Some("first".to_owned()), None));
        assert!(path(&folder, ONE).exists(), "looking removes nothing");
        held(OTHER, "other", "1970-01-01T00:03:20Z").save(&folder, 100).expect("saved");
        assert!(!path(&folder, ONE).exists());
    }

    #[test]
    fn a_file_that_is_not_of_this_oracle_is_told() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("tickets");
        held(ONE, "first", "1970-01-01T00:01:40Z").save(&folder, 0).expect("saved");
        fs::copy(path(&folder, ONE), path(&folder, OTHER)).expect("copied");
        for content in [None, Some("{}"), Some("junk")] {
            if let Some(content) = content {
                fs::write(path(&folder, OTHER), content).expect("written");
            }
            let refused = Held::load(&folder, OTHER, 0);
            assert!(matches!(refused, Err(CliError::People(PeopleError::TicketFile(_)))), "{refused:?}");
        }
        assert_eq!(Held::list(&folder, 0).len(), 1);
    }
}
