//! [`Pool`]: opens connections, keeps them, and gives each request one that takes it now.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};

use super::call::RequestBody;
use super::classify::classify_client_error;
use super::connection::ConnectionState;
use super::connector::Connector;
use super::host::{Connection, Host, MAX_STREAMS, Settled, TICK};
use super::managed_stream::{ConnectionHandle, ManagedStream};
use super::sender::{SendFailure, Sender, host};
use crate::model::FailureKind;
use crate::transport::error::TransportError;

/// The maximum size of a response head, so that a receiver cannot fill our memory.
const HEAD_BYTES: u32 = 64 * 1024;

/// The maximum number of header lines of an HTTP/1 head. The client reserves room for all of them each time it
/// parses.
const HEAD_LINES: usize = 1024;

/// How much a receiver may send on one HTTP/2 stream before we have read any of it.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// The interval and timeout of HTTP/2 pings. They find a dead connection before more requests are sent on it.
const PING: Duration = Duration::from_secs(10);

/// A scheme and an authority: what a connection is good for.
type Origin = (Scheme, Authority);

/// The connections of one set of settings. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: Connector,
    hosts: Mutex<HashMap<Origin, Host<Lease>>>,
    next: AtomicU64,
}

impl Pool {
    /// Creates an empty pool that opens connections by `connector`.
    pub(super) fn new(connector: Connector) -> Self {
        Self(Arc::new(Inner { connector, hosts: Mutex::default(), next: AtomicU64::new(0) }))
    }

    /// Waits for a connection that takes a request to this URI now.
    ///
    /// # Cancellation
    ///
    /// Safe: a connection that is being opened is kept for others, or given up soon.
    pub(super) async fn lease(&self, uri: &Uri) -> Result<Lease, TransportError> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(TransportError::new(FailureKind::Prepare, "the URI is not absolute"));
        };
        let origin = (scheme.clone(), authority.clone());
        if let Some(connection) = self.hosts().get_mut(&origin).and_then(Host::take_unless_others_wait) {
            return Ok(Lease::new(self.clone(), origin, connection));
        }
        let (waiter, leased) = oneshot::channel();
        self.update(&origin, |host| host.wait(waiter));
        let abandoned = |error| Err(TransportError::new(FailureKind::Connect, error));
        leased.await.unwrap_or_else(abandoned)
    }

    /// Changes what is known of a host, and does what follows from it.
    fn update(&self, origin: &Origin, change: impl FnOnce(&mut Host<Lease>)) {
        let mut hosts = self.hosts();
        let host = hosts.entry(origin.clone()).or_default();
        change(host);
        let Settled { served, to_open } = host.settle();
        if host.is_empty() {
            hosts.remove(origin);
        }
        drop(hosts);
        for (waiter, connection) in served {
            let lease = Lease::new(self.clone(), origin.clone(), connection);
            // The lease of a request that was given up meanwhile is dropped, and so given back.
            let _ = waiter.send(Ok(lease));
        }
        (0..to_open).for_each(|_| self.open(origin.clone()));
    }

    /// Opens a connection in the background.
    fn open(&self, origin: Origin) {
        let opening = Opening { pool: self.clone(), origin, opened: Some(Err(abandoned())) };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(opening.run());
        }
    }

    /// Adds a connection, or tells those that wait for it that it could not be opened. `None` is one that was given
    /// up.
    fn opened(&self, origin: &Origin, opened: Option<Result<Connection, TransportError>>) {
        let mut failed = None;
        self.update(origin, |host| match opened {
            Some(Ok(connection)) => host.opened(connection),
            Some(Err(error)) => failed = Some((host.failed(error.kind()), error)),
            None => host.given_up(),
        });
        let (waiters, error) = failed.unwrap_or_else(|| (Vec::new(), abandoned()));
        for waiter in waiters {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// Locks the hosts. Every change leaves them whole, so a poisoned lock is harmless.
    fn hosts(&self) -> MutexGuard<'_, HashMap<Origin, Host<Lease>>> {
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, origin: &Origin) -> Result<Connection, TransportError> {
        let (scheme, authority) = origin.clone();
        let target = Uri::builder().scheme(scheme).authority(authority);
        let target = target.path_and_query(PathAndQuery::from_static("/")).build();
        let target = target.map_err(|error| TransportError::new(FailureKind::Prepare, error))?;
        let host = host(&target)?;
        let stream = self.0.connector.open(target).await?;
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let state = stream.state();
        let is_http2 = stream.is_http2();
        let driven = self.driven(origin, id, Arc::clone(&state), is_http2);
        let stream = ManagedStream::new(stream, state.handle().clone());
        let sender = if is_http2 {
            let (sender, connection) =
                http2().handshake(TokioIo::new(stream)).await.map_err(classify_client_error)?;
            tokio::spawn(driven.run(connection));
            Sender::Http2(sender)
        } else {
            let (mut sender, connection) =
                http1().handshake(TokioIo::new(stream)).await.map_err(classify_client_error)?;
            let driven = tokio::spawn(driven.run(connection));
            if let Err(closed) = sender.ready().await {
                // How the connection ended says more than that it is closed.
                let ended = driven.await.ok().and_then(Result::err);
                return Err(classify_client_error(ended.unwrap_or(closed)));
            }
            Sender::Http1(sender, host)
        };
        Ok(Connection { id, sender, state })
    }

    fn driven(&self, origin: &Origin, id: u64, state: Arc<ConnectionState>, is_http2: bool) -> Driven {
        Driven { pool: Arc::downgrade(&self.0), origin: origin.clone(), id, state, is_http2 }
    }
}

