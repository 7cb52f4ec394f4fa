//! "You can create a total of twenty webhooks and upto 10 webhooks can be configured for each event."

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookwire::model::{Rule, Status, WebhookPatch};
use hookwire::registry::Backlog;
use hookwire::registry::Limits;
use hookwire::service::{Tenant, WebhooksBuilder};
use hookwire::{DeptId, Error, ErrorKind, EventId, WebhookDraft, assist};

use super::support::{RecordingTransport, Service, broken, create, from_json, named};

/// Fills a tenant with `count` webhooks, none of whose events has more than seven of them.
async fn fill(tenant: &Tenant, count: u32) {
    for n in 0..count {
        create(tenant, &named(&format!("hook-{n}")).subscribe(EventId::new(n % 3))).await;
    }
}

/// Fills one event of a tenant with `count` webhooks.
async fn fill_event(tenant: &Tenant, event: EventId, count: u32) {
    for n in 0..count {
        create(tenant, &named(&format!("full-{n}")).subscribe(event)).await;
    }
}

async fn refused(tenant: &Tenant, draft: &WebhookDraft) -> Error {
    let before = tenant.list().await.expect("in memory").len();
    let error = tenant.create(draft).await.expect_err("one too many");
    assert_eq!(error.kind(), &ErrorKind::LimitReached, "{error}");
    assert_eq!(tenant.list().await.expect("in memory").len(), before, "nothing is registered");
    error
}

fn limited(limits: impl Fn(&str) -> Option<Limits> + Send + Sync + 'static) -> Service {
    let configure = |builder: WebhooksBuilder| builder.limits_for(move |tenant| limits(tenant.as_str()));
    Service::build(RecordingTransport::new(), configure)
}

#[test]
fn the_numbers_are_those_of_the_page() {
    for limits in [assist::limits(), Limits::default()] {
        assert_eq!((limits.webhooks(), limits.webhooks_per_event()), (20, 10));
    }
}

#[tokio::test]
async fn a_tenant_has_twenty_webhooks_and_no_twenty_first() {
    let acme = Service::new().acme();
    fill(&acme, 20).await;
    let error = refused(&acme, &named("late").subscribe(assist::DEVICE_ADD)).await;
    assert_eq!(broken(error.violations()), [("webhooks", Rule::Limit)]);
    assert!(error.to_string().contains("there are 20 webhooks"), "{error}");
}

#[tokio::test]
async fn a_disabled_webhook_keeps_its_place_among_the_twenty() {
    let acme = Service::new().acme();
    fill(&acme, 19).await;
    let last = named("off").status(Status::Disabled).subscribe(assist::DEVICE_ADD);
    let last = create(&acme, &last).await;
    refused(&acme, &named("late").subscribe(assist::DEVICE_ADD)).await;
    acme.enable(last.hook_id(), Backlog::Resume).await.expect("no limit stands against enabling");
}

#[tokio::test]
async fn deleting_a_webhook_makes_room_and_its_id_does_not_come_back() {
    let acme = Service::new().acme();
    fill(&acme, 20).await;
    let last = acme.list().await.expect("in memory").pop().expect("twenty");
    acme.delete(last.hook_id()).await.expect("it is there");
    let next = create(&acme, &named("next").subscribe(assist::DEVICE_ADD)).await;
    assert_eq!((last.hook_id().get(), next.hook_id().get()), (20, 21));
    refused(&acme, &named("late").subscribe(assist::DEVICE_ADD)).await;
}

#[tokio::test]
async fn an_event_has_ten_webhooks_and_no_eleventh() {
    let acme = Service::new().acme();
    fill_event(&acme, assist::DEVICE_ONLINE, 10).await;
    let both = named("late").subscribe(assist::DEVICE_ADD).subscribe(assist::DEVICE_ONLINE);
    let error = refused(&acme, &both).await;
    assert_eq!(broken(error.violations()), [("subscriptions[1].event_id", Rule::Limit)]);
    assert!(error.to_string().contains("10 webhooks have event 13"), "{error}");
    create(&acme, &named("other").subscribe(assist::DEVICE_ADD)).await;
}

#[tokio::test]
async fn a_disabled_webhook_keeps_its_place_among_the_ten() {
    let acme = Service::new().acme();
    fill_event(&acme, assist::DEVICE_ONLINE, 10).await;
    for webhook in acme.list().await.expect("in memory") {
        acme.disable(webhook.hook_id()).await.expect("it is there");
    }
    refused(&acme, &named("late").subscribe(assist::DEVICE_ONLINE)).await;
}

