//! Billing on the database that `DATABASE_URL` names: an event commits with the invoice, or never existed.

use std::sync::Arc;

use hookwire::testing::{RecordingTransport, assert_published, published};
use hookwire::{Payload, TenantId, Webhooks};
use hookwire_postgres::PostgresStore;
use invoices::billing::Billing;
use invoices::events::{InvoicePaid, catalog};
use sqlx::PgPool;

async fn billing() -> Billing {
    let url = std::env::var("DATABASE_URL").expect("scripts/with-postgres scripts/transactions sets it");
    PostgresStore::migrate(&url).await.expect("migrated");
    let store = Arc::new(PostgresStore::connect(&url).await.expect("connected"));
    let builder = Webhooks::builder(catalog().expect("sound")).store(Arc::clone(&store));
    let hooks = builder.transport(RecordingTransport::new()).build().expect("sound");
    let billing = Billing { pool: PgPool::connect(&url).await.expect("connected"), store, hooks };
    billing.migrate().await.expect("migrated");
    billing
}

/// One after the other: several tests at once would create the table of the service at the same time.
#[tokio::test]
async fn billing_works_on_a_database() {
    let billing = billing().await;
    a_payment_is_published_when_it_commits_and_not_when_it_is_rolled_back(&billing).await;
    a_customer_that_does_not_pay_is_suspended_until_it_does(&billing).await;
}

async fn a_payment_is_published_when_it_commits_and_not_when_it_is_rolled_back(billing: &Billing) {
    let customer = billing.hooks.tenant(TenantId::new("acme").expect("valid"));
    billing.add(1, "acme", 1_999).await.expect("added");
    billing.add(2, "acme", 1_999).await.expect("added");
    // The database refuses the second at its commit, when its event was written.
    let rule = "ALTER TABLE invoice ADD CONSTRAINT one EXCLUDE (cents WITH =) WHERE (paid) DEFERRABLE INITIALLY DEFERRED";
    sqlx::query(rule).execute(&billing.pool).await.expect("a rule");
    let id = billing.pay(1).await.expect("paid").expect("there is one to pay");
    assert!(billing.pay(2).await.is_err(), "it is refused");
    assert!(billing.pay(1).await.expect("looked").is_none(), "it is paid already");
    let event = assert_published(&customer, InvoicePaid::EVENT, |payload| payload["cents"] == 1_999).await;
    assert_eq!(event.message_id, id);
    assert_eq!(published(&customer).await.expect("read").len(), 1, "and nothing else");
}

async fn a_customer_that_does_not_pay_is_suspended_until_it_does(billing: &Billing) {
    billing.set_paying("late", false).await.expect("suspended");
    let customer = billing.hooks.tenant(TenantId::new("late").expect("valid"));
    assert!(customer.suspended_since().await.expect("read").is_some());
    billing.set_paying("late", true).await.expect("reinstated");
    assert!(customer.suspended_since().await.expect("read").is_none());
}
