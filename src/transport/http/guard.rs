//! The address guard: [`Policy`] decides which addresses may be dialled, and alone makes a [`CheckedAddr`].

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use thiserror::Error;
use tokio::net::TcpStream;

use super::embedded_ipv4::embedded;
use super::special_purpose::{Row, Verdict, classify};

/// The addresses and ports that may be dialled.
///
/// The first matching rule decides: denied networks, metadata services, allowed networks, loopback if
/// switched on, the table of special-purpose addresses. An IPv4 address inside an IPv6 address has to pass
/// as well.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    pub(super) denied: Vec<IpNet>,
    pub(super) allowed: Vec<IpNet>,
    pub(super) loopback: bool,
    /// Whether plain HTTP may be spoken in allowed networks.
    pub(super) plain_http: bool,
    pub(super) ports: Option<BTreeSet<u16>>,
}

/// What is to be spoken with an address: the port, and whether without TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) port: u16,
    pub(super) is_plain: bool,
}

impl Policy {
    pub(super) fn check_port(&self, port: u16) -> Result<(), Forbidden> {
        match &self.ports {
            Some(ports) if !ports.contains(&port) => Err(Forbidden::Port(port)),
            _ => Ok(()),
        }
    }

    /// Checks all addresses and refuses them all if one is forbidden: a name that mixes them is not trusted.
    pub(super) fn check_all(
        &self,
        addresses: &[IpAddr],
        endpoint: Endpoint,
    ) -> Result<Vec<CheckedAddr>, Forbidden> {
        addresses.iter().map(|address| self.check(*address, endpoint)).collect()
    }

    fn check(
        &self,
        address: IpAddr,
        Endpoint { port, is_plain }: Endpoint,
    ) -> Result<CheckedAddr, Forbidden> {
        self.check_port(port)?;
        // The switch is for the loopback of this machine, not of the machine that unwraps an embedded address.
        let switched_on = self.loopback && address.is_loopback();
        self.pass(address, switched_on).map_err(|reason| Forbidden::Address { address, reason })?;
        if let IpAddr::V6(outer) = address {
            for inner in embedded(outer).into_iter().map(IpAddr::V4) {
                self.pass(inner, false).map_err(|reason| Forbidden::Inner { address, inner, reason })?;
            }
        }
        if is_plain && !self.may_be_plain(address) {
            return Err(Forbidden::Plain(address));
        }
        Ok(CheckedAddr(SocketAddr::new(address, port)))
    }

    /// Whether what is sent to an address may go without TLS: on this machine, and where the host said so.
    fn may_be_plain(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.plain_http && within(&self.allowed, address)
    }

    fn pass(&self, address: IpAddr, switched_on: bool) -> Result<(), Reason> {
        if within(&self.denied, address) {
            return Err(Reason::Denied);
        }
        match classify(address) {
            Verdict::Global => Ok(()),
            Verdict::Metadata => Err(Reason::Metadata),
            Verdict::Special(_) if switched_on || within(&self.allowed, address) => Ok(()),
            Verdict::Special(row) => Err(Reason::Special(row)),
        }
    }
}

