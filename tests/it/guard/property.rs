//! No URL and no resolver makes the transport dial a forbidden address: what is dialled is read from what a
//! proxy is asked for, and judged by rules that are written here, from the predicates of `std`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::CallbackUrl;
use hookwire::transport::{HttpTransport, Resolve, SendLimits, Transport};
use http::Request;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;

use crate::support::tunnels::{Leads, Tunnels};

/// What must never be dialled, whatever the registries say: a lower bound.
fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => is_inside(it),
        IpAddr::V6(it) => is_inside_v6(it) || inner(it).is_some_and(is_inside),
    }
}

fn is_inside(it: Ipv4Addr) -> bool {
    let [a, b, ..] = it.octets();
    let named = it.is_private() || it.is_loopback() || it.is_link_local() || it.is_multicast();
    let others = it.is_broadcast() || it.is_documentation() || a == 0 || a >= 240;
    named || others || (a == 100 && (64..128).contains(&b)) || it == Ipv4Addr::new(168, 63, 129, 16)
}

fn is_inside_v6(it: Ipv6Addr) -> bool {
    let named = it.is_loopback() || it.is_unspecified() || it.is_multicast();
    named || it.is_unique_local() || it.is_unicast_link_local() || it.segments()[..2] == [0x2001, 0xdb8]
}

/// The IPv4 address that the common translations take from this one.
fn inner(it: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = it.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, _] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => of(g, h),
        [0x2002, high, low, ..] => of(high, low),
        [_, _, _, _, 0 | 0x200, 0x5efe] => of(g, h),
        _ => None,
    }
}

/// Answers each time with the next of these lists, from the first again after the last.
#[derive(Clone, Debug, Default)]
struct Flapping(Arc<Mutex<Vec<Vec<IpAddr>>>>);

#[async_trait]
impl Resolve for Flapping {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().expect("whole");
        answers.rotate_left(1);
        answers.last().cloned().ok_or_else(|| io::Error::other("no such name"))
    }
}

/// Addresses near the interesting ones as often as any others.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = select(vec![
        [127, 0, 0, 1],
        [10, 0, 0, 1],
        [169, 254, 169, 254],
        [192, 168, 1, 1],
        [172, 31, 255, 255],
        [8, 8, 8, 8],
        [100, 64, 0, 1],
        [0, 0, 0, 0],
        [224, 0, 0, 1],
        [255, 255, 255, 255],
        [168, 63, 129, 16],
        [1, 1, 1, 1],
    ]);
    let v4 = prop_oneof![v4.prop_map(Ipv4Addr::from), any::<u32>().prop_map(Ipv4Addr::from_bits)];
    let prefix = select(vec![
        "::",
        "::ffff:0:0",
        "::ffff:0:0:0",
        "64:ff9b::",
        "64:ff9b:1::",
        "2606:4700::5efe:0:0",
        "fd00::",
        "fe80::",
        "2606:4700::",
        "2001::",
    ]);
    let v6 = (prefix, v4.clone()).prop_map(|(prefix, low)| {
        let prefix: Ipv6Addr = prefix.parse().expect("an address");
        Ipv6Addr::from_bits(prefix.to_bits() | u128::from(low.to_bits()))
    });
    let six_to_four =
        v4.clone().prop_map(|it| Ipv6Addr::from_bits(0x2002 << 112 | u128::from(it.to_bits()) << 80 | 1));
    prop_oneof![
        3 => v4.prop_map(IpAddr::V4),
        3 => v6.prop_map(IpAddr::V6),
        1 => six_to_four.prop_map(IpAddr::V6),
        1 => any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
    ]
}

/// Hosts as people, and those who probe, write them.
fn host() -> impl Strategy<Value = String> {
    let written = |it: IpAddr| match it {
        IpAddr::V4(it) => vec![
            it.to_string(),
            it.to_bits().to_string(),
            format!("{:#x}", it.to_bits()),
            format!("{:#o}.{}", it.octets()[0], it.to_bits() & 0xff_ffff).replace("0o", "0"),
            format!("{it}."),
            format!("[::ffff:{it}]"),
        ],
        IpAddr::V6(it) => vec![format!("[{it}]"), format!("[{it}%25eth0]"), it.to_string()],
    };
    prop_oneof![
        4 => address().prop_flat_map(move |it| select(written(it))),
        2 => "[a-z]{1,8}(\\.[a-z]{2,3}){0,2}\\.?",
        1 => select(vec!["localhost", "LOCALHOST.", "a.localhost", "①②⑦.0.0.1", "xn--", "a@127.0.0.1", "%31"])
            .prop_map(String::from),
        1 => "\\PC{0,12}",
    ]
}

/// A transport whose only way out is a proxy that opens no tunnel and tells what it was asked for.
struct Way {
    proxy: Tunnels,
    resolver: Flapping,
    transport: HttpTransport,
}

impl Way {
    async fn out() -> Self {
        let proxy = Tunnels::open(Leads::Nowhere("HTTP/1.1 403 Forbidden\r\n\r\n")).await;
        let resolver = Flapping::default();
        let builder = HttpTransport::builder().proxy(&proxy.url()).resolver(resolver.clone());
        Self { proxy, resolver, transport: builder.build().expect("valid") }
    }

    /// What is dialled when this URL is checked and then sent to twice, if it is accepted at all.
    async fn dialled(&self, url: &str, answers: Vec<Vec<IpAddr>>) -> Vec<SocketAddr> {
        let Ok(url) = CallbackUrl::parse(url) else { return Vec::new() };
        *self.resolver.0.lock().expect("whole") = answers;
        let before = self.proxy.asked().len();
        let _ = self.transport.check(&url).await;
        for _ in 0..2 {
            let Ok(request) = Request::post(url.as_str()).body(Bytes::new()) else { continue };
            let limits = SendLimits::new(Duration::from_secs(30), 0);
            self.transport.send(request, &limits).await.expect_err("the proxy opens no tunnel");
        }
        let target = |head: &String| head.split(' ').nth(1).expect("a target").parse().expect("an address");
        self.proxy.asked()[before..].iter().map(target).collect()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn nothing_forbidden_is_ever_dialled() {
    let port = prop_oneof![Just(String::new()), (1..=u16::MAX).prop_map(|port| format!(":{port}"))];
    let answers = vec(vec(address(), 1..4), 1..4);
    let runtime = runtime();
    let way = runtime.block_on(Way::out());
    let ran = TestRunner::default().run(&(host(), port, answers), |(host, port, answers)| {
        let url = format!("https://{host}{port}/");
        for address in runtime.block_on(way.dialled(&url, answers)) {
            prop_assert!(!is_forbidden(address.ip()), "{} led to {}", url, address);
        }
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_way_of_finding_out_finds_what_is_dialled() {
    let answers = [[8, 8, 8, 8], [1, 1, 1, 1], [10, 0, 0, 1]].map(|it| vec![it.into()]).to_vec();
    let runtime = runtime();
    let way = runtime.block_on(Way::out());
    let dialled = runtime.block_on(way.dialled("https://hooks.example.com:444/", answers));
    assert_eq!(dialled, [SocketAddr::from(([1, 1, 1, 1], 444))], "one is for the check, one is forbidden");
}