#[tokio::test]
async fn departments_do_not_split_the_count_of_an_event() {
    let acme = Service::new().acme();
    for n in 0..10 {
        let draft = named(&format!("hook-{n}")).subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(n)]);
        create(&acme, &draft).await;
    }
    refused(&acme, &named("late").subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(99)])).await;
}

#[tokio::test]
async fn a_webhook_counts_once_an_event_however_many_departments_it_names() {
    let acme = Service::new().acme();
    let many: Vec<_> = (0..50).map(DeptId::new).collect();
    create(&acme, &named("many").subscribe_in(assist::DEVICE_ONLINE, many)).await;
    fill_event(&acme, assist::DEVICE_ONLINE, 9).await;
    refused(&acme, &named("late").subscribe(assist::DEVICE_ONLINE)).await;
}

#[tokio::test]
async fn a_deleted_webhook_does_not_count_for_its_event() {
    let acme = Service::new().acme();
    fill_event(&acme, assist::DEVICE_ONLINE, 10).await;
    let first = acme.list().await.expect("in memory").remove(0);
    acme.delete(first.hook_id()).await.expect("it is there");
    create(&acme, &named("next").subscribe(assist::DEVICE_ONLINE)).await;
}

#[tokio::test]
async fn tenants_count_by_themselves() {
    let service = Service::new();
    fill(&service.acme(), 20).await;
    fill_event(&service.tenant("globex"), assist::DEVICE_ONLINE, 10).await;
    let initech = service.tenant("initech");
    let first = create(&initech, &named("first").subscribe(assist::DEVICE_ONLINE)).await;
    assert_eq!(first.hook_id().get(), 1);
}

#[tokio::test]
async fn everything_that_is_full_is_named_at_once() {
    let acme = Service::new().acme();
    fill_event(&acme, assist::DEVICE_ONLINE, 10).await;
    for n in 0..10 {
        create(&acme, &named(&format!("more-{n}")).subscribe(assist::DEVICE_ADD)).await;
    }
    let all = named("late").subscribe(assist::DEVICE_ONLINE).subscribe(assist::DEVICE_ADD);
    let error = refused(&acme, &all).await;
    let fields: Vec<_> = error.violations().iter().map(|it| it.field()).collect();
    assert_eq!(fields, ["webhooks", "subscriptions[0].event_id", "subscriptions[1].event_id"]);
}

#[tokio::test]
async fn a_webhook_at_the_limit_can_be_replaced_and_keeps_its_place() {
    let acme = Service::new().acme();
    fill_event(&acme, assist::DEVICE_ONLINE, 10).await;
    fill(&acme, 10).await;
    let first = acme.list().await.expect("in memory").remove(0);
    let draft = named("renamed").subscribe(assist::DEVICE_ONLINE).subscribe(assist::DEVICE_DELETE);
    let replaced = acme.replace(first.hook_id(), &draft).await.expect("it had the event already");
    let replaced = replaced.webhook();
    assert_eq!((replaced.hook_id(), replaced.name()), (first.hook_id(), "renamed"));
}

#[tokio::test]
async fn an_edit_cannot_take_the_eleventh_place_of_an_event() {
    let acme = Service::new().acme();
    fill_event(&acme, assist::DEVICE_ONLINE, 10).await;
    let other = create(&acme, &named("other").subscribe(assist::DEVICE_ADD)).await;
    let grab = named("other").subscribe(assist::DEVICE_ONLINE);
    let error = acme.replace(other.hook_id(), &grab).await.expect_err("full");
    assert_eq!(error.kind(), &ErrorKind::LimitReached);
    let first = acme.list().await.expect("in memory").remove(0);
    let patch = WebhookPatch::new().subscriptions(first.subscriptions());
    let error = acme.patch(other.hook_id(), &patch).await.expect_err("full");
    assert_eq!(error.kind(), &ErrorKind::LimitReached);
    assert_eq!(acme.get(other.hook_id()).await.expect("it is there"), other);
}

