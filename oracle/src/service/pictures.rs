//! Pictures of QR codes that people send, read by a process of its own with little memory, little time and no secret: some
//! pictures keep the search for QR codes busy for hours and gigabytes, and a decoder of pictures may have holes. It must not
//! know what becomes of what they say.
//!
//! The process is this same program with other arguments. It gets the picture on standard input, answers on standard output with
//! one line of JSON, and is killed when it takes longer than its time.

use crate::memory::harden;
use quorate_protocol::import::{ImportError, Imported, codes_of_image, from_code_texts};
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The word for the reading process among the commands of the oracle.
pub const COMMAND: &str = "read-picture";
/// Pictures that are read at once.
const AT_ONCE: usize = 2;
/// Those who may wait for their turn; each holds a picture.
const WAITING: usize = 16;
/// Bytes of a picture at most.
const MAX_PICTURE: u64 = 2 * 1024 * 1024;
/// Pixels of one at most: a screen of 3,840 by 2,160 has fewer. Decoded it takes 36 MB at most, 72 with 16-bit colour.
const MAX_PIXELS: u64 = 9_000_000;
/// How long somebody waits for their turn.
const TURN: Duration = Duration::from_secs(10);
/// How long a picture is read, by the clock.
const TIME: Duration = Duration::from_secs(15);
/// How long a picture is read, in seconds of a processor.
const PROCESSOR_SECONDS: u64 = 5;
/// Bytes of memory that the reading process may have, all in all: two of them leave an oracle of 1 GB its own.
const MEMORY: u64 = 256 * 1024 * 1024;
/// Bytes of an answer at most: a picture has room for some twenty codes of 3 KB.
const MAX_ANSWER: u64 = 256 * 1024;

/// The service. Clones share their places.
#[derive(Debug, Clone)]
pub struct Pictures {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The program that reads.
    program: OnceLock<PathBuf>,
    waiting: Semaphore,
    places: Semaphore,
}

/// Why a picture was not read.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Others are being read, and go on being read.
    #[error("too many pictures are being read")]
    Busy,
    /// What is wrong with it.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Nobody said which program reads pictures.
    #[error("this oracle has no program that reads pictures")]
    NoReader,
    /// The process could not be started.
    #[error("cannot start the program that reads pictures")]
    Start(#[source] io::Error),
}

/// What the reading process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// What the codes say.
    Codes(Vec<Zeroizing<String>>),
    /// It is damaged.
    Damaged,
    /// There is none.
    NoCode,
    /// Neither PNG nor JPEG.
    NotAPicture,
    /// Too many pixels.
    TooLarge,
    /// There is one that cannot be read.
    Unreadable,
}

impl Default for Pictures {
    fn default() -> Self {
        let (waiting, places) = (Semaphore::new(AT_ONCE + WAITING), Semaphore::new(AT_ONCE));
        Self { shared: Arc::new(Shared { program: OnceLock::new(), waiting, places }) }
    }
}

impl Pictures {
    /// Names the program that reads pictures when it is called with [`COMMAND`] alone: `quorate-oracle`. The first word counts.
    pub fn read_by(&self, program: PathBuf) {
        let _named_already = self.shared.program.set(program);
    }

    /// The secrets that a PNG or JPEG picture shows.
    pub async fn read(&self, picture: Zeroizing<Vec<u8>>) -> Result<Vec<Imported>, PictureError> {
        self.read_after(TURN, picture).await
    }

