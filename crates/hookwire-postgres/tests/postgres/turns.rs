//! Many webhooks that a dispatcher has no room for, and one that it has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hookwire::delivery::{Next, Report};
use hookwire::model::{End, HookId};
use hookwire::store::{Claim, ClaimRequest, Claimed, HolderId, Publication, Quota, Settlement, Store};
use hookwire::testing::conformance::StoreFixture;

use crate::fleet::{World, publication};
use crate::support::{Fixture, Schema};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// More than a claim goes along in turn.
const MANY: usize = 300;

fn request(holder: u128, limit: usize, per_webhook: usize) -> ClaimRequest {
    let quota = Quota::default().with_in_all(4_000).with_per_tenant(4_000).with_per_webhook(per_webhook);
    let (holder, lease) = (HolderId::new(holder), Duration::from_secs(60));
    ClaimRequest { holder, lease, limit, max_bytes: usize::MAX, quota, start_within: Duration::from_secs(1) }
}

async fn claim_of(store: &Arc<dyn Store>, holder: u128, limit: usize, per_webhook: usize) -> Claimed {
    store.claim(&request(holder, limit, per_webhook)).await.expect("a claim")
}

/// One delivery of a webhook is all that the holder may have.
async fn claim(store: &Arc<dyn Store>, holder: u128) -> Claimed {
    claim_of(store, holder, 100, 1).await
}

/// Publishes one after the other, and each for all webhooks.
async fn publish(world: &World, count: usize, expires: Duration) {
    for n in 0..count {
        let id = format!("{}s-{n}", expires.as_secs());
        let item = Publication { expires, ..publication(world, &id, &world.hooks) };
        world.store.publish(&[item], None).await.expect("published");
    }
}

async fn end(store: &Arc<dyn Store>, claim: &Claim) {
    let item = Settlement::new(claim, Next::End(End::Delivered));
    store.settle(&[item]).await.expect("settled");
}

/// Claims until there is nothing to be had at once.
async fn claim_all(store: &Arc<dyn Store>, holder: u128) -> Vec<Claim> {
    let mut claims = Vec::new();
    loop {
        let claimed = claim(store, holder).await;
        claims.extend(claimed.deliveries);
        if claimed.next_in.is_none_or(|after| !after.is_zero()) {
            return claims;
        }
    }
}

#[tokio::test]
async fn one_with_room_is_served_at_once_beside_many_without() {
    let schema = Schema::migrated().await;
    let world = World::new(Arc::new(schema.store().await), "acme", MANY + 1).await;
    let (quiet, busy) = world.hooks.split_first().expect("many");
    for id in ["m1", "m2"] {
        world.store.publish(&[publication(&world, id, busy)], None).await.expect("published");
    }
    let held = claim_all(&world.store, 1).await;
    assert_eq!(held.len(), MANY, "one of each");
    assert!(claim(&world.store, 1).await.deliveries.is_empty());
    world.store.publish(&[publication(&world, "m3", &[*quiet])], None).await.expect("published");
    let claimed = claim(&world.store, 1).await;
    assert_eq!(claimed.deliveries.len(), 1);
    assert!(claimed.next_in.is_none_or(|after| !after.is_zero()), "nothing else is to be had");
    end(&world.store, &held[MANY / 2]).await;
    let again = claim_all(&world.store, 1).await;
    let hook_of = |claim: &Claim| claim.hook.hook_id();
    let hooks: Vec<_> = again.iter().map(hook_of).collect();
    assert_eq!(hooks, [hook_of(&held[MANY / 2])], "what has room again");
    assert_eq!(claim_all(&world.store, 2).await.len(), MANY - 1, "others have room of their own");
}

