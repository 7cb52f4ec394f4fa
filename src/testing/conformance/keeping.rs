//! Points 20 to 22: recovery, payloads, and steps of the date.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::StoreFixture;
use super::scene::{ANA, BEN, DAY, HOUR, LEASE, Scene, greedy, message};
use crate::delivery::Next;
use crate::model::{DeliveryId, DeliveryQuery, DeliveryState, End, HookId, PageRequest, Timestamp};
use crate::registry::{Backlog, RegistryChange};
use crate::store::{
    Claim, ClaimRequest, Publication, PublishAnswer, Recovered, Recovery, Redelivery, Settlement,
    StoreErrorKind, TendRequest,
};

/// Point 20: recovering makes a new delivery of each that was missed, once, by bounded steps.
///
/// # Panics
///
/// When the store breaks it.
pub async fn what_was_missed_is_recovered_once(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hooks = scene.create_many(2).await;
    scene.publish_many("before", 2, &hooks[..1]).await;
    end_all(&scene, End::Exhausted).await;
    let ended = scene.deliveries(DeliveryQuery::new()).await;
    scene.fixture.advance(HOUR).await;
    let since = ended[0].ended_at.expect("it has ended").plus(HOUR);
    scene.publish_many("missed", 5, &hooks).await;
    end_all(&scene, End::Exhausted).await;
    scene.publish("delivered", &hooks[..1]).await;
    end_all(&scene, End::Delivered).await;
    let missed = missed_of(&scene, hooks[0], since).await;
    assert_eq!(missed.len(), 5);
    redeliver(&scene, missed[2]).await;
    let (made, steps) = recover_all(&scene, hooks[0], since, 2).await;
    assert_eq!(made, 4, "each that was missed since, but for the one that was redelivered");
    assert!(steps >= 2, "step by step");
    let origins = scene.deliveries(DeliveryQuery::new().state(DeliveryState::Pending)).await;
    let origins: BTreeSet<_> = origins.iter().filter_map(|it| it.origin).collect();
    assert_eq!(origins, missed.iter().copied().collect(), "of these, and of no others");
    let (again, _) = recover_all(&scene, hooks[0], since, 2).await;
    assert_eq!(again, 0, "what has a later one is not recovered again");
    lost_ones_are_passed_over(&scene, hooks[1], since).await;
}

async fn end_all(scene: &Scene<'_>, end: End) {
    for claim in scene.claim(ANA).await {
        scene.finish(&claim, Next::End(end)).await;
    }
}

async fn missed_of(scene: &Scene<'_>, hook: HookId, since: Timestamp) -> Vec<DeliveryId> {
    let exhausted = DeliveryState::Ended(End::Exhausted);
    let listed = scene.deliveries(DeliveryQuery::new().webhook(hook).state(exhausted)).await;
    let missed = listed.into_iter().filter(|it| it.ended_at >= Some(since));
    missed.map(|it| it.id).collect()
}

async fn redeliver(scene: &Scene<'_>, origin: DeliveryId) -> Option<DeliveryId> {
    let again = Redelivery { origin, expires: DAY };
    scene.store.redeliver(&scene.tenant, &[again]).await.expect("redeliver")[0]
}

async fn recover(scene: &Scene<'_>, hook: HookId, since: Timestamp, page: PageRequest) -> Recovered {
    let recovery = Recovery { hook, since, expires: DAY, page };
    scene.store.recover(&scene.tenant, &recovery).await.expect("recover")
}

/// Follows the cursor to the end, and returns how many were made by how many steps.
async fn recover_all(scene: &Scene<'_>, hook: HookId, since: Timestamp, limit: u16) -> (usize, usize) {
    let (mut page, mut made) = (PageRequest::first().with_limit(limit), 0);
    for step in 1..100 {
        let recovered = recover(scene, hook, since, page).await;
        assert!(recovered.made <= limit.into(), "a step makes no more than asked for");
        made += recovered.made;
        let Some(next) = recovered.next else { return (made, step) };
        page = PageRequest::after(next).with_limit(limit);
    }
    panic!("recovering comes to an end");
}

/// Point 20, too: what is recovered stands behind the first attempts of its lane.
///
/// # Panics
///
/// When the store breaks it.
pub async fn recovered_ones_stand_behind(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    scene.publish_many("missed", 3, &[hook]).await;
    end_all(&scene, End::Exhausted).await;
    recover_all(&scene, hook, Timestamp::default(), 10).await;
    fixture.advance(Duration::from_secs(1)).await;
    scene.publish("fresh", &[hook]).await;
    let one = ClaimRequest { limit: 1, ..greedy(ANA) };
    let next = scene.claim_with(&one).await.deliveries;
    assert_eq!(next[0].event.message_id, message("fresh"), "new events go before what is recovered");
    scene.deliver(&next[0]).await;
    assert_eq!(scene.claim(ANA).await.len(), 3, "which is delivered then");
}

