//! The public surface, as a host writes it.

use std::time::Duration;

use hookwire::dispatcher::Dispatcher;
use hookwire::model::{MessageId, PageRequest, Scopes, WebhookPatch};
use hookwire::registry::Backlog;
use hookwire::routing::Verdict;
use hookwire::service::{Rotation, Tenant};
use hookwire::store::MemoryStore;
use hookwire::testing::RecordingTransport;
use hookwire::{DeliveryQuery, DeptId, Event, SourceId, TenantId, WebhookDraft, Webhooks, assist};

fn service(transport: RecordingTransport) -> Webhooks {
    let builder = Webhooks::builder(assist::catalog()).limits(assist::limits());
    builder.store(MemoryStore::new()).transport(transport).build().expect("a sound service")
}

#[tokio::test]
async fn what_a_host_writes_works() -> Result<(), Box<dyn std::error::Error>> {
    let transport = RecordingTransport::new();
    let hooks = service(transport.clone());
    let dispatcher = hooks.start()?;

    let acme = hooks.tenant(TenantId::new("acme")?);
    let draft = WebhookDraft::new("Device log", "https://hooks.example.com/assist")
        .describe("Unattended devices, to the CRM")
        .ignore_source("crm-sync")
        .subscribe(assist::UNATTENDED_SESSION_START)
        .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7), DeptId::new(9)]);

    assert!(acme.ping_url(draft.url()).await?.is_success());
    assert!(acme.ping_event(&draft, assist::DEVICE_ONLINE).await?.is_success());
    let created = acme.create(&draft).await?;
    let hook = created.webhook();
    assert!(acme.ping_event(hook.hook_id(), assist::DEVICE_ADD).await?.is_success());

    let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?
        .department(DeptId::new(7))
        .source(SourceId::new("agent")?);
    let preview = acme.route(&event).await?;
    assert_eq!(preview[0].verdict, Verdict::Deliver);
    let sent = acme.publish(event).await?;
    assert_eq!(sent.webhooks(), 1);

    let why = acme.explain(sent.message_id()).await?;
    assert_eq!(why.deliveries.len(), 1);
    let log = acme.deliveries(&DeliveryQuery::new().webhook(hook.hook_id())).await?;
    assert_eq!(log.items.len(), 1);
    dispatcher.shutdown_within(Duration::from_secs(20)).await;
    hooks.deliver_due().await?; // what it had not started
    let sent: Vec<_> =
        transport.requests().into_iter().filter(|it| !it.headers().contains_key("webhook-ping")).collect();
    assert_eq!(sent.len(), 1);
    Ok(())
}

#[test]
fn handles_can_be_shared_and_every_future_can_be_sent() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<F: Future + Send>(_: impl FnOnce(&'static Webhooks, &'static Tenant) -> F) {}
    shared::<Webhooks>();
    shared::<Tenant>();
    let id = hookwire::model::HookId::new(1);
    let delivery = hookwire::model::DeliveryId::new(1);
    let draft: &'static WebhookDraft = Box::leak(Box::default());
    let patch: &'static WebhookPatch = Box::leak(Box::default());
    let event = || Event::new(assist::DEVICE_ADD, &1).expect("JSON");
    let (page, message) = (PageRequest::first(), MessageId::new("m").expect("valid"));
    let query = DeliveryQuery::new();
    let (page, message, query): (&'static _, &'static _, &'static _) =
        (Box::leak(Box::new(page)), Box::leak(Box::new(message)), Box::leak(Box::new(query)));
    let published: &'static Event = Box::leak(Box::new(event()));
    sent(|_, tenant| tenant.ping_url(""));
    sent(|_, tenant| tenant.ping_event(draft, assist::DEVICE_ADD));
    sent(|_, tenant| tenant.create(draft));
    sent(|_, tenant| tenant.replace(id, draft));
    sent(|_, tenant| tenant.patch(id, patch));
    sent(|_, tenant| tenant.enable(id, Backlog::Drop));
    sent(|_, tenant| tenant.disable(id));
    sent(|_, tenant| tenant.delete(id));
    sent(|_, tenant| tenant.get(id));
    sent(|_, tenant| tenant.list());
    sent(|_, tenant| tenant.set_options(id, Default::default()));
    sent(|_, tenant| tenant.rotate_secret(id, Rotation::default()));
    sent(|_, tenant| tenant.reveal_secret(id));
    sent(|_, tenant| tenant.route(published));
    sent(|_, tenant| tenant.publish(event()));
    sent(|_, tenant| tenant.publish_all([event()]));
    sent(|_, tenant| tenant.explain(message));
    sent(|_, tenant| tenant.deliveries(query));
    sent(|_, tenant| tenant.attempts(delivery));
    sent(|_, tenant| tenant.deliveries_with_attempts(query));
    sent(|_, tenant| tenant.statistics(id, hookwire::model::Timestamp::default()));
    sent(|_, tenant| tenant.recent_attempts(id));
    sent(|_, tenant| tenant.redeliver(delivery));
    sent(|_, tenant| tenant.recover(id, hookwire::model::Timestamp::default(), page));
    sent(|_, tenant| tenant.delete_everything());
    sent(|hooks, _| hooks.tenants(page));
    sent(|hooks, _| hooks.deliver_due());
    sent(|hooks, _| Dispatcher::run(hooks, std::future::pending()));
}

