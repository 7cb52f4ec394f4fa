//! Sources that break each rule, planted to see that the checker catches them, and some that break none.

use super::checker::faults;
use super::mentions::Reader;

#[track_caller]
fn caught(module: &str, source: &str, fault: &str) {
    let faults = faults(module, source);
    assert_eq!(faults.iter().filter(|found| found.contains(fault)).count(), 1, "{source}\n{faults:#?}");
}

#[track_caller]
fn clean(module: &str, source: &str) {
    assert_eq!(faults(module, source), Vec::<String>::new(), "{source}");
}

#[test]
fn waiting_is_caught() {
    caught("retry", "async fn f() {}", "`async` is asynchronous");
    caught("retry", "fn f() { g().await }", "`await` is asynchronous");
    caught("retry", "macro_rules! m { () => { async move {} } }", "`async` is asynchronous");
    caught("retry", "#[async_trait::async_trait] trait T {}", "`async_trait::async_trait` is a crate");
    caught("retry", "use futures_util::FutureExt;", "is a crate with effects");
}

#[test]
fn reading_the_clock_is_caught() {
    caught("retry", "fn f() { std::time::SystemTime::now(); }", "reads the clock");
    caught("retry", "use std::time::Instant; fn f() { Instant::now(); }", "`Instant::now` reads the clock");
    caught("retry", "use std::time::SystemTime as T; fn f() { g(T::now) }", "`T::now` reads the clock");
    caught("retry", "fn f() { <std::time::SystemTime>::now(); }", "`<>::now` reads the clock");
    caught("retry", "fn f() { m!(jiff::Timestamp::now()) }", "`jiff::Timestamp::now` reads the clock");
    caught("retry", "fn f(t: SystemTime) { t.elapsed(); }", "`.elapsed` reads the clock");
    caught("retry", "fn f(t: SystemTime) { SystemTime::elapsed(&t); }", "reads the clock");
    clean("retry", "fn f(now: Timestamp) -> Duration { let now = g(now); self.now.since(now) }");
}

#[test]
fn reaching_out_of_the_process_is_caught() {
    caught("model", "use std::fs;", "`std::fs` reaches out");
    caught("model", "use std::{fmt, fs::{self, File}};", "`std::fs::File` reaches out");
    caught("model", "fn f() { ::std::env::var(\"X\"); }", "`std::env::var` reaches out");
    caught("model", "fn f() -> ::std::fs::File {}", "`std::fs::File` reaches out");
    caught("model", "fn f() { m! { [std::thread::spawn(g)] } }", "`std::thread::spawn` reaches out");
    caught("model", "fn f() { std::process::exit(1) }", "`std::process::exit` reaches out");
    caught("model", "fn f() { std::io::stdin() }", "`std::io::stdin` reaches out");
    caught("model", "#[serde(with = \"std::fs::X\")] struct S;", "`std::fs::X` reaches out");
    caught("model", "fn f<'a>() -> impl Sized + use<'a> { std::fs::read(x) }", "`std::fs::read` reaches out");
    clean("model", "use std::io; fn f() -> io::Error {}");
}

#[test]
fn sockets_are_caught_and_addresses_are_not() {
    caught("envelope", "use std::net::TcpStream;", "`std::net::TcpStream` reaches out");
    caught(
        "envelope",
        "use std::net; fn f() { net::UdpSocket::bind(a) }",
        "`net::UdpSocket::bind` reaches out",
    );
    caught("envelope", "use std::net::{IpAddr, ToSocketAddrs};", "`std::net::ToSocketAddrs` reaches out");
    clean("envelope", "use std::net::{IpAddr, Ipv4Addr, SocketAddr}; fn f() { IpAddr::V4(a) }");
}

#[test]
fn crates_with_effects_are_caught() {
    for name in ["tokio", "hyper", "hyper_util", "rustls", "getrandom", "rand", "uuid", "rusqlite"] {
        caught("signature", &format!("use {name}::X;"), "is a crate with effects");
        caught("signature", &format!("fn f() {{ {name}::x() }}"), "is a crate with effects");
        caught("signature", &format!("use {name};"), "is a crate with effects");
        caught("signature", &format!("extern crate {name} as x;"), "is a crate with effects");
    }
    clean("signature", "fn f(rand: f64, uuid: &str) { rand + x.uuid; g::rand(rand) }");
}

