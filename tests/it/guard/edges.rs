//! The special-purpose registries of IANA (IPv4 and IPv6, as of 2026) and all else that is not public unicast: the
//! addresses at the edges of each block. Written by hand, without a look at the guard's own table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hookwire::model::{CallbackUrl, FailureKind};
use hookwire::transport::{HttpTransport, HttpTransportBuilder, Transport};

use Beside::{Closed, Nothing, Open};

/// The kind of an address beside a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Beside {
    Closed,
    Nothing,
    Open,
}

/// A block, and what is one below and one above it.
type Row = (&'static str, Beside, Beside);

const V4: [Row; 27] = [
    ("0.0.0.0/8", Nothing, Open),
    ("0.0.0.0/32", Nothing, Closed),
    ("10.0.0.0/8", Open, Open),
    ("100.64.0.0/10", Open, Open),
    ("127.0.0.0/8", Open, Open),
    ("169.254.0.0/16", Open, Open),
    ("172.16.0.0/12", Open, Open),
    ("192.0.0.0/24", Open, Open),
    ("192.0.0.0/29", Open, Closed),
    ("192.0.0.8/32", Closed, Closed),
    ("192.0.0.9/32", Closed, Closed),
    ("192.0.0.10/32", Closed, Closed),
    ("192.0.0.170/32", Closed, Closed),
    ("192.0.0.171/32", Closed, Closed),
    ("192.0.2.0/24", Open, Open),
    ("192.31.196.0/24", Open, Open),
    ("192.52.193.0/24", Open, Open),
    ("192.88.99.0/24", Open, Open),
    ("192.88.99.2/32", Closed, Closed),
    ("192.168.0.0/16", Open, Open),
    ("192.175.48.0/24", Open, Open),
    ("198.18.0.0/15", Open, Open),
    ("198.51.100.0/24", Open, Open),
    ("203.0.113.0/24", Open, Open),
    ("224.0.0.0/4", Open, Closed),
    ("240.0.0.0/4", Closed, Nothing),
    ("255.255.255.255/32", Closed, Nothing),
];

const V6: [Row; 32] = [
    ("::/96", Nothing, Closed),
    ("::/128", Nothing, Closed),
    ("::1/128", Closed, Closed),
    ("::ffff:0:0/96", Closed, Closed),
    ("::ffff:0:0:0/96", Closed, Closed),
    ("64:ff9b::/96", Closed, Closed),
    ("64:ff9b:1::/48", Closed, Closed),
    ("100::/64", Closed, Closed),
    ("100:0:0:1::/64", Closed, Closed),
    // What stands below and above 2000::/3 belongs to nobody.
    ("::/3", Nothing, Open),
    ("4000::/2", Open, Closed),
    ("8000::/1", Closed, Nothing),
    ("2001::/23", Open, Open),
    ("2001::/32", Open, Closed),
    ("2001:1::1/128", Closed, Closed),
    ("2001:1::2/128", Closed, Closed),
    ("2001:1::3/128", Closed, Closed),
    ("2001:2::/48", Closed, Closed),
    ("2001:3::/32", Closed, Closed),
    ("2001:4:112::/48", Closed, Closed),
    ("2001:10::/28", Closed, Closed),
    ("2001:20::/28", Closed, Closed),
    ("2001:30::/28", Closed, Closed),
    ("2001:db8::/32", Open, Open),
    ("2002::/16", Open, Open),
    ("2620:4f:8000::/48", Open, Open),
    ("3fff::/20", Open, Open),
    ("5f00::/16", Closed, Closed),
    ("fc00::/7", Closed, Closed),
    ("fe80::/10", Closed, Closed),
    ("fec0::/10", Closed, Closed),
    ("ff00::/8", Closed, Nothing),
];

/// Addresses of metadata services and the like, from the manuals of the clouds.
const METADATA: [&str; 17] = [
    "169.254.169.254",
    "169.254.169.253",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.0.23",
    "169.254.42.42",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:ec2::253",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fd00:a9fe:a9fe::1",
    "fe80::a9fe:a9fe",
];

fn built(builder: HttpTransportBuilder) -> HttpTransport {
    builder.build().expect("valid")
}

async fn look(transport: &HttpTransport, address: IpAddr) -> Beside {
    let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    let url = CallbackUrl::parse(&format!("https://{host}/")).expect("a URL");
    match transport.check(&url).await {
        Ok(()) => Open,
        Err(error) if error.kind() == FailureKind::Refused => Closed,
        Err(error) => panic!("{address}: {}", error.detail()),
    }
}

/// First and last address of a block, and one below and one above.
fn edges(block: &str) -> ([IpAddr; 2], [Option<IpAddr>; 2]) {
    let (first, length) = block.split_once('/').expect("a block");
    let (first, length): (IpAddr, u32) = (first.parse().expect(block), length.parse().expect(block));
    match first {
        IpAddr::V4(first) => {
            let at = |bits: u32| IpAddr::from(Ipv4Addr::from_bits(bits));
            let (first, last) =
                (first.to_bits(), first.to_bits() | u32::MAX.checked_shr(length).unwrap_or(0));
            ([at(first), at(last)], [first.checked_sub(1).map(at), last.checked_add(1).map(at)])
        }
        IpAddr::V6(first) => {
            let at = |bits: u128| IpAddr::from(Ipv6Addr::from_bits(bits));
            let (first, last) =
                (first.to_bits(), first.to_bits() | u128::MAX.checked_shr(length).unwrap_or(0));
            ([at(first), at(last)], [first.checked_sub(1).map(at), last.checked_add(1).map(at)])
        }
    }
}

#[tokio::test]
async fn each_block_is_closed_from_its_first_to_its_last_address_and_no_further() {
    let transport = built(HttpTransport::builder());
    for (block, below, above) in V4.into_iter().chain(V6) {
        let (inside, outside) = edges(block);
        for address in inside {
            assert_eq!(look(&transport, address).await, Closed, "{address} is within {block}");
        }
        for (address, expected) in outside.into_iter().zip([below, above]) {
            let found = match address {
                Some(address) => look(&transport, address).await,
                None => Nothing,
            };
            assert_eq!(found, expected, "{address:?} is beside {block}");
        }
    }
}

#[tokio::test]
async fn translated_addresses_are_open_exactly_if_what_they_lead_to_is() {
    let transport = built(HttpTransport::builder());
    for (address, expected) in [
        ("64:ff9b::8.8.8.8", Open),
        ("2606:4700::5efe:8.8.8.8", Open),
        ("2606:4700::200:5efe:8.8.8.8", Open),
        ("64:ff9b::10.0.0.1", Closed),
        ("2606:4700::5efe:10.0.0.1", Closed),
        ("2606:4700::200:5efe:10.0.0.1", Closed),
        ("64:ff9b::168.63.129.16", Closed),
    ] {
        assert_eq!(look(&transport, address.parse().expect(address)).await, expected, "{address}");
    }
}

#[tokio::test]
async fn an_allow_list_of_everything_opens_no_private_network_in_disguise_beyond_those_it_names() {
    let transport = built(HttpTransport::builder().allow_network("::/0"));
    for wrapped in [
        "::10.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "64:ff9b:1:a00:0:100::",
        "2002:a00:1::",
        "2001:0:a00:1::",
        "2001::f5ff:fffe",
        "2606:4700::5efe:10.0.0.1",
        "2606:4700::200:5efe:10.0.0.1",
    ] {
        assert_eq!(look(&transport, wrapped.parse().expect(wrapped)).await, Closed, "{wrapped}");
    }
    assert_eq!(look(&transport, "fd00::1".parse().expect("an address")).await, Open);
}

#[tokio::test]
async fn no_allow_list_opens_a_metadata_service() {
    let builder =
        || HttpTransport::builder().allow_loopback().allow_network("0.0.0.0/0").allow_network("::/0");
    for address in METADATA {
        let by_name = builder().allow_network(address);
        let address: IpAddr = address.parse().expect(address);
        assert_eq!(look(&built(by_name), address).await, Closed, "{address}");
    }
    let all = built(builder());
    for (address, wrapped) in METADATA.iter().filter_map(|it| Some((it, it.parse::<Ipv4Addr>().ok()?))) {
        let [a, b, c, d] = wrapped.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        for form in [
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
            Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0x5efe, high, low),
        ] {
            assert_eq!(look(&all, form.into()).await, Closed, "{form} leads to {address}");
        }
    }
}
