//! An event that commits with the host's own data, by sqlx.

use hookwire::Event;
use sqlx::{Connection, Executor, PgConnection, Postgres, Transaction};
use transactions::{Error, InvoicePaid, Service};

/// Marks the invoice as paid, and publishes that, in one transaction.
async fn pay<'a>(
    service: &Service,
    app: &'a mut PgConnection,
    invoice: i64,
) -> Result<Transaction<'a, Postgres>, Error> {
    let Service { acme, store, .. } = service;
    let event = Event::of(&InvoicePaid { invoice, cents: 1_999 })?;
    acme.check(&event)?; // what breaks a rule is told before the transaction, and does not fail it
    let document = acme.to_sql_document(&event); // fixes the message id: a repeated transaction publishes once

    let mut transaction = app.begin().await?;
    let update = sqlx::query("UPDATE invoice SET paid = true WHERE id = $1");
    update.bind(invoice).execute(&mut *transaction).await?;
    sqlx::query(store.publish_statement()).bind(document).execute(&mut *transaction).await?;
    Ok(transaction)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = Service::start().await?;
    let hooks = service.hooks.clone();
    let mut app = PgConnection::connect(&service.url).await?;
    app.execute("CREATE TABLE invoice (id bigint PRIMARY KEY, paid boolean NOT NULL)").await?;
    app.execute("INSERT INTO invoice VALUES (4711, false), (4712, false)").await?;

    // Rolled back: it never happened.
    let transaction = pay(&service, &mut app, 4711).await?;
    transaction.rollback().await?;
    // Committed: it is delivered.
    let transaction = pay(&service, &mut app, 4712).await?;
    transaction.commit().await?;
    hooks.wake(); // delivers at once, instead of within half a second
    service.ends_with(4712).await
}
