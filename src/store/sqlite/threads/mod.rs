//! The threads of the SQLite store: one that writes, two that read, and the queues by which work reaches them.

pub(super) mod checkpoints;
pub(super) mod owner;
pub(super) mod reader;
pub(super) mod worker;
pub(super) mod writer;
