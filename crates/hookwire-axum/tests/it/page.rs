//! The page, without a browser: what it shows to whom, and which forms it takes.

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, Request};
use axum::response::{IntoResponse, Redirect, Response};
use hookwire::model::{DeptId, MessageQuery, Scopes};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use hookwire_axum::Caller;
use hookwire_axum::page::{self, Page};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

const PREFIX: &str = "/settings/webhooks";

/// Lets in the cookie `TENANT SCOPES`, and leads anybody else to the page for signing in.
async fn access(parts: Parts) -> Result<Caller, Response> {
    let sign_in = || Redirect::to("/sign-in").into_response();
    let cookie = parts.headers.get(COOKIE).and_then(|it| it.to_str().ok()).ok_or_else(sign_in)?;
    let (tenant, scopes) = cookie.split_once(' ').ok_or_else(sign_in)?;
    let prefix = assist::catalog();
    let scopes: Scopes = prefix.scope_prefix().parse(scopes).map_err(|_| sign_in())?;
    let tenant = TenantId::new(tenant).map_err(|_| sign_in())?;
    let caller = Caller::new(tenant, scopes).time_zone("Asia/Kolkata");
    let locale = parts.headers.get(ACCEPT_LANGUAGE).and_then(|it| it.to_str().ok());
    Ok(match locale {
        Some(locale) => caller.locale(locale),
        None => caller,
    })
}

pub(crate) struct Host {
    pub(crate) hooks: Webhooks,
    transport: RecordingTransport,
    router: Router,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with(RecordingTransport::new(), Page::new().address("192.0.2.7"))
    }

    pub(crate) fn with(transport: RecordingTransport, page: Page) -> Self {
        let builder = Webhooks::builder(assist::catalog()).limits(assist::limits());
        let builder = builder.store(MemoryStore::new()).transport(transport.clone());
        Self::of(builder.show_response_bodies().build().expect("sound"), transport, page)
    }

    pub(crate) fn of(hooks: Webhooks, transport: RecordingTransport, page: Page) -> Self {
        let router = Router::new().nest(PREFIX, page::router(hooks.clone(), access, page));
        Self { hooks, transport, router }
    }

    /// An owner whose locale this is.
    pub(crate) fn browser_in(&self, locale: &'static str) -> Browser<'_> {
        let headers = vec![("sec-fetch-site", "same-origin"), ("accept-language", locale)];
        Browser { headers, ..self.owner() }
    }

    pub(crate) fn owner(&self) -> Browser<'_> {
        self.browser("acme ZohoAssist.webhooks.ALL")
    }

    pub(crate) fn reader(&self) -> Browser<'_> {
        self.browser("acme ZohoAssist.webhooks.READ")
    }

    pub(crate) fn browser(&self, cookie: &'static str) -> Browser<'_> {
        Browser { host: self, cookie, headers: vec![("sec-fetch-site", "same-origin")] }
    }

    pub(crate) async fn register(&self, name: &str, url: &str) {
        let acme = self.hooks.tenant(TenantId::new("acme").expect("valid"));
        let draft = WebhookDraft::new(name, url).subscribe(assist::DEVICE_ONLINE);
        acme.create(&draft).await.expect("created");
    }
}

pub(crate) struct Browser<'a> {
    host: &'a Host,
    cookie: &'static str,
    headers: Vec<(&'static str, &'static str)>,
}

pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl Browser<'_> {
    pub(crate) async fn get(&self, path: &str) -> Shown {
        self.call(Method::GET, path, String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let body = serde_urlencoded::to_string(fields).expect("text");
        self.call(Method::POST, path, body).await
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Shown {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{PREFIX}{path}").parse().expect("a path");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().expect("a header"));
        if !self.cookie.is_empty() {
            headers.insert(COOKIE, self.cookie.parse().expect("a header"));
        }
        for (name, value) in &self.headers {
            headers.insert(*name, value.parse().expect("a header"));
        }
        let (parts, body) = self.host.router.clone().oneshot(request).await.expect("infallible").into_parts();
        let bytes = body.collect().await.expect("whole").to_bytes();
        let html = String::from_utf8(bytes.to_vec()).expect("text");
        Shown { status: parts.status.as_u16(), headers: parts.headers, html }
    }
}

impl Shown {
    pub(crate) fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn has(&self, text: &str) -> &Self {
        assert!(self.html.contains(text), "{text} is not in: {}", self.html);
        self
    }

    pub(crate) fn lacks(&self, text: &str) -> &Self {
        assert!(!self.html.contains(text), "{text} is in: {}", self.html);
        self
    }
}

const DRAFT: [(&str, &str); 4] = [
    ("name", "Device log"),
    ("description", "To the CRM"),
    ("url", "https://hooks.example.com/in"),
    ("event", "DEVICE_ONLINE"),
];

fn pressing<'a>(button: &'a str, fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().copied().chain([("do", button)]).collect()
}

