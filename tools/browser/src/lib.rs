//! Drives a real Chromium over the page of `hookwire-axum`, for the tests of this crate and for the screenshots of the
//! documentation. `scripts/browser` installs what it needs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::http::request::Parts;
use axum::response::Response;
use fantoccini::{Client, ClientBuilder, Locator};
use hookwire::model::{DeptId, Scopes};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Tenant, TenantId, Webhooks, assist};
use hookwire_axum::page::{self, Page};
use hookwire_axum::{Access, Caller, Department};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Everybody, as the owner of one tenant.
struct Owner;

#[async_trait::async_trait]
impl Access for Owner {
    async fn caller(&self, _: &Parts) -> Result<Caller, Response> {
        Ok(Caller::new(tenant_id(), Scopes::all()).time_zone("Europe/Berlin"))
    }

    async fn departments(&self, _: &Caller) -> Result<Vec<Department>, Response> {
        Ok(vec![Department::new(DeptId::new(7), "Sales"), Department::new(DeptId::new(9), "Support")])
    }
}

fn tenant_id() -> TenantId {
    TenantId::new("acme").expect("valid")
}

/// A browser on the page of a host that serves one tenant.
#[derive(Debug)]
pub struct Browser {
    /// The WebDriver session.
    pub client: Client,
    /// The host's webhooks.
    pub hooks: Webhooks,
    base: String,
    _session: Session,
}

/// A session of a driver. When it ends, so does the browser, which would outlive a driver that is killed.
#[derive(Debug)]
struct Session {
    _driver: Child,
    port: u16,
    id: Option<String>,
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(id) = &self.id else { return };
        let Ok(mut driver) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let asked =
            write!(driver, "DELETE /session/{id} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        // It answers once the browser has ended.
        let patient = driver.set_read_timeout(Some(PATIENCE));
        let _ = asked.and(patient).and_then(|()| driver.read(&mut [0; 64]));
    }
}

/// The look that the browser asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "those that there are")]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Browser {
    /// Starts a host and a browser, with a transport that answers 200.
    ///
    /// # Panics
    ///
    /// Without Chromium and its driver, which `scripts/browser` installs.
    pub async fn start(theme: Theme, width: u32) -> Self {
        Self::with(
            theme,
            width,
            Page::new(),
            RecordingTransport::answering(|_, _| Answer::status(200).body("thanks")),
        )
        .await
    }

    /// Starts a host with this page and this transport, and a browser.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn with(theme: Theme, width: u32, page: Page, transport: RecordingTransport) -> Self {
        let builder = Webhooks::builder(assist::catalog()).limits(assist::limits()).show_response_bodies();
        let hooks = builder.store(MemoryStore::new()).transport(transport).build().expect("sound");
        let router = Router::new().nest("/settings/webhooks", page::router(hooks.clone(), Owner, page));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}/settings/webhooks", listener.local_addr().expect("bound"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let (driver, port) = driver().await;
        let client = client(port, theme, width).await;
        let id = client.session_id().await.ok().flatten();
        Self { client, hooks, base, _session: Session { _driver: driver, port, id } }
    }

    /// The tenant whose page it is.
    pub fn tenant(&self) -> Tenant {
        self.hooks.tenant(tenant_id())
    }

    /// Opens a path of the page.
    ///
    /// # Panics
    ///
    /// If the browser does not.
    pub async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.expect("opened");
    }

    /// The path that is open.
    ///
    /// # Panics
    ///
    /// If the browser does not say.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("an URL").to_string();
        url.strip_prefix(&self.base).expect("of the page").to_owned()
    }

    /// Clicks on what has this text: a button, a link or the summary of details.
    ///
    /// # Panics
    ///
    /// If there is nothing such, or it does not lead on within 10 s.
    pub async fn click(&self, text: &str) {
        let xpath = format!("//*[self::a or self::button or self::summary][normalize-space()='{text}']");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&xpath)).await;
        found.unwrap_or_else(|error| panic!("{text}: {error}")).click().await.expect("clicked");
    }

    /// Types into the field with this label.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.labelled(label).await;
        field.clear().await.expect("cleared");
        field.send_keys(text).await.expect("typed");
    }

    /// Ticks the box with this label.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn tick(&self, label: &str) {
        let xpath = format!("//label[normalize-space()='{label}']/input");
        self.client.find(Locator::XPath(&xpath)).await.expect(label).click().await.expect("ticked");
    }

    /// What is in the field with this label.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn value(&self, label: &str) -> String {
        self.labelled(label).await.prop("value").await.expect("read").unwrap_or_default()
    }

    async fn labelled(&self, label: &str) -> fantoccini::elements::Element {
        let xpath = format!("//*[@id=//label[normalize-space()='{label}']/@for]");
        self.client.find(Locator::XPath(&xpath)).await.expect(label)
    }

    /// Waits until the page has this text.
    ///
    /// # Panics
    ///
    /// If it has not within 10 s.
    pub async fn sees(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let shown = self.text().await;
            if shown.contains(text) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{text} is not on the page: {shown}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text of the page.
    ///
    /// # Panics
    ///
    /// If there is no page.
    pub async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// What axe-core finds, whose source `AXE` names: the rule and the element of each violation.
    ///
    /// # Panics
    ///
    /// If axe-core is not there, or fails.
    pub async fn axe(&self) -> Vec<String> {
        let file = std::env::var("AXE").expect("scripts/browser sets it");
        let source = std::fs::read_to_string(file).expect("scripts/browser installs it");
        self.client.execute(&source, Vec::new()).await.expect("loaded");
        let run = "const done = arguments[0]; axe.run().then(it => done(it.violations), it => done([{id: String(it), nodes: []}]))";
        let found = self.client.execute_async(run, Vec::new()).await.expect("run");
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().map(|it| format!("{}: {}", it["id"], it["nodes"][0]["html"])).collect()
    }

    /// Runs a script in the page.
    ///
    /// # Panics
    ///
    /// If it throws.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect(script)
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the driver on a port of its own choice. It ends with the process that it is held by.
async fn driver() -> (Child, u16) {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut driver = command.spawn().expect("scripts/browser installs chromedriver");
    let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
    while let Some(line) = lines.next_line().await.expect("readable") {
        let port = line
            .split("started successfully on port ")
            .nth(1)
            .and_then(|it| it.trim_end_matches('.').parse().ok());
        if let Some(port) = port {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (driver, port);
        }
    }
    panic!("chromedriver does not say its port");
}

async fn client(port: u16, theme: Theme, width: u32) -> Client {
    // A container has no sandbox and little shared memory; the pages are our own.
    let mut arguments =
        vec!["--headless=new".to_owned(), "--no-sandbox".to_owned(), "--disable-dev-shm-usage".to_owned()];
    arguments.push(format!("--window-size={width},1000"));
    if theme == Theme::Dark {
        arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
    }
    let capabilities = json!({"goog:chromeOptions": {"args": arguments}});
    let capabilities = capabilities.as_object().expect("an object").clone();
    let mut builder = ClientBuilder::new(HttpConnector::new());
    builder.capabilities(capabilities);
    builder.connect(&format!("http://127.0.0.1:{port}")).await.expect("scripts/browser installs chromium")
}
