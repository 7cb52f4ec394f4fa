//! A connection that can be ended from outside, by the calls that used it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// How long a receiver may take to read what is left over after a call has ended.
const GRACE: Duration = Duration::from_secs(2);

/// A handle to a connection, which outlives neither its task nor its socket. It is in the connection's
/// state, so that a call finds it.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionHandle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether every further read and write fails.
    closed: bool,
    /// Whether the receiver has sent anything.
    heard: bool,
    /// Whether something was written since the last flush.
    unflushed: bool,
    /// The number of flushes.
    flushes: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl ConnectionHandle {
    /// Ends the connection: its reads and writes fail from now on.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Returns whether the receiver has sent anything.
    pub(super) fn is_heard(&self) -> bool {
        self.lock().heard
    }

    /// Ends the connection after a while if the receiver does not read until then what was written so far, or if
    /// `is_held` still says that a call's body is held.
    pub(super) fn close_unless_read(&self, is_held: impl Fn() -> bool + Send + 'static) {
        let state = self.lock();
        let before = state.unflushed.then_some(state.flushes);
        drop(state);
        if before.is_none() && !is_held() {
            return;
        }
        let handle = self.clone();
        after_grace(move || {
            let state = handle.lock();
            let is_unread = state.unflushed && before == Some(state.flushes);
            drop(state);
            if is_unread || is_held() {
                handle.close();
            }
        });
    }

    /// Sets which task reads. Returns whether the connection is still open.
    fn register_reader(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        register(&mut state.reader, cx);
        !state.closed
    }

    /// Sets which task writes. Returns whether the connection is still open.
    fn register_writer(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        register(&mut state.writer, cx);
        !state.closed
    }

    fn flushed(&self) {
        let mut state = self.lock();
        state.unflushed = false;
        state.flushes += 1;
    }

    fn close_after_grace(&self) {
        let handle = self.clone();
        after_grace(move || handle.close());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `end` later. Without a runtime the connections' tasks are gone, too.
fn after_grace(end: impl FnOnce() + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            sleep(GRACE).await;
            end();
        });
    }
}

/// A connection that its [`ConnectionHandle`] can end.
///
/// An error of a write is held back until the receiver's bytes are read, because an answer may be among them: a
/// receiver may answer and close before it has read the whole request.
#[derive(Debug)]
pub(super) struct ManagedStream<S> {
    stream: S,
    handle: ConnectionHandle,
    write_error: Option<io::Error>,
    is_shutting_down: bool,
}

impl<S> ManagedStream<S> {
    pub(super) fn new(stream: S, handle: ConnectionHandle) -> Self {
        Self { stream, handle, write_error: None, is_shutting_down: false }
    }

    /// Takes the result of a write of `wanted` bytes.
    fn wrote(&mut self, written: Poll<io::Result<usize>>, wanted: usize) -> Poll<io::Result<usize>> {
        let Poll::Ready(Err(error)) = written else { return written };
        self.write_error = Some(error);
        self.handle.close_after_grace();
        Poll::Ready(Ok(wanted))
    }

    /// Begins a write. Returns an error if the connection was ended.
    fn start_write(&self, cx: &Context<'_>) -> io::Result<()> {
        self.handle.lock().unflushed = true;
        if self.handle.register_writer(cx) { Ok(()) } else { Err(ended()) }
    }
}

fn register(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the call ended before the receiver was done")
}

impl<S: AsyncRead + Unpin> AsyncRead for ManagedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.handle.register_reader(cx) {
            return Poll::Ready(Err(self.write_error.take().unwrap_or_else(ended)));
        }
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        let is_over = read.is_err() || buffer.filled().len() == before;
        self.handle.lock().heard |= !is_over;
        Poll::Ready(self.write_error.take_if(|_| is_over).map_or(read, Err))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ManagedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.start_write(cx)?;
        if self.write_error.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.start_write(cx)?;
        let wanted = parts.iter().map(|part| part.len()).sum();
        if self.write_error.is_some() {
            return Poll::Ready(Ok(wanted));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(written, wanted)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.handle.register_writer(cx) {
            return Poll::Ready(Err(ended()));
        }
        if self.write_error.is_none()
            && let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx))
        {
            self.write_error = Some(error);
            self.handle.close_after_grace();
        }
        self.handle.flushed();
        Poll::Ready(Ok(()))
    }

    /// Shuts down, for a bounded time: a receiver that does not read would keep the connection for ever.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.start_write(cx)?;
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        if shut.is_pending() && !self.is_shutting_down {
            self.is_shutting_down = true;
            self.handle.close_after_grace();
        }
        shut
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, join, sink};

    use super::*;

    /// A direction in which nothing can be written.
    struct Broken;

    impl AsyncWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_came_is_read_before_the_error_of_a_write_is_told() {
        let mut stream = ManagedStream::new(join(&b"HTTP/1.1 413"[..], Broken), ConnectionHandle::default());
        stream.write_all(b"too long").await.expect("held back");
        stream.flush().await.expect("held back");
        let mut read = Vec::new();
        let error = stream.read_to_end(&mut read).await.expect_err("a write failed");
        assert_eq!((read.as_slice(), error.kind()), (&b"HTTP/1.1 413"[..], io::ErrorKind::BrokenPipe));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_never_reads_is_left_after_a_while() {
        let (ours, _theirs) = duplex(4);
        let mut stream = ManagedStream::new(ours, ConnectionHandle::default());
        let handle = stream.handle.clone();
        let (written, ()) = tokio::join!(stream.write_all(b"longer than that"), async {
            handle.close_unless_read(|| false);
        });
        assert_eq!(written.expect_err("nobody reads").kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_nothing_left_over_stays() {
        let mut stream = ManagedStream::new(join(&b"more"[..], sink()), ConnectionHandle::default());
        stream.write_all(b"request").await.expect("a sink");
        stream.flush().await.expect("a sink");
        stream.handle.close_unless_read(|| false);
        sleep(GRACE * 2).await;
        stream.write_all(b"another").await.expect("it is open");
        stream.handle.close_unless_read(|| false);
        stream.flush().await.expect("a sink");
        sleep(GRACE * 2).await;
        stream.write_all(b"another").await.expect("it was read in time");
        stream.flush().await.expect("a sink");
        stream.handle.close_unless_read(|| true);
        sleep(GRACE * 2).await;
        stream.write_all(b"another").await.expect_err("a body is held");
    }
}
