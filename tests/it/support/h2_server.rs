//! An HTTP/2 server that is driven frame by frame.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::identity::Identity;

const PREFACE: usize = 24;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;

/// A received frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
}

/// The kind of the frames that open a stream.
pub(crate) const HEADERS: u8 = 1;

/// An HTTP/2 receiver, for one connection, that does nothing by itself but acknowledge settings and pings.
#[derive(Debug)]
pub(crate) struct H2Server {
    port: u16,
    seen: UnboundedReceiver<Frame>,
    says: UnboundedSender<Vec<u8>>,
}

impl H2Server {
    /// Allows this many streams from the start.
    pub(crate) async fn allowing(streams: u32, identity: &Identity) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let acceptor = identity.acceptor(&["h2"]);
        let ((sees, seen), (says, said)) = (unbounded_channel(), unbounded_channel());
        let server = Self { port, seen, says };
        server.allow(streams);
        let answers = server.says.clone();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let (from, to) = split(acceptor.accept(stream).await.expect("TLS"));
            tokio::spawn(write(to, said));
            // That it broke off shows as the end of what is seen.
            let _ = read(from, &sees, &answers).await;
        });
        server
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Allows this many streams from now on.
    pub(crate) fn allow(&self, streams: u32) {
        self.say(&[&[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 3], &streams.to_be_bytes()[..]].concat());
    }

    /// Answers with 204.
    pub(crate) fn answer(&self, stream: u32) {
        let (end, no_content) = (0x5, 0x89);
        self.say(&[&[0, 0, 1, HEADERS, end], &stream.to_be_bytes()[..], &[no_content]].concat());
    }

    /// Answers with the head of a 200 that has a body, and resets the stream at once.
    pub(crate) fn answer_and_reset(&self, stream: u32) {
        let (end_of_head, ok, stream, cancel) = (0x4, 0x88, stream.to_be_bytes(), 8u32.to_be_bytes());
        let head = [&[0, 0, 1, HEADERS, end_of_head], &stream[..], &[ok]].concat();
        self.say(&[&head[..], &[0, 0, 4, RST_STREAM, 0], &stream, &cancel].concat());
    }

    fn say(&self, bytes: &[u8]) {
        // Nobody may be there any more.
        let _ = self.says.send(bytes.to_vec());
    }

    /// The next frame of this kind, or none if the connection has ended.
    pub(crate) async fn next(&mut self, kind: u8) -> Option<Frame> {
        let next = async {
            loop {
                match self.seen.recv().await {
                    Some(frame) if frame.kind != kind => {}
                    seen => return seen,
                }
            }
        };
        timeout(Duration::from_secs(10), next).await.expect("a frame, or the end of the connection")
    }
}

async fn write(mut to: WriteHalf<TlsStream<TcpStream>>, mut said: UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = said.recv().await {
        if to.write_all(&bytes).await.and(to.flush().await).is_err() {
            return;
        }
    }
}

async fn read(
    mut from: ReadHalf<TlsStream<TcpStream>>,
    sees: &UnboundedSender<Frame>,
    answers: &UnboundedSender<Vec<u8>>,
) -> std::io::Result<()> {
    from.read_exact(&mut [0; PREFACE]).await?;
    loop {
        let mut head = [0; 9];
        from.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        from.read_exact(&mut payload).await?;
        let _ = sees.send(Frame { kind, stream: u32::from_be_bytes(stream) });
        let _ = match kind {
            SETTINGS if flags & ACK == 0 => answers.send(vec![0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]),
            PING if flags & ACK == 0 => {
                answers.send([&[0, 0, 8, PING, ACK, 0, 0, 0, 0], &payload[..]].concat())
            }
            _ => Ok(()),
        };
    }
}