    async fn read_after(&self, turn: Duration, picture: Zeroizing<Vec<u8>>) -> Result<Vec<Imported>, PictureError> {
        let program = self.shared.program.get().ok_or(PictureError::NoReader)?;
        let _waiting = self.shared.waiting.try_acquire().map_err(|_| PictureError::Busy)?;
        let turn = timeout(turn, self.shared.places.acquire()).await;
        let _place = turn.ok().and_then(Result::ok).ok_or(PictureError::Busy)?;
        // Nothing of the oracle's goes along: its environment may hold the root secret.
        let mut reading = Command::new(program);
        reading.arg(COMMAND).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut reader = reading.kill_on_drop(true).spawn().map_err(PictureError::Start)?;
        let mut input = reader.stdin.take().expect("asked for");
        let mut output = reader.stdout.take().expect("asked for").take(MAX_ANSWER);
        // Reserved at once: a buffer that grows leaves copies behind.
        let mut said = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_ANSWER).unwrap_or_default()));
        let conversation = async {
            // Whoever ends early has answered, or will be told from its silence.
            let _ended = input.write_all(&picture).await;
            drop(input);
            output.read_to_end(&mut said).await
        };
        let heard = timeout(TIME, conversation).await;
        // Killed if it still runs; it is not left behind as a zombie.
        let _over = reader.kill().await;
        let answer = heard.ok().and_then(Result::ok).and_then(|_| serde_json::from_slice(&said).ok());
        Ok(match answer {
            Some(Answer::Codes(texts)) => from_code_texts(texts)?,
            Some(Answer::Damaged) => Err(ImportError::DamagedPicture)?,
            Some(Answer::NoCode) => Err(ImportError::NoCode)?,
            Some(Answer::NotAPicture) => Err(ImportError::NotAPicture)?,
            Some(Answer::TooLarge) => Err(ImportError::PictureTooLarge)?,
            Some(Answer::Unreadable) => Err(ImportError::UnreadableCode)?,
            // Its time or its memory was used up, or the decoder broke: it has no other way to end.
            None => Err(ImportError::TooIntricate)?,
        })
    }
}

/// What the reading process does: a picture from standard input, an answer to standard output, within the limits that it sets
/// itself before it looks at the first byte.
pub fn read_from_stdin() -> io::Result<()> {
    // Where memory is short it is the first to go. Only possible before the process is its own secret; a wish, as is `nice`.
    let _wish = fs::write("/proc/self/oom_score_adj", "1000");
    harden();
    let at_most = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    let limits = [(Resource::As, MEMORY), (Resource::Cpu, PROCESSOR_SECONDS), (Resource::Fsize, 0)];
    for (resource, limit) in limits {
        setrlimit(resource, at_most(limit))?;
    }
    // Codes come before pictures.
    let _wish = nice(10);
    let mut picture = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_PICTURE).unwrap_or_default() + 1));
    io::stdin().lock().take(MAX_PICTURE + 1).read_to_end(&mut picture)?;
    let answer = match codes_of_image(&picture, MAX_PIXELS) {
        _ if picture.len() as u64 > MAX_PICTURE => Answer::TooLarge,
        Ok(texts) => Answer::Codes(texts),
        Err(ImportError::NoCode) => Answer::NoCode,
        Err(ImportError::NotAPicture) => Answer::NotAPicture,
        Err(ImportError::PictureTooLarge) => Answer::TooLarge,
        Err(ImportError::UnreadableCode) => Answer::Unreadable,
        Err(_) => Answer::Damaged,
    };
    let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_ANSWER).unwrap_or_default()));
    serde_json::to_writer(&mut *line, &answer)?;
    io::stdout().lock().write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_when_every_place_is_taken_is_told_so() {
        let pictures = Pictures::default();
        let sent = || Zeroizing::new(b"no picture".to_vec());
        let refused = pictures.read(sent()).await;
        assert!(matches!(refused, Err(PictureError::NoReader)), "{refused:?}");
        // Says nothing, whatever it is given.
        pictures.read_by("true".into());
        let taken = pictures.shared.places.acquire_many(AT_ONCE.try_into().expect("few")).await;
        let refused = pictures.read_after(Duration::from_millis(1), sent()).await;
        assert!(matches!(refused, Err(PictureError::Busy)), "{refused:?}");
        drop(taken);
        for _ in 0..=AT_ONCE {
            let read = pictures.read(sent()).await;
            assert!(matches!(read, Err(PictureError::Import(ImportError::TooIntricate))), "each gives its place back");
        }
        let waiting = pictures.shared.waiting.acquire_many((AT_ONCE + WAITING).try_into().expect("few")).await;
        let refused = pictures.read(sent()).await;
        assert!(matches!(refused, Err(PictureError::Busy)), "{refused:?}");
        drop(waiting);
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_is_an_error_of_the_oracle() {
        let pictures = Pictures::default();
        pictures.read_by("/nowhere/quorate-oracle".into());
        let refused = pictures.read(Zeroizing::default()).await;
        assert!(matches!(refused, Err(PictureError::Start(_))), "{refused:?}");
    }
}
