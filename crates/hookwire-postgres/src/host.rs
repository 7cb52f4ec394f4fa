use std::error::Error;

use hookwire::model::MessageId;
use hookwire::{Event, Tenant};
use thiserror::Error;
use tokio_postgres::GenericClient;
use tokio_postgres::error::{DbError, SqlState};

use crate::schema::SchemaName;
use crate::store::PostgresStore;

/// An event was not published. PostgreSQL lets a transaction in which a statement failed only be rolled
/// back, to its beginning or to a savepoint.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Something else failed, the connection say: the source tells what.
    #[error("the event could not be published; roll back, and try the transaction again")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// The user of the transaction lacks rights.
    #[error(
        "the user of this transaction may not publish; grant USAGE on schema {schema:?}, SELECT on its settings, INSERT and SELECT on its event"
    )]
    NoPrivileges {
        /// The schema.
        schema: String,
        /// What PostgreSQL says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database of the transaction has no such function: it is another one than the store's, perhaps.
    #[error(
        "the database of this transaction has no {schema}.publish(text); run `PostgresStore::migrate` on it"
    )]
    NotMigrated {
        /// The schema.
        schema: String,
        /// What PostgreSQL says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The event breaks a rule of the function: as it is, it is never published.
    #[error("the event is refused: {field} {rule}")]
    Refused {
        /// The field of the document, as in [`Tenant::to_sql_document`]; `document` for the whole.
        field: String,
        /// What is asked of it.
        rule: String,
        /// What PostgreSQL says.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl PublishError {
    fn of(error: tokio_postgres::Error, schema: &SchemaName) -> Self {
        let Some(said) = error.as_db_error() else { return Self::Failed(error.into()) };
        let schema = schema.as_str().to_owned();
        match *said.code() {
            SqlState::INSUFFICIENT_PRIVILEGE => Self::NoPrivileges { schema, source: error.into() },
            SqlState::INVALID_SCHEMA_NAME | SqlState::UNDEFINED_FUNCTION => {
                Self::NotMigrated { schema, source: error.into() }
            }
            ref code if code.code().starts_with(DATA_EXCEPTION) => {
                let (field, rule) = refusal(said);
                Self::Refused { field, rule, source: error.into() }
            }
            _ => Self::Failed(error.into()),
        }
    }
}

/// The class of what is wrong with a value: with the document, that is all this statement has.
const DATA_EXCEPTION: &str = "22";

/// The field and its rule. The function names the field as the error's column, and both in the message;
/// what PostgreSQL itself cannot read has no field.
fn refusal(said: &DbError) -> (String, String) {
    let Some(field) = said.column() else {
        let details = said.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        return ("document".to_owned(), format!("cannot be read: {}{details}", said.message()));
    };
    let start = format!("hookwire cannot publish this: {field} ");
    let rule = said.message().strip_prefix(&start).unwrap_or_else(|| said.message());
    (field.to_owned(), rule.to_owned())
}

impl PostgresStore {
    /// The statement that publishes an event in the transaction in which it is run, whatever the driver. Its
    /// one parameter is a text, [`Tenant::to_sql_document`]; its one value is the message id, a text too.
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
    /// What the function refuses, and how: see [the crate](crate#publishing-within-a-transaction-of-your-own).
    pub fn publish_statement(&self) -> &str {
        &self.publish_statement
    }

    /// Publishes an event within a transaction of `tokio_postgres`, and gives its message id.
    ///
    /// Rolled back, it never happened; committed, it is delivered. Call [`wake`](hookwire::Webhooks::wake)
    /// after the commit. With a plain client the event is committed by itself.
    ///
    /// An event without a message id gets one here. Name one in an event whose transaction may run again after
    /// a commit whose answer was lost: an id that the tenant has already is published once, and the first
    /// stays as it is.
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
    /// [`PublishError::Refused`] names field and rule of what is malformed or too large; the others tell what
    /// is wrong with the database. Roll back then, and do not commit: PostgreSQL answers `COMMIT` of such a
    /// transaction without an error, and has rolled back. A duplicate is no error, and neither is a kind of event that the catalog
    /// does not have: that ends in the log with the reason.
    ///
    /// # Cancellation
    ///
    /// It is published in this transaction or not; commit or roll back decides of the rest.
    pub async fn publish_in<C: GenericClient + Sync>(
        &self,
        client: &C,
        tenant: &Tenant,
        event: &Event,
    ) -> Result<MessageId, PublishError> {
        let parameter = tenant.to_sql_document(event);
        let row = client.query_one(self.publish_statement(), &[&parameter]).await;
        let row = row.map_err(|error| PublishError::of(error, &self.schema))?;
        let id: &str = row.try_get(0).map_err(|error| PublishError::of(error, &self.schema))?;
        MessageId::new(id).map_err(|error| PublishError::Failed(error.into()))
    }
}
