//! `PostgresStore::publish_in`: publishing within a transaction of the host.

use std::error::Error;

use hookwire::model::MessageId;
use hookwire::{Event, Tenant};
use thiserror::Error;
use tokio_postgres::GenericClient;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::connection::schema::SchemaName;
use crate::store::PostgresStore;

/// The error of an event that was not published. Nothing else of the transaction is lost, and it goes on, unless it had
/// failed before or the connection is lost.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Something else failed, for instance the connection. The source says what.
    #[error("the event could not be published; try it again, or roll back")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// The user of the transaction lacks privileges.
    #[error(
        "the user of this transaction may not publish; grant USAGE on schema {schema:?}, SELECT on its settings, INSERT and SELECT on its event"
    )]
    NoPrivileges {
        /// The name of the schema.
        schema: String,
        /// The error of PostgreSQL.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database of the transaction has no such function. It may be another one than the store's.
    #[error(
        "the database of this transaction has no {schema}.publish(text); run `PostgresStore::migrate` on it"
    )]
    NotMigrated {
        /// The name of the schema.
        schema: String,
        /// The error of PostgreSQL.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The event breaks a rule of the function. Trying it again unchanged does not help.
    #[error("the event is refused: {field} {rule}")]
    Refused {
        /// The field of the document of [`Tenant::to_sql_document`]. `document` if it is the document itself.
        field: String,
        /// The rule that the field breaks.
        rule: String,
        /// The error of PostgreSQL, or of [`Tenant::check`].
        source: Box<dyn Error + Send + Sync>,
    },
}

impl PublishError {
    /// Returns the error of an event that breaks a rule which [`Tenant::check`] finds; `None` for its other errors, which are
    /// left to the function. For crates that publish by another driver.
    pub fn of_check(error: hookwire::Error) -> Option<Self> {
        let broken = error.violations().first()?;
        let (field, rule) = (broken.field().to_owned(), broken.message().to_owned());
        Some(Self::Refused { field, rule, source: error.into() })
    }

    fn of(error: tokio_postgres::Error, schema: &SchemaName) -> Self {
        let Some(said) = error.as_db_error().cloned() else { return Self::Failed(error.into()) };
        let (code, message) = (said.code().code(), said.message());
        Self::of_server(
            ServerError { code, message, column: said.column(), detail: said.detail() },
            schema,
            error,
        )
    }

    fn of_server(
        said: ServerError<'_>,
        schema: &SchemaName,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let (schema, source) = (schema.as_str().to_owned(), source.into());
        match said.code {
            INSUFFICIENT_PRIVILEGE => Self::NoPrivileges { schema, source },
            INVALID_SCHEMA_NAME | UNDEFINED_FUNCTION => Self::NotMigrated { schema, source },
            code if code.starts_with(DATA_EXCEPTION) => {
                let (field, rule) = refusal(said);
                Self::Refused { field, rule, source }
            }
            _ => Self::Failed(source),
        }
    }
}

/// An error of the server, as any driver tells it, for [`PostgresStore::publish_error`].
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an argument list by name")]
pub struct ServerError<'a> {
    /// The SQLSTATE.
    pub code: &'a str,
    /// The message.
    pub message: &'a str,
    /// The column that it names.
    pub column: Option<&'a str>,
    /// More about it.
    pub detail: Option<&'a str>,
}

const INSUFFICIENT_PRIVILEGE: &str = "42501";
const INVALID_SCHEMA_NAME: &str = "3F000";
const UNDEFINED_FUNCTION: &str = "42883";

/// The class of SQLSTATE for invalid values. The only value of this statement is the document.
const DATA_EXCEPTION: &str = "22";

/// Returns the field and its rule. The function raises an error that names the field as its column, and has the rule in
/// its message. A document that PostgreSQL itself cannot read has no field.
fn refusal(said: ServerError<'_>) -> (String, String) {
    let Some(field) = said.column else {
        let details = said.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        return ("document".to_owned(), format!("cannot be read: {}{details}", said.message));
    };
    let start = format!("hookwire cannot publish this: {field} ");
    let rule = said.message.strip_prefix(&start).unwrap_or(said.message);
    (field.to_owned(), rule.to_owned())
}

