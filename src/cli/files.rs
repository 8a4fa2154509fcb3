//! Files as commands read and write them: bounded reading, private writing, never over an existing file, and several at once
//! or none. It must not know what is in them.

use super::CliError;
use crate::ui::{OnInterrupt, on_interrupt};
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// Readable and writable by their owner only.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, CliError> {
    read_open(&File::open(path).map_err(|error| CliError::read(path, error))?, path, limit)
}

fn read_open(file: &File, path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let failed = |error| CliError::read(path, error);
    let size = file.metadata().map_err(failed)?.len().min(limit);
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes"))));
    }
    Ok(bytes)
}

/// Reads a text file of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, CliError> {
    let bytes = read(path, limit)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| CliError::read(path, io::Error::other(error)))?;
    Ok(text.to_owned())
}

/// Reads a text file of at most `limit` bytes, if nobody else can write to it or to its folder; `None` when they can.
pub(crate) fn read_own_text(path: &Path, limit: u64) -> Result<Option<String>, CliError> {
    let failed = |error| CliError::read(path, error);
    let file = File::open(path).map_err(failed)?;
    // Of the file that is open, and not of another that takes its name in the meantime.
    let kept = is_kept_by_us(&file.metadata().map_err(failed)?);
    if !kept || !is_kept_by_us(&fs::metadata(folder_of(path)).map_err(failed)?) {
        return Ok(None);
    }
    let bytes = read_open(&file, path, limit)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| failed(io::Error::other(error)))?;
    Ok(Some(text.to_owned()))
}

/// Makes `folder`, closed to others, unless it is there; refuses one that others can write to.
pub(crate) fn private_folder(folder: &Path) -> Result<(), CliError> {
    let failed = |error| CliError::write(folder, error);
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder).map_err(failed)?;
    if is_kept_by_us(&fs::metadata(folder).map_err(failed)?) {
        Ok(())
    } else {
        Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, "others can write to this folder")))
    }
}

/// Whether only this user, and the administrator, can write to what `metadata` describes.
fn is_kept_by_us(metadata: &Metadata) -> bool {
    is_kept_by(rustix::process::geteuid().as_raw(), metadata.uid(), metadata.mode())
}

fn is_kept_by(user: u32, owner: u32, mode: u32) -> bool {
    (owner == user || owner == 0) && mode & 0o022 == 0
}

/// Writes `bytes` to `path`, where nothing must be yet. Whole and durable, or not at all.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let folder = folder_of(path);
    let file = stage(folder, bytes).map_err(|error| CliError::write(path, error))?;
    file.persist_noclobber(path).map_err(|error| CliError::write(path, error.error))?;
    sync_folder(folder)
}

/// Writes `bytes` to `path` in place of what is there: for files that this program alone keeps.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let folder = folder_of(path);
    let file = stage(folder, bytes).map_err(|error| CliError::write(path, error))?;
    file.persist(path).map_err(|error| CliError::write(path, error.error))?;
    sync_folder(folder)
}

/// A new file that is written bit by bit: it appears whole and durable under its name, or not at all.
#[derive(Debug)]
pub(crate) struct NewFile {
    staged: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file at `path`, where nothing must be yet.
    pub(crate) fn begin(path: &Path) -> Result<Self, CliError> {
        if path.symlink_metadata().is_ok() {
            return Err(CliError::Exists(path.to_owned()));
        }
        let staged = stage(folder_of(path), &[]).map_err(|error| CliError::write(path, error))?;
        Ok(Self { staged: BufWriter::new(staged), path: path.to_owned() })
    }

    /// Writes more of it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.staged.write_all(bytes).map_err(|error| CliError::write(&self.path, error))
    }

    /// Gives it its name. What appeared there in the meantime stays.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        let failed = |error| CliError::write(&self.path, error);
        let file = self.staged.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist_noclobber(&self.path).map_err(|error| failed(error.error))?;
        sync_folder(folder_of(&self.path))
    }
}

/// A name for a file made of a name of a person: letters, digits and `-_.@+` stay, and it is never hidden or an option.
pub(crate) fn safe_name(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_.@+".contains(c) { c } else { '_' };
    let text: String = name.chars().map(safe).collect();
    match text.strip_prefix(['.', '-']) {
        Some(rest) => format!("_{rest}"),
        None => text,
    }
}

/// Several new files in one folder: all of them appear, or none.
#[derive(Debug)]
pub(crate) struct Batch {
    folder: PathBuf,
    staged: Vec<(NamedTempFile, PathBuf)>,
    made: Arc<Mutex<Made>>,
    _on_interrupt: OnInterrupt,
}

