//! A sender that has run out of descriptors does not blame its receivers.

use std::fs::File;
use std::time::Duration;

use bytes::Bytes;
use hookwire::model::FailureKind;
use hookwire::transport::{HttpTransport, SendLimits, Transport, TransportError};
use http::{Request, StatusCode};

use crate::support::alone::is_alone;
use crate::support::receiver::{Receiver, Script};

const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(30), 1024);

async fn post(transport: &HttpTransport, port: u16) -> Result<StatusCode, TransportError> {
    let url = format!("http://127.0.0.1:{port}/");
    let request = Request::post(url).body(Bytes::new()).expect("a request");
    transport.send(request, &LIMITS).await.map(|answer| answer.status())
}

/// Takes every descriptor that is left.
fn all_descriptors() -> Vec<File> {
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(24), "too many open files: {error}");
                return taken;
            }
        }
    }
}

/// The limit is that of a process.
#[tokio::test]
async fn a_sender_without_descriptors_is_told_from_a_receiver_that_is_not_there() {
    let name = "running_out::a_sender_without_descriptors_is_told_from_a_receiver_that_is_not_there";
    if !is_alone(name, "ulimit -n 64").await {
        return;
    }
    let receiver = Receiver::plain(Script::Answer(StatusCode::OK, Bytes::new())).await;
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    let taken = all_descriptors();
    let error = post(&transport, receiver.port()).await.expect_err("no socket");
    assert_eq!(error.kind(), FailureKind::Local, "{}", error.detail());
    drop(taken);
    assert_eq!(post(&transport, receiver.port()).await.expect("an answer"), StatusCode::OK);
}
