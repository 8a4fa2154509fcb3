//! Read buffers of connections that forget. HTTP and TLS reuse theirs, so a request's body (a KEK, a clear Toc) or a
//! header (an API secret) would lie there for as long as a client keeps the connection. It must not know what is secret.
//!
//! Two measures, each enough in the ordinary case:
//! - Before every read, [`Wiping`] overwrites the free part of the buffer that it is given. Both libraries read again as
//!   soon as a request is over, into a buffer whose used-up part has become free. TLS decrypts in place, so one `Wiping`
//!   lies below TLS and one above.
//! - A body that an extractor declares sensitive is [held](Held): while the held piece shares the HTTP buffer, the
//!   library cannot reuse it and takes a new one for the next read; then the old one is freed, and freeing overwrites.
//!   Should the library still be using the old buffer after the last answer (it may when a client sends requests without
//!   waiting for answers), the connection is closed, which frees it.

use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The latest sensitive piece that was read from a connection; a request extension, shared with its [`Wiping`].
#[derive(Clone, Default)]
pub struct Held(Arc<Mutex<Piece>>);

#[derive(Default)]
struct Piece {
    bytes: Option<Bytes>,
    answered: bool,
}

impl Held {
    /// Holds `frame`. Earlier frames need not be held on: either they share this one's buffer, or they were held when
    /// this one was read, so that it went into a new buffer and theirs is free.
    pub fn hold(&self, frame: Bytes) {
        let mut piece = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *piece = Piece { bytes: Some(frame), answered: false };
    }

    /// A request has come. One that was sent without waiting for an answer lies in the buffer that is held, rightly, until it
    /// is answered as well.
    pub(crate) fn request(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answered = false;
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes.is_none()
    }

    /// At a read: lets go of a buffer that HTTP no longer uses. False when the connection has to end instead.
    fn settle(&self) -> bool {
        let mut piece = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if piece.bytes.as_ref().is_some_and(Bytes::is_unique) {
            *piece = Piece::default();
        }
        piece.bytes.is_none() || !piece.answered
    }

    fn answered(&self) {
        let mut piece = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        piece.answered = piece.bytes.is_some();
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held(…)")
    }
}

/// A stream that leaves nothing of earlier reads in the buffers it is given.
#[derive(Debug)]
pub struct Wiping<S> {
    stream: S,
    held: Option<Held>,
}

impl<S> Wiping<S> {
    /// Below TLS: only overwrites.
    pub fn below_tls(stream: S) -> Self {
        Self { stream, held: None }
    }

    /// Directly below HTTP: overwrites, and lets go of what is `held`.
    pub fn below_http(stream: S, held: Held) -> Self {
        Self { stream, held: Some(held) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wiping<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(held) = &self.held
            && !held.settle()
        {
            return Poll::Ready(Ok(()));
        }
        if buffer.initialized().len() == buffer.capacity() {
            buffer.initialize_unfilled().fill(0);
        } else {
            buffer.initialize_unfilled();
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wiping<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.note_answer();
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note_answer();
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    /// Always: with vectored writes HTTP queues bodies as they are, and never copies them behind the headers into a
    /// buffer that it keeps.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S> Wiping<S> {
    fn note_answer(&self) {
        if let Some(held) = &self.held {
            held.answered();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use std::mem::MaybeUninit;

    /// A stream that is always about to deliver.
    struct Silent;

    impl AsyncRead for Silent {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    fn read(stream: &mut Wiping<Silent>, buffer: &mut ReadBuf<'_>) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        Pin::new(stream).poll_read(&mut context, buffer).is_ready()
    }

    #[test]
    fn what_a_buffer_held_is_gone_before_the_next_bytes_arrive() {
        let mut stale = *b"secret of an earlier request";
        assert!(!read(&mut Wiping::below_tls(Silent), &mut ReadBuf::new(&mut stale)));
        assert_eq!(stale, [0; 28]);

        let mut fresh = [MaybeUninit::new(7_u8); 16];
        let mut buffer = ReadBuf::uninit(&mut fresh);
        assert!(!read(&mut Wiping::below_tls(Silent), &mut buffer));
        assert_eq!(buffer.initialized(), [0; 16]);
    }

    #[test]
    fn a_piece_is_let_go_when_http_has_moved_on() {
        let held = Held::default();
        let mut stream = Wiping::below_http(Silent, held.clone());
        let mut http = BytesMut::from(&b"body and more"[..]);
        held.hold(http.split_to(4).freeze());
        assert!(!read(&mut stream, &mut ReadBuf::new(&mut [0; 8])), "an unanswered request ends nothing");
        assert!(!held.is_empty());
        drop(http);
        assert!(!read(&mut stream, &mut ReadBuf::new(&mut [0; 8])));
        assert!(held.is_empty());
    }

    #[test]
    fn a_connection_ends_when_http_keeps_the_buffer_past_the_answer() {
        let held = Held::default();
        let mut stream = Wiping::below_http(Silent, held.clone());
        let mut http = BytesMut::from(&b"body and more"[..]);
        held.hold(http.split_to(4).freeze());
        stream.note_answer();
        assert!(read(&mut stream, &mut ReadBuf::new(&mut [0; 8])), "an empty read is the end of the stream");
    }

    #[test]
    fn a_request_behind_the_answered_one_is_answered_before_the_connection_ends() {
        let held = Held::default();
        let mut stream = Wiping::below_http(Silent, held.clone());
        let mut http = BytesMut::from(&b"body and the next request"[..]);
        held.hold(http.split_to(4).freeze());
        stream.note_answer();
        held.request();
        assert!(!read(&mut stream, &mut ReadBuf::new(&mut [0; 8])), "its headers are in the same buffer");
        stream.note_answer();
        assert!(read(&mut stream, &mut ReadBuf::new(&mut [0; 8])));
    }
}
