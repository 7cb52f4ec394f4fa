//! A connection that records its [`ConnectionState`], and fails when the receiver's HTTP/2 settings allow no stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::classify::kind_of_tls;
use super::connection::ConnectionState;
use super::h2_settings::SettingsReader;

type Secured = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection, after TLS, that records what the pool has to know of it. It fails once an HTTP/2 receiver
/// allows no stream. Without that, the client would keep requests and the connection even after their calls
/// have ended.
#[derive(Debug)]
pub(super) struct SettingsWatch {
    stream: TokioIo<Secured>,
    /// `None` for HTTP/1.1.
    settings: Option<SettingsReader>,
    state: Arc<ConnectionState>,
}

impl SettingsWatch {
    pub(super) fn new(stream: Secured) -> Self {
        let settings = stream.connected().is_negotiated_h2().then(SettingsReader::default);
        Self { stream: TokioIo::new(stream), settings, state: Arc::default() }
    }

    /// Returns whether HTTP/2 was negotiated.
    pub(super) fn is_http2(&self) -> bool {
        self.settings.is_some()
    }

    /// Returns the state that this connection records.
    pub(super) fn state(&self) -> Arc<ConnectionState> {
        Arc::clone(&self.state)
    }

    /// Follows the settings in the bytes that the receiver sent.
    fn follow(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(settings) = &mut self.settings else { return Ok(()) };
        let fed = settings.feed(bytes);
        if let Some(streams) = settings.streams() {
            self.state.record_streams(streams);
        }
        fed.map_err(io::Error::other)
    }

    /// Counts what a write has taken. A write through TLS that fails may have sent a part.
    fn count(&self, written: io::Result<usize>) -> io::Result<usize> {
        let secured = matches!(self.stream.inner(), MaybeHttpsStream::Https(_));
        let bytes = written.as_ref().map_or_else(|_| usize::from(secured), |bytes| *bytes);
        self.state.record_written(bytes);
        written
    }
}

impl AsyncRead for SettingsWatch {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)) {
            // HTTP/2 keeps no more of it than its text.
            self.state.record_tls_failure(kind_of_tls(&error));
            return Poll::Ready(Err(error));
        }
        Poll::Ready(self.follow(&buffer.filled()[before..]))
    }
}

impl AsyncWrite for SettingsWatch {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.count(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts));
        Poll::Ready(self.count(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
