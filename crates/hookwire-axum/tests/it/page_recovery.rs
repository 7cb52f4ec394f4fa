//! The page when something went wrong: what a webhook has missed is counted and sent again, and a failure stands beside the
//! last success.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::header::LOCATION;
use hookwire::clock::ManualClock;
use hookwire::model::Timestamp;
use hookwire::policy::Policy;
use hookwire::retry::RetryPolicy;
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, Webhooks, assist};
use hookwire_axum::page::Page;
use serde_json::json;

use crate::page::{Browser, Host};

const TENANT: &str = "acme";

/// A host whose webhook took one event, and failed so many after it, each of which is tried once.
async fn given_up(events: usize) -> Host {
    let clock = ManualClock::at(Timestamp::from_secs(1_780_000_000));
    let once = Policy::default().with_retry(RetryPolicy::default().with_delays([]));
    let works = Arc::new(AtomicUsize::new(0));
    let transport = RecordingTransport::answering(move |_, _| {
        Answer::status(if works.fetch_add(1, Ordering::SeqCst) < 1 { 200 } else { 500 })
    });
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::with_clock(clock.clone()));
    let builder =
        builder.clock(clock.clone()).policy(once).transport(transport.clone()).show_response_bodies();
    let host = Host::of(builder.build().expect("sound"), transport, Page::new());
    host.register("Log", "https://hooks.example.com/in").await;
    let acme = host.hooks.tenant(TenantId::new(TENANT).expect("valid"));
    for _ in 0..=events {
        let event = Event::new(assist::DEVICE_ONLINE, &json!({})).expect("JSON");
        acme.publish(event).await.expect("published");
    }
    // They are given up at a later date than that of the events.
    clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    host.hooks.deliver_due().await.expect("tried");
    host
}

async fn pending(host: &Host) -> u64 {
    host.hooks.stats().await.expect("counted").pending()
}

#[tokio::test]
async fn what_was_given_up_is_counted_first_and_then_sent_again() {
    let host = given_up(3).await;
    let owner = host.owner();
    let asked = owner.get("/1/recover?since=2026-05-30").await;
    asked.has("<p>3 were given up.").has("Send again</button>");
    assert_eq!(pending(&host).await, 0, "counting sends nothing");
    let begun = owner.post("/1/recover", &[("since", "2026-05-30")]).await;
    assert_eq!(begun.status, 303, "{}", begun.html);
    let path =
        begun.header(LOCATION).strip_prefix("/settings/webhooks").expect("below the prefix").to_owned();
    owner.get(&path).await.has("Deliveries made anew: <strong>3</strong>").has("That is all.");
    assert_eq!(pending(&host).await, 3);
    owner.get("/1/recover?since=2030-01-01").await.has("<p>0 were given up.").lacks("Send again</button>");
}

#[tokio::test]
async fn a_webhook_is_sent_again_what_was_given_up_since_one_message() {
    let host = given_up(1).await;
    let owner = host.owner();
    let listed = owner.get("/1/deliveries?state=exhausted").await;
    let link =
        listed.html.split("/recover?since=").nth(1).and_then(|it| it.split('"').next()).expect("a link");
    owner.get(&format!("/1/recover?since={link}")).await.has("<p>1 were given up.");
}

#[tokio::test]
async fn what_is_no_time_is_told_beside_the_field() {
    let host = given_up(1).await;
    for text in ["yesterday", "2026-02-30", "20260101"] {
        let asked = host.owner().get(&format!("/1/recover?since={text}")).await;
        asked.has("This is no day, and no time.").has("aria-invalid=\"true\"").has(text);
        let refused = host.owner().post("/1/recover", &[("since", text)]).await;
        assert_eq!(refused.status, 422, "{text}");
    }
    assert_eq!(pending(&host).await, 0);
}

#[tokio::test]
async fn an_operation_is_shown_to_its_tenant_alone() {
    let host = given_up(1).await;
    let begun = host.owner().post("/1/recover", &[("since", "2026-01-01")]).await;
    let path =
        begun.header(LOCATION).strip_prefix("/settings/webhooks").expect("below the prefix").to_owned();
    let stranger: Browser<'_> = host.browser("globex ZohoAssist.webhooks.ALL");
    assert_eq!(stranger.get(&path).await.status, 404);
    assert_eq!(stranger.post(&path, &[]).await.status, 404);
    assert_eq!(host.reader().post(&path, &[]).await.status, 404, "who may only read cancels nothing");
    assert_eq!(host.owner().post(&path, &[]).await.status, 303);
}

#[tokio::test]
async fn a_failed_attempt_stands_beside_the_last_one_that_succeeded() {
    let host = given_up(1).await;
    let listed = host.owner().get("/1/deliveries").await;
    listed.has("This attempt").has("The last that succeeded").has("answered 500").has("answered 200");
    host.owner().get("/1/deliveries?state=delivered").await.lacks("This attempt");
}
