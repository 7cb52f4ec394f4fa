//! [`Host`]: the connections to one host, and the requests that wait for one. Makes the pool's decisions, without I/O.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::connection::ConnectionState;
use super::sender::Sender;
use crate::model::FailureKind;
use crate::transport::error::TransportError;

/// The interval at which each connection reports that it still is there.
pub(super) const TICK: Duration = Duration::from_secs(5);

/// The ticks for which an idle connection is kept: 20 to 25 s. They are few, because each new connection resolves
/// and checks the name again.
const IDLE_TICKS: usize = 5;

/// The number of idle HTTP/1.1 connections kept: as many as a dispatcher has in flight by default. Fewer would be closed
/// and opened again whenever many attempts end at once.
const MAX_IDLE: usize = 512;

/// The maximum number of HTTP/2 connections. It is reached only by a receiver that allows a few streams on each:
/// every request of a dispatcher at once needs as many connections as HTTP/1.1 would.
const MAX_CONNECTIONS: usize = 256;

/// The maximum number of streams that are used of an HTTP/2 connection, however many the receiver allows: what
/// RFC 9113 recommends a receiver to allow. It bounds what is lost with one connection.
pub(super) const MAX_STREAMS: u32 = 100;

/// A request that waits for a connection.
pub(super) type Waiter<T> = oneshot::Sender<Result<T, TransportError>>;

/// An open connection, or the use of one for a request.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) sender: Sender,
    pub(super) state: Arc<ConnectionState>,
}

/// The connections to one host, and the requests that wait for one.
#[derive(Debug)]
pub(super) struct Host<T> {
    /// Connections of HTTP/1.1 that no request uses, the last used last, and the ticks since.
    idle: Vec<(Connection, usize)>,
    /// All connections of HTTP/2 that take requests.
    shared: Vec<Shared>,
    /// The number of connections being opened.
    opening: usize,
    /// The requests that a new connection is expected to take at once.
    expected: usize,
    /// Whether the last connection could not be opened while others are open: the receiver may allow no more.
    full: bool,
    waiting: VecDeque<Waiter<T>>,
}

#[derive(Debug)]
struct Shared {
    connection: Connection,
    in_flight: usize,
    /// The ticks since the last of its requests ended.
    idle: usize,
}

/// What follows from a change of a host.
#[derive(Debug)]
pub(super) struct Settled<T> {
    /// Requests that have a connection now.
    pub(super) served: Vec<(Waiter<T>, Connection)>,
    /// The number of connections to open.
    pub(super) to_open: usize,
}

impl<T> Default for Host<T> {
    fn default() -> Self {
        Self {
            idle: Vec::new(),
            shared: Vec::new(),
            opening: 0,
            expected: 1,
            full: false,
            waiting: VecDeque::new(),
        }
    }
}

