//! The page in Chromium: each step of Zoho Assist's instructions, the keyboard, both looks, and axe-core.

use browser::{Browser, Theme};
use fantoccini::Locator;
use fantoccini::key::Key;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, WebhookDraft, assist};
use hookwire_axum::page::{Page, Texts};
use serde_json::json;

const URL: &str = "https://hooks.example.com/assist";

async fn browser() -> Browser {
    Browser::start(Theme::Light, 1000).await
}

/// Fills in step 4 of the instructions.
async fn fill(browser: &Browser) {
    browser.open("/new").await;
    browser.fill("Name", "Device log").await;
    browser.fill("Description", "Unattended devices, to the CRM").await;
    browser.fill("Callback URL", URL).await;
    browser.fill("Source ID", "crm-sync").await;
}

async fn register(browser: &Browser, name: &str) {
    let draft = WebhookDraft::new(name, URL).subscribe(assist::DEVICE_ONLINE);
    browser.tenant().create(&draft).await.expect("created");
}

#[tokio::test(flavor = "multi_thread")]
async fn step_2_the_settings_list_the_webhooks() {
    let browser = browser().await;
    browser.open("").await;
    browser.sees("There are no webhooks yet.").await;
    register(&browser, "Device log").await;
    browser.open("").await;
    browser.sees("Device log").await;
    browser.sees("1 in use, of at most 20").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn step_3_select_add_webhook() {
    let browser = browser().await;
    browser.open("").await;
    browser.click("Add Webhook").await;
    browser.sees("Callback URL").await;
    assert_eq!(browser.path().await, "/new");
}

#[tokio::test(flavor = "multi_thread")]
async fn step_4_add_name_description_and_callback_url() {
    let browser = browser().await;
    browser.open("/new").await;
    browser.fill("Callback URL", "http://hooks.example.com/").await;
    browser.click("Create Webhook").await;
    browser.sees("Please correct what is marked.").await;
    assert_eq!(browser.value("Callback URL").await, "http://hooks.example.com/", "what was typed stays");
    let marked = browser.client.find_all(Locator::Css("[aria-invalid]")).await.expect("found");
    assert_eq!(marked.len(), 2, "name and URL");
    fill(&browser).await;
    assert_eq!(browser.value("Source ID").await, "crm-sync");
}

#[tokio::test(flavor = "multi_thread")]
async fn step_5_ping_url() {
    let browser = browser().await;
    fill(&browser).await;
    browser.click("Ping URL").await;
    browser.sees("answered 200").await;
    browser.sees("thanks").await;
    assert_eq!(browser.value("Name").await, "Device log");
}

#[tokio::test(flavor = "multi_thread")]
async fn step_6_select_module_event_and_department() {
    let browser = browser().await;
    fill(&browser).await;
    browser.tick("Device Online").await;
    let open = "//li[label[normalize-space()='Device Online']]//summary";
    browser.client.find(Locator::XPath(open)).await.expect("there").click().await.expect("opened");
    let support = "//li[label[normalize-space()='Device Online']]//label[normalize-space()='Support']/input";
    browser.client.find(Locator::XPath(support)).await.expect("there").click().await.expect("ticked");
    browser.click("Create Webhook").await;
    browser.sees("whsec_").await;
    let webhooks = browser.tenant().list().await.expect("listed");
    let subscriptions = json!(webhooks[0].subscriptions());
    assert_eq!(subscriptions, json!([{"event_id": 13, "dept_ids": [9]}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn step_7_ping_event() {
    let browser = browser().await;
    fill(&browser).await;
    browser.tick("Device Online").await;
    let select = browser.client.find(Locator::Id("test")).await.expect("there");
    select.select_by_value("DEVICE_ONLINE").await.expect("chosen");
    browser.click("Ping Event").await;
    browser.sees("Ping Event: DEVICE_ONLINE").await;
    browser.sees("eventType").await;
    browser.sees("answered 200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn step_8_create_webhook() {
    let browser = browser().await;
    fill(&browser).await;
    browser.tick("Device Online").await;
    browser.click("Create Webhook").await;
    browser.sees("whsec_").await;
    browser.click("TypeScript").await;
    browser.sees("import { Webhook }").await;
    browser.open("").await;
    browser.sees(URL).await;
    assert!(!browser.text().await.contains("whsec_"), "the secret is shown once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_created_webhook_is_accessed_and_edited_from_the_menu() {
    let browser = browser().await;
    register(&browser, "Device log").await;
    browser.open("").await;
    browser.click("Device log").await;
    browser.click("Edit").await;
    browser.fill("Name", "Journal").await;
    browser.click("Save").await;
    browser.sees("Journal").await;
    browser.click("Disable").await;
    browser.sees("Disabled").await;
    browser.click("Delete").await;
    let confirm = browser.client.find(Locator::Css("button[value=delete]")).await.expect("there");
    confirm.click().await.expect("confirmed");
    browser.sees("There are no webhooks yet.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_twenty_is_told_before_it_is_hit() {
    let browser = browser().await;
    for n in 0..20 {
        let event = assist::catalog().iter().nth(n % 10).expect("eighteen").id();
        let draft = WebhookDraft::new(format!("{n}"), URL).subscribe(event);
        browser.tenant().create(&draft).await.expect("created");
    }
    browser.open("").await;
    browser.sees("20 in use, of at most 20").await;
    assert!(!browser.text().await.contains("Add Webhook"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_its_retry_and_its_reason_are_shown() {
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 500 } else { 200 }));
    let browser = Browser::with(Theme::Light, 1000, Page::new(), transport).await;
    register(&browser, "Device log").await;
    let event = Event::new(assist::DEVICE_ONLINE, &json!({"deviceName": "LAB-4"})).expect("JSON");
    let id = browser.tenant().publish(event).await.expect("published").message_id().to_string();
    browser.hooks.deliver_due().await.expect("tried");
    browser.open("/1").await;
    browser.click("Deliveries").await;
    browser.sees("Next attempt").await;
    browser.click("Attempts: 1").await;
    browser.sees("answered 500").await;
    browser.click("Send again").await;
    browser.hooks.deliver_due().await.expect("made");
    browser.open("/explain").await;
    browser.fill("Message", &id).await;
    let button = browser.client.find(Locator::Css("main form button")).await.expect("there");
    button.click().await.expect("asked");
    browser.sees("webhook 1: ").await;
}

/// From the list to a new webhook with no pointer: Tab, Space and Enter alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_created_by_the_keyboard_alone() {
    let browser = browser().await;
    browser.open("/new").await;
    tab_to(&browser, "document.activeElement.id == 'name'").await;
    press(&browser, "Device log").await;
    tab_to(&browser, "document.activeElement.id == 'url'").await;
    press(&browser, URL).await;
    tab_to(&browser, "document.activeElement.value == 'DEVICE_ONLINE'").await;
    press(&browser, " ").await;
    tab_to(&browser, "document.activeElement.value == 'save'").await;
    let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, "solid", "where the focus is, is seen");
    press(&browser, &String::from(char::from(Key::Enter))).await;
    browser.sees("whsec_").await;
}

async fn press(browser: &Browser, keys: &str) {
    let element = browser.client.active_element().await.expect("focused");
    element.send_keys(keys).await.expect("typed");
}

async fn tab_to(browser: &Browser, is_there: &str) {
    for _ in 0..100 {
        press(browser, &String::from(char::from(Key::Tab))).await;
        if browser.run(&format!("return {is_there}")).await == true {
            return;
        }
    }
    panic!("100 times Tab do not lead to where {is_there}");
}

/// axe-core finds nothing on any page, in either look, on a narrow screen or a wide one; and nothing is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_in_either_look() {
    let transport =
        || RecordingTransport::answering(|_, nth| Answer::status(if nth % 2 == 0 { 500 } else { 200 }));
    for (theme, width) in [(Theme::Light, 1000), (Theme::Dark, 500)] {
        let browser = Browser::with(theme, width, Page::new().address("192.0.2.7"), transport()).await;
        inhabit(&browser).await;
        let dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
        assert_eq!(dark, theme == Theme::Dark);
        for path in [
            "",
            "/new",
            "/1",
            "/1/edit",
            "/1/deliveries",
            "/1/parameters?event=DEVICE_ONLINE",
            "/1/recover?since=2020-01-01",
            "/explain",
            "/dry-run",
            "/99",
            "/x",
        ] {
            browser.open(path).await;
            assert_eq!(browser.axe().await, Vec::<String>::new(), "{path}, {theme:?}");
            let overflow =
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(browser.run(overflow).await, 0, "{path} is cut off");
        }
        browser.open("/new").await;
        browser.click("Create Webhook").await;
        browser.sees("Please correct what is marked.").await;
        assert_eq!(browser.axe().await, Vec::<String>::new(), "errors, {theme:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_a_planted_fault() {
    let page =
        Page::new().layout(|shell| format!("<html><body>{}<img src='data:,'></body></html>", shell.body));
    let browser = Browser::with(Theme::Light, 1000, page, RecordingTransport::new()).await;
    browser.open("").await;
    let found = browser.axe().await;
    assert!(found.iter().any(|it| it.contains("image-alt")), "{found:?}");
    assert!(found.iter().any(|it| it.contains("html-has-lang")), "{found:?}");
}

async fn inhabit(browser: &Browser) {
    register(
        browser,
        "A webhook with a name that is rather long, and_one_word_that_does_not_end_in_time_to_be_broken",
    )
    .await;
    for _ in 0..3 {
        let event = Event::new(assist::DEVICE_ONLINE, &json!({})).expect("JSON");
        browser.tenant().publish(event).await.expect("published");
    }
    browser.hooks.deliver_due().await.expect("tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_from_right_to_left_is_laid_out_so() {
    let mut texts = Texts::default();
    (texts.lang, texts.dir) = ("he".into(), "rtl".into());
    texts.webhooks = "\u{5d5}\u{5d5}\u{5d1}\u{5d4}\u{5d5}\u{5e7}\u{5d9}\u{5dd}".into();
    let browser =
        Browser::with(Theme::Light, 1000, Page::new().texts(texts), RecordingTransport::new()).await;
    inhabit(&browser).await;
    for path in ["", "/1", "/1/edit"] {
        browser.open(path).await;
        let right = "const it = document.querySelector('h1').getBoundingClientRect(); \
            return getComputedStyle(document.querySelector('h1')).direction == 'rtl' || it.right > innerWidth / 2";
        assert_eq!(browser.run(right).await, true, "{path}");
        assert_eq!(browser.axe().await, Vec::<String>::new(), "{path}");
    }
}