/// The use of a connection for one request. Dropping it gives the connection back.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Pool,
    origin: Origin,
    /// `None` only while it is dropped.
    connection: Option<Connection>,
    /// Whether a request has no answer yet. A connection of HTTP/1.1 ends with it then.
    under_way: bool,
}

impl Lease {
    fn new(pool: Pool, origin: Origin, connection: Connection) -> Self {
        Self { pool, origin, connection: Some(connection), under_way: false }
    }

    /// Returns the handle by which a call ends the connection.
    pub(super) fn handle(&self) -> Option<ConnectionHandle> {
        self.connection.as_ref().map(|connection| connection.state.handle().clone())
    }

    /// Returns whether the connection serves several requests at once.
    pub(super) fn is_http2(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| matches!(connection.sender, Sender::Http2(_)))
    }

    /// Sends a request, and waits for the head of its response. The lease must be kept until its body was read.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendFailure> {
        let Some(connection) = &mut self.connection else {
            return Err(SendFailure { error: abandoned(), unprocessed: false, was_stale: false });
        };
        self.under_way = true;
        let sent = connection.sender.send(request, &connection.state).await;
        self.under_way = sent.is_err();
        if sent.as_ref().is_err_and(|failure| failure.unprocessed) {
            // It is closed or closing, or refuses streams for now.
            let id = connection.id;
            self.pool.update(&self.origin, |host| host.remove(id));
        }
        sent
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(Connection { id, sender: Sender::Http2(_), .. }) => {
                self.pool.update(&self.origin, |host| host.release(id));
            }
            Some(Connection { id, sender: Sender::Http1(mut sender, host), state }) if !self.under_way => {
                let (pool, origin) = (self.pool.clone(), self.origin.clone());
                let keep = move |sender| {
                    let connection = Connection { id, sender: Sender::Http1(sender, host), state };
                    pool.update(&origin, |host| host.keep(connection));
                };
                if sender.is_ready() {
                    keep(sender);
                } else if let (false, Ok(runtime)) = (sender.is_closed(), Handle::try_current()) {
                    // Ready once the rest of the exchange is over.
                    runtime.spawn(async move { sender.ready().await.map(|()| keep(sender)) });
                }
            }
            _ => {}
        }
    }
}

/// A connection that is being opened. However that ends, the pool is told.
struct Opening {
    pool: Pool,
    origin: Origin,
    opened: Option<Result<Connection, TransportError>>,
}

impl Opening {
    async fn run(mut self) {
        let (pool, origin) = (self.pool.clone(), self.origin.clone());
        let mut connecting = pin!(pool.connect(&origin));
        while self.is_wanted() {
            if let Ok(opened) = timeout(TICK, &mut connecting).await {
                self.opened = Some(opened);
                return;
            }
        }
        self.opened = None;
    }

    fn is_wanted(&self) -> bool {
        self.pool.hosts().get_mut(&self.origin).is_some_and(|host| !host.opens_too_many())
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.pool.opened(&self.origin, self.opened.take());
    }
}

/// A connection that is driven in the background until it ends. The pool may end before.
struct Driven {
    pool: Weak<Inner>,
    origin: Origin,
    id: u64,
    state: Arc<ConnectionState>,
    is_http2: bool,
}

impl Driven {
    async fn run(self, connection: impl Future<Output = hyper::Result<()>>) -> hyper::Result<()> {
        let mut connection = pin!(connection);
        let mut changes = self.state.stream_changes();
        let mut ticks = interval(TICK);
        ticks.reset();
        let ended = loop {
            tokio::select! {
                ended = &mut connection => break ended,
                Ok(()) = changes.changed() => self.learn(),
                _ = ticks.tick() => self.tick(),
            }
        };
        self.update(|host| host.remove(self.id));
        // What HTTP/2 says at the end is of no use to a receiver that reads nothing.
        self.state.handle().close_unless_read(|| false);
        ended
    }

    fn learn(&self) {
        if let Some(streams) = self.state.streams() {
            self.update(|host| host.learn(streams));
        }
    }

    fn tick(&self) {
        // A receiver has to send its settings at once. One that sends others allows what HTTP/2 recommends.
        let is_heard = self.state.handle().is_heard();
        if self.is_http2 && is_heard && self.state.streams().is_none() {
            self.state.record_streams(MAX_STREAMS);
        }
        self.update(|host| host.tick(self.id));
    }

    fn update(&self, change: impl FnOnce(&mut Host<Lease>)) {
        if let Some(pool) = self.pool.upgrade() {
            Pool(pool).update(&self.origin, change);
        }
    }
}

fn abandoned() -> TransportError {
    TransportError::new(FailureKind::Connect, "the opening of the connection was abandoned")
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(HEAD_BYTES as usize)
        .max_headers(HEAD_LINES)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}
