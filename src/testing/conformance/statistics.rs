//! Cases of what is counted of webhooks' attempts.

use std::sync::Arc;

use super::StoreFixture;
use super::scene::{ANA, BEN, DAY, HOUR, MOMENT, Scene};
use crate::model::{HookId, Timestamp};
use crate::registry::RegistryChange;
use crate::store::{Counted, HolderId, Hour, Statistics};

/// Point 26: concurrent counts add up, and are removed by age or with their webhook.
///
/// # Panics
///
/// When the store breaks it.
pub async fn attempts_are_counted(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let [hook, other] = scene.create_many(2).await[..] else { panic!("two") };
    let now = date(&scene, hook).await;
    let (early, late) = (now.minus(3 * HOUR), now.minus(HOUR));
    let read = async |since| statistics(&scene, hook, since).await.expect("it is there");
    assert_eq!(read(Timestamp::default()).await, Statistics::default(), "nothing was counted yet");
    let count = async |holder, counts: &[Counted]| {
        scene.store.count(holder, counts).await.expect("counted");
    };
    let counted = |hook, at, attempts, successes| counted(&scene, hook, at, (attempts, successes));
    count(ANA, &[counted(hook, late, 3, 2), counted(hook, early, 1, 1), counted(other, late, 9, 0)]).await;
    let stranger = scene.of("globex");
    let strange = Counted { tenant: stranger.tenant.clone(), ..counted(hook, late, 100, 100) };
    let absent = counted(HookId::new(999), late, 100, 100);
    count(BEN, &[strange, absent, counted(hook, late, 4, 0)]).await;
    count(ANA, &[counted(hook, late, 2, 1)]).await;
    count(ANA, &[]).await;
    let both = [(Hour::of(early), 1, 1), (Hour::of(late), 9, 3)];
    assert_eq!(hours(&read(early).await), both, "counts add up, by the hour, whoever counted");
    assert_eq!(hours(&read(late).await), both[1..], "from the hour that was asked for");
    assert_eq!(read(late).await.last_success_at, Some(late), "the last success is the latest");
    assert_eq!(statistics(&stranger, hook, early).await, None, "nothing of another tenant is shown");
    assert_eq!(statistics(&scene, HookId::new(999), early).await, None, "no webhook is `None`");
    none_is_lost(&scene, other, late).await;
    hours_go_in_time(&scene, hook, (early, late)).await;
    what_was_counted_goes_with_its_webhook(&scene, hook, late).await;
}

/// The date as the store has it.
async fn date(scene: &Scene<'_>, hook: HookId) -> Timestamp {
    scene.publish("clock", &[hook]).await;
    let at = scene.deliveries(Default::default()).await[0].created_at;
    scene.deliver(&scene.claim_one(ANA).await).await;
    at
}

fn counted(scene: &Scene<'_>, hook: HookId, at: Timestamp, (attempts, successes): (u32, u32)) -> Counted {
    let last_success_at = (successes > 0).then_some(at);
    Counted { tenant: scene.tenant.clone(), hook, hour: Hour::of(at), attempts, successes, last_success_at }
}

async fn statistics(scene: &Scene<'_>, hook: HookId, since: Timestamp) -> Option<Statistics> {
    scene.store.statistics(&scene.tenant, hook, since).await.expect("statistics")
}

fn hours(statistics: &Statistics) -> Vec<(Hour, u64, u64)> {
    statistics.hours.iter().map(|it| (it.hour, it.attempts, it.successes)).collect()
}

/// Several count at the same time.
async fn none_is_lost(scene: &Scene<'_>, hook: HookId, at: Timestamp) {
    let calls = (0..8).map(|holder| {
        let (store, item) = (Arc::clone(&scene.store), counted(scene, hook, at, (1, 1)));
        tokio::spawn(async move { store.count(HolderId::new(holder % 3), &[item]).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("no panic").expect("counted");
    }
    let statistics = statistics(scene, hook, at).await.expect("it is there");
    assert_eq!(hours(&statistics), [(Hour::of(at), 17, 8)], "none is lost that comes at the same time");
}

/// Of two hours one is old enough.
async fn hours_go_in_time(scene: &Scene<'_>, hook: HookId, (early, late): (Timestamp, Timestamp)) {
    let since = Timestamp::default();
    let kept = async || hours(&statistics(scene, hook, since).await.expect("it is there")).len();
    scene.fixture.advance(DAY).await;
    scene.tend(DAY + 4 * HOUR).await;
    assert_eq!(kept().await, 2, "no hour is removed too early");
    scene.tend(DAY + 2 * HOUR - MOMENT).await;
    assert_eq!(kept().await, 1, "an hour is removed once it is old enough");
    let left = statistics(scene, hook, since).await.expect("it is there");
    assert_eq!(left.hours[0].hour, Hour::of(late), "the older one of {early} and {late}");
    scene.tend(HOUR).await;
    let left = statistics(scene, hook, since).await.expect("it is there");
    assert_eq!(hours(&left), [], "and the other in time");
    assert_eq!(left.last_success_at, Some(late), "the last success stays");
}

async fn what_was_counted_goes_with_its_webhook(scene: &Scene<'_>, hook: HookId, at: Timestamp) {
    let again = [counted(scene, hook, at, (1, 1))];
    scene.store.count(ANA, &again).await.expect("counted");
    scene.change(RegistryChange::Delete(hook)).await;
    assert_eq!(statistics(scene, hook, at).await, None, "a webhook that is gone has no counts");
    scene.store.count(ANA, &again).await.expect("counting for a webhook that is gone is no error");
    let other = scene.create().await;
    scene.store.count(ANA, &[counted(scene, other, at, (1, 1))]).await.expect("counted");
    assert!(statistics(scene, other, at).await.is_some(), "it is there until it is erased");
    while scene.store.erase(&scene.tenant, 10).await.expect("erase").more {}
    assert_eq!(statistics(scene, other, at).await, None, "nor has one that was erased");
}
