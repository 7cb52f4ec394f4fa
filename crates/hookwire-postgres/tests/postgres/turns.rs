//! Many webhooks that a dispatcher has no room for, and one that it has.

use std::sync::Arc;
use std::time::Duration;

use hookwire::delivery::{Next, Report};
use hookwire::model::End;
use hookwire::store::{Claim, ClaimRequest, Claimed, HolderId, Quota, Settlement, Store};

use crate::fleet::{World, publication};
use crate::support::Schema;

/// More than a claim goes along in turn.
const MANY: usize = 300;

/// One delivery of a webhook is all that the holder may have.
async fn claim(store: &Arc<dyn Store>, holder: u128) -> Claimed {
    let quota = Quota::default().with_in_all(4_000).with_per_tenant(4_000).with_per_webhook(1);
    let (holder, lease) = (HolderId::new(holder), Duration::from_secs(60));
    let request = ClaimRequest { holder, lease, limit: 100, max_bytes: usize::MAX, quota };
    store.claim(&request).await.expect("a claim")
}

async fn end(store: &Arc<dyn Store>, claim: &Claim) {
    let (id, fence, next) = (claim.id, claim.fence, Next::End(End::Delivered));
    let report = Report::Nothing;
    let item = Settlement { id, fence, attempt: None, next, report, pause: None, disable: None };
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
    let hook_of = |claim: &Claim| claim.hook.webhook.hook_id();
    let hooks: Vec<_> = again.iter().map(hook_of).collect();
    assert_eq!(hooks, [hook_of(&held[MANY / 2])], "what has room again");
    assert_eq!(claim_all(&world.store, 2).await.len(), MANY - 1, "others have room of their own");
}
