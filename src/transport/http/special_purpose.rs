//! The table of special-purpose addresses, and of metadata services. Pure; `guard` decides what follows from it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The addresses of cloud metadata and credential services. They are never allowed.
const METADATA: [IpAddr; 17] = [
    // AWS, Azure, Google Cloud and most others; AWS's resolver, ECS and EKS credentials; Tencent; Scaleway.
    v4(169, 254, 169, 254),
    v4(169, 254, 169, 253),
    v4(169, 254, 170, 2),
    v4(169, 254, 170, 23),
    v4(169, 254, 0, 23),
    v4(169, 254, 42, 42),
    // Alibaba; Oracle Cloud Classic; Azure's WireServer, which is a *public* address.
    v4(100, 100, 100, 200),
    v4(192, 0, 0, 192),
    v4(168, 63, 129, 16),
    // AWS: metadata, EKS credentials, resolver.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253]),
    // Google Cloud; Oracle Cloud; Scaleway; Akamai; OpenStack.
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]),
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]),
    v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]),
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
];

/// The address space as a routing table: the longest prefix that holds an address decides.
///
/// It holds both IANA special-purpose registries row by row, and the space that is not unicast. A row that
/// the registry calls globally reachable is special here if no receiver can have such an address: anycast
/// relays, sinks and identifiers.
const TABLE: [Row; 59] = [
    open(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, "global unicast", "RFC 791"),
    special(v4(0, 0, 0, 0), 8, "this network", "RFC 791"),
    special(v4(0, 0, 0, 0), 32, "this host on this network", "RFC 1122"),
    special(v4(10, 0, 0, 0), 8, "private use", "RFC 1918"),
    special(v4(100, 64, 0, 0), 10, "shared address space", "RFC 6598"),
    special(v4(127, 0, 0, 0), 8, "loopback", "RFC 1122"),
    special(v4(169, 254, 0, 0), 16, "link local", "RFC 3927"),
    special(v4(172, 16, 0, 0), 12, "private use", "RFC 1918"),
    special(v4(192, 0, 0, 0), 24, "IETF protocol assignments", "RFC 6890"),
    special(v4(192, 0, 0, 0), 29, "IPv4 service continuity prefix", "RFC 7335"),
    special(v4(192, 0, 0, 8), 32, "IPv4 dummy address", "RFC 7600"),
    special(v4(192, 0, 0, 9), 32, "port control protocol anycast", "RFC 7723"),
    special(v4(192, 0, 0, 10), 32, "TURN anycast", "RFC 8155"),
    special(v4(192, 0, 0, 170), 32, "NAT64/DNS64 discovery", "RFC 8880"),
    special(v4(192, 0, 0, 171), 32, "NAT64/DNS64 discovery", "RFC 8880"),
    special(v4(192, 0, 2, 0), 24, "documentation", "RFC 5737"),
    special(v4(192, 31, 196, 0), 24, "AS112-v4", "RFC 7535"),
    special(v4(192, 52, 193, 0), 24, "AMT", "RFC 7450"),
    special(v4(192, 88, 99, 0), 24, "deprecated 6to4 relay anycast", "RFC 7526"),
    special(v4(192, 88, 99, 2), 32, "6a44 relay anycast", "RFC 6751"),
    special(v4(192, 168, 0, 0), 16, "private use", "RFC 1918"),
    special(v4(192, 175, 48, 0), 24, "direct delegation AS112 service", "RFC 7534"),
    special(v4(198, 18, 0, 0), 15, "benchmarking", "RFC 2544"),
    special(v4(198, 51, 100, 0), 24, "documentation", "RFC 5737"),
    special(v4(203, 0, 113, 0), 24, "documentation", "RFC 5737"),
    special(v4(224, 0, 0, 0), 4, "multicast", "RFC 5771"),
    special(v4(240, 0, 0, 0), 4, "reserved", "RFC 1112"),
    special(v4(255, 255, 255, 255), 32, "limited broadcast", "RFC 919"),
    special(v6([0; 8]), 0, "not allocated to global unicast", "RFC 4291"),
    special(v6([0; 8]), 96, "deprecated IPv4-compatible", "RFC 4291"),
    special(v6([0; 8]), 128, "unspecified", "RFC 4291"),
    special(v6([0, 0, 0, 0, 0, 0, 0, 1]), 128, "loopback", "RFC 4291"),
    special(v6([0, 0, 0, 0, 0, 0xffff, 0, 0]), 96, "IPv4-mapped", "RFC 4291"),
    special(v6([0, 0, 0, 0, 0xffff, 0, 0, 0]), 96, "IPv4-translated", "RFC 2765"),
    // Open, because the embedded IPv4 address is checked too.
    open(v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0]), 96, "IPv4-IPv6 translation", "RFC 6052"),
    special(v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0]), 48, "local IPv4-IPv6 translation", "RFC 8215"),
    special(v6([0x100, 0, 0, 0, 0, 0, 0, 0]), 64, "discard only", "RFC 6666"),
    special(v6([0x100, 0, 0, 1, 0, 0, 0, 0]), 64, "dummy prefix", "RFC 9780"),
    open(v6([0x2000, 0, 0, 0, 0, 0, 0, 0]), 3, "global unicast", "RFC 4291"),
    special(v6([0x2001, 0, 0, 0, 0, 0, 0, 0]), 23, "IETF protocol assignments", "RFC 2928"),
    special(v6([0x2001, 0, 0, 0, 0, 0, 0, 0]), 32, "Teredo", "RFC 4380"),
    special(v6([0x2001, 1, 0, 0, 0, 0, 0, 1]), 128, "port control protocol anycast", "RFC 7723"),
    special(v6([0x2001, 1, 0, 0, 0, 0, 0, 2]), 128, "TURN anycast", "RFC 8155"),
    special(v6([0x2001, 1, 0, 0, 0, 0, 0, 3]), 128, "DNS-SD registration anycast", "RFC 9665"),
    special(v6([0x2001, 2, 0, 0, 0, 0, 0, 0]), 48, "benchmarking", "RFC 5180"),
    special(v6([0x2001, 3, 0, 0, 0, 0, 0, 0]), 32, "AMT", "RFC 7450"),
    special(v6([0x2001, 4, 0x112, 0, 0, 0, 0, 0]), 48, "AS112-v6", "RFC 7535"),
    special(v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0]), 28, "deprecated ORCHID", "RFC 4843"),
    special(v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0]), 28, "ORCHIDv2", "RFC 7343"),
    special(v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0]), 28, "drone remote id", "RFC 9374"),
    special(v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]), 32, "documentation", "RFC 3849"),
    special(v6([0x2002, 0, 0, 0, 0, 0, 0, 0]), 16, "6to4", "RFC 3056"),
    special(v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0]), 48, "direct delegation AS112 service", "RFC 7534"),
    special(v6([0x3fff, 0, 0, 0, 0, 0, 0, 0]), 20, "documentation", "RFC 9637"),
    special(v6([0x5f00, 0, 0, 0, 0, 0, 0, 0]), 16, "segment routing", "RFC 9602"),
    special(v6([0xfc00, 0, 0, 0, 0, 0, 0, 0]), 7, "unique local", "RFC 4193"),
    special(v6([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10, "link local", "RFC 4291"),
    special(v6([0xfec0, 0, 0, 0, 0, 0, 0, 0]), 10, "deprecated site local", "RFC 3879"),
    special(v6([0xff00, 0, 0, 0, 0, 0, 0, 0]), 8, "multicast", "RFC 4291"),
];

/// The class of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// A public unicast address.
    Global,
    /// The address of a cloud metadata service.
    Metadata,
    /// Any other address, with its row of the table.
    Special(&'static Row),
}

/// Classifies an address, without the IPv4 address that may be embedded in it.
pub(super) fn classify(address: IpAddr) -> Verdict {
    if METADATA.contains(&address) {
        return Verdict::Metadata;
    }
    let holding = TABLE.iter().filter(|row| row.network.contains(&address));
    let row = holding.max_by_key(|row| row.network.prefix_len());
    let row = row.expect("0.0.0.0/0 and ::/0 hold every address");
    if row.open { Verdict::Global } else { Verdict::Special(row) }
}

/// A block of addresses and its purpose.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Row {
    network: IpNet,
    open: bool,
    pub(super) name: &'static str,
    pub(super) rfc: &'static str,
}

