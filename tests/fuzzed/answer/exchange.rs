//! Sends a request to a local server that gives a prepared answer.

use std::cell::OnceCell;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookwire::transport::{HttpTransport, SendLimits, Transport, TransportError};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::cases::Case;

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

/// Makes one request to a receiver that answers so, and tells how long that took.
pub(super) fn exchange(
    case: &Case,
    limits: SendLimits,
) -> (Result<Response<Bytes>, TransportError>, Duration) {
    WORLD.with(|world| world.get_or_init(World::new).exchange(case, limits))
}

/// A receiver on a loopback port, and a transport that may reach it.
struct World {
    runtime: Runtime,
    port: u16,
    script: Arc<Mutex<Script>>,
    transport: HttpTransport,
}

/// What the receiver answers next.
#[derive(Clone, Default)]
struct Script {
    answer: Arc<[u8]>,
    stays: bool,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let script = Arc::default();
        runtime.spawn(receive_all(listener, Arc::clone(&script)));
        let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
        Self { runtime, port, script, transport }
    }

    #[expect(clippy::disallowed_methods, reason = "a deadline of the wall clock is what is measured")]
    fn exchange(
        &self,
        case: &Case,
        limits: SendLimits,
    ) -> (Result<Response<Bytes>, TransportError>, Duration) {
        *self.script.lock().expect("whole") =
            Script { answer: case.answer.as_slice().into(), stays: case.stays };
        // No connection is kept, so that no case sees what another left.
        let request = Request::post(format!("http://127.0.0.1:{}/", self.port)).header("connection", "close");
        let request = request.body(Bytes::from_static(b"{}")).expect("a request");
        let begun = Instant::now();
        let answer = self.runtime.block_on(self.transport.send(request, &limits));
        (answer, begun.elapsed())
    }
}

async fn receive_all(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let script = script.lock().expect("whole").clone();
        tokio::spawn(receive(stream, script));
    }
}

/// Reads a request whole, so that closing does not look like breaking off, answers, and closes or stays.
async fn receive(mut stream: TcpStream, script: Script) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n{}") {
        if stream.read_buf(&mut request).await.map_or(true, |read| read == 0) {
            return;
        }
    }
    let written = stream.write_all(&script.answer).await;
    if script.stays && written.is_ok() {
        // Until the client goes.
        let _ = stream.read_buf(&mut request).await;
    }
}
