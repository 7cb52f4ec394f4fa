//! The service's own data, and the events that commit with it.

use std::sync::Arc;

use hookwire::{Event, MessageId, Tenant, TenantId, Webhooks};
use hookwire_postgres::PostgresStore;
use sqlx::PgPool;

use crate::events::{InvoiceOverdue, InvoicePaid};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Invoices, in the database in which hookwire keeps its own.
#[derive(Clone)]
pub struct Billing {
    pub pool: PgPool,
    pub store: Arc<PostgresStore>,
    pub hooks: Webhooks,
}

impl Billing {
    /// Creates the table of the service. A real one has migrations.
    pub async fn migrate(&self) -> Result<(), Error> {
        const TABLE: &str = "CREATE TABLE IF NOT EXISTS invoice (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, \
            customer text NOT NULL, cents bigint NOT NULL, paid boolean NOT NULL DEFAULT false)";
        sqlx::query(TABLE).execute(&self.pool).await?;
        Ok(())
    }

    /// Writes an invoice, and returns its number.
    pub async fn add(&self, customer: &TenantId, cents: i64) -> Result<i64, Error> {
        let insert = "INSERT INTO invoice (customer, cents) VALUES ($1, $2) RETURNING id";
        let insert = sqlx::query_scalar(insert).bind(customer.as_str()).bind(cents);
        Ok(insert.fetch_one(&self.pool).await?)
    }

    /// Marks an invoice as paid, and publishes that: both are committed, or neither is. `None` if there is nothing to pay.
    pub async fn pay(&self, invoice: i64) -> Result<Option<MessageId>, Error> {
        let mut transaction = self.pool.begin().await?;
        let update = "UPDATE invoice SET paid = true WHERE id = $1 AND NOT paid RETURNING customer, cents";
        let row: Option<(String, i64)> =
            sqlx::query_as(update).bind(invoice).fetch_optional(&mut *transaction).await?;
        let Some((customer, cents)) = row else { return Ok(None) };
        let paid = InvoicePaid { invoice, cents, currency: "EUR".to_owned() };
        let (tenant, event) = (self.tenant(customer)?, Event::of(&paid)?);
        let id = hookwire_sqlx::publish_in(&self.store, &mut transaction, &tenant, &event).await?;
        transaction.commit().await?;
        self.store.wake_all(); // a hint: without it dispatchers find the event within half a second
        Ok(Some(id))
    }

    /// Publishes that an invoice is overdue. Nothing else is written, so there is no transaction; a job may run again, as the
    /// message of an invoice and its days is always the same one. `None` if there is nothing to pay.
    pub async fn remind(&self, invoice: i64, days: u32) -> Result<Option<MessageId>, Error> {
        let select = sqlx::query_scalar("SELECT customer FROM invoice WHERE id = $1 AND NOT paid");
        let customer: Option<String> = select.bind(invoice).fetch_optional(&self.pool).await?;
        let Some(customer) = customer else { return Ok(None) };
        let id = MessageId::new(format!("overdue-{invoice}-{days}"))?;
        let event = Event::of(&InvoiceOverdue { invoice, days })?.message_id(id);
        let sent = self.tenant(customer)?.publish(event).await?;
        Ok(Some(sent.message_id().clone()))
    }

    fn tenant(&self, customer: String) -> Result<Tenant, Error> {
        Ok(self.hooks.tenant(TenantId::new(customer)?))
    }
}
