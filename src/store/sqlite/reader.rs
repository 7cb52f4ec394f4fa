use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::super::StoreError;
use super::sql::Fault;

/// A question to the file.
pub(super) struct Question(Box<dyn FnOnce(&Connection) + Send>);

impl Question {
    /// A question, and where its answer will come.
    pub(super) fn new<T: Send + 'static>(
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let run = |connection: &Connection| {
            // Whoever asked may have gone.
            let _ = answer.send(in_snapshot(connection, read).map_err(StoreError::from));
        };
        (Self(Box::new(run)), answered)
    }
}

/// Reads everything as it was at one moment. The transaction is short: a long one would keep the
/// write-ahead log from being reused.
fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let told = |error| Fault::of(connection, error);
    let transaction = connection.unchecked_transaction().map_err(told)?;
    let answer = read(&transaction)?;
    transaction.commit().map_err(told)?;
    Ok(answer)
}

/// Answers until nobody can ask any more. Several readers share the questions.
pub(super) fn run(connection: Connection, questions: &Mutex<Receiver<Question>>) {
    loop {
        // Nothing is left half done under this lock, so a poisoned one is as good.
        let next = questions.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Question(answer)) = next else { return };
        answer(&connection);
    }
}

/// The questions, for several readers.
pub(super) fn shared(questions: Receiver<Question>) -> Arc<Mutex<Receiver<Question>>> {
    Arc::new(Mutex::new(questions))
}
