//! The HTTP API, by the schemathesis of PyPI: each operation with sound and with broken input, against what the OpenAPI
//! document says. Nothing it sends leaves this machine: pings go to a recording transport.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::http::request::Parts;
use axum::response::Response;
use hookwire::model::Scopes;
use hookwire::store::MemoryStore;
use hookwire::testing::RecordingTransport;
use hookwire::{Event, TenantId, Webhooks, assist};
use hookwire_axum::Caller;
use serde_json::json;
use tokio::net::TcpListener;

async fn access(_: Parts) -> Result<Caller, Response> {
    Ok(Caller::new(TenantId::new("acme").expect("valid"), Scopes::all()))
}

fn hooks() -> Webhooks {
    let builder = Webhooks::builder(assist::catalog()).limits(assist::limits());
    let builder = builder.store(MemoryStore::new()).transport(RecordingTransport::new());
    builder.build().expect("sound")
}

/// Registers a webhook and delivers an event to it, so that there is something to find.
async fn inhabit(hooks: &Webhooks) {
    let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
    let draft =
        hookwire::WebhookDraft::new("Log", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
    acme.create(&draft).await.expect("created");
    let event = Event::new(assist::DEVICE_ONLINE, &json!({"deviceName": "LAB-4"})).expect("JSON");
    acme.publish(event).await.expect("published");
    hooks.deliver_due().await.expect("delivered");
}

/// Runs it on an API, and returns whether it found nothing, and what it said.
async fn run(router: Router) -> (bool, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/v1", listener.local_addr().expect("bound"));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let found = tokio::task::spawn_blocking(move || {
        let python = std::env::var("INTEROP_PYTHON").expect("scripts/interop sets it");
        let program = Path::new(&python).with_file_name("schemathesis");
        // It does not read a relative URL of a server as it is meant.
        let places = [format!("{base}/openapi.json"), "--url".to_owned(), base];
        let options = [
            "--max-examples",
            "30",
            "--seed",
            "1",
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
            "--no-color",
            "--phases",
            "examples,coverage,fuzzing",
        ];
        Command::new(program)
            .arg("run")
            .args(places)
            .args(options)
            .output()
            .expect("scripts/interop installs it")
    });
    let output = found.await.expect("no panic");
    server.abort();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_in_the_api_of_assist() {
    let hooks = hooks();
    inhabit(&hooks).await;
    let (is_sound, said) = run(hookwire_axum::assist::router(hooks, access)).await;
    assert!(is_sound, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_in_the_plain_api() {
    let hooks = hooks();
    inhabit(&hooks).await;
    let (is_sound, said) = run(hookwire_axum::plain::router(hooks, access)).await;
    assert!(is_sound, "{said}");
}
