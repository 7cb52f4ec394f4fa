//! Points 10 to 12 and 14: revisions, hook ids, disabling, tenants.

use super::StoreFixture;
use super::scene::{ANA, DAY, HOUR, Scene};
use crate::delivery::Next;
use crate::model::{
    DeliveryId, DeliveryQuery, DeliveryState, DisableReason, Disabled, End, HookId, MessageQuery,
    PageRequest, Status, Timestamp,
};
use crate::registry::{Backlog, RegisteredWebhook, RegistryChange, Revision};
use crate::store::{
    Claim, Disable, PublishAnswer, Redelivery, Settled, Settlement, Stats, StatsScope, StoreErrorKind,
};

/// Point 10: old revisions change nothing.
///
/// # Panics
///
/// When the store breaks it.
pub async fn old_revisions_change_nothing(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let old = scene.revision().await;
    let hook = scene.create().await;
    let present = scene.revision().await;
    assert!(present > old, "a change makes a new revision");
    for expected in [old, Revision::new(present.get() + 1)] {
        let change = RegistryChange::Delete(hook);
        let refused = scene.store.commit(&scene.tenant, expected, &change).await;
        let kind = refused.expect_err("the registry is at another revision").kind();
        assert_eq!(kind, StoreErrorKind::Conflict);
    }
    assert!(scene.registered(hook).await.is_some(), "a refused change is not made");
    assert_eq!(scene.revision().await, present, "nor counted");
    let mut item = scene.publication("m", &[hook]).await;
    item.routed_at = old;
    let answers = scene.write(&[item]).await;
    assert!(matches!(answers[..], [PublishAnswer::Stale(at)] if at == present), "stale: {answers:?}");
    assert!(scene.deliveries(DeliveryQuery::new()).await.is_empty(), "a stale item writes nothing");
    scene.publish("m", &[hook]).await;
}

/// Point 11: hook ids are never used again.
///
/// # Panics
///
/// When the store breaks it.
pub async fn hook_ids_are_never_reused(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    assert_eq!(scene.create_many(2).await, [HookId::new(1), HookId::new(2)]);
    scene.change(RegistryChange::Delete(HookId::new(2))).await;
    assert_eq!(scene.create().await, HookId::new(3), "not after it was deleted");
    while scene.store.erase(&scene.tenant, 10).await.expect("erase").more {}
    let mut reused = scene.next_webhook().await;
    assert_eq!(reused.hook_id(), HookId::new(4), "not even after the tenant was erased");
    let mut json = serde_json::to_value(&reused.webhook).expect("JSON");
    json["hook_id"] = 2.into();
    reused.webhook = serde_json::from_value(json).expect("a webhook");
    let refused =
        scene.store.commit(&scene.tenant, scene.revision().await, &RegistryChange::Create(reused)).await;
    assert_eq!(refused.expect_err("id 2 was used").kind(), StoreErrorKind::Conflict);
    assert_eq!(scene.create().await, HookId::new(4));
}

/// Point 12: no new claim is made for a disabled or deleted webhook.
///
/// # Panics
///
/// When the store breaks it.
pub async fn disabled_and_deleted_get_nothing(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let set = async |hook, status, backlog| {
        let edit = |it: &mut RegisteredWebhook| {
            it.set_webhook(it.webhook.clone().with_status(status), Timestamp::from_secs(1));
        };
        scene.edit(hook, backlog, edit).await;
    };
    let hook = scene.create().await;
    scene.publish_many("m", 2, &[hook]).await;
    set(hook, Status::Disabled, Backlog::Resume).await;
    let disabled = scene.registered(hook).await.expect("there").disabled;
    let by_call = Some(Disabled::by_call(Timestamp::from_secs(1)));
    assert_eq!(disabled, by_call, "the registry says since when it is disabled");
    assert!(scene.claim(ANA).await.is_empty(), "a disabled webhook's deliveries wait");
    assert_eq!(states(&scene).await, [DeliveryState::Pending; 2], "and are not lost");
    set(hook, Status::Enabled, Backlog::Resume).await;
    assert_eq!(scene.registered(hook).await.expect("there").disabled, None, "and forgets it with the end");
    let claims = scene.claim(ANA).await;
    assert_eq!(claims.len(), 2, "and resume when it is enabled");
    scene.finish(&claims[0], Next::Release).await;
    set(hook, Status::Disabled, Backlog::Resume).await;
    set(hook, Status::Enabled, Backlog::Drop).await;
    assert!(scene.claim(ANA).await.is_empty(), "or are dropped, as asked");
    scene.finish(&claims[1], Next::Again(std::time::Duration::ZERO)).await;
    assert!(scene.claim(ANA).await.is_empty(), "what was held is not tried again either");
    assert_eq!(states(&scene).await, [DeliveryState::Ended(End::Cancelled); 2], "they are cancelled");
    deleted_webhooks_get_nothing(&scene, hook).await;
    upkeep_dates_nothing_anew(&scene).await;
    what_was_judged_is_listed(&scene).await;
}

