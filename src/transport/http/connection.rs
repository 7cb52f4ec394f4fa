//! [`ConnectionState`]: the facts that the I/O of a connection tells the pool.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::managed_stream::ConnectionHandle;

/// The state of a connection, shared by its I/O, which records it, and by the pool, which reads it.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// The bytes that were written after the TLS handshake.
    written: AtomicU64,
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
