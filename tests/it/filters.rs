//! Filters on the payload, through the service: whichever way an event is published.

use std::sync::Arc;

use hookwire::model::{Departments, EventType, Filter, Rule, Subscription, WebhookPatch};
use hookwire::routing::{SkipReason, Verdict};
use hookwire::store::MemoryStore;
use hookwire::testing::RecordingTransport;
use hookwire::{Catalog, Event, EventId, TenantId, WebhookDraft, Webhooks};
use serde_json::{Value, json};

use crate::seed::support::{from_json, invalid, named};

const PAID: EventId = EventId::new(1);

struct Host {
    hooks: Webhooks,
    store: Arc<MemoryStore>,
    transport: RecordingTransport,
}

impl Host {
    fn new() -> Self {
        let paid = EventType::new(PAID, "invoice.paid", "Invoice paid", &json!({"currency": "EUR"}));
        let catalog = Catalog::builder().event(paid).allow_filters().build().expect("sound");
        let (store, transport) = (Arc::new(MemoryStore::new()), RecordingTransport::new());
        let builder = Webhooks::builder(catalog).store(Arc::clone(&store)).transport(transport.clone());
        Self { hooks: builder.build().expect("a sound service"), store, transport }
    }

    fn acme(&self) -> hookwire::Tenant {
        self.hooks.tenant(TenantId::new("acme").expect("valid"))
    }

    /// Sends what is due, and returns how many requests have left in all.
    async fn sent(&self) -> usize {
        self.hooks.deliver_due().await.expect("in memory");
        self.transport.requests().len()
    }
}

fn filtered(filter: Value) -> WebhookDraft {
    from_json(json!({"name": "a", "url": "https://a.example/",
        "subscriptions": [{"event_id": 1, "filter": filter}]}))
}

fn in_euros() -> Value {
    json!([{"pointer": "/currency", "equals": "EUR"}])
}

fn paid_in(currency: &str) -> Event {
    Event::new(PAID, &json!({ "currency": currency })).expect("JSON")
}

#[tokio::test]
async fn a_webhook_gets_what_passes_its_filter_and_the_explanation_says_so_of_the_rest() {
    let host = Host::new();
    let acme = host.acme();
    acme.create(&filtered(in_euros())).await.expect("sound");
    assert_eq!(acme.route(&paid_in("EUR")).await.expect("known")[0].verdict, Verdict::Deliver);
    let skipped = Verdict::Skip(SkipReason::Filtered);
    assert_eq!(acme.route(&paid_in("USD")).await.expect("known")[0].verdict, skipped);
    acme.publish(paid_in("EUR")).await.expect("known");
    assert_eq!(host.sent().await, 1);
    let other = acme.publish(paid_in("USD")).await.expect("known");
    assert_eq!((other.webhooks(), host.sent().await), (0, 1));
    let told = acme.explain(other.message_id()).await.expect("published").to_string();
    let why = "webhook 1: skipped, the payload does not pass the filter of the webhook's subscription";
    assert!(told.ends_with(why), "{told}");
}

#[tokio::test]
async fn an_event_that_was_written_by_sql_is_filtered_alike() {
    let host = Host::new();
    let acme = host.acme();
    acme.create(&filtered(in_euros())).await.expect("sound");
    for (currency, sent) in [("USD", 0), ("EUR", 1)] {
        let document = acme.to_sql_document(&paid_in(currency));
        host.store.publish_sql_document(&document).expect("its own text");
        assert_eq!(host.sent().await, sent, "{currency}");
    }
}

#[tokio::test]
async fn a_faulty_filter_is_refused_with_all_its_faults_and_changes_nothing() {
    let acme = Host::new().acme();
    let created = acme.create(&filtered(in_euros())).await.expect("sound");
    let hook = created.webhook();
    let faulty =
        json!([{"pointer": "currency", "like": "E"}, {"pointer": "/a", "equals": 1, "exists": true}]);
    let patch = json!({"name": "", "subscriptions": [{"event_id": 1, "filter": faulty}]});
    let patch: WebhookPatch = serde_json::from_value(patch).expect("every object is a patch");
    let error = acme.patch(hook.hook_id(), &patch).await.expect_err("faulty");
    let faults = [
        ("name", Rule::Required),
        ("subscriptions[0].filter[0].pointer", Rule::Format),
        ("subscriptions[0].filter[0]", Rule::UnknownOperator),
        ("subscriptions[0].filter[1]", Rule::Conflict),
    ];
    assert_eq!(invalid(&error), faults);
    assert_eq!(&acme.get(hook.hook_id()).await.expect("it is there"), hook);
    let none = acme.create(&filtered(json!([]))).await.expect_err("no field");
    assert_eq!(invalid(&none), [("subscriptions[0].filter", Rule::Empty)]);
}

#[tokio::test]
async fn zoho_assist_has_no_filters() {
    let acme = crate::seed::support::Service::new().acme();
    let error = acme.create(&filtered(in_euros())).await.expect_err("not offered");
    assert_eq!(invalid(&error), [("subscriptions[0].filter", Rule::NotOffered)]);
}

#[tokio::test]
async fn a_filter_from_code_is_that_from_json_and_an_edit_keeps_it() {
    let acme = Host::new().acme();
    let filter = Filter::new(&in_euros()).expect("sound");
    let subscription = Subscription::new(PAID, Departments::All).with_filter(filter.clone());
    let draft = named("a").subscribe_to(&subscription);
    let by_code = acme.create(&draft).await.expect("sound").webhook().clone();
    let by_json = acme.create(&filtered(in_euros())).await.expect("sound").webhook().clone();
    assert_eq!(by_code.subscriptions(), by_json.subscriptions());
    let renamed = acme.patch(by_code.hook_id(), &WebhookPatch::new().name("b")).await.expect("sound");
    assert_eq!(renamed.webhook().subscriptions()[0].filter(), Some(&filter));
}
