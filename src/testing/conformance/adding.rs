//! Points 24 and 25: deliveries that are added to earlier events, and erased payloads.

use std::time::Duration;

use super::StoreFixture;
use super::scene::{ANA, DAY, Scene, attempt, event_json, message};
use crate::delivery::Next;
use crate::model::{Delivery, DeliveryId, DeliveryQuery, DeliveryState, End, HookId, Outcome};
use crate::registry::{Backlog, RegistryChange};
use crate::store::{Addition, Settlement, StoreErrorKind};

/// Point 24: at most one delivery of an event is added to a webhook, behind first attempts.
///
/// # Panics
///
/// When the store breaks it.
pub async fn what_was_skipped_is_added_once(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let [got, skipped, gone] = scene.create_many(3).await[..] else { panic!("three") };
    scene.change(RegistryChange::Delete(gone)).await;
    scene.publish("old", &[got]).await;
    scene.deliver(&scene.claim_one(ANA).await).await;
    scene.fixture.write_unrouted(&scene.tenant, event_json("unrouted", &1.into())).await;
    assert_eq!(add(&scene, "old", got).await, None, "the webhook has had it");
    assert_eq!(add(&scene, "old", gone).await, None, "the webhook is gone");
    assert_eq!(add(&scene, "never", skipped).await, None, "there is no such event");
    assert_eq!(add(&scene, "unrouted", skipped).await, None, "it is not routed yet");
    let other = scene.of("other");
    assert_eq!(add(&other, "old", other.create().await).await, None, "it is another tenant's");
    let added = add(&scene, "old", skipped).await;
    assert!(added.is_some(), "the webhook has had none of it");
    assert_eq!(add(&scene, "old", skipped).await, None, "it is added once");
    let listed = deliveries(&scene, "old").await;
    assert_eq!((listed[0].hook_id, listed[0].origin, listed.len()), (skipped, None, 2), "it is listed");
    scene.publish("new", &[skipped]).await;
    let first = scene.claim_few(1, ANA).await.remove(0);
    assert_eq!(first.event.message_id, message("new"), "what is new goes first");
    scene.deliver(&first).await;
    let second = scene.claim_one(ANA).await;
    assert_eq!((Some(second.id), second.event.payload.get()), (added, r#"{"id":"old"}"#));
    scene.deliver(&second).await;
    scene.tend(Duration::ZERO).await;
    assert_eq!(add(&scene, "old", skipped).await, None, "the event is gone");
}

async fn add(scene: &Scene<'_>, id: &str, hook: HookId) -> Option<DeliveryId> {
    let addition = Addition { message: message(id), hook, expires: DAY };
    scene.store.add(&scene.tenant, &[addition]).await.expect("added or not")[0]
}

async fn deliveries(scene: &Scene<'_>, id: &str) -> Vec<Delivery> {
    let query = DeliveryQuery::new().message(message(id));
    scene.store.deliveries(&scene.tenant, &query).await.expect("deliveries").items
}

/// Point 25: an erased payload and the answers to it are given to nobody.
///
/// # Panics
///
/// When the store breaks it.
pub async fn payloads_are_erased(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let [tried, waits, held, dropped] = scene.create_many(4).await[..] else { panic!("four") };
    scene.publish("secret", &[tried, held, dropped]).await;
    let claims = scene.claim(ANA).await;
    for claim in claims.iter().filter(|it| it.hook.hook_id() == tried) {
        let settlement = Settlement::new(claim, Next::Again(Duration::from_secs(60)));
        scene.settle(Settlement { attempt: Some(attempt(1, 500)), ..settlement }).await;
    }
    for claim in claims.iter().filter(|it| it.hook.hook_id() == dropped) {
        scene.finish(claim, Next::Release).await;
    }
    scene.edit(dropped, Backlog::Drop, |_| ()).await;
    scene.publish("other", &[waits]).await;
    assert!(erase(&scene, "secret").await, "there is such an event");
    assert!(!erase(&scene, "never").await, "there is no such event");
    assert!(!erase(&scene.of("other"), "secret").await, "there is none of another tenant");
    let record = scene.store.event(&scene.tenant, &message("secret")).await.expect("read").expect("it stays");
    let payload = record.event.payload.get();
    assert_eq!((record.has_payload, payload), (false, "null"), "the payload is gone");
    nothing_is_left(&scene, [tried, held, dropped]).await;
    let held = claims.iter().find(|it| it.hook.hook_id() == held).expect("it was claimed");
    let late = scene.settle(Settlement::new(held, Next::End(End::Delivered))).await;
    assert!(!late.is_applied(), "what was claimed before is fenced");
    scene.fixture.advance(DAY / 2).await;
    let claim = scene.claim_one(ANA).await;
    assert_eq!(claim.event.message_id, message("other"), "nothing of it is claimed, and all of others");
    scene.deliver(&claim).await;
    let again = scene.publication("secret", &[waits]).await;
    let answer = scene.write(&[again]).await.remove(0);
    assert!(matches!(answer, crate::store::PublishAnswer::Duplicate(_)), "its id stays used: {answer:?}");
    waiting_events_are_not_erased(&scene).await;
}

async fn erase(scene: &Scene<'_>, id: &str) -> bool {
    scene.store.erase_payload(&scene.tenant, &message(id)).await.expect("erased or not there")
}

async fn nothing_is_left(scene: &Scene<'_>, [tried, held, dropped]: [HookId; 3]) {
    let all = deliveries(scene, "secret").await;
    let state = |hook| all.iter().find(|it| it.hook_id == hook).expect("it stays in the log").state;
    let (erased, cancelled) = (DeliveryState::Ended(End::Erased), DeliveryState::Ended(End::Cancelled));
    let told = "its deliveries have ended, unless they had before";
    assert_eq!([state(tried), state(held), state(dropped)], [erased, erased, cancelled], "{told}");
    let first = all.iter().find(|it| it.hook_id == tried).expect("there").id;
    let attempts = scene.attempts(first).await.expect("there");
    let [attempt] = &attempts[..] else { panic!("one attempt was made: {attempts:?}") };
    assert_eq!(attempt.number, 1, "its attempts stay");
    assert!(matches!(&attempt.outcome, Outcome::Answered { body, .. } if body.is_empty()), "without answers");
}

async fn waiting_events_are_not_erased(scene: &Scene<'_>) {
    scene.fixture.write_unrouted(&scene.tenant, event_json("unrouted", &1.into())).await;
    let refused = scene.store.erase_payload(&scene.tenant, &message("unrouted")).await;
    let refused = refused.map_err(|error| error.kind());
    assert_eq!(refused, Err(StoreErrorKind::Conflict), "an event that waits for routing is routed first");
}