#[test]
fn randomness_of_std_is_caught() {
    caught("retry", "use std::hash::RandomState;", "`std::hash::RandomState` reaches out");
    caught("retry", "fn f() { hash_map::RandomState::new() }", "`hash_map::RandomState::new` reaches out");
}

#[test]
fn hiding_is_caught() {
    caught("model", "use std::*;", "`std::*` hides");
    caught("model", "use std as s;", "`std` hides");
    caught("model", "use std::{self as s};", "`std` hides");
    caught("model", "use std::net::*;", "`std::net::*` hides");
    caught("model", "use crate as c;", "leads to `crate::`");
    caught("routing", "use super as c;", "leads to `crate::`");
    caught("model", "include!(\"../service/mod.rs\");", "brings in a source");
    caught("model", "#[path = \"../service/mod.rs\"] mod service;", "brings in a source");
}

#[test]
fn trait_objects_of_ours_are_caught() {
    caught("delivery", "trait Policy {} fn f(p: &dyn Policy) {}", "`dyn Policy`");
    caught("delivery", "use crate::model::Payload; type P = Box<dyn Payload>;", "`dyn Payload`");
    caught("delivery", "type P = Box<dyn crate::model::Payload + Send>;", "`dyn crate::model::Payload`");
    caught("delivery", "type P<'a> = &'a (dyn Send + 'a + Payload);", "`dyn Payload`");
    caught("delivery", "type P = Arc<dyn (Payload)>;", "`dyn Payload`");
    caught("delivery", "type P = Box<dyn Fn(u8) -> u8 + Payload>;", "`dyn Payload`");
    caught("delivery", "type P = dyn for<'a> Rule<'a, u8>;", "`dyn Rule`");
    caught("delivery", "macro_rules! m { () => { Vec<Box<dyn Rule>> } }", "`dyn Rule`");
    caught("delivery", "use crate::model::Iterator; type I = dyn Iterator;", "`dyn Iterator`");
}

#[test]
fn trait_objects_of_std_are_not_caught() {
    clean("delivery", "type E = Box<dyn std::error::Error + Send + Sync + 'static>;");
    clean("delivery", "use std::error::Error; type E = Option<Box<dyn Error>>;");
    clean("delivery", "use std::fmt; fn f(d: &dyn fmt::Display, p: Policy) -> Vec<Policy> {}");
    clean("delivery", "type F<'a> = &'a dyn for<'b> Fn(&'b Policy, u8) -> Result<Policy, Fault>;");
    clean("delivery", "type I = Vec<Box<dyn Iterator<Item = Policy>>>;");
    clean(
        "delivery",
        "fn f() { g(h as &dyn Fn(), a + b); let f: &dyn Fn() = a + b; let f = g as &dyn Fn(); a + b }",
    );
    clean("delivery", "fn f<'a, T>() -> &'a dyn Fn(T) where T: Policy + Rule {}");
}

#[test]
fn leading_upwards_or_sideways_is_caught() {
    caught("model::attempt", "use crate::registry::Limits;", "leads to `crate::registry`");
    caught("model::attempt", "use crate::{model::X, service::Webhooks};", "leads to `crate::service`");
    caught("retry", "fn f() { crate::delivery::g() }", "leads to `crate::delivery`");
    caught("signature::key", "fn f(s: crate::store::X) {}", "leads to `crate::store`");
    caught("handshake", "use crate::transport::Transport;", "leads to `crate::transport`");
    caught("signer", "use crate::store::Store;", "leads to `crate::store`");
    caught("envelope", "macro_rules! m { () => { $crate::assist::limits() } }", "leads to `crate::assist`");
    caught("registry::rules", "impl From<crate::routing::X> for Y {}", "leads to `crate::routing`");
    caught("assist", "pub(in crate::routing) fn f() {}", "leads to `crate::routing`");
    caught("routing", "use hookwire::retry::X;", "leads to `crate::retry`");
    caught("delivery", "#[serde(with = \"crate::envelope\")] struct S;", "leads to `crate::envelope`");
    caught("routing", "use crate::Event;", "leads to `crate::Event`");
    caught("routing", "use crate::*;", "leads to `crate::*`");
}