#[tokio::test]
async fn the_steps_of_the_seed_lead_to_a_webhook() {
    let host = Host::new();
    let owner = host.owner();
    owner.get("").await.has("There are no webhooks yet.").has("0 in use, of at most 20").has("192.0.2.7");
    owner.get("/new").await.has("Callback URL").has("Device Online").has("Ping URL").has("Create Webhook");
    let pinged = owner.post("/new", &pressing("ping-url", &DRAFT)).await;
    pinged.has("answered 200").has("value=\"Device log\"");
    assert!(
        pinged.html.contains(r#"value="DEVICE_ONLINE" checked"#),
        "what was ticked stays: {}",
        pinged.html
    );
    let fields = pressing("ping-event", &[DRAFT.as_slice(), &[("test", "DEVICE_OFFLINE")]].concat());
    let pinged = owner.post("/new", &fields).await;
    pinged.has("Ping Event: DEVICE_OFFLINE").has("What is sent");
    pinged
        .has("&quot;eventType&quot;: &quot;DEVICE_OFFLINE&quot;")
        .has("&quot;orgId&quot;: &quot;acme&quot;");
    pinged.lacks("&quot;eventBy&quot;");
    assert_eq!(host.transport.requests().len(), 2);
    let created = owner.post("/new", &pressing("save", &DRAFT)).await;
    created.has("whsec_").has("Python").has("TypeScript");
    owner.get("").await.has("Device log").has("https://hooks.example.com/in").has("Enabled").lacks("whsec_");
    owner.get("/1").await.has("To the CRM").lacks("whsec_");
}

#[tokio::test]
async fn a_webhook_is_edited_stopped_and_deleted() {
    let host = Host::new();
    let owner = host.owner();
    owner.post("/new", &pressing("save", &DRAFT)).await;
    owner.get("/1/edit").await.has(r#"value="To the CRM""#).has(r#"value="DEVICE_ONLINE" checked"#);
    let mut fields = DRAFT;
    fields[0].1 = "Journal";
    fields[3].1 = "DEVICE_OFFLINE";
    let saved = owner.post("/1/edit", &pressing("save", &fields)).await;
    assert_eq!((saved.status, saved.header(LOCATION)), (303, "/settings/webhooks/1"), "{}", saved.html);
    owner.get("/1").await.has("Journal").has("DEVICE_OFFLINE").lacks("DEVICE_ONLINE");
    for (button, state) in
        [("pause", "Paused"), ("resume", "Enabled"), ("disable", "Disabled"), ("enable", "Enabled")]
    {
        assert_eq!(owner.post("/1", &[("do", button)]).await.status, 303, "{button}");
        owner.get("/1").await.has(&format!("\">{state}</span>"));
    }
    owner.post("/1", &[("do", "reveal")]).await.has("whsec_");
    owner.post("/1", &[("do", "rotate")]).await.has("whsec_");
    owner.post("/1", &[("do", "check")]).await.has("forgeries");
    assert_eq!(owner.post("/1", &[("do", "nonsense")]).await.status, 404);
    assert_eq!(owner.post("/1", &[("do", "delete")]).await.status, 303);
    owner.get("").await.has("There are no webhooks yet.");
    assert_eq!(owner.get("/1").await.status, 404);
}

#[tokio::test]
async fn what_the_form_has_no_box_for_stays() {
    let host = Host::new();
    let acme = host.hooks.tenant(TenantId::new("acme").expect("valid"));
    let narrowed = WebhookDraft::new("Log", "https://hooks.example.com/in")
        .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7)]);
    acme.create(&narrowed).await.expect("created");
    let form = host.owner().get("/1/edit").await;
    form.has(r#"name="departments.DEVICE_ONLINE" value="7" checked"#);
    let fields = [
        ("name", "b"),
        ("url", "https://hooks.example.com/in"),
        ("event", "DEVICE_ONLINE"),
        ("departments.DEVICE_ONLINE", "7"),
        ("do", "save"),
    ];
    assert_eq!(host.owner().post("/1/edit", &fields).await.status, 303);
    let webhooks = acme.list().await.expect("listed");
    assert_eq!(json!(webhooks[0].subscriptions()), json!([{"event_id": 13, "dept_ids": [7]}]));
}

