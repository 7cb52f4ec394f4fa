//! No URL and no resolver makes the transport dial a forbidden address: what is dialled is read from what a
//! proxy is asked for, and judged by rules that are written here, from the predicates of `std`.

mod cases;
pub(crate) mod dial;
mod planted;

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::runtime::Runtime;

use self::dial::ProxiedTransport;
use super::input::Input;
use super::{Target, Verdict};

pub(crate) const TARGET: Target = Target {
    name: "url",
    holds: |input| holds(dialled, input),
    planted: &[
        ("forgets_mapped", |input| holds(planted::forgets_mapped, input)),
        ("looks_twice", |input| holds(planted::looks_twice, input)),
    ],
};

/// What a resolver gives to each look-up in turn, from the first again after the last.
type Answers = Vec<Vec<IpAddr>>;

fn holds(dialled: fn(&str, &Answers) -> Vec<SocketAddr>, input: &[u8]) -> Verdict {
    let mut input = Input::new(input);
    let answers = cases::answers(&mut input);
    let url = cases::url(&mut input);
    let forbidden = dialled(&url, &answers).into_iter().find(|address| is_forbidden(address.ip()));
    ensure!(forbidden.is_none(), "{url} led to {forbidden:?}, resolved as {answers:?}");
    Ok(())
}

thread_local! {
    static TRANSPORT: OnceCell<(Runtime, ProxiedTransport)> = const { OnceCell::new() };
}

/// What the transport dials.
fn dialled(url: &str, answers: &Answers) -> Vec<SocketAddr> {
    TRANSPORT.with(|transport| {
        let (runtime, transport) = transport.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            let transport = runtime.block_on(ProxiedTransport::start());
            (runtime, transport)
        });
        runtime.block_on(transport.dialled(url, answers.clone()))
    })
}

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
