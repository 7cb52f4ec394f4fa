//! No registered URL makes the process talk to an address that the policy forbids.

mod edges;
mod logging;
mod reconfigure;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, FailureKind, Rule};
use hookwire::store::MemoryStore;
use hookwire::transport::{
    HttpTransport, HttpTransportBuilder, Resolve, SendLimits, Transport, TransportError,
};
use hookwire::{TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, StatusCode};

use crate::support::answers::Answers;
use crate::support::identity::Identity;
use crate::support::receiver::{Receiver, Script};

const HOST: &str = "hooks.example.com";
const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(30), 1024);

struct Scene {
    identity: Identity,
    receiver: Receiver,
}

impl Scene {
    async fn set() -> Self {
        let identity = Identity::of(&[HOST, "127.0.0.1", "::1", "localhost"]);
        let script = Script::Answer(StatusCode::OK, Bytes::new());
        Self { receiver: Receiver::https(&identity, script).await, identity }
    }

    fn builder(&self) -> HttpTransportBuilder {
        HttpTransport::builder().trust_pem(self.identity.pem())
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.receiver.port())
    }

    /// That both the check and the sending are refused, and the sending before anything is dialled.
    async fn refuses(&self, transport: &HttpTransport, host: &str) {
        let url = CallbackUrl::parse(&self.url(host)).expect(host);
        let checked = transport.check(&url).await.expect_err(host);
        assert_eq!(checked.kind(), FailureKind::Refused, "{host}: {}", checked.detail());
        let sent = send(transport, url.as_str()).await.expect_err(host);
        assert_eq!(sent.kind(), FailureKind::Refused, "{host}: {}", sent.detail());
        assert_eq!(self.receiver.connections().await, 0, "{host}");
    }
}

fn built(builder: HttpTransportBuilder) -> HttpTransport {
    builder.build().expect("valid")
}

async fn send(transport: &HttpTransport, url: &str) -> Result<StatusCode, TransportError> {
    let request = Request::post(url).body(Bytes::from_static(b"{}")).expect("a request");
    transport.send(request, &LIMITS).await.map(|answer| answer.status())
}

#[tokio::test]
async fn literal_addresses_are_judged_however_they_are_written() {
    let scene = Scene::set().await;
    let transport = built(scene.builder());
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::1]",
        "[2606:4700::5efe:127.0.0.1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "168.63.129.16",
        "0.1.2.3",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[fe80::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[ff02::1]",
        "[2001:db8::1]",
    ] {
        scene.refuses(&transport, host).await;
    }
}

#[tokio::test]
async fn names_of_this_machine_are_refused() {
    let scene = Scene::set().await;
    let transport = built(scene.builder());
    for host in ["localhost", "localhost.", "LOCALHOST", "hooks.localhost"] {
        scene.refuses(&transport, host).await;
    }
}

#[tokio::test]
async fn a_literal_that_only_the_system_understands_leads_nowhere() {
    let scene = Scene::set().await;
    let transport = built(scene.builder());
    for host in ["127.1", "0x7f000001", "2130706433", "127.0.0.1."] {
        // A request whose URL never passed through `CallbackUrl`, which would have put it right.
        let url = format!("http://{host}:{}/", scene.receiver.port());
        let error = send(&transport, &url).await.expect_err(host);
        assert!(matches!(error.kind(), FailureKind::Dns | FailureKind::Refused), "{}", error.detail());
    }
    assert_eq!(scene.receiver.connections().await, 0);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused() {
    let scene = Scene::set().await;
    for inside in ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1"] {
        scene.refuses(&built(scene.builder().resolver(Answers::always(&[inside]))), HOST).await;
    }
}

#[tokio::test]
async fn one_forbidden_answer_refuses_them_all() {
    let scene = Scene::set().await;
    for mixed in [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "169.254.169.254"]] {
        let builder = scene.builder().allow_loopback().resolver(Answers::always(&mixed));
        scene.refuses(&built(builder), HOST).await;
    }
}

