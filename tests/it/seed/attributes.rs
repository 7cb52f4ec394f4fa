//! The table "Attribute Name | Data type | Description".

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::clock::ManualClock;
use hookwire::model::{CallbackUrl, FailureKind, Rule, Webhook, WebhookPatch};
use hookwire::store::MemoryStore;
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{ErrorKind, WebhookDraft, Webhooks, assist};
use http::{Request, Response};
use serde_json::{Value, json};

use super::support::{RecordingTransport, Service, create, from_json, invalid, named};

fn full() -> Value {
    json!({
        "name": "Device log", "desc": "To the CRM", "url": "https://hooks.example.com/assist",
        "ignore_src": "crm-sync", "status": 0,
        "subscriptions": [{"event_id": 13, "dept_ids": [7, 9]}, {"event_id": 16}],
    })
}

fn minimal() -> Value {
    json!({"name": "a", "url": "https://a.example/", "subscriptions": [{"event_id": 13}]})
}

/// The minimal draft with one attribute set.
fn with(attribute: &str, value: Value) -> WebhookDraft {
    let mut draft = minimal();
    draft[attribute] = value;
    from_json(draft)
}

fn json_of(webhook: &Webhook) -> Value {
    serde_json::to_value(webhook).expect("serialises")
}

#[tokio::test]
async fn a_webhook_is_written_under_exactly_the_attributes_of_the_page() {
    let webhook = create(&Service::new().acme(), &from_json(full())).await;
    let mut expected = full();
    expected["hook_id"] = json!(1);
    assert_eq!(json_of(&webhook), expected);
}

#[tokio::test]
async fn optional_attributes_that_are_not_set_are_left_out() {
    let webhook = create(&Service::new().acme(), &from_json(minimal())).await;
    let mut expected = minimal();
    expected["hook_id"] = json!(1);
    expected["status"] = json!(1);
    assert_eq!(json_of(&webhook), expected);
    let empty = with("desc", json!(""));
    assert_eq!(create(&Service::new().acme(), &empty).await.desc(), None);
}

#[tokio::test]
async fn null_means_left_out() {
    let acme = Service::new().acme();
    for attribute in ["desc", "ignore_src", "status"] {
        let webhook = create(&acme, &with(attribute, Value::Null)).await;
        assert!(json_of(&webhook).get(attribute).is_none_or(|it| *it == json!(1)), "{attribute}");
    }
    for attribute in ["name", "url", "subscriptions"] {
        let error = acme.create(&with(attribute, Value::Null)).await.expect_err(attribute);
        assert_eq!(invalid(&error), [(attribute, Rule::Required)]);
    }
}

#[tokio::test]
async fn longs_are_read_from_strings_and_written_as_numbers() {
    let draft = json!({
        "name": "a", "url": "https://a.example/", "status": "0",
        "subscriptions": [{"event_id": "13", "dept_ids": ["9007199254740993", 7]}],
    });
    let webhook = create(&Service::new().acme(), &from_json(draft)).await;
    let written = json_of(&webhook);
    assert_eq!(written["status"], json!(0));
    let subscription = json!({"event_id": 13, "dept_ids": [7, 9_007_199_254_740_993_i64]});
    assert_eq!(written["subscriptions"], json!([subscription]));
}

#[tokio::test]
async fn hook_ids_are_given_in_order_and_never_taken_from_a_draft() {
    let acme = Service::new().acme();
    for expected in 1..=3 {
        let webhook = create(&acme, &with("hook_id", json!(77))).await;
        assert_eq!(webhook.hook_id().get(), expected);
    }
}

#[tokio::test]
async fn a_webhook_that_was_read_can_be_edited_and_sent_back() {
    let acme = Service::new().acme();
    let webhook = create(&acme, &from_json(full())).await;
    let mut edited = json_of(&webhook);
    let unchanged = acme.replace(webhook.hook_id(), &from_json(edited.clone())).await.expect("sound");
    assert_eq!(*unchanged.webhook(), webhook);
    edited["name"] = json!("Device journal");
    edited["not_an_attribute"] = json!([1, 2]);
    let replaced = acme.replace(webhook.hook_id(), &from_json(edited)).await.expect("sound");
    assert_eq!(
        (replaced.webhook().name(), replaced.webhook().desc()),
        ("Device journal", Some("To the CRM"))
    );
}

