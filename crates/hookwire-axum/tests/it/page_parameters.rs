//! Manage Parameters on the page: while a webhook is added, and for one of its subscriptions; and forms that are sent twice.

use axum::http::header::LOCATION;
use hookwire::testing::RecordingTransport;
use hookwire::{HookId, TenantId, Webhook, assist};
use hookwire_axum::page::Page;

use crate::page::{Host, Shown};

const NEW: [(&str, &str); 4] = [
    ("name", "Device log"),
    ("url", "https://hooks.example.com/in"),
    ("event", "DEVICE_ONLINE"),
    ("event", "DEVICE_OFFLINE"),
];
const TEMPLATE: &str = r#"{"text": "${payload.nobody} is on"}"#;

fn host() -> Host {
    Host::with(RecordingTransport::new(), Page::new())
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    NEW.iter().chain(more).copied().collect()
}

async fn webhooks(host: &Host) -> Vec<Webhook> {
    host.hooks.tenant(TenantId::new("acme").expect("valid")).list().await.expect("listed")
}

fn key_of(shown: &Shown) -> &str {
    let rest = shown.html.split("name=\"key\" value=\"").nth(1).expect("a key");
    rest.split('"').next().expect("quoted")
}

#[tokio::test]
async fn a_template_is_checked_and_previewed_before_the_webhook_is_created() {
    let host = host();
    let owner = host.owner();
    owner.get("/new").await.has("Manage Parameters").has("Insert Params");
    let shown = owner.post("/new", &with(&[("template", TEMPLATE), ("do", "preview")])).await;
    shown.has("is not in the sample").has("${payload.nobody}").has("value=\"Device log\"");
    for wrong in ["{", r#"{"a": "${nonsense}"}"#] {
        let refused = owner.post("/new", &with(&[("template", wrong), ("do", "save")])).await;
        assert_eq!(refused.status, 422, "{wrong}");
        refused.has("id=\"template\"").has("aria-invalid=\"true\"").has("value=\"Device log\"");
    }
    assert!(webhooks(&host).await.is_empty(), "nothing was created");
    owner.post("/new", &with(&[("template", TEMPLATE), ("do", "save")])).await.has("whsec_");
    let created = webhooks(&host).await;
    assert!(created[0].subscriptions().iter().all(|it| it.template().is_some()), "each event has it");
}

#[tokio::test]
async fn faults_of_the_draft_and_of_the_template_are_told_at_once() {
    let host = host();
    let fields = [("name", ""), ("event", "DEVICE_ONLINE"), ("template", r#"{"a": "${x}"}"#), ("do", "save")];
    let refused = host.owner().post("/new", &fields).await;
    assert_eq!(refused.status, 422);
    refused.has("${x}").has("x&quot; is no parameter");
}

#[tokio::test]
async fn a_subscription_has_a_template_of_its_own() {
    let host = host();
    let owner = host.owner();
    owner.post("/new", &with(&[("do", "save")])).await.has("whsec_");
    owner.get("/1/parameters").await.has("All events").has("/1/parameters?event=DEVICE_OFFLINE");
    let path = "/1/parameters?event=DEVICE_OFFLINE";
    let previewed = owner.post(path, &[("template", TEMPLATE), ("do", "preview")]).await;
    previewed.has("is not in the sample");
    assert_eq!(owner.post(path, &[("template", TEMPLATE), ("do", "save")]).await.status, 303);
    let acme = host.hooks.tenant(TenantId::new("acme").expect("valid"));
    let webhook = acme.get(HookId::new(1)).await.expect("there");
    let of = |event| webhook.subscription(event, host.hooks.catalog()).and_then(|it| it.template()).is_some();
    assert_eq!((of(assist::DEVICE_OFFLINE), of(assist::DEVICE_ONLINE)), (true, false));
    owner.get(path).await.has("payload.nobody");
    owner.get("/1/parameters").await.lacks("payload.nobody");
    assert_eq!(owner.post(path, &[("template", ""), ("do", "save")]).await.status, 303, "it is removed");
    owner.get(path).await.lacks("payload.nobody");
    assert_eq!(
        owner.get("/1/parameters?event=SESSION_STARTED").await.status,
        404,
        "it has no such subscription"
    );
}

#[tokio::test]
async fn a_form_that_is_sent_twice_creates_one_webhook() {
    let host = host();
    let owner = host.owner();
    let asked = owner.get("/new").await;
    let key = key_of(&asked);
    owner.post("/new", &with(&[("key", key), ("do", "save")])).await.has("whsec_");
    let again = owner.post("/new", &with(&[("key", key), ("do", "save")])).await;
    assert_eq!((again.status, again.header(LOCATION)), (303, "/settings/webhooks/1"));
    let mut other = with(&[("key", key), ("do", "save")]);
    other[0].1 = "Another";
    let refused = owner.post("/new", &other).await;
    assert_eq!(refused.status, 422);
    refused.has("Create another one?").has("value=\"Another\"").lacks(key);
    assert_eq!(webhooks(&host).await.len(), 1);
    let mut other = with(&[("key", key_of(&refused)), ("do", "save")]);
    other[0].1 = "Another";
    owner.post("/new", &other).await.has("whsec_");
    assert_eq!(webhooks(&host).await.len(), 2);
}