fn within(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An address that passed a [`Policy`]. Only a policy makes one, and nothing else is dialled.
#[derive(Debug)]
pub(super) struct CheckedAddr(SocketAddr);

impl CheckedAddr {
    /// Opens a connection to exactly this address.
    pub(super) async fn dial(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(super) const fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    pub(super) const fn is_ipv6(&self) -> bool {
        self.0.is_ipv6()
    }

    pub(super) const fn is_loopback(&self) -> bool {
        self.0.ip().is_loopback()
    }
}

impl fmt::Display for CheckedAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reason why a policy forbids a connection.
#[derive(Debug, Error, Eq, PartialEq)]
pub(super) enum Forbidden {
    #[error("{address} is {reason}")]
    Address { address: IpAddr, reason: Reason },
    #[error("{address} leads to {inner}, which is {reason}")]
    Inner { address: IpAddr, inner: IpAddr, reason: Reason },
    #[error("{0} is in no network in which plain http is allowed; use https")]
    Plain(IpAddr),
    #[error("port {0} is not among the allowed ports")]
    Port(u16),
}

#[derive(Debug, Error, Eq, PartialEq)]
pub(super) enum Reason {
    #[error("in a network that the host denies")]
    Denied,
    #[error("a cloud metadata address")]
    Metadata,
    #[error("special: {} ({})", .0.name, .0.rfc)]
    Special(&'static Row),
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const fn tls(port: u16) -> Endpoint {
        Endpoint { port, is_plain: false }
    }

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn passes(policy: &Policy, text: &str) -> bool {
        policy.check(text.parse().expect(text), tls(443)).is_ok()
    }

    #[test]
    fn by_default_only_global_unicast_passes() {
        let policy = Policy::default();
        for text in ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "2606:4700::5efe:8.8.8.8"] {
            assert!(passes(&policy, text), "{text}");
        }
        for text in ["127.0.0.1", "::1", "10.0.0.1", "fe80::1", "::ffff:8.8.8.8", "64:ff9b:1::8.8.8.8"] {
            assert!(!passes(&policy, text), "{text}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_and_for_networks_that_are_allowed_if_it_is_switched_on() {
        let may = |policy: &Policy, text: &str| {
            policy.check(text.parse().expect(text), Endpoint { port: 80, is_plain: true }).is_ok()
        };
        let allowed = networks(&["10.1.0.0/16", "fd00::/8", "169.254.169.254/32", "8.8.8.0/24"]);
        let off = Policy { allowed, loopback: true, ..Policy::default() };
        let on = Policy { plain_http: true, ..off.clone() };
        for text in ["10.1.2.3", "fd00::1", "8.8.8.8"] {
            assert!(may(&on, text) && !may(&off, text), "{text}");
        }
        for text in ["10.2.0.1", "1.1.1.1", "2606:4700::1", "169.254.169.254", "::ffff:1.1.1.1"] {
            assert!(!may(&on, text), "{text}");
        }
        assert!(may(&off, "127.0.0.1") && !may(&Policy::default(), "127.0.0.1"));
        let denied = Policy { denied: networks(&["10.1.7.0/24"]), ..on };
        assert!(!may(&denied, "10.1.7.1") && may(&denied, "10.1.8.1"));
    }

    #[test]
    fn loopback_opens_loopback_alone() {
        let policy = Policy { loopback: true, ..Policy::default() };
        assert!(passes(&policy, "127.0.0.1") && passes(&policy, "127.9.9.9") && passes(&policy, "::1"));
        for text in ["0.0.0.0", "::", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "::127.0.0.1"] {
            assert!(!passes(&policy, text), "{text}");
        }
    }

    #[test]
    fn the_allow_list_opens_what_it_names_and_no_metadata() {
        let policy = Policy { allowed: networks(&["0.0.0.0/0", "::/0"]), ..Policy::default() };
        assert!(
            passes(&policy, "10.1.2.3") && passes(&policy, "fd00::7") && passes(&policy, "::ffff:10.0.0.1")
        );
        for text in [
            "169.254.169.254",
            "168.63.129.16",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::100.100.100.200",
            "2002:a9fe:a9fe::",
            "64:ff9b:1:a9fe:a9:fe00::",
        ] {
            assert!(!passes(&policy, text), "{text}");
        }
    }

    #[test]
    fn the_deny_list_wins_over_all_else() {
        let allowed = networks(&["10.0.0.0/8"]);
        let denied = networks(&["10.1.0.0/16", "127.0.0.1/32", "8.8.8.0/24"]);
        let policy = Policy { allowed, denied, loopback: true, ..Policy::default() };
        assert!(passes(&policy, "10.2.0.1") && passes(&policy, "127.0.0.2"));
        for text in ["10.1.0.1", "127.0.0.1", "8.8.8.8", "64:ff9b::8.8.8.8"] {
            assert!(!passes(&policy, text), "{text}");
        }
    }

    #[test]
    fn an_opened_wrapping_does_not_open_what_is_inside() {
        let policy = Policy { allowed: networks(&["2002::/16", "::ffff:0:0/96"]), ..Policy::default() };
        assert!(passes(&policy, "2002:808:808::1") && passes(&policy, "::ffff:8.8.8.8"));
        assert!(!passes(&policy, "2002:a00:1::1") && !passes(&policy, "::ffff:10.0.0.1"));
    }

    #[test]
    fn one_forbidden_address_spoils_all() {
        let addresses = ["8.8.8.8", "10.0.0.1"].map(|text| text.parse().expect(text));
        let refused = Policy::default().check_all(&addresses, tls(443)).expect_err("mixed");
        assert_eq!(refused.to_string(), "10.0.0.1 is special: private use (RFC 1918)");
    }

    #[test]
    fn a_checked_address_is_told_with_its_port_and_knows_loopback() {
        let policy = Policy { loopback: true, ..Policy::default() };
        let check = |text: &str| policy.check(text.parse().expect(text), tls(443)).expect(text);
        assert!(check("127.0.0.1").is_loopback() && check("::1").is_loopback());
        assert!(!check("8.8.8.8").is_loopback());
        assert_eq!(check("2606:4700::1111").to_string(), "[2606:4700::1111]:443");
    }

    #[test]
    fn ports_are_open_until_some_are_named() {
        let policy = Policy { ports: Some([443, 8443].into()), ..Policy::default() };
        assert!(Policy::default().check_port(22).is_ok() && policy.check_port(8443).is_ok());
        assert_eq!(
            policy.check_all(&[Ipv4Addr::new(8, 8, 8, 8).into()], tls(22)).err(),
            Some(Forbidden::Port(22))
        );
    }

    fn private() -> impl Strategy<Value = Ipv4Addr> {
        let blocks = networks(&[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "224.0.0.0/3",
        ]);
        (proptest::sample::select(blocks), any::<u32>()).prop_map(|(block, host)| match block {
            IpNet::V4(block) => {
                Ipv4Addr::from_bits(block.network().to_bits() | (host & block.hostmask().to_bits()))
            }
            IpNet::V6(_) => unreachable!("all blocks are IPv4"),
        })
    }

    /// Every way to write an IPv4 address into an IPv6 one, the rest being arbitrary.
    fn forms(inner: Ipv4Addr, noise: u128) -> Vec<Ipv6Addr> {
        let low = u128::from(inner.to_bits());
        let text = |prefix: &str| prefix.parse::<Ipv6Addr>().expect(prefix).to_bits();
        let global = text("2a00::") | (noise & (u128::MAX >> 16) & !u128::from(u64::MAX));
        let behind = |gap: u32| noise & ((1u128 << gap) - 1);
        let (high, rest) = (low >> 16, low & 0xffff);
        [
            low,
            text("::ffff:0:0") | low,
            text("::ffff:0:0:0") | low,
            text("64:ff9b::") | low,
            text("64:ff9b:1::") | (behind(48) << 32) | low,
            text("64:ff9b:1::") | (high << 64) | (rest << 40) | behind(40),
            text("2002::") | (low << 80) | behind(80),
            text("2001::") | (low << 64) | behind(64),
            text("2001::") | (behind(64) << 32) | u128::from(!inner.to_bits()),
            global | (0x5efe << 32) | low,
            global | (0x0200_5efe << 32) | low,
        ]
        .map(Ipv6Addr::from_bits)
        .into()
    }

    proptest! {
        #[test]
        fn no_wrapping_of_a_forbidden_address_passes(inner in private(), noise in any::<u128>()) {
            let open = Policy { allowed: networks(&["::/0"]), ..Policy::default() };
            for address in forms(inner, noise) {
                prop_assert!(Policy::default().check(address.into(), tls(443)).is_err(), "{}", address);
                // `::1` and `::` are addresses of their own; the /48 form reads 0.0.0.0/8 as noise.
                if inner.octets()[0] != 0 {
                    prop_assert!(open.check(address.into(), tls(443)).is_err(), "{} by its inside", address);
                }
            }
        }

        #[test]
        fn whatever_passes_is_global_by_itself(bits in any::<u128>(), v4 in any::<u32>()) {
            for address in [Ipv6Addr::from_bits(bits).into(), Ipv4Addr::from_bits(v4).into()] {
                let passed = Policy::default().check(address, tls(443)).is_ok();
                prop_assert!(!passed || classify(address) == Verdict::Global);
            }
        }
    }
}
