//! `Sessions`: connections of the pool, and transactions on them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Client, Object, Pool};
use futures_util::future::join_all;
use tokio::join;
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::connection::begin::{ANSWER_WITHIN, Begin};
use crate::connection::statements::{Params, Prepared, Statements};
use crate::error::{QueryError, ReadRow};
use crate::time::Millis;

/// The number of times that a transaction is tried which PostgreSQL aborts because of others.
const MAX_TRIES: usize = 4;
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
    /// Whether it has been committed, or rolled back because one of its last statements failed.
    is_over: AtomicBool,
}

/// A statement with its parameters.
pub(crate) type Query<'a> = (&'a str, Params<'a>);

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
        tx.commit_rows(self.sql, self.params).await
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
        let (statements, is_over) = (&*self.statements, AtomicBool::new(false));
        let tx = Tx { client, statements, within: operation.within(), is_over };
        let uses = Object::metrics(client).recycle_count;
        let begin = self.begin.sql(tx.within, uses);
        // The first statements are sent behind it at once. If it should fail, they are transactions of their own: so the
        // first ones of an operation only read and lock, or are the only one.
        let (begun, done) = join!(biased; tx.command(&begin), operation.run(&tx));
        let done = begun.and(done);
        if let Err(QueryError::Unanswered(_)) = done {
            // Nobody is there to roll back. The server does so when it notices that the connection has gone.
            return done;
        }
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        if !tx.is_over.load(Ordering::Relaxed)
            && let Err(error) = tx.command(end).await
        {
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
        answered(self.within, self.prepare(sql).await?.rows(self.client, params)).await
    }

    /// Executes statements in one round trip, and returns the rows of each.
    pub(crate) async fn all<const N: usize>(
        &self,
        queries: [Query<'_>; N],
    ) -> Result<[Vec<Row>; N], QueryError> {
        self.pipeline(queries, async { Ok(()) }).await
    }

    /// Executes the last statements of the transaction, and commits it, in one round trip.
    pub(crate) async fn commit<const N: usize>(
        &self,
        queries: [Query<'_>; N],
    ) -> Result<[Vec<Row>; N], QueryError> {
        let commit = async {
            self.command("COMMIT").await?;
            // If a statement has failed, this has rolled back.
            self.is_over.store(true, Ordering::Relaxed);
            Ok(())
        };
        self.pipeline(queries, commit).await
    }

    /// Executes the only statement that is left, like [`commit`](Self::commit).
    pub(crate) async fn commit_rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, QueryError> {
        self.commit([(sql, params)]).await.map(|[rows]| rows)
    }

    /// Sends all statements, and then polls `last`, before it waits for any answer. All are prepared before, so that each
    /// is sent when it is first polled.
    async fn pipeline<const N: usize>(
        &self,
        queries: [Query<'_>; N],
        last: impl Future<Output = Result<(), QueryError>>,
    ) -> Result<[Vec<Row>; N], QueryError> {
        let prepared = join_all(queries.iter().map(|(sql, _)| self.prepare(sql))).await;
        let prepared = prepared.into_iter().collect::<Result<Vec<_>, _>>()?;
        let sent = prepared.iter().zip(queries);
        let sent = sent.map(|(it, (_, params))| answered(self.within, it.rows(self.client, params)));
        let (rows, ended) = join!(biased; join_all(sent), last);
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>()?;
        ended?;
        rows.try_into().map_err(|_| QueryError::corrupt("not as many answers as statements"))
    }

    async fn prepare<'a>(&self, sql: &'a str) -> Result<Prepared<'a>, QueryError> {
        answered(self.within, self.statements.prepare(self.client, sql)).await
    }

    /// Reads the first row, if there is one.
    pub(crate) async fn first(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, QueryError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Executes a statement, and returns the number of rows that it changed.
    pub(crate) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, QueryError> {
        answered(self.within, self.prepare(sql).await?.run(self.client, params)).await
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
