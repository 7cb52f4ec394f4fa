//! The service's own data, and the events that commit with it.

use std::sync::Arc;

use hookwire::{Event, MessageId, Tenant, TenantId, Webhooks};
use hookwire_postgres::PostgresStore;
use sqlx::PgPool;

use crate::events::InvoicePaid;

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
        const TABLE: &str = "CREATE TABLE IF NOT EXISTS invoice (id bigint PRIMARY KEY, customer text NOT NULL, \
            cents bigint NOT NULL, paid boolean NOT NULL DEFAULT false)";
        sqlx::query(TABLE).execute(&self.pool).await?;
        Ok(())
    }

    pub async fn add(&self, invoice: i64, customer: &str, cents: i64) -> Result<(), Error> {
        let insert = sqlx::query("INSERT INTO invoice (id, customer, cents) VALUES ($1, $2, $3)");
        insert.bind(invoice).bind(customer).bind(cents).execute(&self.pool).await?;
        Ok(())
    }

    /// Marks an invoice as paid, and publishes that: both are committed, or neither is. `None` if there is nothing to pay.
    pub async fn pay(&self, invoice: i64) -> Result<Option<MessageId>, Error> {
        let mut transaction = self.pool.begin().await?;
        let update = "UPDATE invoice SET paid = true WHERE id = $1 AND NOT paid RETURNING customer, cents";
        let row: Option<(String, i64)> =
            sqlx::query_as(update).bind(invoice).fetch_optional(&mut *transaction).await?;
        let Some((customer, cents)) = row else { return Ok(None) };
        let paid = InvoicePaid { invoice, cents, currency: "EUR".to_owned() };
        let (tenant, event) = (self.tenant(&customer)?, Event::of(&paid)?);
        let id = hookwire_sqlx::publish_in(&self.store, &mut transaction, &tenant, &event).await?;
        transaction.commit().await?;
        // Without it a dispatcher finds the event within half a second.
        self.store.wake_all().await?;
        Ok(Some(id))
    }

    /// A customer that has left gets nothing any more; one that does not pay gets what came meanwhile when it does.
    pub async fn set_paying(&self, customer: &str, pays: bool) -> Result<(), Error> {
        let tenant = self.tenant(customer)?;
        let changed = if pays { tenant.unsuspend().await } else { tenant.suspend().await };
        Ok(changed?)
    }

    fn tenant(&self, customer: &str) -> Result<Tenant, Error> {
        Ok(self.hooks.tenant(TenantId::new(customer)?))
    }
}
