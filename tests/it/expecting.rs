//! Changes of a webhook that expect it at a version.

use hookwire::model::{DeliveryOptions, WebhookPatch};
use hookwire::registry::Backlog;
use hookwire::service::{Details, Rotation};
use hookwire::{Error, ErrorKind, HookId, Tenant, WebhookDraft, assist};

use crate::seed::support::{Service, create, named};

fn draft() -> WebhookDraft {
    named("hook").subscribe(assist::DEVICE_ADD)
}

const CHANGES: [&str; 9] =
    ["replace", "patch", "disable", "enable", "pause", "resume", "set_options", "rotate_secret", "delete"];

/// Makes a change of a webhook by its name.
async fn change(acme: &Tenant, hook: HookId, name: &str) -> Result<(), Error> {
    match name {
        "replace" => acme.replace(hook, &draft().describe("d")).await.map(drop),
        "patch" => acme.patch(hook, &WebhookPatch::new().describe("e")).await.map(drop),
        "disable" => acme.disable(hook).await.map(drop),
        "enable" => acme.enable(hook, Backlog::Resume).await.map(drop),
        "pause" => acme.pause(hook).await.map(drop),
        "resume" => acme.resume(hook).await.map(drop),
        "set_options" => acme.set_options(hook, DeliveryOptions::new()).await,
        "rotate_secret" => acme.rotate_secret(hook, Rotation::default()).await.map(drop),
        "delete" => acme.delete(hook).await,
        other => panic!("{other} is no change"),
    }
}

async fn details(acme: &Tenant, hook: HookId) -> Details {
    acme.details(hook).await.expect("there")
}

#[tokio::test]
async fn each_change_is_made_to_the_version_that_it_expects_and_to_no_other() {
    let service = Service::new();
    let acme = service.acme();
    for name in CHANGES {
        let hook = create(&acme, &draft()).await.hook_id();
        let seen = details(&acme, hook).await.version;
        acme.patch(hook, &WebhookPatch::new().name("changed meanwhile")).await.expect("changed");
        let present = details(&acme, hook).await;
        let secret = acme.reveal_secret(hook).await.expect("shown");
        let refused = change(&acme.expecting(seen), hook, name).await.expect_err(name);
        assert_eq!(*refused.kind(), ErrorKind::Outdated, "{name}: {refused}");
        let after = details(&acme, hook).await;
        assert_eq!((after.version, after.webhook), (present.version, present.webhook), "{name}");
        assert_eq!(acme.reveal_secret(hook).await.expect("shown").expose(), secret.expose(), "{name}");
        change(&acme.expecting(present.version), hook, name).await.expect(name);
        let gone = change(&acme.expecting(present.version), HookId::new(99), name).await.expect_err(name);
        assert_eq!(*gone.kind(), ErrorKind::NotFound, "{name}");
        acme.delete(hook).await.ok();
    }
}

#[tokio::test]
async fn of_two_changes_to_the_same_version_one_is_made() {
    let service = Service::new();
    let acme = service.acme();
    let hook = create(&acme, &draft()).await.hook_id();
    let acme = acme.expecting(details(&acme, hook).await.version);
    let [one, other] = ["one", "other"].map(|name| WebhookPatch::new().name(name));
    let (one, other) = tokio::join!(acme.patch(hook, &one), acme.patch(hook, &other));
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|it| **it).count(), 1);
}