#[tokio::test]
async fn a_claim_tells_whether_anything_was_left_for_want_of_room() {
    let schema = Schema::migrated().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 2).await;
    assert!(claim(&world.store, 1).await.took_all, "there is nothing");
    publish(&world, 2, HOUR).await;
    let first = claim(&world.store, 1).await;
    assert_eq!((first.deliveries.len(), first.took_all), (2, false), "one of each webhook");
    assert!(!claim(&world.store, 1).await.took_all, "there still is no room");
    for it in &first.deliveries {
        end(&world.store, it).await;
    }
    let rest = claim_of(&world.store, 1, 100, 4).await;
    assert_eq!((rest.deliveries.len(), rest.took_all), (2, true));
    publish(&world, 3, 2 * HOUR).await;
    let cut = claim_of(&world.store, 1, 1, 100).await;
    assert_eq!((cut.deliveries.len(), cut.took_all), (1, false));
    let other = claim_of(&world.store, 2, 100, 100).await;
    assert_eq!((other.deliveries.len(), other.took_all), (5, true));
}

/// Its claims are still counted as those of a lane that has to prove itself, of which the tenant may have no more.
#[tokio::test]
async fn a_lane_that_has_proved_itself_is_served_beside_its_earlier_claims() {
    let schema = Schema::migrated().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 2).await;
    let [proven, other] = world.hooks[..] else { panic!("two webhooks") };
    let publish = async |id: &str, hook: HookId| {
        world.store.publish(&[publication(&world, id, &[hook])], None).await.expect("published");
    };
    let claim = async || {
        let quota = Quota::default().with_per_tenant(6);
        world.store.claim(&ClaimRequest { quota, ..request(1, 100, 16) }).await.expect("a claim")
    };
    publish("a1", proven).await;
    publish("a2", proven).await;
    publish("b1", other).await;
    let held = claim().await.deliveries;
    assert_eq!(held.len(), 3, "half of what the tenant may have");
    let first = held.iter().find(|it| it.hook.hook_id() == proven).expect("one");
    let success = Settlement { report: Report::Success, ..Settlement::new(first, Next::End(End::Delivered)) };
    world.store.settle(&[success]).await.expect("settled");
    publish("b2", other).await;
    assert_eq!(claim().await.deliveries.len(), 1, "again half");
    publish("a3", proven).await;
    let claimed = claim().await;
    assert_eq!(claimed.deliveries.iter().map(|it| it.hook.hook_id()).collect::<Vec<_>>(), [proven]);
    assert!(claimed.next_in.is_none_or(|after| !after.is_zero()), "nothing else is to be had");
}

#[tokio::test]
async fn what_waits_behind_many_that_have_expired_is_found() {
    let fixture = Fixture::new().await;
    let world = World::new(fixture.store(), "acme", 1).await;
    publish(&world, 20, Duration::from_secs(1)).await;
    publish(&world, 5, HOUR).await;
    fixture.advance(Duration::from_secs(2)).await;
    let (mut found, mut claims) = (0, 0);
    while claims == 0 || found < 5 && claims < 20 {
        let claimed = claim_of(&world.store, 1, 100, 4).await;
        for it in &claimed.deliveries {
            end(&world.store, it).await;
        }
        (found, claims) = (found + claimed.deliveries.len(), claims + 1);
    }
    assert_eq!(found, 5, "after {claims} claims");
}

#[tokio::test]
async fn a_holder_that_takes_one_at_a_time_comes_to_have_all_that_it_may() {
    let schema = Schema::migrated().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 1).await;
    publish(&world, 5, HOUR).await;
    for left in (1..5).rev() {
        let claimed = claim_of(&world.store, 1, 1, 4).await;
        assert_eq!(claimed.deliveries.len(), 1, "{left} are left");
        let is_more = claimed.next_in.is_some_and(|after| after.is_zero());
        assert_eq!(is_more, left > 1, "it may have four: {:?}", claimed.next_in);
    }
    assert!(claim_of(&world.store, 1, 1, 4).await.deliveries.is_empty());
}