#[tokio::test]
async fn a_place_that_an_edit_gives_up_is_free() {
    let acme = Service::new().acme();
    fill_event(&acme, assist::DEVICE_ONLINE, 10).await;
    let first = acme.list().await.expect("in memory").remove(0);
    let elsewhere = named("moved").subscribe(assist::DEVICE_ADD);
    acme.replace(first.hook_id(), &elsewhere).await.expect("room elsewhere");
    create(&acme, &named("next").subscribe(assist::DEVICE_ONLINE)).await;
    let back = named("moved").subscribe(assist::DEVICE_ONLINE);
    let error = acme.replace(first.hook_id(), &back).await.expect_err("taken by now");
    assert_eq!(error.kind(), &ErrorKind::LimitReached);
}

#[tokio::test]
async fn what_is_wrong_with_a_draft_comes_before_what_is_full() {
    let acme = Service::new().acme();
    fill(&acme, 20).await;
    let error = acme.create(&from_json(serde_json::json!({}))).await.expect_err("empty");
    assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_race_for_the_last_places_only_as_many_get_one_as_there_are() {
    let acme = Service::new().acme();
    let race = (0..30).map(|n| {
        let (acme, draft) = (acme.clone(), named(&format!("hook-{n}")).subscribe(EventId::new(n % 3)));
        tokio::spawn(async move { acme.create(&draft).await })
    });
    let mut late = 0;
    for racer in race.collect::<Vec<_>>() {
        if let Err(error) = racer.await.expect("no panic") {
            assert_eq!(error.kind(), &ErrorKind::LimitReached);
            late += 1;
        }
    }
    assert_eq!((acme.list().await.expect("in memory").len(), late), (20, 10));
}

#[tokio::test]
async fn each_plan_has_its_own_limits() {
    let service = limited(|tenant| match tenant {
        "small" => Some(Limits::default().with_webhooks(2).with_webhooks_per_event(1)),
        _ => Some(Limits::default()),
    });
    let small = service.tenant("small");
    create(&small, &named("one").subscribe(assist::DEVICE_ADD)).await;
    refused(&small, &named("two").subscribe(assist::DEVICE_ADD)).await;
    create(&small, &named("two").subscribe(assist::DEVICE_DELETE)).await;
    refused(&small, &named("three").subscribe(assist::DEVICE_ONLINE)).await;
    fill(&service.acme(), 20).await;
}

/// A plan that can change while the test runs; no webhooks at all at 0.
fn changing_plan() -> (Service, Arc<AtomicUsize>) {
    let plan = Arc::new(AtomicUsize::new(20));
    let now = Arc::clone(&plan);
    let limits = move |_: &str| match now.load(Ordering::SeqCst) {
        0 => None,
        webhooks => Some(Limits::default().with_webhooks(webhooks)),
    };
    (limited(limits), plan)
}

#[tokio::test]
async fn webhooks_beyond_a_lowered_limit_stay_and_can_be_edited() {
    let (service, plan) = changing_plan();
    let acme = service.acme();
    fill(&acme, 5).await;
    plan.store(2, Ordering::SeqCst);
    let first = acme.list().await.expect("in memory").remove(0);
    let rename = WebhookPatch::new().name("renamed");
    assert_eq!(acme.patch(first.hook_id(), &rename).await.expect("it stays").webhook().name(), "renamed");
    refused(&acme, &named("late").subscribe(assist::DEVICE_ADD)).await;
    assert_eq!(acme.list().await.expect("in memory").len(), 5);
}

#[tokio::test]
async fn an_edition_without_webhooks_registers_edits_and_enables_none() {
    let (service, plan) = changing_plan();
    let acme = service.acme();
    let draft = named("hook").status(Status::Disabled).subscribe(assist::DEVICE_ADD);
    let id = create(&acme, &draft).await.hook_id();
    plan.store(0, Ordering::SeqCst);
    let refusals = [
        acme.create(&draft).await.err(),
        acme.replace(id, &draft).await.err(),
        acme.patch(id, &WebhookPatch::new().name("renamed")).await.err(),
        acme.enable(id, Backlog::Resume).await.err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.expect("refused").kind(), &ErrorKind::NotInEdition);
    }
}

#[tokio::test]
async fn what_an_edition_without_webhooks_still_has_can_be_read_disabled_and_deleted() {
    let (service, plan) = changing_plan();
    let acme = service.acme();
    let id = create(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await.hook_id();
    plan.store(0, Ordering::SeqCst);
    assert_eq!(acme.list().await.expect("in memory").len(), 1);
    assert_eq!(acme.disable(id).await.expect("it is there").status(), Status::Disabled);
    acme.delete(id).await.expect("it is there");
    assert!(acme.list().await.expect("in memory").is_empty());
}
