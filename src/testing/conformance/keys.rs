//! Point 27: one webhook for each creation key.

use super::StoreFixture;
use super::scene::{Scene, tenant};
use crate::model::{CreationKey, CreationRecord, HookId, Status, Timestamp, WebhookDraft};
use crate::registry::{Backlog, RegisteredWebhook, Registry, RegistryChange};
use crate::store::{StoreError, StoreErrorKind};

/// Point 27: a key creates one webhook as long as that is there, and is kept with it.
///
/// # Panics
///
/// When the store breaks it.
pub async fn a_key_creates_one_webhook(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let first = record("key", "first");
    let hook = create(&scene, first).await.expect("the key is free");
    assert_eq!(kept(&scene, hook).await, Some(first), "the registry has the key and the content");
    let keyless = scene.create().await;
    assert_eq!(kept(&scene, keyless).await, None, "and none of a webhook that was created without a key");
    changes_leave_it(&scene, hook, first).await;
    the_second_is_refused(&scene).await;
    create(&scene, record("other", "first")).await.expect("another key is free");
    let stranger = scene.of("globex");
    create(&stranger, first).await.expect("another tenant's key is another");
    scene.change(RegistryChange::Delete(hook)).await;
    let again = create(&scene, first).await.expect("a key is free once its webhook is deleted");
    assert_eq!(kept(&scene, again).await, Some(first));
    while scene.store.erase(&tenant("globex"), 10).await.expect("erase").more {}
    create(&stranger, first).await.expect("a key is free once its tenant is erased");
}

fn record(key: &str, content: &str) -> CreationRecord {
    let key = CreationKey::new(key).expect("a short key");
    CreationRecord::new(&key, &WebhookDraft::new(content, ""))
}

async fn create(scene: &Scene<'_>, creation: CreationRecord) -> Result<HookId, StoreError> {
    let new = RegisteredWebhook { creation: Some(creation), ..scene.next_webhook().await };
    let hook = new.hook_id();
    let change = RegistryChange::Create(new);
    scene.store.commit(&scene.tenant, scene.revision().await, &change).await.map(|_| hook)
}

async fn kept(scene: &Scene<'_>, hook: HookId) -> Option<CreationRecord> {
    scene.registered(hook).await.expect("there").creation
}

async fn changes_leave_it(scene: &Scene<'_>, hook: HookId, first: CreationRecord) {
    let elsewhere = scene.elsewhere(hook).await.with_status(Status::Disabled);
    let edit = |it: &mut RegisteredWebhook| it.set_webhook(elsewhere, Timestamp::from_secs(1));
    scene.edit(hook, Backlog::Drop, edit).await;
    for since in [Some(Timestamp::from_secs(1)), None] {
        scene.change(RegistryChange::Suspend(since)).await;
    }
    assert_eq!(kept(scene, hook).await, Some(first), "whatever changes, they stay");
}

async fn the_second_is_refused(scene: &Scene<'_>) {
    let before = scene.store.registry(&scene.tenant).await.expect("registry");
    for content in ["first", "second"] {
        let refused = create(scene, record("key", content)).await.map_err(|error| error.kind());
        assert_eq!(refused, Err(StoreErrorKind::Conflict), "a key creates one webhook, whatever the content");
    }
    let after = scene.store.registry(&scene.tenant).await.expect("registry");
    let numbers = |it: &Registry| (it.revision, it.next_hook_id, it.webhooks.len());
    assert_eq!(numbers(&after), numbers(&before), "a refused creation changes nothing");
}