/// Disables a webhook as a dispatcher does, and says when.
async fn judge(scene: &Scene<'_>, hook: HookId) -> Timestamp {
    scene.publish(&format!("judged-{hook}"), &[hook]).await;
    let claim = scene.claim_one(ANA).await;
    let disable = Some(Disable { reason: DisableReason::Gone, version: claim.hook.version });
    let settlement = Settlement { disable, ..Settlement::new(&claim, Next::End(End::Exhausted)) };
    let Settled::Applied(effect) = scene.settle(settlement).await else { panic!("a live claim is settled") };
    effect.disabled.and_then(|it| it.at).expect("it is disabled")
}

/// Those that hookwire disabled by itself are listed in the order of the dates, and those that a call disabled are not.
async fn what_was_judged_is_listed(scene: &Scene<'_>) {
    let [one, two, by_call] = scene.create_many(3).await[..] else { panic!("three") };
    let off = |it: &mut RegisteredWebhook| {
        it.set_webhook(
            it.webhook.clone().with_status(Status::Disabled),
            Timestamp::from_secs(i64::MAX / 1_000),
        );
    };
    scene.edit(by_call, Backlog::Resume, off).await;
    let second = judge(scene, two).await;
    scene.fixture.advance(HOUR).await;
    let third = judge(scene, one).await;
    assert!(third > second, "dates go on");
    assert_eq!(listed(scene, second).await, [(two, second), (one, third)], "all since then, in order");
    assert_eq!(listed(scene, third).await, [(one, third)], "and none of before");
    let wrong = scene.store.disabled(second, &PageRequest::after("9:nine:acme")).await;
    let wrong = wrong.map_err(|error| error.kind()).err();
    assert_eq!(wrong, Some(StoreErrorKind::InvalidCursor), "a cursor of another listing is refused");
    let on = |it: &mut RegisteredWebhook| {
        it.set_webhook(it.webhook.clone().with_status(Status::Enabled), Timestamp::default());
    };
    scene.edit(two, Backlog::Resume, on).await;
    scene.change(RegistryChange::Delete(one)).await;
    assert_eq!(listed(scene, second).await, [], "nor what was enabled or deleted since");
}

/// Lists page by page, with one on each.
async fn listed(scene: &Scene<'_>, since: Timestamp) -> Vec<(HookId, Timestamp)> {
    let (mut page, mut all) = (PageRequest::first().with_limit(1), Vec::new());
    loop {
        let listed = scene.store.disabled(since, &page).await.expect("disabled webhooks");
        assert!(listed.items.len() <= 1, "a page has no more than it may");
        all.extend(listed.items.iter().map(|it| (it.hook_id, it.at)));
        let Some(next) = listed.next else { return all };
        page = PageRequest::after(next).with_limit(1);
    }
}