/// What has to go when the batch fails.
#[derive(Debug, Default)]
struct Made {
    files: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Made {
    fn remove(&mut self) {
        // Best effort: the failure that led here is the one to report.
        for file in self.files.drain(..) {
            let _ = fs::remove_file(file);
        }
        if let Some(folder) = self.folder.take() {
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Batch {
    /// Prepares to write into `folder`, which is made, closed to others, when it is not there.
    pub(crate) fn new(folder: &Path) -> Result<Self, CliError> {
        let mut made = Made::default();
        match DirBuilder::new().mode(PRIVATE_FOLDER).create(folder) {
            Ok(()) => made.folder = Some(folder.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Err(CliError::write(folder, error)),
        }
        let made = Arc::new(Mutex::new(made));
        let to_remove = Arc::clone(&made);
        let on_interrupt = on_interrupt(move || lock(&to_remove).remove());
        Ok(Self { folder: folder.to_owned(), staged: Vec::new(), made, _on_interrupt: on_interrupt })
    }

    /// Writes `bytes` durably under a temporary name; `name` is what the file will be called.
    pub(crate) fn stage(&mut self, name: &str, bytes: &[u8]) -> Result<(), CliError> {
        let path = self.folder.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(CliError::Exists(path));
        }
        let mut made = lock(&self.made);
        let file = stage(&self.folder, bytes).map_err(|error| CliError::write(&path, error))?;
        made.files.push(file.path().to_owned());
        drop(made);
        self.staged.push((file, path));
        Ok(())
    }

    /// Gives every file its name. A file that appeared there in the meantime stays, and all of ours go.
    pub(crate) fn commit(mut self) -> Result<Vec<PathBuf>, CliError> {
        let mut paths = Vec::new();
        for (file, path) in std::mem::take(&mut self.staged) {
            // Locked across both: an interrupt in between would forget the file.
            let mut made = lock(&self.made);
            file.persist_noclobber(&path).map_err(|error| CliError::write(&path, error.error))?;
            made.files.push(path.clone());
            paths.push(path);
        }
        sync_folder(&self.folder)?;
        *lock(&self.made) = Made::default();
        Ok(paths)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.staged.clear();
        lock(&self.made).remove();
    }
}

fn lock(made: &Mutex<Made>) -> std::sync::MutexGuard<'_, Made> {
    made.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stage(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".quorate-")
        .permissions(Permissions::from_mode(PRIVATE_FILE))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sync_folder(folder: &Path) -> Result<(), CliError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| CliError::write(folder, error))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_appear_private_or_none_does() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("out");
        let mut batch = Batch::new(&folder).unwrap();
        batch.stage("a", b"1").unwrap();
        batch.stage("b", b"2").unwrap();
        batch.commit().unwrap();
        assert_eq!(names(&folder), ["a", "b"]);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.join("a")).unwrap().permissions().mode() & 0o777, 0o600);

        let mut batch = Batch::new(&folder).unwrap();
        batch.stage("c", b"3").unwrap();
        assert!(matches!(batch.stage("b", b"4"), Err(CliError::Exists(_))));
        drop(batch);
        assert_eq!(names(&folder), ["a", "b"]);
    }

    #[test]
    fn a_file_that_appears_late_stays_and_ours_go() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("out");
        let mut batch = Batch::new(&folder).unwrap();
        batch.stage("a", b"1").unwrap();
        batch.stage("b", b"2").unwrap();
        fs::write(folder.join("b"), b"somebody's").unwrap();
        assert!(matches!(batch.commit(), Err(CliError::Exists(_))));
        assert_eq!(names(&folder), ["b"]);
        assert_eq!(fs::read(folder.join("b")).unwrap(), b"somebody's");
    }

    #[test]
    fn a_folder_that_was_made_goes_with_the_files() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("out");
        let mut batch = Batch::new(&folder).unwrap();
        batch.stage("a", b"1").unwrap();
        drop(batch);
        assert!(!folder.exists());
        fs::write(&folder, b"").unwrap();
        assert!(matches!(Batch::new(&folder), Err(CliError::Exists(_))));
    }

    #[test]
    fn a_file_that_is_written_bit_by_bit_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut file = NewFile::begin(&path).unwrap();
        file.write(b"one ").unwrap();
        drop(file);
        assert!(names(folder.path()).is_empty());
        let mut file = NewFile::begin(&path).unwrap();
        file.write(b"one ").unwrap();
        file.write(b"two").unwrap();
        file.finish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"one two".to_vec(), vec!["f".to_owned()]));
        assert!(matches!(NewFile::begin(&path), Err(CliError::Exists(_))));
        let late = NewFile::begin(&folder.path().join("late")).unwrap();
        fs::write(folder.path().join("late"), b"somebody's").unwrap();
        assert!(matches!(late.finish(), Err(CliError::Exists(_))));
        assert_eq!(names(folder.path()), ["f", "late"]);
    }

    #[test]
    fn reading_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, [b'x'; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        assert!(read(&path, 99).is_err());
        assert!(read(Path::new("/dev/zero"), 99).is_err());
    }

    #[test]
    fn what_others_can_write_to_is_not_ours() {
        assert!(is_kept_by(1000, 1000, 0o100_644) && is_kept_by(1000, 0, 0o100_600));
        for (owner, mode) in [(1001, 0o100_600), (1000, 0o100_620), (1000, 0o100_602), (0, 0o100_666)] {
            assert!(!is_kept_by(1000, owner, mode), "{owner} {mode:o}");
        }
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("kept");
        private_folder(&folder).unwrap();
        let path = folder.join("f");
        write_new(&path, b"mine").unwrap();
        assert_eq!(read_own_text(&path, 10).unwrap().as_deref(), Some("mine"));
        fs::set_permissions(&folder, Permissions::from_mode(0o770)).unwrap();
        assert_eq!(read_own_text(&path, 10).unwrap(), None);
        assert!(matches!(private_folder(&folder), Err(CliError::Write { .. })));
    }

    proptest! {
        #[test]
        fn a_safe_name_stays_in_its_folder(name in any::<String>()) {
            let safe = safe_name(&name);
            prop_assert!(!safe.contains('/') && !safe.contains('\0'));
            prop_assert!(!safe.starts_with(['.', '-']));
        }

        #[test]
        fn nothing_is_ever_overwritten(old in any::<Vec<u8>>(), new in any::<Vec<u8>>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("f");
            write_new(&path, &old).unwrap();
            prop_assert!(matches!(write_new(&path, &new), Err(CliError::Exists(_))));
            prop_assert_eq!(fs::read(&path).unwrap(), old);
            prop_assert_eq!(names(folder.path()), ["f"]);
        }
    }
}
