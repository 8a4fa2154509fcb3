//! Pictures of QR codes that people send, read within bounds: few at once, none of a size that a screenshot never has, and
//! none for long. It must not know what becomes of what they say.
//!
//! Not on the threads for cryptography: a hostile picture is searched for ten seconds before it is given up, and then goes on
//! in a thread that nobody can end. It keeps its place until it does, so that there are never more than a few.

use quorate_protocol::import::{ImportError, Imported, from_strangers_image};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Pictures that are read at once.
const AT_ONCE: usize = 2;
/// Pixels of one at most: a screen of 3,840 by 2,160 has fewer. Decoded it takes 36 MB at most, 72 with 16-bit colour.
const MAX_PIXELS: u64 = 9_000_000;
/// How long somebody waits for their turn.
const TURN: Duration = Duration::from_secs(20);

/// The service. Clones share their places.
#[derive(Debug, Clone)]
pub struct Pictures {
    places: Arc<Semaphore>,
}

/// Why a picture was not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Others are being read, and go on being read.
    #[error("too many pictures are being read")]
    Busy,
    /// What is wrong with it.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The reader panicked; its message could hold a secret.
    #[error("the reader of pictures panicked")]
    Panicked,
}

impl Default for Pictures {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Pictures {
    /// The secrets that a PNG or JPEG picture shows.
    pub async fn read(&self, picture: Zeroizing<Vec<u8>>) -> Result<Vec<Imported>, PictureError> {
        self.read_after(TURN, picture).await
    }

    async fn read_after(&self, turn: Duration, picture: Zeroizing<Vec<u8>>) -> Result<Vec<Imported>, PictureError> {
        let turn = tokio::time::timeout(turn, Arc::clone(&self.places).acquire_owned()).await;
        let place = turn.ok().and_then(Result::ok).ok_or(PictureError::Busy)?;
        let read = tokio::task::spawn_blocking(move || from_strangers_image(&picture, MAX_PIXELS, place)).await;
        Ok(read.map_err(|_| PictureError::Panicked)??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_when_every_place_is_taken_is_told_so() {
        let pictures = Pictures::default();
        let taken = Arc::clone(&pictures.places).acquire_many_owned(AT_ONCE.try_into().expect("few")).await;
        let sent = || Zeroizing::new(b"no picture".to_vec());
        assert_eq!(pictures.read_after(Duration::from_millis(1), sent()).await, Err(PictureError::Busy));
        drop(taken);
        for _ in 0..=AT_ONCE {
            assert_eq!(pictures.read(sent()).await, Err(ImportError::NotAPicture.into()), "each gives its place back");
        }
    }
}
