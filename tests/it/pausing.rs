//! What pauses and suspensions do to a service's deliveries, and what is told of them.

use std::sync::{Arc, Mutex};

use hookwire::model::{DeliveryState, End, MessageId, WebhookPatch};
use hookwire::service::Notice;
use hookwire::{DeliveryQuery, Tenant, WebhookDraft, assist};

use crate::seed::support::{RecordingTransport, Service, create, event, named};

fn draft() -> WebhookDraft {
    named("hook").subscribe(assist::DEVICE_ADD)
}

async fn publish(acme: &Tenant) -> MessageId {
    acme.publish(event(assist::DEVICE_ADD)).await.expect("published").message_id().clone()
}

/// The deliveries of the tenant, newest first: each one's state, and whether it says when it is due.
async fn states(acme: &Tenant) -> Vec<(DeliveryState, bool)> {
    let page = acme.deliveries(&DeliveryQuery::new()).await.expect("listed");
    page.items.into_iter().map(|it| (it.state, it.due_at.is_some())).collect()
}

const DELIVERED: (DeliveryState, bool) = (DeliveryState::Ended(End::Delivered), false);
const WAITS: (DeliveryState, bool) = (DeliveryState::Pending, false);

#[tokio::test]
async fn a_paused_webhook_gets_what_came_meanwhile_when_it_is_resumed() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let service = Service::build(RecordingTransport::new(), |builder| {
        builder.observe(move |notice| match notice {
            Notice::Paused { webhook, .. } => heard.lock().expect("sound").push(("paused", webhook.hook_id)),
            Notice::Resumed { webhook, .. } => {
                heard.lock().expect("sound").push(("resumed", webhook.hook_id))
            }
            _ => {}
        })
    });
    let acme = service.acme();
    let hook = create(&acme, &draft()).await.hook_id();
    acme.pause(hook).await.expect("paused");
    acme.pause(hook).await.expect("paused already");
    let id = publish(&acme).await;
    service.deliver().await;
    assert_eq!(states(&acme).await, [WAITS]);
    acme.patch(hook, &WebhookPatch::new().name("other")).await.expect("edited");
    service.deliver().await;
    let text = acme.explain(&id).await.expect("published").to_string();
    assert!(text.contains("waits after 0 attempts: the webhook is paused since 2026-"), "{text}");
    let stats = acme.stats().await.expect("counted");
    assert_eq!((stats.stopped, stats.pending(), stats.oldest_due), (1, 1, None));
    assert!(acme.details(hook).await.expect("there").paused.is_some());
    acme.resume(hook).await.expect("resumed");
    service.deliver().await;
    assert_eq!(states(&acme).await, [DELIVERED]);
    assert_eq!(acme.details(hook).await.expect("there").paused, None);
    assert_eq!(*told.lock().expect("sound"), [("paused", hook), ("resumed", hook)]);
}

#[tokio::test]
async fn a_suspended_tenant_gets_what_came_meanwhile_when_that_ends() {
    let service = Service::on(RecordingTransport::new());
    let acme = service.acme();
    create(&acme, &draft()).await;
    acme.suspend().await.expect("suspended");
    let since = acme.suspended_since().await.expect("read").expect("it is");
    service.clock.advance(std::time::Duration::from_secs(60));
    acme.suspend().await.expect("suspended already");
    assert_eq!(acme.suspended_since().await.expect("read"), Some(since));
    let id = publish(&acme).await;
    service.deliver().await;
    assert_eq!(states(&acme).await, [WAITS]);
    let json = serde_json::to_value(acme.explain(&id).await.expect("published")).expect("JSON");
    let stopped = &json["webhooks"][0]["fate"]["waiting"]["stopped"];
    assert_eq!(stopped["suspended"]["since"], serde_json::json!(since), "{json}");
    acme.unsuspend().await.expect("ended");
    service.deliver().await;
    assert_eq!(states(&acme).await, [DELIVERED]);
    assert_eq!(acme.suspended_since().await.expect("read"), None);
}
