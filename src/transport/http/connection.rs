//! [`ConnectionState`]: the facts that the I/O of a connection tells the pool.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

use super::managed_stream::ConnectionHandle;
use crate::model::FailureKind;

/// The state of a connection, shared by its I/O, which records it, and by the pool, which reads it.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// The bytes that were written after the TLS handshake.
    written: AtomicU64,
    /// Whether the receiver has answered a request on it.
    has_answered: AtomicBool,
    /// The fault of TLS that ended the connection.
    tls_failure: OnceLock<FailureKind>,
    /// The streams that an HTTP/2 receiver allows at once. `None` until its settings have come.
    streams: watch::Sender<Option<u32>>,
    /// The means to end it.
    handle: ConnectionHandle,
}

impl ConnectionState {
    /// Records bytes that were written, or that may have been written.
    pub(super) fn record_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the number of bytes written so far. It is only ever too high.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records that the receiver has answered a request.
    pub(super) fn record_answer(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// Returns whether the receiver has answered a request, so that the connection was kept since.
    pub(super) fn is_kept(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Records the fault of TLS that ended the connection, if it was one.
    pub(super) fn record_tls_failure(&self, kind: Option<FailureKind>) {
        // The first one says the most.
        let _ = kind.map(|kind| self.tls_failure.set(kind));
    }

    /// Returns the fault of TLS that ended the connection.
    pub(super) fn tls_failure(&self) -> Option<FailureKind> {
        self.tls_failure.get().copied()
    }

    /// Records the number of streams that the receiver allows.
    pub(super) fn record_streams(&self, streams: u32) {
        self.streams.send_if_modified(|known| known.replace(streams) != Some(streams));
    }

    /// Returns the number of streams that the receiver allows, if it has said so.
    pub(super) fn streams(&self) -> Option<u32> {
        *self.streams.borrow()
    }

    /// Returns the handle by which calls end the connection.
    pub(super) fn handle(&self) -> &ConnectionHandle {
        &self.handle
    }

    /// Returns a receiver of the changes of that number.
    pub(super) fn stream_changes(&self) -> watch::Receiver<Option<u32>> {
        self.streams.subscribe()
    }
}