#[tokio::test]
async fn redelivering_and_recovering_repeat_what_was_missed_once() {
    use hookwire::clock::ManualClock;
    use hookwire::model::{PageRequest, Timestamp};
    use hookwire::policy::Policy;
    use hookwire::retry::RetryPolicy;
    use hookwire::store::Recovered;
    use hookwire::testing::Answer;

    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth < 3 { 500 } else { 200 }));
    let (clock, once) = (ManualClock::default(), RetryPolicy::default().with_delays([]));
    let hooks = Webhooks::builder(assist::catalog())
        .store(MemoryStore::with_clock(clock.clone()))
        .transport(transport.clone())
        .clock(clock)
        .policy(Policy::default().with_retry(once))
        .build()
        .expect("a sound service");
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let draft = WebhookDraft::new("hook", "https://hooks.example.com/").subscribe(assist::DEVICE_ADD);
    let hook = acme.create(&draft).await.expect("created").webhook().hook_id();
    for _ in 0..3 {
        acme.publish(Event::new(assist::DEVICE_ADD, &1).expect("JSON")).await.expect("published");
    }
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 3);
    let failed = acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items;
    acme.redeliver(failed[0].id).await.expect("redelivered");
    let recover = async || acme.recover(hook, Timestamp::default(), &PageRequest::first()).await;
    assert_eq!(recover().await.expect("recovered").made, 2, "one is repeated already");
    assert_eq!(recover().await.expect("recovered"), Recovered::default());
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 3);
    let ids: Vec<_> = transport.requests().iter().map(|it| it.headers()["webhook-id"].clone()).collect();
    assert!(ids[3..].iter().all(|id| ids[..3].contains(id)), "under the ids they had");
}

#[tokio::test]
async fn a_secret_leaves_at_creation_and_when_revealed_alone() {
    let hooks = service(RecordingTransport::new());
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let draft =
        WebhookDraft::new("hook", "https://hooks.example.com/?key=hidden").subscribe(assist::DEVICE_ADD);
    let created = acme.create(&draft).await.expect("created");
    let (hook, secret) = (created.webhook().hook_id(), created.secret().expose());
    assert_eq!(*acme.reveal_secret(hook).await.expect("revealed").expose(), *secret);
    let rotated = acme.rotate_secret(hook, Rotation::default()).await.expect("rotated");
    assert_eq!(*acme.reveal_secret(hook).await.expect("revealed").expose(), *rotated.expose());
    let printed = [
        format!("{created:?}"),
        format!("{:?}", acme.details(hook).await.expect("there")),
        format!("{:?}", acme.list().await.expect("listed")),
        format!("{hooks:?} {acme:?}"),
        serde_json::to_string(&acme.get(hook).await.expect("there")).expect("JSON").replace("key=hidden", ""),
    ];
    for text in printed {
        assert!(!text.contains("whsec_") && !text.contains(&secret[6..]), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }
    let narrowed = acme.with_scopes(Scopes::none().with(hookwire::model::Scope::Read));
    assert!(narrowed.reveal_secret(hook).await.is_err());
}

#[test]
fn the_query_of_a_url_is_the_query_of_a_listing() {
    use axum::extract::Query;
    use hookwire::model::{DeliveryState, End, HookId, MessageQuery, Timestamp};

    let uri = "/deliveries?webhook=1&state=exhausted&since=1970-01-01T00:00:05Z&until=9000&after=7&limit=20";
    let Query(query): Query<DeliveryQuery> =
        Query::try_from_uri(&uri.parse().expect("a URI")).expect("a query");
    let same = DeliveryQuery::new().webhook(HookId::new(1)).state(DeliveryState::Ended(End::Exhausted));
    let same = same.since(Timestamp::from_secs(5)).until(Timestamp::from_secs(9));
    assert_eq!(query, same.page(PageRequest::after("7").with_limit(20)));

    let uri = "/messages?event=13".parse().expect("a URI");
    let Query(query): Query<MessageQuery> = Query::try_from_uri(&uri).expect("a query");
    assert_eq!(query, MessageQuery::new().event(assist::DEVICE_ONLINE));
    for wrong in ["/?webhok=1", "/?state=done", "/?since=yesterday", "/?limit=all"] {
        let uri = wrong.parse().expect("a URI");
        assert!(Query::<DeliveryQuery>::try_from_uri(&uri).is_err(), "{wrong}");
    }
}
