//! What the page does by its script, in Chromium, and that it does everything without.

use browser::{Browser, Theme};
use fantoccini::Locator;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, WebhookDraft, assist};
use hookwire_axum::page::{Page, Shell};
use serde_json::json;

const URL: &str = "https://hooks.example.com/assist";

async fn fill(browser: &Browser) {
    browser.open("/new").await;
    browser.fill("Name", "Device log").await;
    browser.fill("Callback URL", URL).await;
}

async fn register_and_publish(browser: &Browser) {
    let draft = WebhookDraft::new("Device log", URL).subscribe(assist::DEVICE_ONLINE);
    browser.tenant().create(&draft).await.expect("created");
    publish(browser).await;
}

async fn publish(browser: &Browser) {
    let event = Event::new(assist::DEVICE_ONLINE, &json!({})).expect("JSON");
    browser.tenant().publish(event).await.expect("published");
    browser.hooks.deliver_due().await.expect("sent");
}

/// Marks the document, which another one does not have.
async fn mark(browser: &Browser) {
    browser.run("window.mark = true").await;
}

async fn is_marked(browser: &Browser) -> bool {
    browser.run("return window.mark === true").await == true
}

/// Waits until a script says yes.
async fn until(browser: &Browser, script: &str) {
    let yes = async {
        while browser.run(script).await != true {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(15), yes).await.expect(script);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_in_place_and_get_the_focus() {
    let browser = Browser::start(Theme::Light, 1000).await;
    fill(&browser).await;
    mark(&browser).await;
    browser.click("Ping URL").await;
    browser.sees("answered 200").await;
    until(&browser, "return document.getElementById('result').contains(document.activeElement)").await;
    assert!(is_marked(&browser).await, "it is the same document");
    browser.tick("Device Online").await;
    browser.click("Create Webhook").await;
    browser.sees("whsec_").await;
    assert!(!is_marked(&browser).await, "what changes something leads on");
    browser.open("/1").await;
    mark(&browser).await;
    browser.click("Check receiver").await;
    until(&browser, "return document.querySelector('#result pre') != null").await;
    assert!(is_marked(&browser).await);
    browser.open("/1/parameters").await;
    browser.fill("JSON", r#"{"device": "${payload.deviceName}"}"#).await;
    mark(&browser).await;
    browser.click("Preview").await;
    browser.sees("\"device\":").await;
    assert!(is_marked(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_is_inserted_where_the_cursor_is() {
    let browser = Browser::start(Theme::Light, 1000).await;
    register_and_publish(&browser).await;
    browser.open("/1/parameters").await;
    browser.fill("JSON", r#"{"device": }"#).await;
    browser.run("document.getElementById('template').setSelectionRange(11, 11)").await;
    browser.click("Insert Params").await;
    browser.click(r#""${payload.deviceName}""#).await;
    assert_eq!(browser.value("JSON").await, r#"{"device": "${payload.deviceName}"}"#);
    assert_eq!(browser.run("return document.activeElement.id").await, "template");
    assert_eq!(browser.axe().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_stands_beside_its_field() {
    let browser = Browser::start(Theme::Light, 1000).await;
    browser.open("/new").await;
    fill(&browser).await;
    browser.tick("Device Online").await;
    browser.click("Create Webhook").await;
    browser.sees("whsec_").await;
    browser.open("/1/parameters").await;
    browser.fill("JSON", "{").await;
    browser.click("Preview").await;
    until(&browser, "return document.querySelector('#template[aria-invalid]') != null").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_sent_once_however_often_its_button_is_pressed() {
    let browser = Browser::start(Theme::Light, 1000).await;
    browser.open("/new").await;
    let twice = "const said = []; \
        window.addEventListener('submit', it => { said.push(it.defaultPrevented); it.preventDefault(); }); \
        const button = document.querySelector('button[value=save]'); button.click(); button.click(); \
        window.dispatchEvent(new Event('pageshow')); button.click(); return said";
    let refused = browser.run(twice).await;
    assert_eq!(refused, json!([false, true, false]), "but once more when the user comes back to the page");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_kept_up_to_date_while_somebody_looks() {
    let browser = Browser::start(Theme::Light, 1000).await;
    register_and_publish(&browser).await;
    browser.open("/1/deliveries").await;
    mark(&browser).await;
    publish(&browser).await;
    until(&browser, "return document.querySelectorAll('section.delivery').length == 2").await;
    assert!(is_marked(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_nobody_sees_asks_for_nothing() {
    let browser = Browser::start(Theme::Light, 1000).await;
    register_and_publish(&browser).await;
    browser.open("/1/deliveries").await;
    let hide = "window.looks = 0; window.asked = 0; const fetched = window.fetch; \
        window.fetch = (...it) => { window.asked += 1; return fetched(...it); }; \
        Object.defineProperty(document, 'hidden', { get: () => { window.looks += 1; return window.isHidden; } }); \
        window.isHidden = true";
    browser.run(hide).await;
    until(&browser, "return window.looks == 1").await;
    assert_eq!(browser.run("return window.asked").await, 0);
    browser.run("window.isHidden = false").await;
    until(&browser, "return window.asked == 1").await;
}

/// The layout of a host that leaves the script out.
fn without_script(shell: Shell<'_>) -> String {
    format!(
        "<!doctype html><html lang={}><title>{}</title><link rel=stylesheet href={}><div class=hw>{}{}</div></html>",
        shell.lang, shell.title, shell.stylesheet, shell.nav, shell.body
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_works_without_script() {
    let page = Page::new().layout(without_script);
    let transport = RecordingTransport::answering(|_, _| Answer::status(200).body("thanks"));
    let browser = Browser::with(Theme::Light, 1000, page, transport).await;
    fill(&browser).await;
    assert_eq!(browser.run("return document.scripts.length").await, 0);
    browser.click("Ping URL").await;
    browser.sees("thanks").await;
    assert_eq!(browser.value("Name").await, "Device log", "what was typed stays");
    browser.tick("Device Online").await;
    let select = browser.client.find(Locator::Id("test")).await.expect("there");
    select.select_by_value("DEVICE_ONLINE").await.expect("chosen");
    browser.click("Ping Event").await;
    browser.sees("Ping Event: DEVICE_ONLINE").await;
    browser.click("Create Webhook").await;
    browser.sees("whsec_").await;
    browser.open("/1/parameters").await;
    browser.fill("JSON", r#"{"device": "${payload.deviceName}"}"#).await;
    browser.click("Preview").await;
    browser.sees("\"device\":").await;
    browser.click("Save").await;
    browser.sees("Select Event").await;
    publish(&browser).await;
    browser.open("/1/deliveries").await;
    browser.sees("delivered").await;
    browser.open("/1/recover?since=2020-01-01").await;
    browser.sees("0 were given up").await;
}