#[test]
fn leading_through_super_is_caught() {
    caught("routing", "use super::store::Store;", "leads to `crate::store`");
    caught("routing", "use super::*;", "leads to `crate::*`");
    caught("model::attempt", "use super::super::registry;", "leads to `crate::registry`");
    caught("model::attempt", "mod inner { use super::super::super::clock; }", "leads to `crate::clock`");
    caught("model::attempt", "use self::super::super::clock;", "leads to `crate::clock`");
    caught("model", "impl super::service::X for Y {}", "leads to `crate::service`");
}

#[test]
fn leading_downwards_is_not_caught() {
    clean("model::attempt", "use super::time::Timestamp; pub(super) fn f() {} pub(crate) fn g(&self) {}");
    clean("model::attempt", "mod inner { use super::super::time; use super::*; use self::x::Y; }");
    clean("routing", "use crate::model::{self, Event}; use crate::registry::Registry; pub(super) fn f() {}");
    clean("assist", "use crate::{model, registry::Limits};");
    clean("delivery", "use crate::model::X; fn f() { crate::retry::Schedule::default() }");
    clean("envelope", "use serde_json::{Value, json}; use crate::model::Event;");
}

#[test]
fn seams_do_not_see_each_other_nor_what_is_above_them() {
    for barred in ["crate::service::X", "crate::dispatcher", "crate::Webhooks", "crate::*", "crate as c"] {
        caught("store::memory", &format!("use {barred};"), "leads to");
        caught("transport", &format!("fn f() {{ m!(x) }} use {barred};"), "leads to");
    }
    caught("store", "use super::transport::Transport;", "leads to `crate::transport`");
    caught("store::sqlite::claim", "fn f() { crate::transport::x() }", "leads to `crate::transport`");
    caught("transport::http", "use crate::store::Store;", "leads to `crate::store`");
    clean("transport::http", "use tokio::net::TcpStream; use crate::{clock::Clock, model::Event, retry};");
    clean("store", "pub trait Store { async fn f(&self); } type S = Arc<dyn Store>; use super::delivery;");
}

#[test]
fn comments_documentation_and_tests_are_not_read() {
    clean(
        "model",
        "//! See `crate::service`.\n/// Not [`tokio::spawn`](crate::dispatcher).\nfn f() {} // async",
    );
    clean("model", "#[doc = \"crate::service::X\"] #[expect(dead_code, reason = \"an async fn\")] fn f() {}");
    clean("model", "#[cfg(test)]\n#[expect(x)]\nmod tests { use crate::service::X; async fn f() {} }");
    caught("model", "#[cfg(not(test))] mod tests { use crate::service::X; }", "leads to `crate::service`");
    caught("model", "#[cfg(test)] mod tests { } async fn f() {}", "`async`");
    caught("model", "#[cfg(test)] mod tests; async fn f() {}", "`async`");
    caught("model", "#[cfg(test)] fn f() {} mod m { async fn f() {} }", "`async`");
}

#[test]
fn files_of_test_modules_are_named() {
    let source = "mod a; #[cfg(test)] mod tests; #[cfg(test)] mod here {} #[cfg(unix)] mod b;";
    assert_eq!(Reader::read("model", source.parse().expect("tokens")).test_modules, ["tests"]);
}

#[test]
fn a_fault_says_where() {
    assert_eq!(
        faults("model::id", "\n\nuse tokio::spawn;"),
        ["model::id:3: `tokio::spawn` is a crate with effects"]
    );
    assert_eq!(faults("model::id", "fn ("), ["model::id: does not parse"]);
    assert_eq!(faults("modle", ""), ["modle: is in no layer that has rules"]);
}