#[tokio::test]
async fn lanes_take_turns_though_a_claim_takes_but_one_and_some_transaction_stays_open() {
    let schema = Schema::migrated().await;
    let world = World::new(Arc::new(schema.store().await), "acme", 5).await;
    let mut client = schema.client().await;
    let open = client.transaction().await.expect("a transaction");
    open.batch_execute("SELECT pg_current_xact_id()").await.expect("a number");
    publish(&world, 20, HOUR).await;
    let mut served = BTreeSet::new();
    for _ in 0..2 * world.hooks.len() {
        let claimed = claim_of(&world.store, 1, 1, 100).await.deliveries;
        served.extend(claimed.iter().map(|it| it.hook.hook_id()));
    }
    assert_eq!(served.len(), world.hooks.len(), "of a backlog each");
    open.rollback().await.expect("rolled back");
}

#[tokio::test]
async fn one_that_nobody_can_read_hides_none_of_many() {
    let schema = Schema::migrated().await;
    let world = World::new(Arc::new(schema.store().await), "acme", MANY).await;
    let (held, free) = world.hooks.split_at(200);
    let request = request(1, MANY, 1);
    let published = world.store.publish(&[publication(&world, "m1", held)], Some(&request)).await;
    assert_eq!(published.expect("published").held.len(), held.len());
    publish(&world, 1, HOUR).await;
    let spoil = "UPDATE lane SET tenant = '' WHERE hook = 5";
    schema.client().await.batch_execute(spoil).await.expect("a broken row");
    assert_eq!(claim_all(&world.store, 1).await.len(), free.len());
}

/// Claims one delivery a second later.
async fn claim_next(fixture: &Fixture) -> Claim {
    fixture.advance(Duration::from_secs(1)).await;
    let claimed = claim_of(&fixture.store(), 1, 1, 100).await.deliveries;
    let [claim] = &claimed[..] else { panic!("claimed {}", claimed.len()) };
    claim.clone()
}

/// Ten slow tenants, of which one has more lanes than a claim goes along, hold what they got. Another is quick.
#[tokio::test]
async fn a_quick_tenant_is_next_whatever_slow_ones_have() {
    let fixture = Fixture::new().await;
    for (n, lanes) in [MANY, 3, 3, 3, 3, 3, 3, 3, 3, 3].into_iter().enumerate() {
        let slow = World::new(fixture.store(), &format!("slow{n}"), lanes).await;
        publish(&slow, 2, HOUR).await;
        assert_eq!(claim_next(&fixture).await.tenant, slow.tenant, "it used nothing");
    }
    let quick = World::new(fixture.store(), "quick", 1).await;
    publish(&quick, 10, HOUR).await;
    for _ in 0..10 {
        let claim = claim_next(&fixture).await;
        assert_eq!(claim.tenant, quick.tenant, "it used less");
        end(&quick.store, &claim).await;
    }
}

/// Ten slow webhooks of one tenant hold what they got for long. Four others have used less, and share what there is.
#[tokio::test]
async fn webhooks_that_used_less_are_next_and_share_alike() {
    let fixture = Fixture::new().await;
    let world = World::new(fixture.store(), "acme", 14).await;
    let (slow, quick) = world.hooks.split_at(10);
    let publish = async |hook: HookId, count| {
        for n in 0..count {
            let item = publication(&world, &format!("m{hook}-{n}"), &[hook]);
            world.store.publish(&[item], None).await.expect("published");
        }
    };
    for hook in slow {
        publish(*hook, 2).await;
        assert_eq!(claim_next(&fixture).await.hook.hook_id(), *hook, "it used nothing");
    }
    fixture.advance(Duration::from_secs(60)).await;
    for hook in quick {
        publish(*hook, 3).await;
    }
    for _ in 0..3 {
        fixture.advance(Duration::from_secs(1)).await;
        let claimed = claim_of(&world.store, 1, 4, 100).await.deliveries;
        let served: BTreeSet<HookId> = claimed.iter().map(|claim| claim.hook.hook_id()).collect();
        assert_eq!(served, quick.iter().copied().collect());
    }
}
