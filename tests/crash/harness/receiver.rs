//! The HTTP server that receives the deliveries of all webhooks.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::ledger::{Delivery, Ledger};

/// The receivers of all webhooks, which live as long as the value.
pub(crate) struct Receiver {
    address: SocketAddr,
    /// It serves until it is dropped.
    _runtime: Runtime,
}

impl Receiver {
    pub(crate) fn start(ledger: &Arc<Ledger>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = listener.local_addr().expect("bound");
        runtime.spawn(accept(listener, Arc::clone(ledger)));
        Self { address, _runtime: runtime }
    }

    /// The URL of all webhooks but for the last segment.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn accept(listener: TcpListener, ledger: Arc<Ledger>) {
    while let Ok((stream, _)) = listener.accept().await {
        let ledger = Arc::clone(&ledger);
        let service = service_fn(move |request| receive(request, Arc::clone(&ledger)));
        // Connections break off when their process is killed.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn receive(
    request: Request<Incoming>,
    ledger: Arc<Ledger>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    if body.collect().await.is_err() {
        return Ok(response);
    }
    let header =
        |name| head.headers.get(name).and_then(|value| value.to_str().ok()).expect("a header of ours");
    let hook = head.uri.path().trim_start_matches('/').to_owned();
    let (failures, late) = manner(&hook);
    let delivery = Delivery { hook, message: header("webhook-id").to_owned() };
    let process = header("x-process").parse().expect("a number");
    let status = ledger.arrived(delivery, process, |before| if before < failures { 500 } else { 200 });
    tokio::time::sleep(late).await;
    *response.status_mut() = http::StatusCode::from_u16(status).expect("an HTTP status");
    Ok(response)
}

/// How often a receiver fails each delivery at first, and how late it answers.
fn manner(hook: &str) -> (usize, Duration) {
    let (failures, millis) = match hook {
        "flaky" => (1, 0),
        "slow" => (0, 30),
        "worst" => (2, 10),
        _ => (0, 0),
    };
    (failures, Duration::from_millis(millis))
}
