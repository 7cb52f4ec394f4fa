//! Arbitrary answers in arbitrary pieces: a complete final head is an answer with its status, and each call ends.

use std::time::Duration;

use bytes::Bytes;
use hookwire::transport::{HttpTransport, SendLimits, Transport};
use http::Request;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::reset::reset;

/// Lines as receivers send them, sound and odd.
const LINES: [&str; 9] = [
    "x-plain: v",
    "x-long: one\r\n two\r\n\tthree",
    "x-odd : v",
    "x-odd: a\x7fb",
    "x-\x01: v",
    "no colon",
    "retry-after: 60",
    "connection: close",
    "x-empty:",
];

const FRAMINGS: [&str; 4] =
    ["", "content-length: 0\r\n", "content-length: 500\r\n", "transfer-encoding: chunked\r\n"];

/// An answer, and how it is sent.
#[derive(Clone, Debug)]
struct Play {
    interims: usize,
    status: u16,
    lines: Vec<&'static str>,
    framing: &'static str,
    body: Vec<u8>,
    /// How much of it is sent, in thousandths.
    sent: usize,
    /// The size of the pieces.
    piece: usize,
    then: Then,
    request: usize,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// The request is read whole, and the connection closed.
    Closes,
    /// It is closed with whatever of the request is unread, and so reset.
    Resets,
    /// It stays open.
    Stalls,
}

impl Play {
    fn head(&self) -> Vec<u8> {
        let interims = "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(self.interims);
        let lines: String = self.lines.iter().flat_map(|line| [*line, "\r\n"]).collect();
        format!("{interims}HTTP/1.1 {} Status\r\n{lines}{}\r\n", self.status, self.framing).into_bytes()
    }

    /// What is sent, and the status if its final head is complete.
    fn script(&self) -> (Vec<u8>, Option<u16>) {
        let head = self.head();
        let whole = [&head[..], &self.body].concat();
        let sent = whole[..whole.len() * self.sent / 1000].to_vec();
        let status = (sent.len() >= head.len()).then_some(self.status);
        (sent, status)
    }
}

fn plays() -> impl Strategy<Value = Play> {
    let head =
        (0..4usize, select(vec![200u16, 204, 301, 410, 429, 500, 599]), vec(select(&LINES[..]), 0..150));
    let rest = (select(&FRAMINGS[..]), vec(any::<u8>(), 0..300), 0..1001usize, 1..400usize);
    let then = select(vec![Then::Closes, Then::Resets, Then::Resets, Then::Stalls]);
    let how = (then, select(vec![2, 300 << 10]), any::<bool>());
    (head, rest, how).prop_map(
        |((interims, status, lines), (framing, body, sent, piece), (then, request, all))| {
            let sent = if all { 1000 } else { sent };
            Play { interims, status, lines, framing, body, sent, piece, then, request }
        },
    )
}

async fn serve(listener: TcpListener, bytes: Vec<u8>, play: Play) {
    let (mut stream, _) = listener.accept().await.expect("a client");
    stream.set_nodelay(true).expect("a socket");
    let _ = stream.read(&mut [0; 2048]).await;
    for piece in bytes.chunks(play.piece) {
        if stream.write_all(piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    match play.then {
        Then::Closes => read_to_its_end(stream).await,
        Then::Resets => reset(stream).await,
        Then::Stalls => std::future::pending().await,
    }
}

/// Sends the end, and reads what comes until the client ends, too.
async fn read_to_its_end(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

async fn play(play: Play) -> Result<(), TestCaseError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().expect("bound").port());
    let (bytes, expected) = play.script();
    // Nothing but the deadline ends a call whose head does not come; a head may take as long as a busy machine needs.
    let is_cut = play.then == Then::Stalls && expected.is_none();
    let limits = SendLimits::new(Duration::from_secs(if is_cut { 1 } else { 60 }), 1024);
    let serving = tokio::spawn(serve(listener, bytes, play.clone()));
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    let request = Request::post(url).body(Bytes::from(vec![b'x'; play.request])).expect("a request");
    let sent = timeout(Duration::from_secs(30), transport.send(request, &limits)).await;
    serving.abort();
    let sent = sent.map_err(|_| TestCaseError::fail("the call did not end"))?;
    let got = sent.as_ref().map(|answer| answer.status().as_u16());
    match expected {
        Some(status) => prop_assert_eq!(got.map_err(|error| error.detail()), Ok(status)),
        None => prop_assert!(got.is_err(), "no head was complete: {:?}", got),
    }
    Ok(())
}

#[test]
fn a_complete_final_head_is_an_answer_however_it_comes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let config = Config { cases: 48, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    TestRunner::new(config)
        .run(&plays(), |case| runtime.block_on(play(case)))
        .expect("each head is an answer");
}
