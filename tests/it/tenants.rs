//! Tenants are apart: no tenant reaches what another has, and none sees what only the operator may see.

use hookwire::model::{FailureKind, Outcome, Scopes};
use hookwire::service::{PingOutcome, Tenant};
use hookwire::store::Stats;
use hookwire::{DeliveryQuery, ErrorKind, assist};
use http::StatusCode;

use crate::seed::scopes::{Known, TABLE, inhabited, owned};
use crate::seed::support::{Answer, RecordingTransport, Service, create, event, named};

/// The calls that name nothing that somebody may have.
const NAMELESS: [&str; 11] = [
    "messages",
    "create",
    "create_once",
    "delete_everything",
    "deliveries",
    "deliveries_with_attempts",
    "list",
    "ping_url",
    "route",
    "stats",
    "webhook_stats",
];

#[tokio::test]
async fn no_id_of_one_tenant_does_anything_in_anothers_hands() {
    for (method, _, call) in TABLE {
        let (service, known) = inhabited().await;
        let before = owned(&service, &known).await;
        let called = call(service.tenant("mallory"), known.clone()).await;
        match NAMELESS.contains(&method) {
            true => called.unwrap_or_else(|error| panic!("{method}: {error}")),
            false => assert_eq!(called.expect_err(method).kind(), &ErrorKind::NotFound, "{method}"),
        }
        assert_eq!(owned(&service, &known).await, before, "{method}");
    }
}

#[tokio::test]
async fn what_one_tenant_has_is_not_listed_to_another() {
    let (service, Known { hook_id, .. }) = inhabited().await;
    let mallory = service.tenant("mallory");
    assert!(mallory.list().await.expect("in memory").is_empty());
    for query in [DeliveryQuery::new(), DeliveryQuery::new().webhook(hook_id)] {
        assert!(mallory.deliveries(&query).await.expect("in memory").items.is_empty());
    }
    assert!(mallory.route(&event(assist::DEVICE_ADD)).await.expect("in memory").is_empty());
    assert_eq!(mallory.stats().await.expect("in memory"), Stats::default());
    assert_eq!(mallory.webhook_stats(hook_id).await.expect("in memory"), Stats::default());
}

#[tokio::test]
async fn a_narrowed_handle_is_no_way_to_another_tenant() {
    let (service, known) = inhabited().await;
    let mallory = service.tenant("mallory").with_scopes(Scopes::all()).for_operator();
    assert_eq!(mallory.get(known.hook_id).await.expect_err("not hers").kind(), &ErrorKind::NotFound);
}

/// The outcomes of one delivery and one ping, as this handle shows them.
async fn outcomes(service: &Service, handle: &Tenant) -> Vec<Outcome> {
    let hook = create(&service.acme(), &named("hook").subscribe(assist::DEVICE_ADD)).await;
    service.acme().publish(event(assist::DEVICE_ADD)).await.expect("known");
    service.deliver().await;
    let delivery = handle.deliveries(&DeliveryQuery::new()).await.expect("in memory").items[0].id;
    let attempts = handle.attempts(delivery).await.expect("it is there");
    let ping = handle.ping_event(hook.hook_id(), assist::DEVICE_ADD).await.expect("in memory");
    let PingOutcome::Sent(pinged) = ping.outcome else { panic!("sent") };
    attempts.into_iter().map(|it| it.outcome).chain([pinged]).collect()
}

fn refusing() -> RecordingTransport {
    RecordingTransport::answering(|_, _| Answer::fail(FailureKind::Connect))
}

fn talkative() -> RecordingTransport {
    RecordingTransport::answering(|_, _| Answer::status(500).body("words"))
}

fn answered(body: &str) -> Outcome {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Outcome::answered(status, None, body)
}

#[tokio::test]
async fn tenants_see_the_class_of_a_failure_and_operators_the_detail() {
    let service = Service::on(refusing());
    for outcome in outcomes(&service, &service.acme()).await {
        assert_eq!(outcome, Outcome::Failed { kind: FailureKind::Connect, detail: String::new() });
    }
    let service = Service::on(refusing());
    for outcome in outcomes(&service, &service.acme().for_operator()).await {
        let Outcome::Failed { detail, .. } = outcome else { panic!("it failed") };
        assert!(detail.contains("as the test says"), "{detail}");
    }
}

#[tokio::test]
async fn tenants_see_what_receivers_answered_only_if_the_host_says_so() {
    let service = Service::on(talkative());
    assert_eq!(outcomes(&service, &service.acme()).await, [answered(""), answered("")]);
    let service = Service::build(talkative(), |builder| builder.show_response_bodies());
    assert_eq!(outcomes(&service, &service.acme()).await, [answered("words"), answered("words")]);
    let service = Service::on(talkative());
    assert_eq!(
        outcomes(&service, &service.acme().for_operator()).await,
        [answered("words"), answered("words")]
    );
}
