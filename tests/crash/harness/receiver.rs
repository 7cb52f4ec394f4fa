//! The HTTP server that receives the deliveries of all webhooks.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
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
    let head = Request::from_parts(head, ());
    let number = |name| -> u32 {
        let value = head.headers().get(name).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.parse().ok()).expect("a number of ours")
    };
    let delivery = Delivery::of(&head).expect("a delivery");
    let Manner { failures, failure, late, waits } = manner(&delivery.hook);
    let (process, age) = (number("x-process"), Duration::from_millis(number("x-age").into()));
    let status =
        ledger.arrived(delivery, (process, age), |before| if before < failures { failure } else { 200 });
    tokio::time::sleep(late).await;
    if status == 429 {
        response.headers_mut().insert(RETRY_AFTER, 1.into());
    } else if waits {
        until_one_stands_still(ledger).await;
    }
    *response.status_mut() = http::StatusCode::from_u16(status).expect("an HTTP status");
    Ok(response)
}

/// Whoever waits is told at once, in another thread.
async fn until_one_stands_still(ledger: Arc<Ledger>) {
    let wait = move || ledger.wait(Duration::from_secs(60), |book| !book.stopped.is_empty());
    tokio::task::spawn_blocking(wait).await.expect("no panic");
}

/// How a receiver answers.
struct Manner {
    /// How often it fails each delivery at first.
    failures: usize,
    /// The status of such an answer.
    failure: u16,
    late: Duration,
    /// Whether it answers with success only once a process was stopped.
    waits: bool,
}

fn manner(hook: &str) -> Manner {
    let usual = Manner { failures: 0, failure: 500, late: Duration::ZERO, waits: false };
    match hook {
        "flaky" => Manner { failures: 1, ..usual },
        "limited" => Manner { failures: 1, failure: 429, waits: true, ..usual },
        "slow" => Manner { late: Duration::from_millis(30), ..usual },
        "worst" => Manner { failures: 2, late: Duration::from_millis(10), ..usual },
        _ => usual,
    }
}
