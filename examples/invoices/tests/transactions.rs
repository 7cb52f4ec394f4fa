//! Billing on the database that `DATABASE_URL` names: an event commits with the invoice, or never existed.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::http::StatusCode;
use hookwire::testing::{RecordingTransport, assert_published, published};
use hookwire::{Payload, TenantId, Webhooks};
use hookwire_postgres::PostgresStore;
use invoices::billing::Billing;
use invoices::events::{CATALOG, InvoiceOverdue, InvoicePaid};
use invoices::staff::{self, Staff};
use invoices::{App, router};
use serde_json::json;
use sqlx::PgPool;
use support::call;

async fn billing() -> Billing {
    let url = std::env::var("DATABASE_URL").expect("scripts/with-postgres scripts/transactions sets it");
    PostgresStore::migrate(&url).await.expect("migrated");
    let store = Arc::new(PostgresStore::connect(&url).await.expect("connected"));
    let builder = Webhooks::builder(CATALOG.clone()).store(Arc::clone(&store));
    let hooks = builder.transport(RecordingTransport::new()).build().expect("sound");
    let billing = Billing { pool: PgPool::connect(&url).await.expect("connected"), store, hooks };
    billing.migrate().await.expect("migrated");
    billing
}

/// A customer that no earlier run has.
fn fresh(prefix: &str) -> TenantId {
    let run = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    TenantId::new(format!("{prefix}-{run}")).expect("valid")
}

/// One after the other: several tests at once would create the table of the service at the same time.
#[tokio::test]
async fn billing_works_on_a_database() {
    let billing = billing().await;
    a_payment_is_published_when_it_commits_and_not_when_it_is_rolled_back(&billing).await;
    the_staff_writes_invoices_and_suspends_customers(&billing).await;
    the_program_ends_well_when_it_is_told_to();
}

async fn a_payment_is_published_when_it_commits_and_not_when_it_is_rolled_back(billing: &Billing) {
    // The database refuses a second payment of such a customer at its commit, when its event was written.
    let rule = "ALTER TABLE invoice DROP CONSTRAINT IF EXISTS once, ADD CONSTRAINT once EXCLUDE (customer WITH =) \
        WHERE (paid AND customer LIKE 'once-%') DEFERRABLE INITIALLY DEFERRED";
    sqlx::query(rule).execute(&billing.pool).await.expect("a rule");
    let once = fresh("once");
    let first = billing.add(&once, 1_999).await.expect("added");
    let second = billing.add(&once, 1_999).await.expect("added");
    let id = billing.pay(first).await.expect("paid").expect("there is one to pay");
    assert!(billing.pay(second).await.is_err(), "it is refused");
    let customer = billing.hooks.tenant(once);
    let event = assert_published(&customer, InvoicePaid::EVENT, |payload| payload["cents"] == 1_999).await;
    assert_eq!(event.message_id, id);
    assert_eq!(published(&customer).await.expect("read").len(), 1, "and nothing else");
}

async fn the_staff_writes_invoices_and_suspends_customers(billing: &Billing) {
    let dispatcher = billing.hooks.start().expect("the only one");
    let staff = staff::routes(Staff { billing: billing.clone(), dispatcher, key: "key".to_owned() });
    let router = router(App { hooks: billing.hooks.clone(), keys: Arc::default() }, staff);
    let late = fresh("late");
    let customer = billing.hooks.tenant(late.clone());
    assert_eq!(call(&router, "another", "GET", "/staff/health", "").await.0, StatusCode::UNAUTHORIZED);
    let posted = json!({"customer": late, "cents": 5}).to_string();
    let (_, added) = call(&router, "key", "POST", "/staff/invoices", &posted).await;
    let invoice = format!("/staff/invoices/{}", added["invoice"]);
    let overdue = call(&router, "key", "POST", &format!("{invoice}/overdue/14"), "").await;
    let again = call(&router, "key", "POST", &format!("{invoice}/overdue/14"), "").await;
    assert_eq!((overdue.0, &overdue), (StatusCode::OK, &again), "the same message");
    assert_published(&customer, InvoiceOverdue::EVENT, |payload| payload["days"] == 14).await;
    for (method, is_suspended) in [("PUT", true), ("DELETE", false)] {
        call(&router, "key", method, &format!("/staff/customers/{late}/suspended"), "").await;
        assert_eq!(customer.suspended_since().await.expect("read").is_some(), is_suspended);
    }
    let (status, paid) = call(&router, "key", "POST", &format!("{invoice}/paid"), "").await;
    assert_eq!(status, StatusCode::OK, "{paid}");
    let event = assert_published(&customer, InvoicePaid::EVENT, |payload| payload["cents"] == 5).await;
    assert_eq!(paid["message"], json!(event.message_id));
    let (status, _) = call(&router, "key", "POST", &format!("{invoice}/paid"), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "it is paid already");
    let (status, health) = call(&router, "key", "GET", "/staff/health", "").await;
    assert_eq!((status, &health["dispatcher"]["running"]), (StatusCode::OK, &json!(true)), "{health}");
}

fn the_program_ends_well_when_it_is_told_to() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_invoices"));
    let mut program = program.env("LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("started");
    let mut said = BufReader::new(program.stdout.take().expect("a pipe"));
    let mut line = String::new();
    said.read_line(&mut line).expect("read");
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
    let kill = Command::new("kill").args(["-TERM", &program.id().to_string()]).status();
    assert!(kill.expect("kill is there").success());
    said.read_to_string(&mut line).expect("read");
    assert!(line.contains("stopped"), "{line}");
    assert!(program.wait().expect("ended").success());
}
