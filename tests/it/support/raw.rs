//! A server that speaks raw bytes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// A server on a thread of its own that does one thing with its first connection, however little HTTP it is.
#[derive(Debug)]
pub(crate) struct Raw<T> {
    port: u16,
    serving: JoinHandle<T>,
}

impl<T: Send + 'static> Raw<T> {
    /// Hands over the listener, for as many connections as are wanted.
    pub(crate) fn listen(serve: impl FnOnce(TcpListener) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        Self { port, serving: thread::spawn(move || serve(listener)) }
    }

    /// Hands over the first connection, once something was said on it.
    pub(crate) fn serve(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        Self::listen(move |listener| {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut said = [0; 4096];
            let _ = stream.read(&mut said).expect("it says something");
            serve(stream)
        })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the end, and returns the result.
    pub(crate) async fn done(self) -> T {
        tokio::task::spawn_blocking(|| self.done_blocking()).await.expect("no panic")
    }

    /// The same, while nothing else runs on this thread.
    pub(crate) fn done_blocking(self) -> T {
        self.serving.join().expect("the server does not panic")
    }
}

/// Writes `start`, and then `piece` until the client has had enough or `most` bytes are written; gives how
/// many were.
pub(crate) fn flood(mut stream: TcpStream, start: &str, piece: &[u8], most: usize) -> usize {
    let mut written = start.len();
    let mut open = stream.write_all(start.as_bytes()).is_ok();
    while open && written < most {
        open = stream.write_all(piece).is_ok();
        written += piece.len();
    }
    written
}

/// The next request on the connection, if one comes.
pub(crate) fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n{}") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(request).ok()
}