impl<T> Host<T> {
    /// Returns whether nothing is known of the host any more.
    pub(super) fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.shared.is_empty() && self.opening == 0 && self.waiting.is_empty()
    }

    /// Adds a request that waits.
    pub(super) fn wait(&mut self, waiter: Waiter<T>) {
        self.waiting.push_back(waiter);
    }

    /// Takes an open connection for a request, unless others have waited for longer.
    pub(super) fn take_unless_others_wait(&mut self) -> Option<Connection> {
        if self.waiting.is_empty() { self.take() } else { None }
    }

    /// Serves the requests that wait, in turn, and decides how many connections to open for the others.
    pub(super) fn settle(&mut self) -> Settled<T> {
        self.waiting.retain(|waiter| !waiter.is_closed());
        let mut served = Vec::new();
        while let Some(waiter) = self.waiting.pop_front() {
            let Some(connection) = self.take() else {
                self.waiting.push_front(waiter);
                break;
            };
            served.push((waiter, connection));
        }
        let to_open = self.lacking();
        self.opening += to_open;
        Settled { served, to_open }
    }

    /// Returns whether more connections are being opened than requests wait for.
    pub(super) fn opens_too_many(&mut self) -> bool {
        self.waiting.retain(|waiter| !waiter.is_closed());
        self.waiting.len() < self.opening
    }

    /// Adds a connection that was opened. One of HTTP/2 that nobody needs is dropped.
    pub(super) fn opened(&mut self, connection: Connection) {
        self.opening -= 1;
        self.full = false;
        match connection.sender {
            Sender::Http1(..) => {
                self.expected = 1;
                self.keep(connection);
            }
            Sender::Http2(_) => {
                self.waiting.retain(|waiter| !waiter.is_closed());
                if !self.waiting.is_empty() || !self.shared.iter().any(Shared::has_room) {
                    self.shared.push(Shared { connection, in_flight: 0, idle: 0 });
                }
            }
        }
    }

    /// Records that a connection could not be opened. Returns the requests that it was for, unless they can wait
    /// for a stream of another, because the receiver may allow no more connections. Then none are opened until the next
    /// tick, or the last one ends.
    pub(super) fn failed(&mut self, kind: FailureKind) -> Vec<Waiter<T>> {
        self.opening -= 1;
        self.full = kind != FailureKind::Local && !self.shared.is_empty();
        if self.full {
            return Vec::new();
        }
        self.waiting.retain(|waiter| !waiter.is_closed());
        self.waiting.drain(..self.expected.min(self.waiting.len())).collect()
    }

    /// Records that a connection is no longer being opened, because no request needs it.
    pub(super) fn given_up(&mut self) {
        self.opening -= 1;
    }

    /// Keeps a connection of HTTP/1.1 for the next request.
    pub(super) fn keep(&mut self, connection: Connection) {
        if self.idle.len() < MAX_IDLE || !self.waiting.is_empty() {
            self.idle.push((connection, 0));
        }
    }

    /// Takes back a stream of a connection of HTTP/2.
    pub(super) fn release(&mut self, id: u64) {
        if let Some(shared) = self.shared.iter_mut().find(|it| it.connection.id == id) {
            shared.in_flight -= 1;
            shared.idle = 0;
        }
    }

    /// Learns how many streams the receiver allows on a connection.
    pub(super) fn learn(&mut self, streams: u32) {
        self.expected = usable(streams).max(1);
    }

    /// Gives no more requests to a connection. Those under way on it go on.
    pub(super) fn remove(&mut self, id: u64) {
        self.idle.retain(|(connection, _)| connection.id != id);
        self.shared.retain(|it| it.connection.id != id);
    }

    /// Counts a tick of a connection, and drops it once it has been idle for too long.
    pub(super) fn tick(&mut self, id: u64) {
        self.full = false;
        for (_, idle) in self.idle.iter_mut().filter(|(connection, _)| connection.id == id) {
            *idle += 1;
        }
        for shared in self.shared.iter_mut().filter(|it| it.connection.id == id && it.in_flight == 0) {
            shared.idle += 1;
        }
        self.idle.retain(|(_, idle)| *idle < IDLE_TICKS);
        self.shared.retain(|it| it.in_flight > 0 || it.idle < IDLE_TICKS);
    }

    /// Takes a connection for a request: an idle one, or a stream of a shared one.
    fn take(&mut self) -> Option<Connection> {
        while let Some((connection, _)) = self.idle.pop() {
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
        self.shared.retain(|it| it.connection.sender.is_ready());
        self.shared.iter_mut().find(|it| it.has_room()).and_then(Shared::take)
    }

    /// Returns how many more connections are needed for the requests that wait.
    fn lacking(&self) -> usize {
        if self.full && !self.shared.is_empty() {
            return 0;
        }
        let room = self.shared.iter().map(|it| it.room_to_come(self.expected)).sum::<usize>();
        let served = room + self.opening * self.expected;
        let needed = self.waiting.len().saturating_sub(served).div_ceil(self.expected);
        needed.min(MAX_CONNECTIONS.saturating_sub(self.shared.len() + self.opening))
    }
}

impl Shared {
    /// Returns whether the receiver allows one more stream. Until it has said how many, one is used: it may allow
    /// no more.
    fn has_room(&self) -> bool {
        self.in_flight < self.connection.state.streams().map_or(1, usable)
    }

    /// Returns the streams that are expected once the receiver has said how many it allows.
    fn room_to_come(&self, expected: usize) -> usize {
        match self.connection.state.streams() {
            None => expected.saturating_sub(self.in_flight),
            Some(_) => 0,
        }
    }

    fn take(&mut self) -> Option<Connection> {
        let Sender::Http2(sender) = &self.connection.sender else { return None };
        self.in_flight += 1;
        let (id, state) = (self.connection.id, Arc::clone(&self.connection.state));
        Some(Connection { id, sender: Sender::Http2(sender.clone()), state })
    }
}