#[tokio::test]
async fn every_violation_comes_at_once_with_field_rule_and_message() {
    let draft = json!({
        "name": 5, "desc": ["x"], "url": "http://user@a.example/#top", "ignore_src": "", "status": 2,
        "subscriptions": [{"event_id": 99}, {"event_id": 13, "dept_ids": []}, {"event_id": 13}, 7, {}],
    });
    let error = Service::new().acme().create(&from_json(draft)).await.expect_err("unsound");
    let seen: Vec<_> = error.violations().iter().map(|it| (it.field(), it.rule(), it.message())).collect();
    let expected = [
        ("name", Rule::WrongType, "must be a string, not this number"),
        ("desc", Rule::WrongType, "must be a string, not an array"),
        ("url", Rule::NotHttps, "must start with https://"),
        ("url", Rule::NoUserInfo, "must not carry a user name or password; use a header or the signature"),
        ("url", Rule::NoFragment, "must not have a #fragment; leave it out"),
        ("ignore_src", Rule::Empty, "is empty; leave it out to hear of every source"),
        ("status", Rule::OutOfRange, "a status is 0 (disabled) or 1 (enabled), not 2"),
        ("subscriptions[0].event_id", Rule::UnknownEvent, "there is no event 99; choose one of the catalog"),
        (
            "subscriptions[1].dept_ids",
            Rule::Empty,
            "names no department; leave `dept_ids` out to mean all departments",
        ),
        (
            "subscriptions[2].event_id",
            Rule::DuplicateEvent,
            "event 13 stands in an earlier subscription; join the two",
        ),
        ("subscriptions[3]", Rule::WrongType, "must be an object with `event_id`, not this number"),
        ("subscriptions[4].event_id", Rule::Required, "is missing; name an event of the catalog"),
    ];
    assert_eq!(seen, expected);
    assert!(matches!(error.kind(), ErrorKind::Invalid(violations) if violations == error.violations()));
}

#[tokio::test]
async fn an_empty_draft_misses_what_the_page_does_not_call_optional() {
    let acme = Service::new().acme();
    let error = acme.create(&from_json(json!({}))).await.expect_err("empty");
    let required = ["name", "url", "subscriptions"].map(|field| (field, Rule::Required));
    assert_eq!(invalid(&error), required);
    assert!(acme.list().await.expect("in memory").is_empty());
}

#[tokio::test]
async fn a_value_of_the_wrong_json_type_is_a_violation_of_its_attribute() {
    let acme = Service::new().acme();
    let text = [json!(true), json!(1), json!([]), json!({})];
    let number = [json!(true), json!("on"), json!(0.5), json!([1]), json!({})];
    let list = [json!(true), json!(13), json!("13"), json!({"event_id": 13})];
    let attributes: [(&str, &[Value]); 6] = [
        ("name", &text),
        ("desc", &text),
        ("url", &text),
        ("ignore_src", &text),
        ("status", &number),
        ("subscriptions", &list),
    ];
    for (attribute, values) in attributes {
        for value in values {
            let error = acme.create(&with(attribute, value.clone())).await.expect_err("wrong type");
            assert_eq!(invalid(&error), [(attribute, Rule::WrongType)], "{value}");
        }
    }
}

#[tokio::test]
async fn a_status_other_than_zero_and_one_is_out_of_range() {
    let acme = Service::new().acme();
    for number in [json!(2), json!(-1), json!("2"), json!(i64::MIN)] {
        let error = acme.create(&with("status", number)).await.expect_err("no status");
        assert_eq!(invalid(&error), [("status", Rule::OutOfRange)]);
    }
}

