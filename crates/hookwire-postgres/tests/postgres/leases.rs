//! When leases end, and what is due then.

use std::sync::Arc;
use std::time::Duration;

use hookwire::delivery::Next;
use hookwire::store::{Claim, ClaimRequest, HolderId, Quota, Settlement, Store};
use hookwire::testing::conformance::StoreFixture;

use crate::fleet::{World, publication};
use crate::support::Fixture;

const MOMENT: Duration = Duration::from_secs(1);

async fn claim(store: &Arc<dyn Store>, holder: u128) -> Vec<Claim> {
    let (lease, quota) = (30 * MOMENT, Quota::default());
    let request = ClaimRequest {
        holder: HolderId::new(holder),
        lease,
        limit: 100,
        max_bytes: usize::MAX,
        quota,
        start_within: Duration::from_secs(1),
    };
    store.claim(&request).await.expect("a claim").deliveries
}

#[tokio::test]
async fn a_lease_that_is_shortened_ends_then() {
    let fixture = Fixture::new().await;
    let world = World::new(fixture.store(), "acme", 1).await;
    world.store.publish(&[publication(&world, "m1", &world.hooks)], None).await.expect("published");
    let claims = claim(&world.store, 1).await;
    let item = Settlement::new(claims.first().expect("one"), Next::Extend(MOMENT));
    assert!(world.store.settle(&[item]).await.expect("settled")[0].is_applied());
    fixture.advance(MOMENT).await;
    assert_eq!(claim(&world.store, 2).await.len(), 1, "it is due again");
}
