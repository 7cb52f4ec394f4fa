//! An event that commits with the host's own data, by sqlx.

use hookwire::{Event, Payload};
use hookwire_postgres::PublishError;
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

    let mut transaction = app.begin().await?;
    let update = sqlx::query("UPDATE invoice SET paid = true WHERE id = $1");
    update.bind(invoice).execute(&mut *transaction).await?;
    hookwire_sqlx::publish_in(store, &mut transaction, acme, &event).await?;
    Ok(transaction)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = Service::start().await?;
    let mut app = PgConnection::connect(&service.url).await?;
    app.execute("CREATE TABLE invoice (id bigint PRIMARY KEY, paid boolean NOT NULL)").await?;
    app.execute("INSERT INTO invoice VALUES (4711, false), (4712, false)").await?;

    // Rolled back: it never happened.
    let transaction = pay(&service, &mut app, 4711).await?;
    transaction.rollback().await?;
    // Refused: the transaction goes on, and commits the rest.
    let mut transaction = pay(&service, &mut app, 4712).await?;
    let broken = Event::of(&InvoicePaid { invoice: 4713, cents: 1 })?.actor("maria\0");
    let refused = hookwire_sqlx::publish_in(&service.store, &mut transaction, &service.acme, &broken).await;
    assert!(
        matches!(refused, Err(PublishError::Refused { ref field, .. }) if field == "actor"),
        "{refused:?}"
    );
    let large = Event::new(InvoicePaid::EVENT, &"x".repeat(2_000_000))?;
    let refused = hookwire_sqlx::publish_in(&service.store, &mut transaction, &service.acme, &large).await;
    assert!(matches!(refused, Err(PublishError::Refused { .. })), "{refused:?}");
    // Committed: it is delivered.
    transaction.commit().await?;
    service.store.wake_all(); // delivers at once, in whichever process, instead of within half a second
    service.ends_with(4712).await
}
