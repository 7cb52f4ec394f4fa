//! Any JSON makes a webhook or is refused; what makes one keeps its rules and every attribute, there and back.

use hookwire::WebhookDraft;
use hookwire::model::{CallbackUrl, Departments, Events, Webhook, WebhookPatch};
use serde_json::{Map, Value, json};

use super::input::Input;
use super::{Target, Verdict};

pub(crate) const TARGET: Target = Target {
    name: "webhook_json",
    holds: |input| holds(&REAL, input),
    planted: &[
        ("forgets_ignore_src", |input| holds(&Form { write: without_source, ..REAL }, input)),
        ("none_means_all", |input| holds(&Form { read: none_as_all, ..REAL }, input)),
    ],
};

/// How webhooks are read and written.
struct Form {
    read: fn(&[u8]) -> Option<Webhook>,
    write: fn(&Webhook) -> Value,
}

const REAL: Form = Form { read, write };

fn read(bytes: &[u8]) -> Option<Webhook> {
    serde_json::from_slice(bytes).ok()
}

fn write(webhook: &Webhook) -> Value {
    serde_json::to_value(webhook).expect("a webhook is JSON")
}

fn without_source(webhook: &Webhook) -> Value {
    let mut value = write(webhook);
    value.as_object_mut().expect("an object").remove("ignore_src");
    value
}

fn none_as_all(bytes: &[u8]) -> Option<Webhook> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    for subscription in value.get_mut("subscriptions")?.as_array_mut()? {
        let departments = subscription.get_mut("dept_ids");
        if let Some(it) = departments.filter(|it| it.as_array().is_some_and(Vec::is_empty)) {
            *it = Value::Null;
        }
    }
    read(value.to_string().as_bytes())
}

fn holds(form: &Form, input: &[u8]) -> Verdict {
    let mut input = Input::new(input);
    let text = if input.chance_in(4) { input.rest().to_vec() } else { built(&mut input) };
    let given = serde_json::from_slice::<Map<String, Value>>(&text).ok();
    takes_any_object(&text, given.is_some())?;
    let Some(webhook) = (form.read)(&text) else { return Ok(()) };
    let Some(given) = given else { return Err("what is no object makes a webhook".to_owned()) };
    follows_its_rules(&webhook)?;
    is_as_given(&webhook, &given)?;
    let written = (form.write)(&webhook);
    is_as_given(&webhook, written.as_object().ok_or("a webhook is written as no object")?)?;
    let again = (form.read)(written.to_string().as_bytes());
    ensure!(again.as_ref() == Some(&webhook), "{written} is read as {again:?}");
    Ok(())
}

/// Drafts and patches refuse nothing that is an object, so that every fault can be told at once.
fn takes_any_object(text: &[u8], is_object: bool) -> Verdict {
    let (draft, patch) = (serde_json::from_slice::<WebhookDraft>(text), serde_json::from_slice(text));
    ensure!(draft.is_ok() == is_object, "as a draft: {draft:?}");
    let patch: Result<WebhookPatch, _> = patch;
    ensure!(patch.is_ok() == is_object, "as a patch: {patch:?}");
    Ok(())
}

fn follows_its_rules(webhook: &Webhook) -> Verdict {
    ensure!(!webhook.name().is_empty(), "a webhook without a name");
    let mut events: Vec<_> = webhook.subscriptions().iter().map(|it| it.events()).collect();
    ensure!(!events.is_empty(), "a webhook without a subscription");
    events.sort_unstable();
    ensure!(events.windows(2).all(|two| two[0] != two[1]), "an event twice");
    let url = webhook.url().as_url();
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    ensure!(bare && url.has_host(), "the URL {url}");
    Ok(())
}

/// Each attribute is what the JSON says, and one that it leaves out has its default.
fn is_as_given(webhook: &Webhook, given: &Map<String, Value>) -> Verdict {
    let text = |key: &str| given.get(key).and_then(Value::as_str);
    let long = |key: &str| given.get(key).and_then(as_long);
    let url = text("url").and_then(|url| CallbackUrl::parse_allowing_http(url).ok());
    let status = i64::from(webhook.status());
    ensure!(text("name") == Some(webhook.name()), "the name {:?}", webhook.name());
    ensure!(text("desc") == webhook.desc(), "the description {:?}", webhook.desc());
    ensure!(url.as_ref() == Some(webhook.url()), "the URL {:?}", webhook.url());
    let source = webhook.ignore_src().map(|it| it.as_str());
    ensure!(text("ignore_src") == source, "the ignored source {source:?}");
    ensure!(long("hook_id") == Some(webhook.hook_id().get()), "the id {}", webhook.hook_id());
    ensure!(long("status").unwrap_or(1) == status, "the status {status}");
    let list = given.get("subscriptions").and_then(Value::as_array);
    let list = list.ok_or("no list of subscriptions")?;
    ensure!(list.len() == webhook.subscriptions().len(), "{list:?} has lost some");
    for (subscription, given) in webhook.subscriptions().iter().zip(list) {
        let is_given = match subscription.events() {
            Events::One(id) => given.get("event_id").and_then(as_long) == Some(id.get().into()),
            Events::Matching(pattern) => {
                given.get("events").and_then(Value::as_str) == Some(pattern.to_string().as_str())
            }
        };
        ensure!(is_given, "the event {subscription:?}");
        departments_are(subscription.departments(), given.get("dept_ids"))?;
        let filter = given.get("filter").filter(|it| !it.is_null());
        let kept = subscription.filter().map(|it| serde_json::to_value(it).expect("a filter is JSON"));
        ensure!(kept.as_ref() == filter, "the filter {filter:?} became {kept:?}");
        let template = given.get("template").filter(|it| !it.is_null());
        let kept = subscription.template().map(|it| serde_json::to_value(it).expect("a template is JSON"));
        ensure!(kept.as_ref() == template, "the template {template:?} became {kept:?}");
    }
    Ok(())
}