#[tokio::test]
async fn a_callback_url_is_a_valid_https_url() {
    let acme = Service::new().acme();
    let cases = [
        ("", Rule::NotUrl),
        ("hooks.example.com", Rule::NotUrl),
        ("/assist", Rule::NotUrl),
        ("https://", Rule::NotUrl),
        (" https://a.example/", Rule::NotUrl),
        ("http://a.example/", Rule::NotHttps),
        ("ftp://a.example/", Rule::NotHttps),
        ("http://127.0.0.1/", Rule::NotHttps),
        ("https://user:pass@a.example/", Rule::NoUserInfo),
        ("https://a.example/#", Rule::NoFragment),
        ("https://a.example:0/", Rule::PortZero),
    ];
    for (url, rule) in cases {
        let error = acme.create(&with("url", json!(url))).await.expect_err(url);
        assert_eq!(invalid(&error), [("url", rule)], "{url}");
    }
    let hook_id = create(&acme, &with("url", json!("https://a.example/"))).await.hook_id();
    let error =
        acme.patch(hook_id, &WebhookPatch::new().url("https://a.example:0/")).await.expect_err("port 0");
    assert_eq!(invalid(&error), [("url", Rule::PortZero)]);
}

#[tokio::test]
async fn plain_http_is_for_loopback_on_a_service_that_allows_it() {
    let service = Service::build(RecordingTransport::new(), |builder| builder.allow_loopback_http());
    let acme = service.acme();
    create(&acme, &with("url", json!("http://127.0.0.1:8080/"))).await;
    let error = acme.create(&with("url", json!("http://10.0.0.1/"))).await.expect_err("not loopback");
    assert_eq!(invalid(&error), [("url", Rule::NotHttps)]);
}

#[tokio::test]
async fn texts_may_be_as_long_as_documented_and_not_longer() {
    let acme = Service::new().acme();
    let url = |chars: usize| format!("https://a.example/{}", "p".repeat(chars - "https://a.example/".len()));
    let cases = [
        ("name", "é".repeat(100), "é".repeat(101)),
        ("desc", "é".repeat(250), "é".repeat(251)),
        ("url", url(2048), url(2049)),
    ];
    for (attribute, fits, too_long) in cases {
        let webhook = create(&acme, &with(attribute, json!(fits))).await;
        assert_eq!(json_of(&webhook)[attribute], json!(fits));
        let error = acme.create(&with(attribute, json!(too_long))).await.expect_err(attribute);
        assert_eq!(invalid(&error), [(attribute, Rule::TooLong)]);
    }
}

#[tokio::test]
async fn names_without_text_and_texts_with_control_characters_are_refused() {
    let acme = Service::new().acme();
    for blank in ["", " ", "\t\n"] {
        let error = acme.create(&with("name", json!(blank))).await.expect_err("blank");
        assert_eq!(invalid(&error), [("name", Rule::Required)]);
    }
    for attribute in ["name", "desc"] {
        let error = acme.create(&with(attribute, json!("a\u{0}b"))).await.expect_err(attribute);
        assert_eq!(invalid(&error), [(attribute, Rule::Format)]);
    }
}

#[tokio::test]
async fn an_edit_is_checked_like_a_new_webhook_and_changes_nothing_when_refused() {
    let acme = Service::new().acme();
    let webhook = create(&acme, &from_json(full())).await;
    let patch = json!({"name": "", "url": "http://a.example/", "status": 7, "subscriptions": null});
    let patch = serde_json::from_value(patch).expect("every object is a patch");
    let patched = acme.patch(webhook.hook_id(), &patch).await.expect_err("unsound");
    let fields: Vec<_> = invalid(&patched).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["name", "url", "status", "subscriptions"]);
    let replaced = acme.replace(webhook.hook_id(), &from_json(json!({}))).await.expect_err("unsound");
    assert_eq!(replaced.violations().len(), 3);
    assert_eq!(acme.get(webhook.hook_id()).await.expect("it is there"), webhook);
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_removes() {
    let acme = Service::new().acme();
    let webhook = create(&acme, &from_json(full())).await;
    let patch = serde_json::from_value(json!({"desc": null, "status": 1})).expect("a patch");
    let patched = acme.patch(webhook.hook_id(), &patch).await.expect("sound");
    let mut expected = json_of(&webhook);
    expected["status"] = json!(1);
    expected.as_object_mut().expect("an object").remove("desc");
    assert_eq!(json_of(patched.webhook()), expected);
}

/// A transport for which the name of every URL fails in the same way.
#[derive(Debug)]
struct Unreachable(FailureKind);

