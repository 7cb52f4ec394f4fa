//! The IPv4 addresses inside an IPv6 address. Pure; `guard` checks each of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

const COMPATIBLE: Ipv6Net = prefix([0, 0, 0, 0, 0, 0], 96);
const MAPPED: Ipv6Net = prefix([0, 0, 0, 0, 0, 0xffff], 96);
const TRANSLATED: Ipv6Net = prefix([0, 0, 0, 0, 0xffff, 0], 96);
const NAT64: Ipv6Net = prefix([0x64, 0xff9b, 0, 0, 0, 0], 96);
const LOCAL_NAT64: Ipv6Net = prefix([0x64, 0xff9b, 1, 0, 0, 0], 48);
const TEREDO: Ipv6Net = prefix([0x2001, 0, 0, 0, 0, 0], 32);
const SIX_TO_FOUR: Ipv6Net = prefix([0x2002, 0, 0, 0, 0, 0], 16);

/// The first halves of ISATAP interface identifiers; the second half is the IPv4 address (RFC 5214).
const ISATAP: [u32; 2] = [0x0000_5efe, 0x0200_5efe];

/// Returns every IPv4 address that a packet to this address may reach.
pub(super) fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bits = address.to_bits();
    if address.is_loopback() || address.is_unspecified() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if [COMPATIBLE, MAPPED, TRANSLATED, NAT64].iter().any(|prefix| prefix.contains(&address))
        || is_isatap(bits)
    {
        found.push(v4_ending_at(bits, 128));
    }
    if SIX_TO_FOUR.contains(&address) {
        found.push(v4_ending_at(bits, 48));
    }
    if TEREDO.contains(&address) {
        // The address of the server, and that of the client with its bits inverted (RFC 4380).
        found.extend([v4_ending_at(bits, 64), v4_ending_at(!bits, 128)]);
    }
    if LOCAL_NAT64.contains(&address) {
        found.extend(behind_local_nat64(bits));
    }
    found
}

fn is_isatap(bits: u128) -> bool {
    ISATAP.contains(&((bits >> 32) as u32))
}

/// Returns the readings of a local NAT64 address. A local translator may use a prefix of 48, 56, 64 or 96 bits
/// (RFC 6052), and only its operator knows which, so each reading counts. A result in 0.0.0.0/8 shows that the
/// reading is wrong, except with 96 bits.
fn behind_local_nat64(bits: u128) -> impl Iterator<Item = Ipv4Addr> {
    // In the shorter prefixes, bits 64 to 71 are not part of the IPv4 address.
    let squeezed = ((bits >> 64) << 64) | ((bits << 8) & u128::from(u64::MAX));
    let short = [80, 88, 96].map(|end| v4_ending_at(squeezed, end));
    let short = short.into_iter().filter(|reading| reading.octets()[0] != 0);
    short.chain([v4_ending_at(bits, 128)])
}

/// Returns the 32 bits that end before bit `end`, counted from the left.
const fn v4_ending_at(bits: u128, end: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits((bits >> (128 - end)) as u32)
}

const fn prefix([a, b, c, d, e, f]: [u16; 6], len: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, 0, 0), len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        embedded(text.parse().expect(text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_form_is_read() {
        for text in [
            "::10.1.2.3",
            "::ffff:10.1.2.3",
            "::ffff:0:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "2002:a01:203::1",
            "2606:4700::5efe:10.1.2.3",
            "2606:4700::200:5efe:10.1.2.3",
            "64:ff9b:1::10.1.2.3",
        ] {
            assert!(read(text).contains(&"10.1.2.3".to_owned()), "{text}: {:?}", read(text));
        }
        assert_eq!(read("2001:0:808:808::f5fe:fdfc"), ["8.8.8.8", "10.1.2.3"]);
    }

    #[test]
    fn the_examples_of_rfc_6052_are_read_behind_a_local_translator() {
        for (text, inner) in [
            ("64:ff9b:1:c000:2:2100::", "192.0.2.33"),
            ("64:ff9b:1:c0:0:221::", "192.0.2.33"),
            ("64:ff9b:1:0:c0:2:2100::", "192.0.2.33"),
            ("64:ff9b:1::192.0.2.33", "192.0.2.33"),
        ] {
            assert!(read(text).contains(&inner.to_owned()), "{text}: {:?}", read(text));
        }
        assert_eq!(read("64:ff9b:1::8.8.8.8"), ["8.8.8.8"], "a wrong reading does not count");
    }

    #[test]
    fn plain_addresses_hold_nothing() {
        for text in ["::", "::1", "2606:4700::1111", "fd00::1", "2001:db8::10.0.0.1"] {
            assert!(read(text).is_empty(), "{text}");
        }
    }
}
