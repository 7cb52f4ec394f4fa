//! Texts that PostgreSQL's own JSON types refuse: by each driver they commit with the host's data, byte by byte.

use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use hookwire::testing::published;
use hookwire::{Event, Payload, TenantId};
use serde_json::value::RawValue;
use sqlx::{Connection, PgConnection};
use tokio_postgres::NoTls;
use transactions::{Error, InvoicePaid, Service};

/// Half a pair of UTF-16, and a character that no text of PostgreSQL has.
const TEXTS: [&str; 2] = [r#"{"name":"\ud800"}"#, r#"{"name":"a\u0000b"}"#];

fn events() -> Vec<Event> {
    let of = |text: &str| Event::new(InvoicePaid::EVENT, &RawValue::from_string(text.into()).expect("JSON"));
    TEXTS.map(|text| of(text).expect("JSON")).into()
}

async fn by_sqlx(service: &Service) -> Result<(), Error> {
    let mut app = PgConnection::connect(&service.url).await?;
    let mut transaction = app.begin().await?;
    for event in events() {
        hookwire_sqlx::publish_in(&service.store, &mut transaction, &service.acme, &event).await?;
    }
    sqlx::query("INSERT INTO host VALUES ('sqlx')").execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

async fn by_diesel(service: &Service) -> Result<(), Error> {
    let mut app = AsyncPgConnection::establish(&service.url).await?;
    let write = async |app: &mut AsyncPgConnection| {
        for event in events() {
            let parameter = service.acme.to_sql_document(&event);
            let publish = sql_query(service.store.publish_statement());
            publish.bind::<Text, _>(&parameter).execute(app).await?;
        }
        sql_query("INSERT INTO host VALUES ('diesel')").execute(app).await.map(drop)
    };
    app.transaction::<_, diesel::result::Error, _>(write).await?;
    Ok(())
}

async fn by_tokio_postgres(service: &Service) -> Result<(), Error> {
    let (mut app, connection) = tokio_postgres::connect(&service.url, NoTls).await?;
    tokio::spawn(connection);
    let transaction = app.transaction().await?;
    for event in events() {
        service.store.publish_in(&transaction, &service.acme, &event).await?;
    }
    transaction.batch_execute("INSERT INTO host VALUES ('tokio-postgres')").await?;
    Ok(transaction.commit().await?)
}

/// The payloads that a tenant has published, in order.
async fn kept(service: &Service) -> Result<Vec<String>, Error> {
    let events = published(&service.acme).await?;
    let mut payloads: Vec<_> = events.iter().map(|event| event.payload.get().to_owned()).collect();
    payloads.sort_unstable();
    Ok(payloads)
}

#[tokio::test]
async fn a_text_of_a_user_does_not_veto_the_hosts_transaction() -> Result<(), Error> {
    let mut service = Service::start().await?;
    let mut app = PgConnection::connect(&service.url).await?;
    sqlx::query("CREATE TABLE host (driver text NOT NULL)").execute(&mut app).await?;
    for driver in ["sqlx", "diesel", "tokio-postgres"] {
        service.acme = service.hooks.tenant(TenantId::new(driver)?);
        match driver {
            "sqlx" => by_sqlx(&service).await?,
            "diesel" => by_diesel(&service).await?,
            _ => by_tokio_postgres(&service).await?,
        }
        assert_eq!(kept(&service).await?, TEXTS, "{driver}");
    }
    let committed: i64 = sqlx::query_scalar("SELECT count(*) FROM host").fetch_one(&mut app).await?;
    assert_eq!(committed, 3);
    Ok(())
}