#[tokio::test]
async fn what_was_checked_is_what_is_dialled() {
    let scene = Scene::set().await;
    let answers = Answers::in_turn(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let transport = built(scene.builder().allow_loopback().resolver(answers.clone()));
    assert_eq!(send(&transport, &scene.url(HOST)).await.expect("an answer"), StatusCode::OK);
    assert_eq!(answers.asked(), [HOST], "one look-up serves both the judging and the dialling");
}

#[tokio::test]
async fn a_name_that_leads_inside_later_is_refused_then() {
    let scene = Scene::set().await;
    let answers = Answers::in_turn(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let transport = built(scene.builder().allow_loopback().resolver(answers));
    let url = CallbackUrl::parse(&scene.url(HOST)).expect("valid");
    transport.check(&url).await.expect("harmless at registration");
    let error = send(&transport, url.as_str()).await.expect_err("rebound");
    assert_eq!(error.kind(), FailureKind::Refused);
    assert_eq!(error.detail(), "address refused: 10.0.0.1 is special: private use (RFC 1918)");
    assert_eq!(scene.receiver.connections().await, 0);
}

#[tokio::test]
async fn a_check_opens_no_connection() {
    let scene = Scene::set().await;
    let transport = built(scene.builder().allow_loopback());
    for host in ["127.0.0.1", "localhost"] {
        transport.check(&CallbackUrl::parse(&scene.url(host)).expect(host)).await.expect(host);
    }
    assert_eq!(scene.receiver.connections().await, 0);
}

#[tokio::test]
async fn a_host_opens_its_own_networks_and_closes_others() {
    let scene = Scene::set().await;
    let opened = built(scene.builder().allow_network("127.0.0.0/8"));
    assert_eq!(send(&opened, &scene.url("127.0.0.1")).await.expect("allowed"), StatusCode::OK);

    let scene = Scene::set().await;
    let closed = scene.builder().allow_loopback().allow_network("127.0.0.0/8").deny_network("127.0.0.1");
    scene.refuses(&built(closed), "127.0.0.1").await;
}

#[tokio::test]
async fn a_port_that_is_not_allowed_is_refused_without_a_look_up() {
    let scene = Scene::set().await;
    let answers = Answers::always(&["127.0.0.1"]);
    let builder = scene.builder().allow_loopback().allow_ports([443]).resolver(answers.clone());
    scene.refuses(&built(builder), HOST).await;
    assert!(answers.asked().is_empty());
}

/// Dialling and resolving have one place each; the other place that dials knows the host's own proxy alone, and
/// the place with datagram sockets asks for a route and sends nothing.
#[test]
fn nothing_is_dialled_or_resolved_elsewhere() {
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match std::fs::read_to_string(&path) {
                Ok(source) => found.extend(openings(&path, &source)),
                Err(_) => folders.push(path),
            }
        }
    }
    found.sort();
    assert_eq!(
        found,
        [
            "guard.rs TcpStream::connect",
            "local.rs UdpSocket",
            "local.rs UdpSocket",
            "proxy.rs TcpStream::connect",
            "resolve.rs to_socket_addrs"
        ]
    );
}

fn openings(path: &std::path::Path, source: &str) -> Vec<String> {
    const WAYS: [&str; 6] =
        ["TcpStream::connect", "TcpSocket", "UdpSocket", "UnixStream", "lookup_host", "to_socket_addrs"];
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let times = |way| source.matches(way).map(|way| format!("{name} {way}")).collect::<Vec<_>>();
    WAYS.into_iter().flat_map(times).collect()
}

/// A resolver with one address for every name.
#[derive(Debug)]
struct Leads(&'static str);

#[async_trait]
impl Resolve for Leads {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.0.parse().expect("an address")])
    }
}

#[tokio::test]
async fn plain_http_goes_to_exactly_the_networks_that_are_allowed() {
    let allowed = || HttpTransport::builder().allow_network("10.1.0.0/16").allow_private_http();
    let check = async |transport: HttpTransport, url: &str| {
        let checked = transport.check(&CallbackUrl::parse_allowing_http(url).expect(url)).await;
        checked.map_err(|error| error.kind())
    };
    let refused = Err(FailureKind::Refused);
    assert_eq!(check(built(allowed()), "http://10.1.2.3/").await, Ok(()));
    assert_eq!(check(built(allowed().resolver(Leads("10.1.2.3"))), "http://inside.example/").await, Ok(()));
    assert_eq!(check(built(allowed().resolver(Leads("8.8.8.8"))), "http://public.example/").await, refused);
    assert_eq!(check(built(allowed().resolver(Leads("8.8.8.8"))), "https://public.example/").await, Ok(()));
    for url in ["http://8.8.8.8/", "http://10.2.0.1/", "http://169.254.169.254/"] {
        assert_eq!(check(built(allowed()), url).await, refused, "{url}");
        let sent = send(&built(allowed()), url).await.expect_err(url);
        assert_eq!(sent.kind(), FailureKind::Refused, "{url}");
    }
    let unasked = HttpTransport::builder().allow_network("10.1.0.0/16");
    assert_eq!(check(built(unasked), "http://10.1.2.3/").await, refused);
}

#[tokio::test]
async fn registration_takes_plain_http_where_the_transport_does() {
    let transport = built(HttpTransport::builder().allow_network("10.1.0.0/16").allow_private_http());
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).transport(transport);
    let hooks = builder.allow_private_http().build().expect("sound");
    let acme = hooks.tenant(TenantId::new("acme").expect("a short name"));
    let draft = |url: &str| WebhookDraft::new("a", url).subscribe(assist::DEVICE_ONLINE);
    acme.create(&draft("http://10.1.2.3/")).await.expect("an allowed network");
    let refused = acme.create(&draft("http://8.8.8.8/")).await.expect_err("public");
    let rules: Vec<_> = refused.violations().iter().map(|it| (it.field(), it.rule())).collect();
    assert_eq!(rules, [("url", Rule::AddressRefused)]);
}