async fn lost_ones_are_passed_over(scene: &Scene<'_>, hook: HookId, since: Timestamp) {
    for cursor in ["no cursor", ""] {
        let recovery = Recovery { hook, since, expires: DAY, page: PageRequest::after(cursor) };
        let refused = scene.store.recover(&scene.tenant, &recovery).await;
        let kind = refused.expect_err("no step gave this cursor").kind();
        assert_eq!(kind, StoreErrorKind::InvalidCursor);
    }
    let stranger = recover_all(&scene.of("globex"), hook, since, 10).await;
    assert_eq!(stranger.0, 0, "nothing of another tenant");
    scene.change(RegistryChange::Delete(hook)).await;
    assert_eq!(recover_all(scene, hook, since, 10).await.0, 0, "nothing for a webhook that is gone");
}

/// Point 21: a payload may be removed before its event, and nothing else goes with it.
///
/// # Panics
///
/// When the store breaks it.
pub async fn payloads_go_before_their_events(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    let item = scene.publication("ended", &[hook]).await;
    scene.write(std::slice::from_ref(&item)).await;
    end_all(&scene, End::Exhausted).await;
    let [ended] = &scene.deliveries(DeliveryQuery::new()).await[..] else { panic!("one was published") };
    let since = ended.ended_at.expect("it has ended");
    scene.publish("waits", &[hook]).await;
    scene.fixture.advance(HOUR).await;
    strip(&scene, 2 * HOUR).await;
    assert_eq!(payload(&scene, "ended").await, (true, item.event.payload.get().to_owned()), "too young");
    strip(&scene, HOUR / 2).await;
    assert_eq!(payload(&scene, "ended").await, (false, "null".to_owned()), "it is removed");
    assert!(payload(&scene, "waits").await.0, "what has not ended keeps its payload");
    let kept = scene.delivery(ended.id).await;
    assert_eq!(kept.as_ref(), Some(ended), "the log stays");
    assert_eq!(redeliver(&scene, ended.id).await, None, "it cannot be delivered again");
    assert_eq!(recover_all(&scene, hook, since, 10).await.0, 0, "nor recovered");
    without_payload_the_digest_decides(&scene, item).await;
    let claim = scene.claim_one(ANA).await;
    assert_eq!(claim.event.payload.get(), r#"{"id":"waits"}"#, "it is sent whole");
}

/// One bounded step after the other, of events that are all kept.
async fn strip(scene: &Scene<'_>, keep_payloads: Duration) {
    let request = TendRequest { keep: 100 * DAY, keep_payloads, limit: 2 };
    while scene.store.tend(&request).await.expect("tend").more {}
}

async fn payload(scene: &Scene<'_>, id: &str) -> (bool, String) {
    let record = scene.store.event(&scene.tenant, &message(id)).await.expect("event").expect("kept");
    (record.has_payload, record.event.payload.get().to_owned())
}

async fn without_payload_the_digest_decides(scene: &Scene<'_>, item: Publication) {
    let again = scene.write(std::slice::from_ref(&item)).await;
    assert!(matches!(again[..], [PublishAnswer::Duplicate(_)]), "its digest is kept: {again:?}");
    let mut spaced = item;
    Arc::make_mut(&mut spaced.event).payload = serde_json::from_str(r#"{ "id":"ended" }"#).expect("JSON");
    spaced.digest = spaced.event.digest();
    let other = scene.write(&[spaced]).await;
    assert!(matches!(other[..], [PublishAnswer::IdReused]), "nothing else tells it apart: {other:?}");
}

/// The steps of the date that are tried, in seconds. A leap second is the least that a clock is ever stepped by.
const STEPS: [i64; 7] = [1, 3_600, -3_600, 86_400, -86_400, 70 * 365 * 86_400, -70 * 365 * 86_400];

/// The longest delay of what waits here.
const LONGEST: Duration = HOUR;

/// How often somebody looks, less than what was brought back takes to expire.
const A_WHILE: Duration = Duration::from_secs(6 * 60 * 60);

/// Point 22: steps of the date strand nothing, and end nothing early.
///
/// # Panics
///
/// When the store breaks it.
pub async fn steps_of_the_date_move_nothing(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    for (number, seconds) in STEPS.into_iter().enumerate() {
        let scene = scene.of(&format!("tenant{number}"));
        let waiting = Waiting::make(&scene).await;
        fixture.step(seconds).await;
        match fixture.has_own_time() {
            true => waiting.is_as_before(&scene).await,
            false => waiting.is_late_at_most(&scene, seconds).await,
        }
    }
}

/// What waits in a lane of its own each: for nothing, for a retry, for a backoff, and for the end of a lease.
struct Waiting {
    held: Claim,
    hooks: Vec<HookId>,
}

impl Waiting {
    async fn make(scene: &Scene<'_>) -> Self {
        let hooks = scene.create_many(4).await;
        for (name, hook) in ["held", "retried", "backed off"].into_iter().zip(&hooks) {
            scene.publish(&name.replace(' ', "-"), &[*hook]).await;
        }
        let claims = scene.claim(ANA).await;
        let of = |hook: HookId| claims.iter().find(|it| it.hook.hook_id() == hook).expect("claimed");
        scene.finish(of(hooks[1]), Next::Again(LONGEST)).await;
        let backoff = Some(LONGEST);
        scene.settle(Settlement { backoff, ..Settlement::new(of(hooks[2]), Next::Release) }).await;
        let held = of(hooks[0]).clone();
        scene.publish("due", &hooks[3..]).await;
        Self { held, hooks }
    }

    async fn claimed(&self, scene: &Scene<'_>) -> Vec<HookId> {
        let claims = scene.claim(BEN).await;
        let mut hooks: Vec<_> = claims.iter().map(|claim| claim.hook.hook_id()).collect();
        for claim in claims {
            scene.deliver(&claim).await;
        }
        hooks.sort_unstable();
        hooks
    }

    /// Whatever the step, each comes when it would have come without.
    async fn is_as_before(&self, scene: &Scene<'_>) {
        self.is_shown_by_the_date(scene).await;
        assert_eq!(self.claimed(scene).await, self.hooks[3..], "what is due is claimed, and no more");
        scene.fixture.advance(LEASE - Duration::from_secs(1)).await;
        assert_eq!(self.claimed(scene).await, [], "a lease holds");
        scene.finish(&self.held, Next::Extend(LEASE)).await;
        scene.fixture.advance(LONGEST - LEASE).await;
        assert_eq!(self.claimed(scene).await, self.hooks[..1], "and ends in its time");
        scene.fixture.advance(LEASE).await;
        assert_eq!(self.claimed(scene).await, self.hooks[1..3], "retries and backoffs end in their time");
        scene.tend(DAY).await;
        self.all_are_delivered(scene).await;
    }

    /// What waits is shown with a date that comes when the delivery comes.
    async fn is_shown_by_the_date(&self, scene: &Scene<'_>) {
        let dates = async |hook| {
            let listed = scene.deliveries(DeliveryQuery::new().webhook(hook)).await;
            listed[0].due_at.expect("it waits")
        };
        let now = dates(self.hooks[3]).await;
        assert_eq!(dates(self.hooks[1]).await.since(now), LONGEST, "a due is shown as a date");
        // A change of a webhook ends its backoff, and begins none.
        scene.edit(self.hooks[3], Backlog::Resume, |_| ()).await;
    }

    /// With the clock of a database alone, deliveries may be late by the step, or by the longest delay if that is less.
    /// Those that expire within a step ahead have ended.
    async fn is_late_at_most(&self, scene: &Scene<'_>, seconds: i64) {
        let late = if seconds < 0 { Duration::from_secs(seconds.unsigned_abs()) } else { Duration::ZERO };
        scene.tend(1_000 * DAY).await;
        let mut claimed = self.claimed(scene).await;
        let mut passed = Duration::ZERO;
        while passed < (LONGEST + late).min(2 * DAY) + A_WHILE {
            scene.fixture.advance(A_WHILE).await;
            passed += A_WHILE;
            scene.tend(1_000 * DAY).await;
            claimed.extend(self.claimed(scene).await);
        }
        claimed.sort_unstable();
        let has_expired = seconds > 0 && Duration::from_secs(seconds.unsigned_abs()) >= DAY;
        let expected = if has_expired { &[] } else { &self.hooks[..] };
        assert_eq!(claimed, expected, "nothing is stranded, and nothing sent twice");
        let waiting = scene.deliveries(DeliveryQuery::new().state(DeliveryState::Pending)).await;
        assert_eq!(waiting, [], "each has ended");
    }

    async fn all_are_delivered(&self, scene: &Scene<'_>) {
        let delivered = DeliveryState::Ended(End::Delivered);
        let listed = scene.deliveries(DeliveryQuery::new().state(delivered)).await;
        assert_eq!(listed.len(), self.hooks.len(), "nothing has expired");
    }
}
