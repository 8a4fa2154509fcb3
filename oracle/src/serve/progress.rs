//! A stream whose writes must get on: a peer that stops reading would hold an answer and its connection for ever. It must
//! not know what is written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Fails a write that has made no progress for so long. Reads are not bounded.
#[derive(Debug)]
pub(super) struct Progress<S> {
    stream: S,
    patience: Duration,
    /// The end of the patience with a write that waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Progress<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, deadline: None }
    }

    /// What `written` comes to, now that some of it is done, or none.
    fn bounded<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let end = Instant::now() + self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        deadline.as_mut().poll(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, data);
        self.bounded(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// A flush without anything to write says nothing of the peer, so that it neither starts nor ends the wait.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (mine, _theirs) = tokio::io::duplex(16);
        let error = Progress::new(mine, Duration::from_millis(1)).write_all(&[7; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn the_wait_begins_anew_with_every_piece() {
        let (mine, mut theirs) = tokio::io::duplex(16);
        let mut stream = Progress::new(mine, Duration::from_secs(3600));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut write = |stream: &mut Progress<_>| Pin::new(stream).poll_write(&mut context, &[7; 16]).is_ready();
        assert!(write(&mut stream) && stream.deadline.is_none());
        assert!(!write(&mut stream) && stream.deadline.is_some(), "full");
        theirs.read_exact(&mut [0; 8]).await.unwrap();
        assert!(write(&mut stream) && stream.deadline.is_none(), "some was read");
        assert!(!write(&mut stream) && stream.deadline.is_some());
    }
}
