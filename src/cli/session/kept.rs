//! What the applicant's machine keeps of a session while it lasts: its key and its invite, in one file that only they can
//! read, so that a second code and an end to the session are possible. It must not know oracles or Tocs.

use crate::cli::error::SessionError;
use crate::cli::{CliError, files};
use quorate_protocol::invite::Invite;
use quorate_protocol::session::{Kek, is_session_id};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file larger than this is none of ours.
const MAX_FILE: u64 = 1024 * 1024;

/// A session of one's own.
pub(crate) struct Kept {
    /// Where the oracle is: the pinned or trusted URL.
    pub(crate) oracle: String,
    /// The invite, verified when it was kept.
    pub(crate) invite: Invite,
    /// The key that only the applicant has.
    pub(crate) kek: Kek,
    /// When the session is over for certain, Unix seconds.
    pub(crate) over_at: i64,
    /// Whether the applicant limited the number of codes.
    pub(crate) counted: bool,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    oracle: String,
    invite: String,
    kek: Zeroizing<String>,
    over_at: i64,
    counted: bool,
}

impl Kept {
    /// Session id.
    pub(crate) fn id(&self) -> &str {
        &self.invite.fields().session
    }

    /// Writes the file into `folder`, and removes those of sessions that are over at `now`.
    pub(crate) fn save(&self, folder: &Path, now: i64) -> Result<(), CliError> {
        files::private_folder(folder)?;
        prune(folder, now);
        let file = File {
            version: 1,
            oracle: self.oracle.clone(),
            invite: self.invite.to_url(),
            kek: self.kek.to_base64(),
            over_at: self.over_at,
            counted: self.counted,
        };
        let mut text = Zeroizing::new(Vec::with_capacity(file.invite.len() + file.oracle.len() + 1024));
        serde_json::to_writer(&mut *text, &file).expect("plain data always serialises");
        files::write_new(&path(folder, self.id()), &text)
    }

    /// Reads the file of session `id`.
    pub(crate) fn load(folder: &Path, id: &str) -> Result<Self, CliError> {
        let path = path(folder, id);
        if !is_session_id(id) || !path.exists() {
            return Err(SessionError::NotKept(id.to_owned()).into());
        }
        let kept = Self::parse(&files::read(&path, MAX_FILE)?).filter(|kept| kept.id() == id);
        kept.ok_or_else(|| SessionError::StateFile(path).into())
    }

    /// Every session in `folder` that is not over at `now`, oldest first. Files that cannot be read as one are left out.
    pub(crate) fn list(folder: &Path, now: i64) -> Vec<Self> {
        let mut sessions: Vec<Self> = files_in(folder).filter_map(|path| Self::read(&path)).collect();
        sessions.retain(|kept| kept.over_at > now);
        sessions.sort_by_key(|kept| kept.invite.fields().created);
        sessions
    }

    fn read(path: &Path) -> Option<Self> {
        Self::parse(&files::read(path, MAX_FILE).ok()?)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let file: File = serde_json::from_slice(text).ok()?;
        let kept = Self {
            invite: Invite::parse(&file.invite).ok()?,
            kek: Kek::from_base64(&file.kek).ok()?,
            oracle: file.oracle,
            over_at: file.over_at,
            counted: file.counted,
        };
        (file.version == 1).then_some(kept)
    }

    /// Forgets the session: its key opens nothing any more.
    pub(crate) fn forget(folder: &Path, id: &str) {
        // What is left behind is removed when it has expired.
        let _ = fs::remove_file(path(folder, id));
    }
}

fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
}

/// Removes the files of sessions that are over. Best effort: what cannot be read stays.
fn prune(folder: &Path, now: i64) {
    for path in files_in(folder) {
        if Kept::read(&path).is_some_and(|kept| kept.over_at <= now) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The files in `folder` that have the name of a session.
fn files_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.file_stem().and_then(|stem| stem.to_str()).is_some_and(is_session_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::encoding::base64;
    use std::os::unix::fs::PermissionsExt as _;

    fn kept(session: char, over_at: i64) -> Kept {
        // What an invite says is checked where it is verified; here it only has to read back.
        let payload = serde_json::json!({
            "version": 1, "session": session.to_string().repeat(32), "oracle": "https://oracle.example", "tek": "age1x",
            "group_id": "7GCUCI2Y", "size": 3, "threshold": 2, "note": "", "purpose": "code",
            "applicant": {"status": "unverified"}, "reason": "r", "created": 1, "expires": 2, "ttl": 60, "certificates": []
        });
        Kept {
            oracle: "https://oracle.example".into(),
            invite: Invite::from_parts(payload.to_string().into_bytes(), vec![0; 64]).expect("an invite"),
            kek: Kek::from_base64(&base64(&[3; 32])).expect("32 bytes"),
            over_at,
            counted: false,
        }
    }

    #[test]
    fn a_session_is_kept_for_its_owner_only_and_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("sessions");
        let kept = kept('A', 100);
        kept.save(&folder, 50).expect("saved");
        let path = path(&folder, kept.id());
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o700);
        let read = Kept::load(&folder, kept.id()).expect("reads back");
        assert_eq!(*read.kek.to_base64(), *kept.kek.to_base64());
        assert_eq!(read.invite, kept.invite);
        Kept::forget(&folder, kept.id());
        assert!(matches!(Kept::load(&folder, kept.id()), Err(CliError::Session(SessionError::NotKept(_)))));
    }

    #[test]
    fn what_is_over_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("sessions");
        kept('A', 100).save(&folder, 50).expect("saved");
        fs::write(folder.join("notes.json"), "mine").expect("written");
        kept('B', 300).save(&folder, 200).expect("saved");
        assert!(Kept::load(&folder, &"A".repeat(32)).is_err());
        assert!(Kept::load(&folder, &"B".repeat(32)).is_ok());
        assert!(folder.join("notes.json").exists());
    }

    #[test]
    fn what_is_not_over_is_listed_and_junk_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("sessions");
        assert!(Kept::list(&folder, 50).is_empty(), "there is no such folder");
        kept('A', 100).save(&folder, 50).expect("saved");
        kept('B', 300).save(&folder, 50).expect("saved");
        fs::write(path(&folder, &"C".repeat(32)), "{}").expect("written");
        let ids = |now| Kept::list(&folder, now).iter().map(|kept| kept.id()[..1].to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(50).len(), 2);
        assert_eq!(ids(100), ["B"]);
        assert!(path(&folder, &"A".repeat(32)).exists(), "looking removes nothing");
    }

    #[test]
    fn ids_name_no_other_files_and_junk_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("sessions");
        assert!(matches!(Kept::load(&folder, "../../etc/passwd"), Err(CliError::Session(SessionError::NotKept(_)))));
        kept('A', 100).save(&folder, 50).expect("saved");
        fs::write(path(&folder, &"A".repeat(32)), "{}").expect("written");
        assert!(matches!(Kept::load(&folder, &"A".repeat(32)), Err(CliError::Session(SessionError::StateFile(_)))));
        // Another session's file under this name is not taken for it.
        fs::copy(path(&folder, &"A".repeat(32)), path(&folder, &"C".repeat(32))).expect("copied");
        assert!(Kept::load(&folder, &"C".repeat(32)).is_err());
    }
}
