//! The demonstration, started as its reader starts it: the page lists webhooks, and shows a failure and its retry.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// About a minute of them.
const TRIES: u32 = 300;

/// Ends the service when the test ends, however it does.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The addresses of a service.
struct Addresses {
    page: String,
    metrics: String,
}

/// Starts the demonstration on a file of its own.
fn start() -> (Service, Addresses) {
    let file = std::env::temp_dir().join(format!("hookwire-demo-{}.db", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_service"));
    command.args(["--demo", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--sqlite"]).arg(&file);
    command.stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let service = Service(child);
    let mut lines = lines.map_while(Result::ok);
    let mut address = |title| {
        let line = lines.find(|line| line.starts_with(title)).unwrap_or_else(|| panic!("no line {title}"));
        let (_, rest) = line.split_once("http://").expect("a URL");
        rest.split('/').next().expect("an address").to_owned()
    };
    let metrics = address("Metrics:");
    let page = address("The page:");
    // What it prints later is read too: a pipe that nobody reads would end it.
    std::thread::spawn(move || lines.for_each(drop));
    (service, Addresses { page, metrics })
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

/// Asks until the answer has all these texts.
fn wait_for(address: &str, path: &str, texts: &[&str]) {
    let mut answer = String::new();
    for _ in 0..TRIES {
        answer = get(address, path);
        if texts.iter().all(|text| answer.contains(text)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{texts:?} are not on {path}: {answer}");
}

/// The value of a series among those that are shown.
fn value(shown: &str, series: &str) -> f64 {
    let line = shown.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in {shown}"))
}

#[test]
fn the_demonstration_shows_a_delivery_a_failure_and_its_retry() {
    let (_service, Addresses { page: address, metrics }) = start();
    wait_for(&address, "/webhooks", &["200 OK", "Answers every time", "Fails every second time"]);
    wait_for(&address, "/webhooks/1/deliveries", &["answered 200"]);
    wait_for(&address, "/webhooks/2/deliveries", &["answered 502", "answered 200", "Attempts: 2"]);
    wait_for(&address, "/api/v1/webhooks", &["\"enabled\":true"]);
    wait_for(&address, "/health", &["oldest_due"]);
    let gauges = ["hookwire_dispatcher_running 1", "hookwire_pending_deliveries{state=\"due\"}"];
    wait_for(&metrics, "/metrics", &gauges);
    for counted in [
        "hookwire_published_total",
        "hookwire_attempts_total{outcome=\"success\"}",
        "hookwire_attempts_total{outcome=\"answered_5xx\"}",
        "hookwire_ended_total{end=\"delivered\"}",
        "hookwire_publish_duration_seconds_bucket{le=\"+Inf\"}",
    ] {
        let shown = get(&metrics, "/metrics");
        assert!(value(&shown, counted) > 0.0, "{counted}: {shown}");
    }
    assert!(!get(&address, "/metrics").contains("hookwire_"), "metrics have an address of their own");
}
