//! The receivers: each host behaves in its own way, drawn from the seed.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, FailureKind, MessageId};
use hookwire::transport::{SendLimits, Transport, TransportError};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::time::{Instant, sleep};

use crate::ledger::Ledger;
use crate::prng::{Prng, mix};
use crate::process::Process;

/// All receivers of a world.
#[derive(Debug)]
pub(crate) struct Receivers {
    seed: u64,
    visits: Mutex<BTreeMap<String, u64>>,
}

/// The fate of one request.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Status(u16),
    RetryAfter(u16, u32),
    Fail(FailureKind),
    /// No answer; the transport keeps its deadline.
    Hang,
    /// No answer; the transport forgets its deadline.
    Forget,
}

impl Receivers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, visits: Mutex::default() }
    }

    fn meet(&self, host: &str) -> (Reply, Duration) {
        let mut visits = self.visits.lock().expect("whole");
        let visit = visits.entry(host.to_owned()).or_default();
        *visit += 1;
        let name = host.bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        if host.starts_with("canary") {
            return (Reply::Status(if *visit == 1 { 500 } else { 204 }), Duration::from_millis(5));
        }
        reply(Prng::new(name).below(8), &mut Prng::new(mix(name ^ *visit)))
    }
}

/// Draws the reply of a receiver of this kind, and its delay.
fn reply(kind: u64, prng: &mut Prng) -> (Reply, Duration) {
    let bad = match kind {
        0 | 1 => 5,
        2..=5 => 45,
        _ => 85,
    };
    let late = if prng.chance(25) { prng.millis(500, 14_900) } else { prng.millis(0, 400) };
    let status = [Reply::Status(200), Reply::Status(201), Reply::Status(204)];
    let worse = [
        Reply::Status(302),
        Reply::Status(400),
        Reply::Status(500),
        Reply::Status(503),
        Reply::RetryAfter(429, 90),
        Reply::RetryAfter(503, 600),
        Reply::Fail(FailureKind::Connect),
        Reply::Fail(FailureKind::Protocol),
        Reply::Hang,
        Reply::Hang,
        Reply::Forget,
    ];
    let reply = match (prng.chance(bad), prng.chance(4)) {
        (true, true) => Reply::Status(410),
        (true, false) => *prng.pick(&worse).expect("some"),
        _ => *prng.pick(&status).expect("some"),
    };
    (reply, late)
}

/// The way of one process to the receivers.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) process: Arc<Process>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) receivers: Arc<Receivers>,
}

/// Tells the ledger when a request ended, even one that is broken off.
struct Visit<'a> {
    wire: &'a Wire,
    number: Option<usize>,
    started: Instant,
    deadline: Duration,
    outcome: Option<String>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let overdue = self.outcome.is_none() && self.started.elapsed() > self.deadline;
        let outcome = if overdue { Some(FailureKind::Timeout.to_string()) } else { self.outcome.take() };
        self.wire.ledger.answered(number, outcome);
    }
}

impl Wire {
    fn begin(&self, request: &Request<Bytes>, deadline: Duration) -> Visit<'_> {
        let host = request.uri().host().unwrap_or_default();
        let header = request.headers().get("webhook-id").and_then(|id| id.to_str().ok());
        let message = MessageId::new(header.unwrap_or("none")).expect("ids are valid on the wire");
        let tenant = host.split('-').next().unwrap_or_default();
        let whole = format!("\"is\":\"{tenant}/{message}\"");
        if !String::from_utf8_lossy(request.body()).contains(&whole) {
            self.ledger.violation(format!("{host} got another content under the id {message}"));
        }
        let number = self.ledger.request(&self.process, host, message);
        Visit { wire: self, number, started: Instant::now(), deadline, outcome: None }
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        self.process.live().await;
        let mut visit = self.begin(&request, limits.deadline());
        let (reply, late) = self.receivers.meet(request.uri().host().unwrap_or_default());
        let answer = answer(reply, late, limits.deadline()).await;
        self.process.live().await;
        visit.outcome = Some(match &answer {
            Ok(response) => format!("answered {}", response.status().as_u16()),
            Err(error) => error.kind().to_string(),
        });
        answer
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

async fn answer(reply: Reply, late: Duration, deadline: Duration) -> Result<Response<Bytes>, TransportError> {
    let late = if matches!(reply, Reply::Hang) { deadline } else { late };
    sleep(late).await;
    let (status, seconds) = match reply {
        Reply::Status(status) => (status, None),
        Reply::RetryAfter(status, seconds) => (status, Some(seconds)),
        Reply::Fail(kind) => return Err(TransportError::new(kind, "as the seed says")),
        Reply::Hang => return Err(TransportError::new(FailureKind::Timeout, "as the seed says")),
        Reply::Forget => return pending().await,
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
    let headers = response.headers_mut();
    headers.extend(seconds.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
    Ok(response)
}