const fn open(first: IpAddr, prefix: u8, name: &'static str, rfc: &'static str) -> Row {
    Row { network: network(first, prefix), open: true, name, rfc }
}

const fn special(first: IpAddr, prefix: u8, name: &'static str, rfc: &'static str) -> Row {
    Row { network: network(first, prefix), open: false, name, rfc }
}

const fn network(first: IpAddr, prefix: u8) -> IpNet {
    match first {
        IpAddr::V4(first) => IpNet::V4(Ipv4Net::new_assert(first, prefix)),
        IpAddr::V6(first) => IpNet::V6(Ipv6Net::new_assert(first, prefix)),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(it) => it.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
            IpAddr::V6(it) => it.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
        }
    }

    fn above(address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(it) => it.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
            IpAddr::V6(it) => it.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
        }
    }

    /// The verdict by a plain walk: the narrowest row, found by comparing first and last addresses.
    fn expected(address: IpAddr) -> Verdict {
        if METADATA.contains(&address) {
            return Verdict::Metadata;
        }
        let holds = |row: &&Row| {
            row.network.network().is_ipv4() == address.is_ipv4()
                && (row.network.network()..=row.network.broadcast()).contains(&address)
        };
        let narrowest = TABLE.iter().filter(holds).max_by_key(|row| row.network.prefix_len());
        let row = narrowest.expect("some row");
        if row.open { Verdict::Global } else { Verdict::Special(row) }
    }

    #[test]
    fn each_row_ends_where_its_network_ends() {
        for row in TABLE.iter().filter(|row| !row.open) {
            let (first, last) = (row.network.network(), row.network.broadcast());
            for inside in [first, last] {
                assert_ne!(classify(inside), Verdict::Global, "{inside} is {}", row.name);
            }
            for outside in [below(first), above(last)].into_iter().flatten() {
                assert_eq!(classify(outside), expected(outside), "{outside} beside {}", row.name);
                assert_ne!(classify(outside), Verdict::Special(row), "{outside} beside {}", row.name);
            }
        }
    }

    #[test]
    fn each_row_is_written_by_its_first_address_and_once() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.network.addr(), row.network.network(), "{}", row.network);
            assert!(TABLE[..index].iter().all(|other| other.network != row.network), "{}", row.network);
        }
    }

    #[test]
    fn neighbours_of_the_blocks_are_global() {
        let neighbours = [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.1.255",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "168.63.129.15",
            "8.8.8.8",
            "2000::",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::",
            "2606:4700::1111",
            "3ffe:ffff::",
            "3fff:1000::",
            "64:ff9b::",
        ];
        for text in neighbours {
            assert_eq!(classify(text.parse().expect(text)), Verdict::Global, "{text}");
        }
    }

    #[test]
    fn what_nobody_may_have_is_named_by_its_narrowest_row() {
        let named = [
            ("0.0.0.0", "RFC 1122"),
            ("0.0.0.1", "RFC 791"),
            ("127.0.0.1", "RFC 1122"),
            ("10.1.2.3", "RFC 1918"),
            ("192.0.0.7", "RFC 7335"),
            ("192.0.0.191", "RFC 6890"),
            ("192.88.99.1", "RFC 7526"),
            ("224.0.0.1", "RFC 5771"),
            ("239.255.255.255", "RFC 5771"),
            ("240.0.0.1", "RFC 1112"),
            ("255.255.255.255", "RFC 919"),
            ("::", "RFC 4291"),
            ("::1", "RFC 4291"),
            ("2001::1", "RFC 4380"),
            ("2001:5::", "RFC 2928"),
            ("2002::", "RFC 3056"),
            ("4000::", "RFC 4291"),
            ("fd00::1", "RFC 4193"),
            ("fec0::1", "RFC 3879"),
            ("ff02::1", "RFC 4291"),
            ("64:ff9b:1::", "RFC 8215"),
        ];
        for (text, rfc) in named {
            let verdict = classify(text.parse().expect(text));
            assert!(matches!(verdict, Verdict::Special(row) if row.rfc == rfc), "{text}: {verdict:?}");
        }
    }

    #[test]
    fn each_block_is_closed_up_to_its_last_address() {
        let last = [
            "0.255.255.255",
            "10.255.255.255",
            "100.127.255.255",
            "127.255.255.255",
            "169.254.255.255",
            "172.31.255.255",
            "192.0.0.255",
            "192.0.2.255",
            "192.31.196.255",
            "192.52.193.255",
            "192.88.99.255",
            "192.168.255.255",
            "192.175.48.255",
            "198.19.255.255",
            "198.51.100.255",
            "203.0.113.255",
            "239.255.255.255",
            "255.255.255.254",
            "::ffff:ffff",
            "::ffff:255.255.255.255",
            "::ffff:0:255.255.255.255",
            "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            "100::ffff:ffff:ffff:ffff",
            "1fff:ffff::",
            "2001:1ff:ffff::",
            "2001:db8:ffff::",
            "2002:ffff::",
            "2620:4f:8000:ffff::",
            "3fff:fff:ffff::",
            "5f00:ffff::",
            "fdff:ffff::",
            "febf:ffff::",
            "feff:ffff::",
            "ffff:ffff::",
        ];
        for text in last {
            assert_ne!(classify(text.parse().expect(text)), Verdict::Global, "{text}");
        }
    }
}
