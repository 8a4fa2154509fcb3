//! The file of a soft token on disk: read whole, replaced atomically and durably, one process at a time. Knows no
//! keys, no codes and no format.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::{Builder, NamedTempFile};
use zeroize::Zeroizing;

use crate::token::TokenError;

/// Twenty-one keys take some ten thousand bytes.
const MAX_BYTES: u64 = 64 * 1024;
/// How often a token that another process holds is tried again: the system tells nobody when it is let go.
const RETRY: Duration = Duration::from_millis(10);
/// Hidden, so that whoever lists a folder of identities passes over what a crash left behind.
const TEMPORARY_PREFIX: &str = ".quorate-";

/// What is in the file of a soft token.
pub(in crate::token) trait Kept: Sized {
    /// Reads a file's text.
    fn parse(path: &Path, text: &str) -> Result<Self, TokenError>;

    /// The file's text.
    fn to_text(&self) -> String;
}

/// Where a token's file is.
pub(in crate::token) struct Store<T> {
    path: PathBuf,
    kept: PhantomData<fn() -> T>,
}

/// As long as it lives, no other process changes the token.
pub(in crate::token) struct Held {
    /// Locked; the lock goes when the file is closed.
    _file: File,
}

impl<T: Kept> Store<T> {
    /// Writes a new token, never over an existing file.
    pub(in crate::token) fn create(path: &Path, content: &T) -> Result<Self, TokenError> {
        let written = write_beside(path, content).map_err(|source| io_error(path, source))?;
        written.persist_noclobber(path).map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => TokenError::Exists(path.to_owned()),
            _ => io_error(path, failed.error),
        })?;
        sync_folder(path).map_err(|source| io_error(path, source))?;
        let path = path.canonicalize().map_err(|source| io_error(path, source))?;
        Ok(Self { path, kept: PhantomData })
    }

    /// Finds a token; links are followed once, here.
    pub(in crate::token) fn open(path: &Path) -> Result<(Self, T), TokenError> {
        let path = path.canonicalize().map_err(|source| io_error(path, source))?;
        let store = Self { path, kept: PhantomData };
        let mut file = File::open(&store.path).map_err(|source| io_error(&store.path, source))?;
        let content = store.parse(&mut file)?;
        Ok((store, content))
    }

    /// The token as it is now; [`TokenError::Removed`] when its file is gone.
    pub(in crate::token) fn read(&self) -> Result<T, TokenError> {
        self.parse(&mut self.file()?)
    }

    /// Waits for other processes, then reads. [`TokenError::Busy`] when one of them has kept the token for longer than `limit`.
    pub(in crate::token) fn hold(&self, limit: Duration) -> Result<(Held, T), TokenError> {
        let deadline = Instant::now() + limit;
        loop {
            let mut file = self.file()?;
            while let Err(error) = file.try_lock() {
                match error {
                    TryLockError::WouldBlock if Instant::now() < deadline => thread::sleep(RETRY),
                    TryLockError::WouldBlock => return Err(TokenError::Busy(None)),
                    TryLockError::Error(source) => return Err(io_error(&self.path, source)),
                }
            }
            // While we waited, another process may have put a new file in place of the one that we locked.
            if self.is_current(&file)? {
                let content = self.parse(&mut file)?;
                return Ok((Held { _file: file }, content));
            }
        }
    }

    /// Puts a new state in place of the old one, for good: once this returns, no loss of power brings the old back.
    pub(in crate::token) fn replace(&self, held: &Held, content: &T) -> Result<(), TokenError> {
        self.replace_soon(held, content)?;
        sync_folder(&self.path).map_err(|source| io_error(&self.path, source))
    }

    /// Puts a new state in place of the old one: after a loss of power, one or the other is there, whole.
    pub(in crate::token) fn replace_soon(&self, _: &Held, content: &T) -> Result<(), TokenError> {
        if !self.path.exists() {
            // A card that was pulled out does not come back because somebody writes to it.
            return Err(TokenError::Removed);
        }
        let replaced = write_beside(&self.path, content)
            .and_then(|written| written.persist(&self.path).map_err(|failed| failed.error));
        replaced.map(drop).map_err(|source| io_error(&self.path, source))
    }

    pub(in crate::token) fn malformed(&self, cause: &str) -> TokenError {
        TokenError::Malformed { path: self.path.clone(), cause: cause.to_owned() }
    }

    fn file(&self) -> Result<File, TokenError> {
        File::open(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => TokenError::Removed,
            _ => io_error(&self.path, source),
        })
    }

    fn is_current(&self, file: &File) -> Result<bool, TokenError> {
        let held = file.metadata().map_err(|source| io_error(&self.path, source))?;
        match fs::metadata(&self.path) {
            Ok(current) => Ok((held.dev(), held.ino()) == (current.dev(), current.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TokenError::Removed),
            Err(source) => Err(io_error(&self.path, source)),
        }
    }

    fn parse(&self, file: &mut File) -> Result<T, TokenError> {
        let mut text = Zeroizing::new(String::new());
        let length = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => self.malformed("not text"),
            _ => io_error(&self.path, source),
        })?;
        if length as u64 > MAX_BYTES {
            return Err(self.malformed("too large for a soft token"));
        }
        T::parse(&self.path, &text)
    }
}

/// A synced file in the same folder, for its owner only.
fn write_beside<T: Kept>(path: &Path, content: &T) -> io::Result<NamedTempFile> {
    let mut written = Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(folder(path))?;
    written.write_all(Zeroizing::new(content.to_text()).as_bytes())?;
    written.as_file().sync_data()?;
    Ok(written)
}

/// Makes a rename in the folder survive a loss of power.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn io_error(path: &Path, source: io::Error) -> TokenError {
    TokenError::Io { path: path.to_owned(), source }
}
