//! The threads that read.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::super::file::sql::SqlError;
use crate::store::error::StoreError;

/// A query to the file.
pub(crate) struct Query(Box<dyn FnOnce(&Connection) + Send>);

impl Query {
    /// Creates a query and the receiver of its answer.
    pub(crate) fn new<T: Send + 'static>(
        read: impl FnOnce(&Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let run = |connection: &Connection| {
            // Whoever asked may have gone.
            let _ = answer.send(in_snapshot(connection, read).map_err(StoreError::from));
        };
        (Self(Box::new(run)), answered)
    }
}

/// Reads in one snapshot. The transaction is short, because a long one would keep the write-ahead log from being
/// reused.
fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    let told = |error| SqlError::of(connection, error);
    let transaction = connection.unchecked_transaction().map_err(told)?;
    let answer = read(&transaction)?;
    transaction.commit().map_err(told)?;
    Ok(answer)
}

/// Answers queries until the queue is closed. Several readers share the queue.
pub(crate) fn run(connection: Connection, queries: &Mutex<Receiver<Query>>) {
    loop {
        // Nothing is left half done under this lock, so a poisoned one is as good.
        let next = queries.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Query(answer)) = next else { return };
        answer(&connection);
    }
}

/// Makes the queue of queries shareable by several readers.
pub(crate) fn shared(queries: Receiver<Query>) -> Arc<Mutex<Receiver<Query>>> {
    Arc::new(Mutex::new(queries))
}
