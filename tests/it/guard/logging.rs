//! A refusal is logged with its address for the operator, and shown without it to the tenant.

use hookwire::clock::ManualClock;
use hookwire::model::{FailureKind, Outcome, Rule};
use hookwire::store::MemoryStore;
use hookwire::transport::HttpTransport;
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};

use crate::support::answers::Answers;
use crate::support::log::Log;

/// Leads nowhere at the first look-up, which is that of the registration, and inside from then on.
fn service(answers: &[&[&str]]) -> Webhooks {
    let transport = HttpTransport::builder().resolver(Answers::in_turn(answers)).build().expect("valid");
    let store = MemoryStore::with_clock(ManualClock::default());
    Webhooks::builder(assist::catalog()).store(store).transport(transport).build().expect("sound")
}

fn draft() -> WebhookDraft {
    WebhookDraft::new("inside", "https://rebinds.example/secret-path").subscribe(assist::DEVICE_ADD)
}

#[tokio::test]
async fn a_name_that_leads_inside_is_told_to_the_operator_with_its_address_and_to_the_tenant_without() {
    let log = Log::default();
    let guard = log.record_thread();
    let hooks = service(&[&["10.0.0.7"], &["8.8.8.8"], &["10.0.0.7"]]);
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let refused = acme.create(&draft()).await.expect_err("it leads inside");
    assert_eq!(refused.violations()[0].rule(), Rule::AddressRefused);
    assert!(!format!("{refused} {refused:?}").contains("10.0.0.7"), "{refused:?}");
    acme.create(&draft()).await.expect("it leads outside now");
    acme.publish(Event::new(assist::DEVICE_ADD, &1).expect("JSON")).await.expect("published");
    hooks.deliver_due().await.expect("refused");
    let delivery = acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items[0].id;
    let attempts = acme.attempts(delivery).await.expect("logged");
    let class = Outcome::Failed { kind: FailureKind::Refused, detail: String::new() };
    assert_eq!(attempts.iter().map(|it| &it.outcome).collect::<Vec<_>>(), [&class]);
    drop(guard);
    let text = log.text();
    let warnings: Vec<_> = text.lines().filter(|it| it.starts_with("WARN") && it.contains("acme")).collect();
    assert_eq!(warnings.len(), 2, "{text}");
    assert!(warnings.iter().all(|it| it.contains("10.0.0.7 is special: private use")), "{text}");
    assert!(!text.contains("secret-path"), "no URL is logged: {text}");
}