#[async_trait]
impl Transport for Unreachable {
    async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        Err(TransportError::new(self.0, "as the test says"))
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Err(TransportError::new(self.0, "as the test says"))
    }
}

fn unreachable(kind: FailureKind) -> Webhooks {
    Service::build(RecordingTransport::new(), |builder| builder.transport(Unreachable(kind))).hooks
}

#[tokio::test]
async fn an_address_that_the_policy_refuses_stands_beside_every_other_violation() {
    let acme = unreachable(FailureKind::Refused).tenant("acme".parse().expect("a plain name"));
    let error = acme.create(&named("a").subscribe(assist::DEVICE_ADD)).await.expect_err("refused");
    assert_eq!(invalid(&error), [("url", Rule::AddressRefused)]);
    let error = acme.create(&named("a")).await.expect_err("refused");
    assert_eq!(invalid(&error), [("subscriptions", Rule::Required), ("url", Rule::AddressRefused)]);
    assert!(acme.list().await.expect("in memory").is_empty());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_yet_is_a_warning() {
    let acme = unreachable(FailureKind::Dns).tenant("acme".parse().expect("a plain name"));
    let created = acme.create(&named("a").subscribe(assist::DEVICE_ADD)).await.expect("it can be mended");
    assert_eq!(created.warnings(), ["host name not resolved"]);
}

#[tokio::test]
async fn a_new_url_is_looked_at_as_one_at_creation_and_an_old_one_is_left_alone() {
    let acme = unreachable(FailureKind::Dns).tenant("acme".parse().expect("a plain name"));
    let draft = named("a").subscribe(assist::DEVICE_ADD);
    let id = acme.create(&draft).await.expect("it can be mended").webhook().hook_id();
    let warned = ["host name not resolved"];
    let moved = WebhookDraft::new("a", "https://moved.example/").subscribe(assist::DEVICE_ADD);
    assert_eq!(acme.replace(id, &moved).await.expect("it can be mended").warnings(), warned);
    assert!(acme.replace(id, &moved).await.expect("the URL stays").warnings().is_empty());
    let back = WebhookPatch::new().url("https://back.example/");
    assert_eq!(acme.patch(id, &back).await.expect("it can be mended").warnings(), warned);
    let renamed = acme.patch(id, &WebhookPatch::new().name("b")).await.expect("the URL stays");
    assert!(renamed.warnings().is_empty());
}

#[tokio::test]
async fn an_edit_that_keeps_the_url_is_not_stopped_by_its_address() {
    let store = std::sync::Arc::new(MemoryStore::with_clock(ManualClock::default()));
    let service = |kind: Option<FailureKind>| {
        let builder = Webhooks::builder(assist::catalog()).store(std::sync::Arc::clone(&store));
        let builder = match kind {
            Some(kind) => builder.transport(Unreachable(kind)),
            None => builder.transport(RecordingTransport::new()),
        };
        builder.build().expect("a store and a transport are set").tenant("acme".parse().expect("a name"))
    };
    let webhook = create(&service(None), &from_json(full())).await;
    let refusing = service(Some(FailureKind::Refused));
    refusing.replace(webhook.hook_id(), &from_json(full())).await.expect("the URL stays");
    let error = refusing.replace(webhook.hook_id(), &from_json(minimal())).await.expect_err("another URL");
    assert_eq!(invalid(&error), [("url", Rule::AddressRefused)]);
}

#[tokio::test]
async fn a_long_url_is_measured_as_it_is_stored() {
    let acme = Service::new().acme();
    let draft = with("url", json!(format!("https://a.example/{}", "é".repeat(1000))));
    let error = acme.create(&draft).await.expect_err("6018 characters once encoded");
    assert_eq!(invalid(&error), [("url", Rule::TooLong)]);
}

#[tokio::test]
async fn no_secret_stands_in_a_webhook() {
    let acme = Service::new().acme();
    let created = acme.create(&from_json(full())).await.expect("sound");
    let secret = created.secret().expose();
    let webhook = created.webhook();
    let everywhere = format!("{webhook:?}{}{created:?}", json_of(webhook));
    assert!(!everywhere.contains(secret.as_str()) && !everywhere.contains("whsec_"));
}
