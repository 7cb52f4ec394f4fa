//! Webhooks in plain words: what a user posts, what is stored, and what is shown.

use std::collections::BTreeSet;

use hookwire::model::{EventType, Rule, SealedSecrets, Timestamp, Violation, Webhook};
use hookwire::registry::{
    self, Limits, Refusal, RegisteredWebhook, Registry, RegistryChange, Terms, UrlRule,
};
use hookwire::{Catalog, EventId, WebhookDraft, assist, plain};
use proptest::collection::{btree_map, hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A catalog of the events 1 to 3 that allows everything.
pub(crate) fn catalog() -> Catalog {
    let event = |id, key| EventType::new(EventId::new(id), key, "name", &json!({}));
    let builder = Catalog::builder().event(event(1, "invoice.paid")).event(event(2, "invoice.sent"));
    builder
        .event(event(3, "order.paid"))
        .allow_filters()
        .allow_patterns()
        .allow_templates()
        .build()
        .expect("sound")
}

pub(crate) fn draft(posted: Value) -> plain::Draft {
    serde_json::from_value(posted).expect("every object is a draft")
}

fn create_in(registry: &Registry, catalog: &Catalog, draft: &WebhookDraft) -> Result<Webhook, Refusal> {
    let limits = Some(Limits::default().with_webhooks_per_event(1));
    let terms = Terms { catalog, limits, urls: UrlRule::HttpsOnly, now: Timestamp::default() };
    match registry::create(draft, SealedSecrets::default(), registry, terms)? {
        RegistryChange::Create(registered) => Ok(registered.webhook),
        other => panic!("a creation creates: {other:?}"),
    }
}

fn create(posted: Value) -> Result<Webhook, Vec<Violation>> {
    let draft = catalog().draft(&draft(posted));
    create_in(&Registry::default(), &catalog(), &draft).map_err(Refusal::into_violations)
}

/// Returns what a posted webhook is shown as.
fn shown(posted: Value) -> Value {
    let webhook = create(posted).expect("sound");
    serde_json::to_value(catalog().show(&webhook)).expect("JSON")
}

fn told(posted: Value) -> Vec<String> {
    let violations = create(posted).expect_err("faulty");
    catalog().show_violations(&violations).iter().map(ToString::to_string).collect()
}

fn with_events(events: Value) -> Value {
    json!({"name": "a", "url": "https://a.example/", "events": events})
}

#[test]
fn a_webhook_is_shown_as_it_was_posted() {
    let filter = json!([{"pointer": "/currency", "equals": "EUR"}]);
    let posted = json!({"name": "Books", "description": "To the books", "url": "https://a.example/",
        "ignore_source": "crm", "enabled": false,
        "events": ["invoice.paid", "*", {"event": "invoice.*", "departments": [7, 9]},
            {"event": "order.paid", "filter": filter}, {"event": "invoice.sent", "template": {"a": "${payload}"}}]});
    let mut expected = posted.clone();
    expected["id"] = json!("1");
    assert_eq!(shown(posted), expected);
}

#[test]
fn what_is_left_out_has_its_default_and_an_object_for_nothing_is_a_key() {
    let object = with_events(
        json!([{"event": "invoice.paid", "departments": null, "filter": null, "template": null}]),
    );
    let key = with_events(json!(["invoice.paid"]));
    let expected = json!({"id": "1", "name": "a", "url": "https://a.example/", "events": ["invoice.paid"],
        "enabled": true});
    assert_eq!((shown(object), shown(key)), (expected.clone(), expected));
}

#[test]
fn every_violation_is_told_at_once_by_the_names_that_were_posted() {
    let filter = json!([{"pointer": "currency", "like": 1}]);
    let posted = json!({"description": 5, "url": "http://a.example/", "ignore_source": "", "enabled": 1,
        "events": ["invoice.paid", "invoice.payd", 7, {"event": "invoice.paid", "departments": []},
            {"event": 1, "departments": ["x"]}, {"event": "order.paid", "filter": filter}, {},
            {"event": "invoice.sent", "template": {"dept_ids": ["${x}"]}}]});
    let expected = [
        "name: is missing; give the webhook a name",
        "description: must be a string, not this number",
        "url: must start with https://",
        "ignore_source: is empty; leave it out to hear of every source",
        "enabled: must be true or false, not this number",
        "events[1]: there is no event \"invoice.payd\"; choose one of the catalog",
        "events[2]: must be the key of an event, a pattern such as `invoice.*`, or an object with `event`, not this number",
        "events[3].departments: names no department; leave `departments` out to mean all departments",
        "events[3]: `invoice.paid` stands in an earlier entry; join the two",
        "events[4]: must be the key of an event, or a pattern such as `invoice.*`, not this number",
        "events[4].departments[0]: must be a whole number, not this string",
        "events[5].filter[0].pointer: does not begin with `/`; write for example `/amount/currency`",
        "events[5].filter[0]: \"like\" is no operator; use one of `equals`, `exists`, `one_of`",
        "events[6]: names no event; add `event` with a key of the catalog",
        "events[7].template.dept_ids[0]: \"x\" is no parameter; use `payload`, `payload.NAME`, `eventType`, `eventTime`, `eventBy`, `orgId`, `department` or `messageId`",
    ];
    assert_eq!(told(posted), expected);
    assert_eq!(told(with_events(json!({}))), ["events: must be an array of events, not an object"]);
    assert_eq!(told(with_events(json!([]))), ["events: is empty; subscribe to at least one event"]);
}

#[test]
fn keys_are_compared_as_they_are_written() {
    let unknown = told(with_events(json!(["Invoice.Paid", "1", "99"])));
    let expected = [
        "events[0]: there is no event \"Invoice.Paid\"; choose one of the catalog",
        "events[1]: there is no event \"1\"; choose one of the catalog",
        "events[2]: there is no event 99; choose one of the catalog",
    ];
    assert_eq!(unknown, expected);
}

#[test]
fn limits_name_events_by_their_keys_and_carry_their_numbers() {
    let present = RegisteredWebhook::new(create(with_events(json!(["*"]))).expect("sound"));
    let registry = Registry { webhooks: vec![present], ..Registry::default() };
    let posted = catalog().draft(&draft(with_events(json!(["invoice.sent", "invoice.*"]))));
    let violations = create_in(&registry, &catalog(), &posted).expect_err("full").into_violations();
    let shown = catalog().show_violations(&violations);
    let told: Vec<_> = shown.iter().map(ToString::to_string).collect();
    let expected = [
        "events[0]: 1 webhooks have `invoice.sent`, and at most 1 may; take it from one",
        "events[1]: 1 webhooks have `invoice.paid`, and at most 1 may; take it from one; 2 of its events are full",
    ];
    assert_eq!(told, expected);
    let params: Vec<_> = shown[1].params.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(params, [("count", "1"), ("event", "invoice.paid"), ("full", "2"), ("max", "1")]);
    assert_eq!((violations[1].param("event"), violations[1].param("other")), (Some("1"), None));
}

#[test]
fn an_error_is_told_whole_in_the_names_that_were_posted() {
    let posted = json!({"name": "a", "url": "https://a.example/", "enabled": 1, "events": []});
    let posted = catalog().draft(&draft(posted));
    let refused = create_in(&Registry::default(), &catalog(), &posted).expect_err("faulty");
    let told = json!({
        "code": "invalid",
        "message": "enabled: must be true or false, not this number; events: is empty; subscribe to at least one event",
        "violations": [
            {"path": "enabled", "code": "wrong_type", "params": {"given": "number"},
                "message": "must be true or false, not this number"},
            {"path": "events", "code": "empty", "message": "is empty; subscribe to at least one event"},
        ],
    });
    assert_eq!(json!(catalog().show_error(&refused.into())), told);
    let other = Refusal::NotInEdition;
    let told = json!({"code": "not_in_edition", "message": other.to_string()});
    assert_eq!(json!(catalog().show_error(&other.into())), told);
}

#[test]
fn texts_of_the_host_replace_those_that_it_has() {
    let violations = create(json!({"url": "https://a.example/", "events": [7]})).expect_err("faulty");
    let texts =
        |it: &plain::Violation| (it.code == Rule::WrongType).then(|| format!("ist {}", it.params["given"]));
    let shown = catalog().show_violations(&violations);
    let told: Vec<_> = shown.into_iter().map(|it| it.told_by(texts).to_string()).collect();
    assert_eq!(told, ["name: is missing; give the webhook a name", "events[0]: ist number"]);
}

#[test]
fn an_event_that_left_the_catalog_is_shown_by_its_number_and_may_stay() {
    let json = r#"{"hook_id": 1, "name": "a", "url": "https://a.example/",
        "subscriptions": [{"event_id": 99}, {"event_id": 1}]}"#;
    let old: Webhook = serde_json::from_str(json).expect("a webhook");
    let shown = serde_json::to_value(catalog().show(&old).with_paused(true)).expect("JSON");
    assert_eq!(shown["events"], json!(["99", "invoice.paid"]));
    assert_eq!(shown["paused"], json!(true), "which no edit changes");
    let registry = Registry { webhooks: vec![RegisteredWebhook::new(old.clone())], ..Registry::default() };
    let catalog = catalog();
    let terms = Terms {
        catalog: &catalog,
        limits: Some(Limits::default()),
        urls: UrlRule::HttpsOnly,
        now: Timestamp::default(),
    };
    let again = registry::replace(old.hook_id(), &catalog.draft(&draft(shown)), &registry, terms);
    let RegistryChange::Update(new, _) = again.expect("sound") else { panic!("an edit updates") };
    assert_eq!(new.webhook, old);
}

