//! No request is sent over an untrusted connection, and the log says how to fix it.

use std::io::{Read, Write};
use std::time::Duration;

use bytes::Bytes;
use hookwire::model::FailureKind;
use hookwire::transport::{HttpTransport, SendLimits, Transport, TransportError};
use http::{Request, StatusCode};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::support::answers::Answers;
use crate::support::identity::Identity;
use crate::support::raw::Raw;
use crate::support::receiver::{Receiver, Script};

const HOST: &str = "hooks.example.com";
const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(30), 1024);

/// Posts to the host on this port, trusting this certificate beside the system's.
async fn post(host: &str, port: u16, trusted: &Identity) -> Result<StatusCode, TransportError> {
    let builder = HttpTransport::builder().allow_loopback().resolver(Answers::always(&["127.0.0.1"]));
    let transport = builder.trust_pem(trusted.pem()).build().expect("valid");
    let request = Request::post(format!("https://{host}:{port}/")).body(Bytes::new()).expect("a request");
    transport.send(request, &LIMITS).await.map(|answer| answer.status())
}

async fn receiver(served: &Identity) -> Receiver {
    Receiver::https(served, Script::Answer(StatusCode::OK, Bytes::new())).await
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_told_apart() {
    let good = Identity::of(&[HOST]);
    let (expired, early) = (Identity::expired(&[HOST]), Identity::not_yet_valid(&[HOST]));
    let (elsewhere, stranger) = (Identity::of(&["other.example.com"]), Identity::of(&[HOST]));
    let authority = Identity::authority(&[HOST]);
    let issued = authority.issued_for(&[HOST]);
    let root = Identity::authority(&["root.example.com"]);
    let intermediate = root.intermediate();
    let alone = intermediate.issued_for(&[HOST]);
    let chain = intermediate.issued_for(&[HOST]).sending(&intermediate);
    for (served, trusted, kind, says) in [
        (&expired, &expired, FailureKind::TlsExpired, "the certificate has expired"),
        (&early, &early, FailureKind::TlsNotYetValid, "the certificate is not valid yet"),
        (&elsewhere, &elsewhere, FailureKind::TlsWrongHost, "the certificate is for another host"),
        (&stranger, &good, FailureKind::TlsUntrusted, "self-signed, or its issuer is not trusted"),
        (&authority, &good, FailureKind::TlsUntrusted, "self-signed, or its issuer is not trusted"),
        (&issued, &good, FailureKind::TlsIncompleteChain, "send the whole chain"),
        (&alone, &root, FailureKind::TlsIncompleteChain, "send the whole chain"),
        (&chain, &good, FailureKind::TlsUntrusted, "self-signed, or its issuer is not trusted"),
    ] {
        let receiver = receiver(served).await;
        let error = post(HOST, receiver.port(), trusted).await.expect_err(says);
        assert_eq!(error.kind(), kind, "{}", error.detail());
        assert!(error.to_string().ends_with(says), "{error}");
        assert!(receiver.requests().is_empty(), "{says}");
    }
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_good() {
    let authority = Identity::authority(&["authority.example.com"]);
    for host in [HOST, "127.0.0.1"] {
        let receiver = receiver(&authority.issued_for(&[host])).await;
        assert_eq!(post(host, receiver.port(), &authority).await.expect("an answer"), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_certificate_with_its_whole_chain_is_good() {
    let root = Identity::authority(&["root.example.com"]);
    let intermediate = root.intermediate();
    let receiver = receiver(&intermediate.issued_for(&[HOST]).sending(&intermediate)).await;
    assert_eq!(post(HOST, receiver.port(), &root).await.expect("an answer"), StatusCode::OK);
}

#[tokio::test]
async fn a_receiver_that_wants_a_client_certificate_is_told_apart() {
    let identity = Identity::of(&[HOST]);
    let versions = [&TLS12, &TLS13];
    for (version, protocol) in versions.into_iter().flat_map(|it| [(it, "h2"), (it, "http/1.1")]) {
        let script = Script::Answer(StatusCode::OK, Bytes::new());
        let receiver = Receiver::accepting(identity.demanding(version, &[protocol]), script).await;
        let error = post(HOST, receiver.port(), &identity).await.expect_err("none is sent");
        let case = format!("{version:?} {protocol}: {}", error.detail());
        assert_eq!(error.kind(), FailureKind::TlsClientCertificate, "{case}");
    }
}

#[tokio::test]
async fn an_address_in_a_url_needs_a_certificate_for_that_address() {
    let identity = Identity::of(&[HOST]);
    let receiver = receiver(&identity).await;
    let error = post("127.0.0.1", receiver.port(), &identity).await.expect_err("for a name alone");
    assert_eq!(error.kind(), FailureKind::TlsWrongHost);
}

/// A ServerHello of an old protocol, with a cipher suite of that time.
fn old_hello(minor: u8) -> Vec<u8> {
    let body = [&[3, minor][..], &[7; 32], &[0], &[0, 0x2f], &[0]].concat();
    let handshake = [&[2, 0, 0, body.len() as u8][..], &body].concat();
    [&[22, 3, minor, 0, handshake.len() as u8][..], &handshake].concat()
}

fn fatal_alert(description: u8) -> Vec<u8> {
    vec![21, 3, 1, 0, 2, 2, description]
}

#[tokio::test]
async fn old_protocols_are_refused_and_told_from_other_failures() {
    const PROTOCOL_VERSION: u8 = 70;
    const HANDSHAKE_FAILURE: u8 = 40;
    for (said, kind) in [
        (old_hello(0), FailureKind::TlsTooOld),
        (old_hello(1), FailureKind::TlsTooOld),
        (old_hello(2), FailureKind::TlsTooOld),
        (fatal_alert(PROTOCOL_VERSION), FailureKind::TlsTooOld),
        (fatal_alert(HANDSHAKE_FAILURE), FailureKind::Tls),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), FailureKind::Tls),
        (Vec::new(), FailureKind::Tls),
    ] {
        let shown = format!("{said:?}");
        let server = Raw::serve(move |mut stream| {
            stream.write_all(&said).expect("the client is there");
            stream.shutdown(std::net::Shutdown::Write).expect("the client is there");
            // To the end, so that the client reads what was written before the connection is reset.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = post(HOST, server.port(), &Identity::of(&[HOST])).await.expect_err("no TLS of today");
        assert_eq!(error.kind(), kind, "{shown}: {}", error.detail());
        server.done().await;
    }
}