#[tokio::test]
async fn a_secret_path_to_which_an_answer_points_is_shown_to_those_alone_who_may_see_the_url() {
    let moved =
        |_: &Request<_>, _| Answer::status(301).header("location", "https://hooks.example.com/s3cret/new");
    let host = Host::with(RecordingTransport::answering(moved), Page::new());
    host.register("Log", "https://hooks.example.com/s3cret").await;
    let acme = host.hooks.tenant(TenantId::new("acme").expect("valid"));
    let event = Event::new(assist::DEVICE_ONLINE, &json!({})).expect("JSON");
    let id = acme.publish(event).await.expect("published").message_id().to_string();
    host.hooks.deliver_due().await.expect("tried");
    for path in ["/1/deliveries".to_owned(), format!("/explain?message={id}")] {
        host.owner().get(&path).await.has("s3cret");
        host.reader().get(&path).await.lacks("s3cret").has("1");
    }
}

#[tokio::test]
async fn parameters_are_managed_in_an_editor_that_checks_and_shows_them() {
    let host = Host::new();
    host.register("Log", "https://hooks.example.com/in").await;
    let owner = host.owner();
    owner.get("/1").await.has("Manage Parameters");
    owner.get("/1/parameters").await.has("${payload.").has("Insert Params");
    let template = r#"{"text":"${eventType} </textarea><script>","load":1.10}"#;
    let typed = |button: &'static str| [("template", template), ("do", button)];
    owner
        .post("/1/parameters", &typed("beautify"))
        .await
        .has("\n  &quot;load&quot;: 1.10\n}")
        .lacks("<script>");
    owner.post("/1/parameters", &typed("preview")).await.has("&quot;DEVICE_ONLINE &lt;/textarea&gt;");
    let refused = owner.post("/1/parameters", &[("template", "{\"a\":\n ${payload}}"), ("do", "save")]).await;
    assert_eq!(refused.status, 422);
    refused.has("line 2").has("${payload}}");
    let unknown = owner.post("/1/parameters", &[("template", r#"{"a": "${user}"}"#), ("do", "save")]).await;
    unknown.has("template.a").has("user");
    assert_eq!(owner.post("/1/parameters", &typed("save")).await.status, 303);
    owner.get("/1/parameters").await.has("&quot;load&quot;: 1.10");
    owner.post("/1", &[("do", "check")]).await;
    owner
        .post(
            "/1/edit",
            &pressing("ping-event", &[("url", "https://hooks.example.com/in"), ("test", "DEVICE_ONLINE")]),
        )
        .await;
    let sent = host.transport.requests().pop().expect("sent");
    assert!(sent.body().starts_with(br#"{"text":"DEVICE_ONLINE <"#), "{:?}", sent.body());
    assert_eq!(owner.post("/1/parameters", &[("template", ""), ("do", "save")]).await.status, 303);
    owner.get("/1/parameters").await.lacks("1.10");
    assert_eq!(host.reader().get("/1/parameters").await.status, 404);
}

#[tokio::test]
async fn the_last_days_are_drawn() {
    let host = Host::new();
    host.register("Log", "https://hooks.example.com/in").await;
    host.owner().get("/1").await.lacks("<svg");
    let acme = host.hooks.tenant(TenantId::new("acme").expect("valid"));
    acme.publish(Event::new(assist::DEVICE_ONLINE, &json!({})).expect("JSON")).await.expect("published");
    host.hooks.deliver_due().await.expect("made");
    host.reader().get("/1").await.has("1 succeeded, of 1").has(r#"y="0" width="1" height="30""#);
}

#[tokio::test]
async fn a_dry_run_says_who_would_get_an_event_and_sends_nothing() {
    let host = Host::new();
    let acme = host.hooks.tenant(TenantId::new("acme").expect("valid"));
    for draft in [
        WebhookDraft::new("Of department 7", "https://a.example/")
            .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7)]),
        WebhookDraft::new("Of others", "https://a.example/").subscribe(assist::DEVICE_OFFLINE),
        WebhookDraft::new("Not of crm", "https://a.example/")
            .subscribe(assist::DEVICE_ONLINE)
            .ignore_source("crm"),
    ] {
        acme.create(&draft).await.expect("created");
    }
    let reader = host.reader();
    reader.get("/dry-run").await.has("Nothing is sent.");
    let asked = [("event", "DEVICE_ONLINE"), ("department", "9"), ("source", "crm")];
    let shown = reader.post("/dry-run", &asked).await;
    shown
        .has("for other departments")
        .has("does not subscribe to the event")
        .has("the source that the webhook ignores");
    shown.lacks("would get it");
    reader.post("/dry-run", &[("event", "DEVICE_ONLINE"), ("department", "7")]).await.has("would get it");
    for (field, value) in [("payload", "{"), ("department", "sales"), ("event", "NONE")] {
        let fields = [[("event", "DEVICE_ONLINE")], [(field, value)]].concat();
        let fields: Vec<_> = if field == "event" { vec![(field, value)] } else { fields };
        reader.post("/dry-run", &fields).await.has("This is no event");
    }
    assert!(host.transport.requests().is_empty());
    assert!(acme.messages(&MessageQuery::new()).await.expect("listed").items.is_empty());
}

#[tokio::test]
async fn faults_stand_beside_their_fields_and_what_was_typed_stays() {
    let host = Host::new();
    let refused = host
        .owner()
        .post("/new", &pressing("save", &[("name", ""), ("url", "http://hooks.example.com/")]))
        .await;
    assert_eq!(refused.status, 422);
    refused.has("Please correct what is marked.").has(r#"value="http://hooks.example.com/""#);
    refused.has(
        r#"id="name" name="name" type="text" value="" dir="auto" autocomplete="off" aria-invalid="true""#,
    );
    let events = refused.html.split("id=\"events-fault\">").nth(1).expect("there");
    assert!(events.split("</div>").next().expect("text").contains("class=\"bad\""), "no event is chosen");
    host.owner().get("").await.has("There are no webhooks yet.");
}

#[tokio::test]
async fn hostile_texts_are_shown_as_themselves_everywhere() {
    let (script, quoted) = ("<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>'&");
    let answer = Answer::status(500).body(script);
    let host = Host::with(RecordingTransport::answering(move |_, _| answer.clone()), Page::new());
    for name in [script, quoted, "\u{1f980}\u{1d11e} \u{5e9}\u{5dc}\u{5d5}\u{5dd}"] {
        host.register(name, "https://hooks.example.com/?a=%22%3E%3Cscript%3E").await;
    }
    let acme = host.hooks.tenant(TenantId::new("acme").expect("valid"));
    let event = Event::new(assist::DEVICE_ONLINE, &json!({"deviceName": script})).expect("JSON");
    let id = acme.publish(event).await.expect("published").message_id().to_string();
    host.hooks.deliver_due().await.expect("tried");
    let owner = host.owner();
    let pages = [
        "",
        "/1",
        "/2",
        "/3",
        "/1/edit",
        "/2/edit",
        "/1/deliveries",
        "/2/deliveries",
        &format!("/explain?message={id}"),
    ];
    for path in pages {
        let shown = owner.get(path).await;
        assert_eq!(shown.status, 200, "{path}");
        shown.lacks("<script>").lacks("<img");
    }
    owner.get("/3").await.has("\u{1f980}\u{1d11e} \u{5e9}\u{5dc}\u{5d5}\u{5dd}");
    owner.get(&format!("/explain?message={}", "%3Cscript%3E")).await.lacks("<script>");
    let typed =
        pressing("save", &[("name", quoted), ("url", script), ("description", script), ("event", quoted)]);
    owner.post("/new", &typed).await.lacks("<script>").lacks("<img").has("&lt;script&gt;");
}

#[tokio::test]
async fn who_may_only_read_sees_no_buttons_no_secret_paths_and_changes_nothing() {
    let host = Host::new();
    host.register("Log", "https://hooks.example.com/services/T0/s3cret").await;
    let reader = host.reader();
    for path in ["", "/1", "/1/deliveries"] {
        reader.get(path).await.lacks("<button").lacks("s3cret").lacks("/new").lacks("/edit");
    }
    reader.get("").await.has("https://hooks.example.com/\u{2026}");
    for path in ["/new", "/1/edit", "/1/recover?since=2026-01-01"] {
        assert_eq!(reader.get(path).await.status, 404, "{path}");
    }
    let draft = pressing("save", &DRAFT);
    for button in ["enable", "disable", "pause", "resume", "delete", "check", "reveal", "rotate"] {
        let refused = reader.post("/1", &[("do", button)]).await;
        assert_eq!(refused.status, 403, "{button}: {}", refused.html);
        refused.lacks("whsec_");
    }
    let since = vec![("since", "2026-01-01")];
    let forms =
        [("/new", &draft), ("/1/edit", &draft), ("/deliveries/1/again", &Vec::new()), ("/1/recover", &since)];
    for (path, fields) in forms {
        assert!([403, 404].contains(&reader.post(path, fields).await.status), "{path}");
    }
    host.owner().get("").await.has("1 in use").has("s3cret");
}

#[tokio::test]
async fn forms_are_taken_from_the_page_itself_alone() {
    let host = Host::new();
    let fields = pressing("save", &DRAFT);
    let from =
        |headers: &[(&'static str, &'static str)]| Browser { headers: headers.to_vec(), ..host.owner() };
    let foreign: [&[_]; 6] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example"), ("host", "app.example.com")],
        &[("origin", "null"), ("host", "app.example.com")],
        &[],
    ];
    for headers in foreign {
        let refused = from(headers).post("/new", &fields).await;
        assert_eq!(refused.status, 403, "{headers:?}");
        refused.has("<h1>The request did not come from this page.").has("style.css");
    }
    host.owner().get("").await.has("There are no webhooks yet.");
    let own = from(&[("origin", "https://app.example.com"), ("host", "app.example.com")]);
    own.post("/new", &fields).await.has("whsec_");
}

#[tokio::test]
async fn what_a_form_held_is_kept_when_its_sender_is_signed_out() {
    let host = Host::new();
    let nobody = Browser { cookie: "", ..host.owner() };
    let away = nobody.get("/new").await;
    assert_eq!((away.status, away.header(LOCATION)), (303, "/sign-in"));
    let kept = nobody.post("/new", &pressing("save", &DRAFT)).await;
    assert_eq!(kept.status, 401);
    kept.has(r#"href="/sign-in""#).has(r#"<input type="hidden" name="name" value="Device log">"#);
    kept.has(r#"<input type="hidden" name="do" value="save">"#).has("Send once more");
}

#[tokio::test]
async fn deliveries_are_shown_with_their_attempts_and_made_again() {
    let host = Host::with(
        RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 500 } else { 200 })),
        Page::new(),
    );
    host.register("Log", "https://hooks.example.com/in").await;
    let acme = host.hooks.tenant(TenantId::new("acme").expect("valid"));
    let event = Event::new(assist::DEVICE_ONLINE, &json!({})).expect("JSON");
    let id = acme.publish(event).await.expect("published").message_id().to_string();
    host.hooks.deliver_due().await.expect("tried");
    let owner = host.owner();
    let listed = owner.get("/1/deliveries").await;
    listed.has("Device Online").has("answered 500").has("Next attempt").has(&id).has(" IST</time>");
    owner.get("/1/deliveries?state=delivered").await.has("Nothing was sent that matches.");
    owner.get("/1/deliveries?state=pending").await.has("answered 500");
    let action = listed.html.split("action=\"").nth(1).and_then(|it| it.split('"').next()).expect("a form");
    let path = action.strip_prefix(PREFIX).expect("below the prefix").to_owned();
    assert_eq!(owner.post(&path, &[]).await.status, 303);
    host.hooks.deliver_due().await.expect("made");
    owner.get("/1/deliveries?state=delivered").await.has("answered 200");
    owner.get(&format!("/explain?message={id}")).await.has("webhook 1: ");
    owner.get("/explain?message=none").await;
}

#[tokio::test]
async fn every_link_is_below_the_prefix() {
    let host = Host::new();
    host.register("Log", "https://hooks.example.com/in").await;
    for path in
        ["", "/new", "/1", "/1/edit", "/1/deliveries", "/1/parameters", "/1/recover", "/explain", "/dry-run"]
    {
        let shown = host.owner().get(path).await;
        assert_eq!(shown.status, 200, "{path}");
        let html = shown.html.replace("src=\"", "href=\"");
        for link in html.split("href=\"").skip(1).filter_map(|it| it.split('"').next()) {
            assert!(link.starts_with(PREFIX), "{path}: {link}");
        }
    }
    for (path, kind) in [("/style.css", "text/css"), ("/script.js", "text/javascript")] {
        let file = host.owner().get(path).await;
        assert_eq!((file.status, file.header(CONTENT_TYPE)), (200, &*format!("{kind}; charset=utf-8")));
    }
}