fn usable(streams: u32) -> usize {
    streams.min(MAX_STREAMS) as usize
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use hyper::client::conn::{http1, http2};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    use super::*;
    use crate::transport::http::call::RequestBody;

    fn over_http1(sender: http1::SendRequest<RequestBody>) -> Connection {
        let sender = Sender::Http1(sender, HeaderValue::from_static("receiver.example"));
        Connection { id: 7, sender, state: Arc::default() }
    }

    /// Returns how many connections are opened for each of these numbers of requests in turn, where each new
    /// connection is expected to take so many.
    fn opened(expected: u32, requests: &[usize]) -> Vec<usize> {
        let mut host = Host::<()>::default();
        host.learn(expected);
        let mut asked = Vec::new();
        let opened = requests.iter().map(|requests| {
            for _ in 0..*requests {
                let (waiter, answer) = oneshot::channel();
                host.wait(waiter);
                asked.push(answer);
            }
            host.settle().to_open
        });
        opened.collect()
    }

    #[test]
    fn as_many_connections_are_opened_as_the_waiting_requests_need() {
        assert_eq!(opened(1, &[0, 1, 15]), [0, 1, 15]);
        assert_eq!(opened(8, &[1, 7, 1, 16]), [1, 0, 1, 2]);
        assert_eq!(opened(u32::MAX, &[100, 1]), [1, 1]);
        assert_eq!(opened(0, &[2]), [2]);
        assert_eq!(opened(1, &[1000, 1]), [MAX_CONNECTIONS, 0]);
    }

    #[test]
    fn a_request_that_was_given_up_needs_no_connection() {
        let mut host = Host::<()>::default();
        let (waiter, answer) = oneshot::channel();
        host.wait(waiter);
        drop(answer);
        assert_eq!(host.settle().to_open, 0);
        assert!(host.is_empty());
    }

    #[test]
    fn a_connection_that_cannot_be_opened_fails_only_the_requests_that_it_was_for() {
        for (expected, fails) in [(1, 1), (2, 2), (100, 3)] {
            let mut host = Host::<()>::default();
            host.learn(expected);
            let asked: Vec<_> = (0..3).map(|_| oneshot::channel()).collect();
            let (waiters, _answers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            waiters.into_iter().for_each(|waiter| host.wait(waiter));
            host.settle();
            assert_eq!(host.failed(FailureKind::Connect).len(), fails);
        }
    }

    #[tokio::test]
    async fn a_receiver_that_allows_no_more_connections_is_not_asked_for_one_until_the_next_tick() {
        let (stream, _peer) = tokio::io::duplex(1024);
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, _connection) = handshake.expect("open");
        let mut host = Host::<()>::default();
        let asked: Vec<_> = (0..2).map(|_| oneshot::channel()).collect();
        let (waiters, _answers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        waiters.into_iter().for_each(|waiter| host.wait(waiter));
        assert_eq!(host.settle().to_open, 2);
        let state = Arc::new(ConnectionState::default());
        state.record_streams(1);
        host.opened(Connection { id: 7, sender: Sender::Http2(sender), state });
        assert_eq!(host.settle().served.len(), 1);
        assert!(host.failed(FailureKind::Connect).is_empty(), "the other waits for the stream");
        assert_eq!(host.settle().to_open, 0);
        host.tick(7);
        assert_eq!(host.settle().to_open, 1);
    }

    #[test]
    fn a_failure_of_our_own_is_told_to_those_who_could_wait_for_a_stream() {
        let mut host = Host::<()>::default();
        let (waiter, _answer) = oneshot::channel();
        host.wait(waiter);
        host.settle();
        assert_eq!(host.failed(FailureKind::Local).len(), 1);
    }

    #[tokio::test]
    async fn a_host_that_speaks_http_1_needs_a_connection_for_each_request() {
        let (stream, _peer) = tokio::io::duplex(1024);
        let (sender, _connection) = http1::handshake(TokioIo::new(stream)).await.expect("open");
        let mut host = Host::<()>::default();
        host.learn(MAX_STREAMS);
        let asked: Vec<_> = (0..4).map(|_| oneshot::channel()).collect();
        let (waiters, _answers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        waiters.into_iter().for_each(|waiter| host.wait(waiter));
        assert_eq!(host.settle().to_open, 1);
        host.opened(over_http1(sender));
        let Settled { served, to_open } = host.settle();
        assert_eq!(served.len() + to_open, 4);
    }

    #[tokio::test]
    async fn an_idle_connection_is_dropped_after_its_own_ticks() {
        let (stream, _peer) = tokio::io::duplex(1024);
        let (sender, _connection) = http1::handshake(TokioIo::new(stream)).await.expect("open");
        let mut host = Host::<()>::default();
        host.keep(over_http1(sender));
        (0..IDLE_TICKS).for_each(|_| host.tick(8));
        (1..IDLE_TICKS).for_each(|_| host.tick(7));
        assert!(!host.is_empty());
        host.tick(7);
        assert!(host.is_empty());
    }
}
