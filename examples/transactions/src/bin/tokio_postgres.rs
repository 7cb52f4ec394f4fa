//! An event that commits with the host's own data, by tokio-postgres: typed.

use hookwire::Event;
use tokio_postgres::{Client, NoTls, Transaction};
use transactions::{Error, InvoicePaid, Service};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = Service::start().await?;
    let (mut app, connection) = tokio_postgres::connect(&service.url, NoTls).await?;
    tokio::spawn(connection);
    app.batch_execute("CREATE TABLE payment (invoice bigint NOT NULL)").await?;

    // Rolled back: it never happened.
    pay(&service, &mut app, 4711).await?.rollback().await?;
    // Committed: it is delivered.
    pay(&service, &mut app, 4712).await?.commit().await?;
    service.hooks.wake();
    service.ends_with(4712).await
}

/// Writes the payment, and the event that tells of it, in one transaction.
async fn pay<'a>(service: &Service, app: &'a mut Client, invoice: i64) -> Result<Transaction<'a>, Error> {
    let event = Event::of(&InvoicePaid { invoice, cents: 1_999 })?;

    let transaction = app.transaction().await?;
    transaction.execute("INSERT INTO payment (invoice) VALUES ($1)", &[&invoice]).await?;
    let id = service.store.publish_in(&transaction, &service.acme, &event).await?;
    println!("invoice {invoice}: {id}, if it is committed");
    Ok(transaction)
}
