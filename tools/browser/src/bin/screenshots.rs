//! Takes the pictures of the page that the documentation shows, into the directory that is named: see `scripts/browser`.

use std::path::{Path, PathBuf};

use browser::{Browser, Theme};
use hookwire::model::MessageQuery;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, WebhookDraft, assist};
use hookwire_axum::page::Page;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: screenshots DIRECTORY")?);
    let transport = RecordingTransport::answering(|request, nth| match request.uri().path() {
        "/crm" if nth % 3 == 0 => Answer::status(502).body("bad gateway"),
        "/old" => Answer::status(410),
        _ => Answer::status(200).body("thanks"),
    });
    let browser = Browser::with(Theme::Light, 1000, Page::new().address("192.0.2.7"), transport).await;
    let message = inhabit(&browser).await?;
    for (name, path) in [("list", ""), ("webhook", "/1"), ("recover", "/1/recover?since=2026-01-01")] {
        browser.open(path).await;
        take(&browser, &directory, name).await?;
    }
    browser.open("/1/deliveries").await;
    browser
        .run("document.querySelectorAll('.beside').forEach(it => it.closest('details').open = true)")
        .await;
    take(&browser, &directory, "deliveries").await?;
    browser.open("/1/parameters").await;
    browser.fill("JSON", r#"{"text": "${payload.deviceName} is on", "at": "${eventTime}"}"#).await;
    browser.click("Preview").await;
    browser.sees("is on").await;
    take(&browser, &directory, "parameters").await?;
    browser.open("/dry-run").await;
    let ask = "document.getElementById('event').value = 'DEVICE_ONLINE'; document.querySelector('main form').requestSubmit()";
    browser.run(ask).await;
    browser.sees("would get it").await;
    take(&browser, &directory, "dry-run").await?;
    browser.open(&format!("/explain?message={message}")).await;
    take(&browser, &directory, "explain").await?;
    browser.open("/new").await;
    browser.fill("Name", "Device log").await;
    browser.fill("Callback URL", "https://crm.example.com/hooks").await;
    browser.tick("Device Online").await;
    browser.click("Ping URL").await;
    browser.sees("answered 200").await;
    take(&browser, &directory, "add").await
}

/// Registers webhooks, publishes events to them, and returns the id of the first message.
async fn inhabit(browser: &Browser) -> Result<String, Box<dyn std::error::Error>> {
    let acme = browser.tenant();
    for (name, url) in [("CRM", "https://crm.example.com/crm"), ("Old desk", "https://desk.example.com/old")]
    {
        let draft = WebhookDraft::new(name, url).subscribe(assist::DEVICE_ONLINE);
        acme.create(&draft.subscribe(assist::DEVICE_OFFLINE)).await?;
    }
    for n in 0..6 {
        let event = if n % 2 == 0 { assist::DEVICE_ONLINE } else { assist::DEVICE_OFFLINE };
        acme.publish(Event::new(event, &json!({"deviceName": format!("LAB-{n}")}))?).await?;
        browser.hooks.deliver_due().await?;
    }
    let messages = acme.messages(&MessageQuery::new()).await?.items;
    Ok(messages.last().map(|it| it.message_id.to_string()).unwrap_or_default())
}

async fn take(browser: &Browser, directory: &Path, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let png = browser.client.screenshot().await?;
    Ok(std::fs::write(directory.join(name).with_extension("png"), png)?)
}