fn departments_are(departments: &Departments, given: Option<&Value>) -> Verdict {
    let given = given.filter(|it| !it.is_null());
    let given: Option<Vec<_>> =
        given.map(|it| it.as_array().into_iter().flatten().filter_map(as_long).collect());
    let narrowed: Option<Vec<_>> = match departments {
        Departments::All => None,
        Departments::Only(set) => Some(set.iter().map(|it| it.get()).collect()),
    };
    let sorted = given.map(|mut ids| {
        ids.sort_unstable();
        ids.dedup();
        ids
    });
    ensure!(narrowed == sorted, "departments {sorted:?} became {narrowed:?}");
    Ok(())
}

/// Longs come as numbers or as text.
fn as_long(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A webhook's JSON, with what is right more often than what is not.
fn built(input: &mut Input<'_>) -> Vec<u8> {
    let mut object = Map::new();
    let source = input.text(8);
    let ids = [json!(1), json!("7"), json!(i64::MAX), json!(-1), json!("x"), Value::Null];
    let names = [json!("a"), json!("é\u{0}"), json!(source), json!(""), json!(3)];
    let texts = [json!("b"), Value::Null, json!(source), json!(""), json!([])];
    let urls =
        ["https://a.example/", "http://127.0.0.1:1/", "http://a.example/", "https://u@a.example/", "x"];
    let statuses = [json!(0), json!("1"), json!(1), json!(2), Value::Null];
    put(input, &mut object, "hook_id", &ids);
    put(input, &mut object, "name", &names);
    put(input, &mut object, "desc", &texts);
    put(input, &mut object, "ignore_src", &texts);
    put(input, &mut object, "url", &urls.map(Value::from));
    put(input, &mut object, "status", &statuses);
    put(input, &mut object, "other", &texts);
    let count = 1 + input.below(3);
    let mut subscriptions: Vec<_> = (0..count).map(|_| subscription(input)).collect();
    let has_none = input.chance_in(16);
    // Last, so that inputs that were kept before there were filters and templates mean what they meant.
    if let Some(Value::Object(first)) = subscriptions.first_mut() {
        put(input, first, "filter", &filters());
        if input.chance_in(4) {
            first.remove("event_id");
            put(input, first, "events", &["*", "a.*", "a"].map(Value::from));
        }
        put(input, first, "template", &templates());
    }
    object.insert("subscriptions".to_owned(), if has_none { json!([]) } else { subscriptions.into() });
    Value::from(object).to_string().into_bytes()
}

/// One of these values, the first ones most often; now and then none.
fn put(input: &mut Input<'_>, object: &mut Map<String, Value>, key: &str, values: &[Value]) {
    let often = &values[..3.min(values.len())];
    let value = if input.chance_in(8) { input.pick(values) } else { input.pick(often) };
    if !input.chance_in(16) {
        object.insert(key.to_owned(), value);
    }
}

fn filters() -> [Value; 5] {
    let sound = json!([{"pointer": "/a", "one_of": ["x", 1, null]}, {"pointer": "/b", "exists": false}]);
    [Value::Null, sound, json!([{"pointer": "", "equals": 1}]), json!([]), json!({})]
}

fn templates() -> [Value; 5] {
    let sound = json!({"a": "${payload.a.0}", "${": ["${eventBy} é\u{0}", 1.5, {}]});
    [Value::Null, sound, json!("${payload"), json!(["${x}"]), json!(["${$}{"])]
}

fn subscription(input: &mut Input<'_>) -> Value {
    let mut object = Map::new();
    let events =
        [json!(input.below(18)), json!(input.below(3).to_string()), json!(99), json!(-1), Value::Null];
    put(input, &mut object, "event_id", &events);
    let departments = [Value::Null, json!([9, "7", 9]), json!([1]), json!([]), json!(["x"]), json!(5)];
    put(input, &mut object, "dept_ids", &departments);
    object.into()
}
