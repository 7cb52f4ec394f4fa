//! An event that commits with the host's own data, by diesel.

use diesel::result::Error as Failed;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use hookwire::Event;
use transactions::{Error, InvoicePaid, Service};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = Service::start().await?;
    let mut app = AsyncPgConnection::establish(&service.url).await?;
    sql_query("CREATE TABLE payment (invoice bigint NOT NULL)").execute(&mut app).await?;

    // Rolled back: it never happened.
    let changed_its_mind = pay(&service, &mut app, 4711, Err(Failed::RollbackTransaction)).await;
    assert!(changed_its_mind.is_err());
    // Committed: it is delivered.
    pay(&service, &mut app, 4712, Ok(())).await?;
    service.hooks.wake();
    service.ends_with(4712).await
}

/// Writes the payment, and the event that tells of it, in one transaction that ends as it is told.
async fn pay(
    service: &Service,
    app: &mut AsyncPgConnection,
    invoice: i64,
    end: Result<(), Failed>,
) -> Result<(), Error> {
    let event = Event::of(&InvoicePaid { invoice, cents: 1_999 })?;
    service.acme.check(&event)?; // what breaks a rule is told before the transaction, and does not fail it
    let parameter = service.acme.to_sql_document(&event);

    let write = async |app: &mut AsyncPgConnection| {
        sql_query("INSERT INTO payment (invoice) VALUES ($1)")
            .bind::<BigInt, _>(invoice)
            .execute(app)
            .await?;
        sql_query(service.store.publish_statement()).bind::<Text, _>(&parameter).execute(app).await?;
        end
    };
    Ok(app.transaction(write).await?)
}
