//! What the address guard judges: the address in a URL, or the sixteen that a resolver found.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use divan::{Bencher, black_box};
use hookwire::model::CallbackUrl;
use hookwire::transport::{HttpTransport, Resolve, Transport};

/// A public address, one of a private network, a public one within an IPv6 address, and a name.
const HOSTS: [&str; 4] = ["198.41.0.4", "10.0.0.1", "[64:ff9b::198.41.0.4]", "hooks.example.com"];

#[divan::bench(args = HOSTS)]
fn guard(bencher: Bencher<'_, '_>, host: &str) {
    let url = CallbackUrl::parse(&format!("https://{host}/")).expect("a URL of https");
    let transport = HttpTransport::builder().resolver(Sixteen).build().expect("the system has trusted roots");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    let is_refused = runtime.block_on(transport.check(&url)).is_err();
    assert_eq!(is_refused, host.starts_with("10."), "{host}");
    bencher.bench_local(|| runtime.block_on(transport.check(black_box(&url))));
}

/// Finds sixteen public addresses for each name, at once.
#[derive(Debug)]
struct Sixteen;

#[async_trait]
impl Resolve for Sixteen {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok((0..16).map(|last| Ipv4Addr::new(198, 41, 0, last).into()).collect())
    }
}
