//! Receivers that send more than anybody asked for, or less, or something else: each costs one attempt.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use hookwire::model::FailureKind;
use hookwire::transport::{HttpTransport, IncompleteBody, SendLimits, Transport, TransportError};
use http::{Request, Response, StatusCode};

use crate::support::raw::{Raw, flood, read_request};

const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(30), 16 * 1024);
const SHORT: SendLimits = SendLimits::new(Duration::from_millis(400), 16 * 1024);

const MIB: usize = 1 << 20;

/// The bytes that the buffers of two sockets may take before their reader's refusal reaches the writer.
const BUFFERS: usize = 32 * MIB;

fn transport() -> HttpTransport {
    HttpTransport::builder().allow_loopback().build().expect("valid")
}

async fn send(
    transport: &HttpTransport,
    port: u16,
    limits: &SendLimits,
) -> Result<Response<Bytes>, TransportError> {
    let request = Request::post(format!("http://127.0.0.1:{port}/")).body(Bytes::from_static(b"{}"));
    transport.send(request.expect("a request"), limits).await
}

/// Returns the outcome of an answer that begins with `start` and goes on for up to `most` bytes, and how many were
/// written.
async fn flooded(
    start: &'static str,
    piece: Vec<u8>,
    most: usize,
) -> (Result<Response<Bytes>, TransportError>, usize) {
    let server = Raw::serve(move |stream| flood(stream, start, &piece, most));
    let answer = send(&transport(), server.port(), &LIMITS).await;
    (answer, server.done().await)
}

#[tokio::test]
async fn of_a_body_of_a_gigabyte_the_start_is_kept_and_the_rest_not_even_read() {
    for start in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40000000\r\n",
    ] {
        let (answer, written) = flooded(start, vec![b'x'; MIB], 1024 * MIB).await;
        assert_eq!(answer.expect("an answer").body().len(), 16 * 1024, "{start}");
        assert!(written < BUFFERS, "{written} bytes were taken: {start}");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_of_headers_are_refused_after_the_first_of_them() {
    let line = |length: usize| format!("x-header: {}\r\n", "v".repeat(length)).into_bytes();
    for (start, piece) in [
        ("HTTP/1.1 200 OK\r\n", line(10)),
        ("HTTP/1.1 200 OK\r\n", line(8192)),
        ("HTTP/1.1 200 OK\r\nx-header: ", vec![b'v'; 8192]),
        ("HTTP/1.1 200 ", vec![b'O'; 8192]),
    ] {
        let (answer, written) = flooded(start, piece, 100 * MIB).await;
        assert_eq!(answer.expect_err("no end of it").kind(), FailureKind::Protocol);
        assert!(written < BUFFERS, "{written} bytes were taken");
    }
}

#[tokio::test]
async fn what_stands_between_the_chunks_of_a_body_is_bounded_too() {
    for (start, piece) in [
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1", ";extension=yes"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x-trailer: vvvvvvvv\r\n"),
    ] {
        let (answer, written) = flooded(start, piece.repeat(100).into_bytes(), 100 * MIB).await;
        let answer = answer.expect("its head was complete");
        assert!(answer.body().len() <= 1 && answer.extensions().get::<IncompleteBody>().is_some());
        assert!(written < BUFFERS, "{written} bytes were taken");
    }
}

#[tokio::test]
async fn interim_answers_without_end_are_cut_at_the_deadline() {
    let server = Raw::serve(|stream| flood(stream, "", b"HTTP/1.1 103 Early Hints\r\n\r\n", usize::MAX));
    let error = send(&transport(), server.port(), &SHORT).await.expect_err("no answer");
    assert_eq!(error.kind(), FailureKind::Timeout);
    server.done().await;
}

/// Writes the text a byte at a time, for as long as anybody listens.
fn drip(mut stream: TcpStream, text: impl Iterator<Item = u8>) {
    for byte in text {
        if stream.write_all(&[byte]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn a_head_that_comes_in_drips_is_cut_at_the_deadline() {
    let server =
        Raw::serve(|stream| drip(stream, b"HTTP/1.1 200 OK\r\nx: ".iter().copied().chain([b'v'; 16 * 1024])));
    let error = send(&transport(), server.port(), &SHORT).await.expect_err("no answer");
    assert_eq!(error.kind(), FailureKind::Timeout);
    server.done().await;
}

#[tokio::test]
async fn nothing_is_asked_to_be_compressed_and_nothing_is_decompressed() {
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let server = Raw::listen(move |listener| {
            let (mut stream, _) = listener.accept().expect("a client");
            let request = read_request(&mut stream).expect("a request");
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 11\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("the client reads");
            stream.write_all(b"\x1f\x8b\x08as it is").expect("the client reads");
            request
        });
        let answer = send(&transport(), server.port(), &LIMITS).await.expect("an answer");
        assert_eq!(answer.body().as_ref(), b"\x1f\x8b\x08as it is");
        assert_eq!(answer.headers()["content-encoding"], encoding);
        let request = server.done().await.to_ascii_lowercase();
        assert!(!request.contains("accept-encoding"), "{request}");
    }
}

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn a_request_whose_kept_connection_breaks_is_not_sent_again() {
    let server = Raw::listen(|listener| {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut requests = usize::from(read_request(&mut stream).is_some());
        stream.write_all(NO_CONTENT).expect("the client reads");
        requests += usize::from(read_request(&mut stream).is_some());
        stream.shutdown(Shutdown::Both).expect("open until now");
        listener.set_nonblocking(true).expect("a listener");
        (requests, listener)
    });
    let transport = transport();
    let first = send(&transport, server.port(), &LIMITS).await.expect("an answer");
    assert_eq!(first.status(), StatusCode::NO_CONTENT);
    let error = send(&transport, server.port(), &LIMITS).await.expect_err("broken off");
    assert_eq!(error.kind(), FailureKind::Protocol);
    let (requests, listener) = server.done().await;
    assert_eq!(requests, 2);
    assert!(listener.accept().is_err(), "no other connection was opened");
}