async fn deleted_webhooks_get_nothing(scene: &Scene<'_>, hook: HookId) {
    scene.publish_many("n", 3, &[hook]).await;
    let claims = scene.claim(ANA).await;
    scene.finish(&claims[0], Next::Release).await;
    scene.change(RegistryChange::Delete(hook)).await;
    assert!(scene.claim(ANA).await.is_empty(), "a deleted webhook gets nothing");
    assert!(scene.registered(hook).await.is_none(), "it is gone");
    scene.finish(&claims[1], Next::Release).await;
    scene.deliver(&claims[2]).await;
    let delivered = DeliveryQuery::new().state(DeliveryState::Ended(End::Delivered));
    assert_eq!(scene.deliveries(delivered).await.len(), 1, "what was under way is recorded");
    let pending = DeliveryQuery::new().state(DeliveryState::Pending);
    assert!(scene.deliveries(pending).await.is_empty(), "all else has ended");
}

/// A dropped delivery ended when it was dropped, not when upkeep finds it.
async fn upkeep_dates_nothing_anew(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish("dropped", &[hook]).await;
    scene.change(RegistryChange::Delete(hook)).await;
    let ended_at = async || {
        let dropped = DeliveryQuery::new().webhook(hook);
        scene.deliveries(dropped).await.first().and_then(|it| it.ended_at).expect("it has ended")
    };
    let dropped_at = ended_at().await;
    scene.fixture.advance(HOUR).await;
    assert_eq!(ended_at().await, dropped_at, "a dropped delivery ended when it was dropped");
    scene.tend(DAY).await;
    assert_eq!(ended_at().await, dropped_at, "and so it reads once upkeep has ended it");
}

async fn states(scene: &Scene<'_>) -> Vec<DeliveryState> {
    scene.deliveries(DeliveryQuery::new()).await.into_iter().map(|delivery| delivery.state).collect()
}

/// Point 14: one tenant's ids are nothing to another.
///
/// # Panics
///
/// When the store breaks it.
pub async fn tenants_are_apart(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    scene.publish("m", &[hook]).await;
    let claim = scene.claim_one(ANA).await;
    let stranger = scene.of("globex");
    let (store, tenant) = (&stranger.store, &stranger.tenant);
    assert!(store.registry(tenant).await.expect("registry").webhooks.is_empty(), "no webhook is theirs");
    assert!(store.health(tenant, hook).await.expect("health").is_none(), "no health is theirs");
    assert!(scene.store.health(&scene.tenant, hook).await.expect("health").is_some(), "a webhook has one");
    let event = store.event(tenant, &claim.event.message_id).await.expect("event");
    assert!(event.is_none(), "no event is theirs");
    let messages = store.messages(tenant, &MessageQuery::new()).await.expect("messages");
    assert!(messages.items.is_empty(), "no message is theirs");
    for query in [DeliveryQuery::new(), DeliveryQuery::new().webhook(hook)] {
        assert!(stranger.deliveries(query).await.is_empty(), "no delivery is theirs");
    }
    let attempts = stranger.attempts(claim.id).await;
    assert!(attempts.is_none(), "no attempts are theirs");
    for scope in [StatsScope::Tenant(tenant.clone()), StatsScope::Webhook(tenant.clone(), hook)] {
        assert_eq!(store.stats(&scope).await.expect("stats"), Stats::default(), "nothing of theirs waits");
    }
    strangers_change_nothing(&stranger, hook, &claim).await;
    assert!(scene.registered(hook).await.is_some(), "what others erase is theirs");
    scene.deliver(&claim).await;
}

async fn strangers_change_nothing(stranger: &Scene<'_>, hook: HookId, claim: &Claim) {
    let (store, tenant) = (&stranger.store, &stranger.tenant);
    let redelivery = Redelivery { origin: claim.id, expires: DAY };
    let absent = Redelivery { origin: DeliveryId::new(999), ..redelivery };
    let made = store.redeliver(tenant, &[redelivery, absent]).await.expect("redeliver");
    assert_eq!(made, [None, None], "nothing of another tenant is redelivered");
    let theirs = stranger.publication("n", &[hook]).await;
    let answers = stranger.write(&[theirs]).await;
    assert!(matches!(answers[..], [PublishAnswer::Failed(_)]), "no webhook of another tenant: {answers:?}");
    let refused = store.commit(tenant, stranger.revision().await, &RegistryChange::Delete(hook)).await;
    assert_eq!(refused.expect_err("not theirs to delete").kind(), StoreErrorKind::Conflict);
    while store.erase(tenant, 10).await.expect("erase").more {}
}