#[test]
fn events_of_zoho_assist_have_keys_too() {
    let catalog = assist::catalog();
    let posted = catalog.draft(&draft(with_events(json!(["DEVICE_ONLINE", {"event": "*"}]))));
    let violations = create_in(&Registry::default(), &catalog, &posted).expect_err("no patterns");
    let told: Vec<_> =
        catalog.show_violations(&violations.into_violations()).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["events[1]: patterns are not offered here; name each event"]);
}

#[test]
fn a_draft_shows_no_url_when_it_is_debugged() {
    let text = format!("{:?}", draft(json!({"name": "a", "url": "https://a.example/secret"})));
    assert!(text.contains("url") && !text.contains("secret"), "{text}");
}

/// Generates webhooks that are sound, as they are shown.
fn sound() -> impl Strategy<Value = Value> {
    let events = prop_oneof![
        Just("invoice.paid"),
        Just("invoice.sent"),
        Just("order.paid"),
        Just("*"),
        Just("invoice.*"),
        Just("o*"),
    ];
    let departments = option::of(proptest::collection::btree_set(any::<i64>(), 1..3));
    let filter = option::of(prop_oneof![
        any::<i32>().prop_map(|value| json!([{"pointer": "/a", "equals": value}])),
        "[a-z]{0,3}".prop_map(|value| json!([{"pointer": "/a~1b", "one_of": [value, null, true, 0.5]}])),
        any::<bool>().prop_map(|exists| json!([{"pointer": "/", "exists": exists}])),
    ]);
    let template = option::of(prop_oneof![
        "[a-z]{0,3}".prop_map(
            |name| json!({name.clone(): format!("<${{payload.x{name}}}>"), "dept_ids": [1.5, null]})
        ),
        Just(json!("${payload}")),
    ]);
    let events = btree_map(events, (departments, filter, template), 1..6).prop_map(|events| {
        type Narrowing = (Option<BTreeSet<i64>>, Option<Value>, Option<Value>);
        let entry = |(event, (departments, filter, template)): (&str, Narrowing)| {
            let mut entry = json!({ "event": event });
            if let Some(departments) = departments {
                entry["departments"] = json!(departments);
            }
            if let Some(filter) = filter {
                entry["filter"] = filter;
            }
            if let Some(template) = template {
                entry["template"] = template;
            }
            if entry.as_object().is_some_and(|it| it.len() == 1) { json!(event) } else { entry }
        };
        events.into_iter().map(entry).collect::<Vec<_>>()
    });
    let texts = ("[a-z\u{e9}]{1,5}", option::of("[a-z\n]{1,5}"), option::of("[a-z]{1,5}"), any::<bool>());
    (texts, events).prop_map(|((name, description, ignore_source, enabled), events)| {
        let mut webhook = json!({"id": "1", "name": name, "url": "https://a.example/", "events": events,
            "enabled": enabled});
        if let Some(description) = description {
            webhook["description"] = json!(description);
        }
        if let Some(ignore_source) = ignore_source {
            webhook["ignore_source"] = json!(ignore_source);
        }
        webhook
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![Just("invoice.paid"), Just("invoice.payd"), Just("*"), Just("**"), Just("7")]
            .prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let keys = prop_oneof![
            Just("event"),
            Just("departments"),
            Just("filter"),
            Just("template"),
            Just("pointer"),
            Just("equals"),
            Just("event_id"),
        ];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            hash_map(keys, inner, 0..4)
                .prop_map(|it| it.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// Generates objects with the attributes of a webhook and any values.
fn anything() -> impl Strategy<Value = Value> {
    let keys = prop_oneof![
        Just("id"),
        Just("name"),
        Just("description"),
        Just("url"),
        Just("ignore_source"),
        Just("enabled"),
    ];
    let events = prop_oneof![3 => vec(any_json(), 0..4).prop_map(Value::from), 1 => any_json()];
    (hash_map(keys, any_json(), 0..6), option::of(events)).prop_map(|(object, events)| {
        let mut object: Value = object.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        if let Some(events) = events {
            object["events"] = events;
        }
        object
    })
}

/// The names of the other view.
const OTHERS: [&str; 8] = [
    "hook_id",
    "desc:",
    "ignore_src",
    "status",
    "subscriptions",
    "event_id",
    "dept_ids",
    "an earlier subscription",
];

proptest! {
    #[test]
    fn what_is_shown_is_what_was_posted_and_posting_it_again_changes_nothing(posted in sound()) {
        let once = shown(posted.clone());
        prop_assert_eq!(&once, &posted);
        prop_assert_eq!(create(once).expect("sound"), create(posted).expect("sound"));
    }

    #[test]
    fn any_object_makes_a_webhook_or_violations_in_the_names_of_this_view(posted in anything()) {
        match create(posted) {
            Ok(webhook) => {
                let once = serde_json::to_value(catalog().show(&webhook)).expect("JSON");
                prop_assert_eq!(create(once).expect("it was sound"), webhook);
            }
            Err(violations) => {
                for told in catalog().show_violations(&violations) {
                    let text = told.to_string();
                    // A template and a filter have the names that their user chose.
                    let is_of_user = ["].template", "].filter"].iter().any(|it| told.path.contains(it));
                    prop_assert!(is_of_user || !OTHERS.iter().any(|it| text.contains(it)), "{text}");
                    let attribute = told.path.split(['[', '.']).next().expect("a name");
                    let known = ["name", "description", "url", "ignore_source", "enabled", "events"];
                    prop_assert!(known.contains(&attribute), "{text}");
                }
            }
        }
    }
}
