//! Files that hold keys: for their owner alone, complete or absent, never over another. It must not know what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a key file at most.
const LIMIT: u64 = 64 * 1024;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The account may not.
    #[error("user {user} may not use {path}: give it to that account with chown, or run this as its owner")]
    Denied {
        /// The file or folder.
        path: PathBuf,
        /// The account's number.
        user: u32,
    },
    /// It exists, and is not overwritten.
    #[error("{0} exists already, and is not overwritten")]
    Exists(PathBuf),
    /// The system says no.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could read the key.
    #[error("{path} can be read by others (mode {mode:03o}): run chmod 600 {path}")]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Too large or not text.
    #[error("{0} is not a key file")]
    Shape(PathBuf),
    /// Others could replace the keys.
    #[error("{path} can be written by others (mode {mode:03o}): run chmod 700 {path}")]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl FileError {
    pub(crate) fn vanished(path: &Path) -> Self {
        Self::Io { path: path.to_owned(), source: ErrorKind::NotFound.into() }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FileError {
    move |source| match source.kind() {
        ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
        ErrorKind::PermissionDenied => {
            FileError::Denied { path: path.to_owned(), user: rustix::process::geteuid().as_raw() }
        }
        _ => FileError::Io { path: path.to_owned(), source },
    }
}

/// Makes `folder` (mode 0700) and its parents when missing; refuses one that others can write to.
pub fn prepare_folder(folder: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
    check_folder(folder)
}

/// Refuses a folder that others can write to.
pub fn check_folder(folder: &Path) -> Result<(), FileError> {
    let mode = fs::metadata(folder).map_err(failed(folder))?.permissions().mode() & 0o777;
    if mode & 0o022 == 0 { Ok(()) } else { Err(FileError::Writable { path: folder.to_owned(), mode }) }
}

/// The text of a public file, or none when there is no such file.
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    match File::open(path) {
        Ok(file) => text(path, &file).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// The text of a private file, or none when there is no such file. Refused when group or others may read it.
pub fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path)(error)),
    };
    let mode = file.metadata().map_err(failed(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Readable { path: path.to_owned(), mode });
    }
    text(path, &file).map(Some)
}

fn text(path: &Path, file: &File) -> Result<Zeroizing<String>, FileError> {
    let metadata = file.metadata().map_err(failed(path))?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return Err(FileError::Shape(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    match file.take(LIMIT).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(FileError::Shape(path.to_owned())),
        Err(error) => Err(failed(path)(error)),
    }
}

/// A new file for its owner alone (mode 0600), complete or not there at all, and never over an existing one.
pub fn create_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    create(path, content, 0o600)
}

/// The same for everybody to read (mode 0644).
pub fn create_public(path: &Path, content: &[u8]) -> Result<(), FileError> {
    create(path, content, 0o644)
}

fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let draft = Draft::write(path, content, mode)?;
    // Unlike a rename, a link fails when the name is taken.
    fs::hard_link(&draft.0, path).map_err(failed(path))?;
    drop(draft);
    sync_folder(path)
}

/// Replaces a public file as a whole, or makes it.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let draft = Draft::write(path, content, 0o644)?;
    fs::rename(&draft.0, path).map_err(failed(path))?;
    sync_folder(path)
}

/// A complete file under another name in the same folder; removed unless it was renamed.
struct Draft(PathBuf);

impl Draft {
    fn write(path: &Path, content: &[u8], mode: u32) -> Result<Self, FileError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = path.with_file_name(format!(".{name}.{}.{:08x}", std::process::id(), rand::random::<u32>()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&draft).map_err(failed(path))?;
        let draft = Self(draft);
        // The umask may have taken bits away from a public file; a private one has none to lose.
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed(path))?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed(path))?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _removed = fs::remove_file(&self.0);
    }
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}