impl PostgresStore {
    /// Returns the SQL statement that publishes an event in the transaction that runs it, with any driver. Its only
    /// parameter is the text of [`Tenant::to_sql_document`]. It returns the message id, as text.
    ///
    /// ```no_run
    /// # use hookwire::{Event, Tenant, Webhooks};
    /// # use hookwire_postgres::{PostgresStore, tokio_postgres};
    /// # async fn publish(
    /// #     client: &mut tokio_postgres::Client,
    /// #     store: &PostgresStore,
    /// #     hooks: &Webhooks,
    /// #     acme: &Tenant,
    /// #     event: &Event,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// assert_eq!(store.publish_statement(), "SELECT \"hookwire\".publish($1)");
    /// let parameter = acme.to_sql_document(event); // before the transaction: the same for each try
    ///
    /// let transaction = client.transaction().await?;
    /// transaction.execute("UPDATE device SET online = true WHERE id = 4", &[]).await?;
    /// transaction.execute(store.publish_statement(), &[&parameter]).await?;
    /// transaction.commit().await?; // from here on it will be delivered
    /// hooks.wake(); // at once, and not when the dispatcher next looks
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [The crate](crate#publishing-within-a-transaction-of-your-own) describes the document and its errors.
    pub fn publish_statement(&self) -> &str {
        &self.publish_statement
    }

    /// Returns what an error of the [statement](Self::publish_statement) means, as another driver tells it.
    pub fn publish_error(
        &self,
        said: ServerError<'_>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> PublishError {
        PublishError::of_server(said, &self.schema, source)
    }

    /// Publishes an event within a transaction of `tokio_postgres`, and returns its message id.
    ///
    /// The event is delivered if the transaction commits, and never happened if it is rolled back. Call
    /// [`wake`](hookwire::Webhooks::wake) after the commit. On a client without a transaction, the event is committed at
    /// once.
    ///
    /// An event without a message id gets one here. Set an id yourself if the transaction may run again because the answer
    /// to its commit was lost: a message id of a tenant is published once, and the first event keeps it.
    ///
    /// ```no_run
    /// # use hookwire::{Event, Tenant, Webhooks, assist};
    /// # use hookwire_postgres::{PostgresStore, tokio_postgres};
    /// # async fn publish(
    /// #     client: &mut tokio_postgres::Client,
    /// #     store: &PostgresStore,
    /// #     hooks: &Webhooks,
    /// #     acme: &Tenant,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?;
    ///
    /// let transaction = client.transaction().await?;
    /// transaction.execute("UPDATE device SET online = true WHERE id = 4", &[]).await?;
    /// let id = store.publish_in(&transaction, acme, &event).await?;
    /// transaction.commit().await?;
    /// hooks.wake();
    /// println!("{}", acme.explain(&id).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PublishError::Refused`] names the field that is malformed or too large, and its rule. The other variants say what
    /// is wrong with the database. The event is written within a savepoint, so after an error the transaction is as it was
    /// before, and may go on. A duplicate is no error. An event that the catalog does not have is no error either; the
    /// delivery log records it as unroutable.
    ///
    /// # Cancellation
    ///
    /// The event may or may not be written in this transaction. Roll back to be sure that it is not published, and because
    /// an error that nobody waited for fails the transaction: PostgreSQL then answers `COMMIT` without an error, although
    /// it rolls back.
    pub async fn publish_in<C: GenericClient + Sync>(
        &self,
        client: &C,
        tenant: &Tenant,
        event: &Event,
    ) -> Result<MessageId, PublishError> {
        // The size of the payload is left to the function, which has a limit of its own.
        if let Some(refused) = tenant.check(event).err().and_then(PublishError::of_check) {
            return Err(refused);
        }
        let savepoint = Savepoint::begin(client).await.map_err(|error| PublishError::Failed(error.into()))?;
        let published = self.call_publish(client, &tenant.to_sql_document(event)).await;
        savepoint.end(published).await
    }

    async fn call_publish<C: GenericClient + Sync>(
        &self,
        client: &C,
        document: &String,
    ) -> Result<MessageId, PublishError> {
        let failed = |error| PublishError::of(error, &self.schema);
        let rows = client.query_typed(self.publish_statement(), &[(document, Type::TEXT)]).await;
        let rows = rows.map_err(failed)?;
        let row = rows.first().ok_or_else(|| PublishError::Failed("the function returned nothing".into()))?;
        let id: &str = row.try_get(0).map_err(failed)?;
        MessageId::new(id).map_err(|error| PublishError::Failed(error.into()))
    }
}

/// A savepoint in the transaction of the host. It is none on a connection without a transaction, where a statement that
/// fails leaves nothing behind by itself.
struct Savepoint<'a, C>(Option<&'a C>);

impl<'a, C: GenericClient + Sync> Savepoint<'a, C> {
    async fn begin(client: &'a C) -> Result<Self, tokio_postgres::Error> {
        match client.batch_execute("SAVEPOINT hookwire_publish").await {
            Ok(()) => Ok(Self(Some(client))),
            Err(error) if error.code() == Some(&SqlState::NO_ACTIVE_SQL_TRANSACTION) => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    /// Keeps what was done since, or undoes it if that is an error.
    async fn end<T>(self, done: Result<T, PublishError>) -> Result<T, PublishError> {
        const RELEASE: &str = "RELEASE hookwire_publish";
        const UNDO: &str = "ROLLBACK TO hookwire_publish; RELEASE hookwire_publish";
        let Some(client) = self.0 else { return done };
        let ended = client.batch_execute(if done.is_ok() { RELEASE } else { UNDO }).await;
        // The first error says more than that of a rollback.
        let done = done?;
        ended.map(|()| done).map_err(|error| PublishError::Failed(error.into()))
    }
}
