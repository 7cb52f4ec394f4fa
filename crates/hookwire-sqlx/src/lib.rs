//! Publishing events of [`hookwire`] within a transaction of [`sqlx`], over `PostgreSQL`.
//!
//! The store is that of [`hookwire_postgres`], with its own connections. [`publish_in`] writes an event on a connection of
//! the host's: it is delivered if the transaction commits, and never happened if it is rolled back.

use hookwire::model::MessageId;
use hookwire::{Event, Tenant};
use hookwire_postgres::{PostgresStore, PublishError, ServerError};
use sqlx::postgres::PgDatabaseError;
use sqlx::{Executor, PgConnection, Row};

/// Publishes an event within a transaction of sqlx, and returns its message id.
///
/// Call [`wake`](hookwire::Webhooks::wake) after the commit, or [`wake_all`](PostgresStore::wake_all) if dispatchers run in
/// other processes. Neither can fail. On a connection without a transaction, the event is committed at once.
///
/// An event without a message id gets one here. Set an id yourself if the transaction may run again because the answer to
/// its commit was lost: a message id of a tenant is published once, and the first event keeps it.
///
/// ```no_run
/// # use hookwire::{Event, EventId, Tenant, Webhooks};
/// # use hookwire_postgres::PostgresStore;
/// # use sqlx::{Connection, PgConnection};
/// # async fn pay(
/// #     app: &mut PgConnection,
/// #     store: &PostgresStore,
/// #     hooks: &Webhooks,
/// #     acme: &Tenant,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let event = Event::new(EventId::new(1), "invoice 4711")?;
///
/// let mut tx = app.begin().await?;
/// sqlx::query("UPDATE invoice SET paid = true WHERE id = 4711").execute(&mut *tx).await?;
/// let id = hookwire_sqlx::publish_in(store, &mut *tx, acme, &event).await?;
/// tx.commit().await?;
/// hooks.wake();
/// println!("{}", acme.explain(&id).await?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`PublishError::Refused`] names the field that is malformed or too large, and its rule. The other variants say what is
/// wrong with the database. The event is written within a savepoint, so after an error the transaction is as it was
/// before, and may go on; one that had failed before is an error, too. A duplicate is no error. An event that the catalog does not have is no error either; the
/// delivery log records it as unroutable.
///
/// # Cancellation
///
/// The event may or may not be written in this transaction. Roll back to be sure that it is not published.
pub async fn publish_in(
    store: &PostgresStore,
    connection: &mut PgConnection,
    tenant: &Tenant,
    event: &Event,
) -> Result<MessageId, PublishError> {
    if let Some(refused) = tenant.check(event).err().and_then(PublishError::of_check) {
        return Err(refused);
    }
    let has_savepoint = begin(connection).await?;
    let published = call(store, connection, &tenant.to_sql_document(event)).await;
    if has_savepoint {
        let ended = connection.execute(if published.is_ok() { RELEASE } else { UNDO }).await;
        // The first error says more than that of a rollback.
        let id = published?;
        return ended.map(|_| id).map_err(failed);
    }
    published
}

const RELEASE: &str = "RELEASE hookwire_publish";
const UNDO: &str = "ROLLBACK TO hookwire_publish; RELEASE hookwire_publish";

/// The SQLSTATE of a savepoint on a connection without a transaction. A statement that fails leaves nothing behind there.
const NO_TRANSACTION: &str = "25P01";

/// Begins a savepoint, and returns whether there is one.
async fn begin(connection: &mut PgConnection) -> Result<bool, PublishError> {
    match connection.execute("SAVEPOINT hookwire_publish").await {
        Ok(_) => Ok(true),
        Err(error) if said(&error).is_some_and(|it| it.code() == NO_TRANSACTION) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

async fn call(
    store: &PostgresStore,
    connection: &mut PgConnection,
    document: &str,
) -> Result<MessageId, PublishError> {
    let row = sqlx::query(store.publish_statement()).bind(document).fetch_one(connection).await;
    let id: String = match row.and_then(|row| row.try_get(0)) {
        Ok(id) => id,
        Err(error) => return Err(refused(store, error)),
    };
    MessageId::new(id).map_err(failed)
}

fn refused(store: &PostgresStore, error: sqlx::Error) -> PublishError {
    let Some(said) = said(&error) else { return failed(error) };
    let (code, message) = (said.code().to_owned(), said.message().to_owned());
    let (column, detail) = (said.column().map(str::to_owned), said.detail().map(str::to_owned));
    let said =
        ServerError { code: &code, message: &message, column: column.as_deref(), detail: detail.as_deref() };
    store.publish_error(said, error)
}

fn said(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PublishError {
    PublishError::Failed(error.into())
}
