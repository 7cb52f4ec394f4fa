//! A connection that fails when the receiver's HTTP/2 settings allow no stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::h2_settings::SettingsReader;

type Secured = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection, after TLS, that fails once an HTTP/2 receiver allows no stream. Without it, the client would
/// keep waiting requests and the connection even after their calls have ended.
#[derive(Debug)]
pub(super) struct SettingsWatch {
    stream: TokioIo<Secured>,
    /// `None` for HTTP/1.1.
    settings: Option<SettingsReader>,
}

impl SettingsWatch {
    pub(super) fn new(stream: Secured) -> Self {
        let settings = stream.connected().is_negotiated_h2().then(SettingsReader::default);
        Self { stream: TokioIo::new(stream), settings }
    }
}

impl Connection for SettingsWatch {
    fn connected(&self) -> Connected {
        self.stream.inner().connected()
    }
}

impl AsyncRead for SettingsWatch {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = &buffer.filled()[before..];
        let result = self.settings.as_mut().map_or(Ok(()), |settings| settings.feed(new));
        Poll::Ready(result.map_err(io::Error::other))
    }
}

impl AsyncWrite for SettingsWatch {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
