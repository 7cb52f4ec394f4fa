//! An HTTP/2 server that replies to one request after another by a list, frame by frame.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use super::identity::Identity;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// What a request gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// 204.
    Answer,
    /// GOAWAY with this last stream and no error, and the end of the connection.
    GoAway(u32),
    /// The head of a 200, and RST_STREAM with this code before its body.
    HeadAndReset(u32),
    /// RST_STREAM with this code.
    Reset(u32),
}

/// An HTTP/2 receiver. The last reply is repeated, over as many connections as come.
#[derive(Debug)]
pub(crate) struct H2Replies {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl H2Replies {
    pub(crate) async fn start(identity: &Identity, replies: &'static [Reply]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (acceptor, requests) = (identity.acceptor(&["h2"]), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move { serve(acceptor.accept(stream).await?, replies, &seen).await });
            }
        });
        Self { port, requests }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TlsStream<TcpStream>,
    replies: &[Reply],
    requests: &AtomicUsize,
) -> io::Result<()> {
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await?;
    stream.flush().await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, on @ ..] = head;
        stream.read_exact(&mut vec![0; u32::from_be_bytes([0, a, b, c]) as usize]).await?;
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            let nth = requests.fetch_add(1, Ordering::SeqCst);
            let reply = replies[nth.min(replies.len() - 1)];
            stream.write_all(&frames(reply, on)).await?;
            stream.flush().await?;
            if let Reply::GoAway(_) = reply {
                stream.shutdown().await?;
                // A close with bytes unread would take back what was written.
                return tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop);
            }
        }
    }
}

fn frames(reply: Reply, on: [u8; 4]) -> Vec<u8> {
    let reset = |code: u32| frame(RST_STREAM, 0, on, &code.to_be_bytes());
    match reply {
        Reply::Answer => frame(HEADERS, END_HEADERS | END_STREAM, on, &[0x89]),
        Reply::GoAway(last) => frame(GOAWAY, 0, [0; 4], &[last.to_be_bytes(), [0; 4]].concat()),
        Reply::HeadAndReset(code) => [frame(HEADERS, END_HEADERS, on, &[0x88]), reset(code)].concat(),
        Reply::Reset(code) => reset(code),
    }
}

fn frame(kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    [&[0, 0, length, kind, flags], &stream[..], payload].concat()
}
