//! `dept_ids`, long[]: the departments for which a subscription wants its event.

use hookwire::model::{Departments, Rule, WebhookPatch};
use hookwire::routing::{SkipReason, Verdict};
use hookwire::{DeptId, Event, assist};
use serde_json::{Value, json};

use super::support::{Service, create, event, from_json, invalid, named};

fn dept(id: i64) -> DeptId {
    DeptId::new(id)
}

fn in_department(id: i64) -> Event {
    event(assist::DEVICE_ONLINE).department(dept(id))
}

/// A draft for one event with these `dept_ids`.
fn with_departments(dept_ids: Value) -> Value {
    json!({"name": "a", "url": "https://a.example/",
        "subscriptions": [{"event_id": 13, "dept_ids": dept_ids}]})
}

#[tokio::test]
async fn each_webhook_hears_of_its_departments() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("all").subscribe(assist::DEVICE_ONLINE)).await;
    create(&acme, &named("seven").subscribe_in(assist::DEVICE_ONLINE, [dept(7)])).await;
    create(&acme, &named("both").subscribe_in(assist::DEVICE_ONLINE, [dept(7), dept(9)])).await;
    let cases = [
        (in_department(7), vec!["all", "both", "seven"]),
        (in_department(9), vec!["all", "both"]),
        (in_department(8), vec!["all"]),
        (event(assist::DEVICE_ONLINE), vec!["all"]),
    ];
    for (event, heard) in cases {
        acme.publish(event).await.expect("known");
        assert_eq!(service.heard().await, heard);
    }
}

#[tokio::test]
async fn each_subscription_has_departments_of_its_own() {
    let service = Service::new();
    let acme = service.acme();
    let draft =
        named("a").subscribe_in(assist::DEVICE_ONLINE, [dept(7)]).subscribe_in(assist::DEVICE_ADD, [dept(8)]);
    create(&acme, &draft).await;
    acme.publish(in_department(8)).await.expect("known");
    acme.publish(event(assist::DEVICE_ADD).department(dept(7))).await.expect("known");
    assert!(service.heard().await.is_empty());
    acme.publish(event(assist::DEVICE_ADD).department(dept(8))).await.expect("known");
    assert_eq!(service.heard().await, ["a"]);
}

#[tokio::test]
async fn an_event_of_another_department_says_so() {
    let acme = Service::new().acme();
    create(&acme, &named("seven").subscribe_in(assist::DEVICE_ONLINE, [dept(7)])).await;
    for event in [in_department(8), event(assist::DEVICE_ONLINE)] {
        let routes = acme.route(&event).await.expect("known");
        assert_eq!(routes[0].verdict, Verdict::Skip(SkipReason::OtherDepartment));
    }
}

#[tokio::test]
async fn absent_and_null_mean_every_department() {
    let acme = Service::new().acme();
    let absent = json!({"name": "a", "url": "https://a.example/", "subscriptions": [{"event_id": 13}]});
    for draft in [absent, with_departments(Value::Null)] {
        let webhook = create(&acme, &from_json(draft)).await;
        assert_eq!(webhook.subscriptions()[0].departments(), &Departments::All);
    }
}

#[tokio::test]
async fn several_departments_fold_into_one_ascending_set() {
    let acme = Service::new().acme();
    let webhook = create(&acme, &from_json(with_departments(json!(["9", 7, 9, -1])))).await;
    let expected = Departments::only([dept(-1), dept(7), dept(9)]).expect("three");
    assert_eq!(webhook.subscriptions()[0].departments(), &expected);
}

#[tokio::test]
async fn an_empty_list_is_refused_from_json_and_from_code() {
    let acme = Service::new().acme();
    let from_code = named("a").subscribe_in(assist::DEVICE_ONLINE, []);
    for draft in [from_json(with_departments(json!([]))), from_code] {
        let error = acme.create(&draft).await.expect_err("no department");
        assert_eq!(invalid(&error), [("subscriptions[0].dept_ids", Rule::Empty)]);
    }
    assert!(acme.list().await.expect("in memory").is_empty());
}

#[tokio::test]
async fn taking_the_last_department_away_never_widens_a_subscription() {
    let service = Service::new();
    let acme = service.acme();
    let webhook = create(&acme, &named("seven").subscribe_in(assist::DEVICE_ONLINE, [dept(7)])).await;
    let json = r#"{"subscriptions": [{"event_id": 13, "dept_ids": []}]}"#;
    let patch: WebhookPatch = serde_json::from_str(json).expect("a patch");
    let error = acme.patch(webhook.hook_id(), &patch).await.expect_err("no department");
    assert_eq!(invalid(&error), [("subscriptions[0].dept_ids", Rule::Empty)]);
    assert_eq!(acme.get(webhook.hook_id()).await.expect("it is there"), webhook);
    acme.publish(in_department(8)).await.expect("known");
    assert!(service.heard().await.is_empty());
}

#[tokio::test]
async fn one_event_stands_in_one_subscription() {
    let acme = Service::new().acme();
    let twice = named("a").subscribe_in(assist::DEVICE_ONLINE, [dept(7)]).subscribe(assist::DEVICE_ONLINE);
    let error = acme.create(&twice).await.expect_err("twice");
    assert_eq!(invalid(&error), [("subscriptions[1].event_id", Rule::DuplicateEvent)]);
}

#[tokio::test]
async fn departments_of_the_wrong_type_are_each_named() {
    let acme = Service::new().acme();
    let error = acme.create(&from_json(with_departments(json!([7, "x", 1.5])))).await.expect_err("not longs");
    let fields = ["subscriptions[0].dept_ids[1]", "subscriptions[0].dept_ids[2]"];
    assert_eq!(invalid(&error), fields.map(|field| (field, Rule::WrongType)));
    let error = acme.create(&from_json(with_departments(json!(7)))).await.expect_err("no list");
    assert_eq!(invalid(&error), [("subscriptions[0].dept_ids", Rule::WrongType)]);
}
