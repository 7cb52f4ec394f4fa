//! Every transport keeps what can be told of its contract from outside.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::CallbackUrl;
use hookwire::testing::conformance::{BodyEnd, TransportFixture};
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::transport::{HttpTransport, Transport};
use http::StatusCode;

use crate::support::receiver::{Receiver, Script};

const BODY: Bytes = Bytes::from_static(&[b'x'; 100]);

/// The HTTP transport, with receivers on loopback.
struct Http {
    transport: Arc<HttpTransport>,
    receivers: Mutex<Vec<Receiver>>,
}

impl Http {
    async fn new() -> Self {
        let transport = HttpTransport::builder().allow_loopback().build().expect("sound");
        Self { transport: Arc::new(transport), receivers: Mutex::default() }
    }

    async fn start(&self, script: Script) -> CallbackUrl {
        let receiver = Receiver::plain(script).await;
        let url = format!("http://127.0.0.1:{}/", receiver.port());
        self.receivers.lock().expect("whole").push(receiver);
        CallbackUrl::parse_allowing_loopback_http(&url).expect("loopback")
    }
}

#[async_trait]
impl TransportFixture for Http {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport) as _
    }

    async fn answering(&self, status: u16) -> CallbackUrl {
        let script = match status {
            302 => Script::Redirect("/".to_owned()),
            status => Script::Answer(StatusCode::from_u16(status).expect("a status"), BODY),
        };
        self.start(script).await
    }

    async fn hanging(&self) -> CallbackUrl {
        self.start(Script::Hang).await
    }

    async fn breaking_off(&self, status: u16, ends: BodyEnd) -> CallbackUrl {
        let text = format!("HTTP/1.1 {status} Status\r\ncontent-length: 100\r\n\r\nnine byte");
        self.start(match ends {
            BodyEnd::Stalled => Script::Stall(text.leak()),
            _ => Script::Raw(text.leak()),
        })
        .await
    }

    fn received(&self) -> usize {
        self.receivers.lock().expect("whole").iter().map(|receiver| receiver.requests().len()).sum()
    }
}

/// The double for hosts' tests keeps the contract too.
pub(crate) struct Recording(RecordingTransport);

impl Recording {
    pub(crate) async fn new() -> Self {
        Self(RecordingTransport::answering(|request, _| {
            let path = request.uri().path().trim_matches('/');
            if let Some(status) = path.strip_prefix("broken/") {
                return Answer::status(status.parse().expect("a status")).body("nine byte").incomplete();
            }
            match path.parse() {
                Ok(status) => Answer::status(status).body(BODY),
                Err(_) => Answer::hang(),
            }
        }))
    }
}

#[async_trait]
impl TransportFixture for Recording {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.0.clone())
    }

    async fn answering(&self, status: u16) -> CallbackUrl {
        CallbackUrl::parse(&format!("https://hooks.example.com/{status}")).expect("valid")
    }

    async fn hanging(&self) -> CallbackUrl {
        CallbackUrl::parse("https://hooks.example.com/hang").expect("valid")
    }

    async fn breaking_off(&self, status: u16, _: BodyEnd) -> CallbackUrl {
        CallbackUrl::parse(&format!("https://hooks.example.com/broken/{status}")).expect("valid")
    }

    fn received(&self) -> usize {
        self.0.requests().len()
    }
}

hookwire::testing::transport_conformance!(http_transport, super::Http::new());
hookwire::testing::transport_conformance!(recording_transport, super::Recording::new());
