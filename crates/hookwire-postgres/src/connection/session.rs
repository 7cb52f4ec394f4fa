//! `Sessions`: connections of the pool, and transactions on them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Client, Object, Pool};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::connection::begin::Begin;
use crate::connection::statements::{Params, Statements};
use crate::error::{QueryError, ReadRow};
use crate::time::Millis;

/// The number of times that a transaction is tried which PostgreSQL aborts because of others.
const MAX_TRIES: usize = 4;
/// The time that a server may take for a statement along indexes and within limits.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The time that a server may take for a statement that reads much.
pub(crate) const MUCH_WITHIN: Duration = Duration::from_secs(60);
const NOW: &str = "SELECT clock_ms() AS now";

/// A pool of connections. Each is used for one transaction at a time, and keeps nothing from one to the next but the
/// statements that it has parsed.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    pool: Pool,
    begin: Begin,
    statements: Arc<Statements>,
}

/// An operation that runs in one transaction. It may run several times until the transaction commits.
///
/// Every operation that writes runs on a task of its own, so that a caller who goes away leaves no transaction open.
#[async_trait]
pub(crate) trait Operation: Sync {
    type Output: Send;

    /// Returns the time that the server may take for each statement.
    fn within(&self) -> Duration {
        ANSWER_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<Self::Output, QueryError>;
}

/// An open transaction.
pub(crate) struct Tx<'a> {
    client: &'a Client,
    statements: &'a Statements,
    within: Duration,
}

/// Reads rows by one statement.
struct Read<'a> {
    sql: &'a str,
    params: Params<'a>,
    within: Duration,
}

#[async_trait]
impl Operation for Read<'_> {
    type Output = Vec<Row>;

    fn within(&self) -> Duration {
        self.within
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<Vec<Row>, QueryError> {
        tx.rows(self.sql, self.params).await
    }
}

/// A connection that is closed instead of going back to the pool, unless its transaction is known to have ended. So an
/// operation that panics, a commit that fails, or a server that does not answer, leaves no open transaction behind.
struct PoolGuard(Option<Client>);

impl Drop for PoolGuard {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

impl Sessions {
    pub(crate) fn new(pool: Pool, begin: Begin, statements: Statements) -> Self {
        Self { pool, begin, statements: Arc::new(statements) }
    }

    /// Runs `operation` in a transaction, and again if others were in its way.
    pub(crate) async fn transact<O: Operation>(&self, operation: &O) -> Result<O::Output, QueryError> {
        for _ in 1..MAX_TRIES {
            match self.try_once(operation).await {
                Err(error) if error.is_retryable() => {}
                done => return done,
            }
        }
        self.try_once(operation).await
    }

    async fn try_once<O: Operation>(&self, operation: &O) -> Result<O::Output, QueryError> {
        let mut guard = PoolGuard(Some(self.pool.get().await?));
        let client = guard.0.as_ref().expect("it is taken out below only");
        let tx = Tx { client, statements: &self.statements, within: operation.within() };
        let uses = Object::metrics(client).recycle_count;
        tx.command(&self.begin.sql(tx.within, uses)).await?;
        let done = operation.run(&tx).await;
        if let Err(QueryError::Unanswered(_)) = done {
            // Nobody is there to roll back. The server does so when it notices that the connection has gone.
            return done;
        }
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        if let Err(error) = tx.command(end).await {
            return done.and(Err(error));
        }
        drop(guard.0.take());
        done
    }

    /// Reads rows by one statement, in a transaction of its own.
    pub(crate) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, QueryError> {
        self.transact(&Read { sql, params, within: ANSWER_WITHIN }).await
    }

    /// Reads rows like [`rows`](Self::rows), by a statement that may have to look at many.
    pub(crate) async fn rows_of_many(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, QueryError> {
        self.transact(&Read { sql, params, within: MUCH_WITHIN }).await
    }

    /// Reads the clock, like [`Tx::now`].
    pub(crate) async fn now(&self) -> Result<Millis, QueryError> {
        now(self.rows(NOW, &[]).await?.first())
    }

    /// Executes a command without parameters, outside a transaction.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), QueryError> {
        let mut guard = PoolGuard(Some(self.pool.get().await?));
        let client = guard.0.as_ref().expect("it is taken out below only");
        answered(ANSWER_WITHIN, client.batch_execute(sql)).await?;
        drop(guard.0.take());
        Ok(())
    }
}

impl Tx<'_> {
    /// Reads rows.
    pub(crate) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, QueryError> {
        answered(self.within, self.statements.rows(self.client, sql, params)).await
    }

    /// Reads the first row, if there is one.
    pub(crate) async fn first(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, QueryError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Executes a statement, and returns the number of rows that it changed.
    pub(crate) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, QueryError> {
        answered(self.within, self.statements.run(self.client, sql, params)).await
    }

    /// Reads the clock of the database: the only one that the store goes by.
    pub(crate) async fn now(&self) -> Result<Millis, QueryError> {
        now(self.rows(NOW, &[]).await?.first())
    }

    async fn command(&self, sql: &str) -> Result<(), QueryError> {
        answered(self.within, self.client.batch_execute(sql)).await
    }
}

fn now(row: Option<&Row>) -> Result<Millis, QueryError> {
    row.ok_or_else(|| QueryError::corrupt("the database tells no time"))?.read("now")
}

/// Waits for the server's answer, but no longer than this. A server whose processes stand still keeps its connections
/// open, so nothing else would tell.
async fn answered<T>(
    within: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, QueryError> {
    timeout(within, answer).await.map_err(|_| QueryError::Unanswered(within))?.map_err(QueryError::from)
}
