//! The addresses of a name are dialled side by side, so that dead ones cost little.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use hookwire::model::FailureKind;
use hookwire::transport::{HttpTransport, SendLimits, Transport, TransportError};
use http::{Request, StatusCode};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::answers::Answers;
use crate::support::receiver::{Receiver, Script};

/// Long enough for whatever succeeds, and shorter than half of the time for dialling.
const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(4), 1024);

async fn receiver() -> Receiver {
    Receiver::plain(Script::Answer(StatusCode::OK, Bytes::new())).await
}

/// Posts to a name with these addresses.
async fn post(addresses: &[&str], port: u16) -> Result<StatusCode, TransportError> {
    let builder = HttpTransport::builder().allow_loopback().resolver(Answers::always(addresses));
    let request = Request::post(format!("http://hooks.example.com:{port}/")).body(Bytes::new());
    let transport = builder.build().expect("valid");
    transport.send(request.expect("a request"), &LIMITS).await.map(|answer| answer.status())
}

#[tokio::test]
async fn four_dead_addresses_cost_nothing() {
    let receiver = receiver().await;
    let addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.1"];
    assert_eq!(post(&addresses, receiver.port()).await.expect("an answer"), StatusCode::OK);
}

/// A listener that takes no more connections, so that to dial it takes for ever, and the ones that fill it.
async fn full(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(address).expect("free on this address");
    let listener = socket.listen(1).expect("bound");
    let mut filling = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        filling.push(connected.expect("there is room, or no answer"));
    }
    (listener, filling)
}

#[tokio::test]
async fn an_address_that_does_not_answer_costs_no_more_than_its_head_start() {
    let receiver = receiver().await;
    let _full = full((Ipv4Addr::new(127, 0, 0, 2), receiver.port()).into()).await;
    let addresses = ["127.0.0.2", "127.0.0.1"];
    assert_eq!(post(&addresses, receiver.port()).await.expect("an answer"), StatusCode::OK);
}

#[tokio::test]
async fn sixteen_addresses_are_dialled_and_all_are_judged() {
    let receiver = receiver().await;
    let dead: Vec<_> = (2..18).map(|last| format!("127.0.0.{last}")).collect();
    let dead: Vec<_> = dead.iter().map(String::as_str).collect();
    let sixteenth = [&dead[..15], &["127.0.0.1"]].concat();
    assert_eq!(post(&sixteenth, receiver.port()).await.expect("an answer"), StatusCode::OK);
    let seventeenth = [&dead[..], &["127.0.0.1"]].concat();
    let error = post(&seventeenth, receiver.port()).await.expect_err("too far down");
    assert_eq!(error.kind(), FailureKind::Connect);
    let inside = [&["127.0.0.1"], &dead[..], &["10.0.0.1"]].concat();
    let error = post(&inside, receiver.port()).await.expect_err("inside");
    assert_eq!(error.kind(), FailureKind::Refused);
    assert_eq!(receiver.requests().len(), 1);
}
