//! Which errors are this machine's own, and not the receiver's: it ran out of something, or is cut off.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// The errors of the operating system that have no `io::ErrorKind`: too many open files in the process (EMFILE), too
/// many in the system (ENFILE), no space for buffers (ENOBUFS).
const EXHAUSTED: [i32; 3] = if cfg!(windows) {
    [10024, 10024, 10055]
} else if cfg!(any(target_os = "android", target_os = "linux")) {
    [24, 23, 105]
} else {
    [24, 23, 55]
};

/// Addresses of the documentation networks (RFC 5737, RFC 3849), which are nowhere: only a default route leads to them.
const NOWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// Returns whether this machine ran out of descriptors, memory or threads.
fn is_exhausted(error: &io::Error) -> bool {
    let of_system = error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code));
    of_system || error.kind() == io::ErrorKind::OutOfMemory
}

/// Returns whether a look-up failed because no resolver was asked or answered: the name may be good.
pub(super) fn fails_look_ups(error: &io::Error) -> bool {
    use io::ErrorKind::{NetworkDown, NetworkUnreachable, WouldBlock};
    // `WouldBlock` is the error if no thread can be started.
    is_exhausted(error) || matches!(error.kind(), NetworkDown | NetworkUnreachable | WouldBlock)
}

/// Returns whether a connection to this address failed by no fault of the receiver.
///
/// Otherwise a receiver could bring it about: an IPv6 address on a machine without IPv6, or an address that
/// routers do not know, fails in the same way as every address on a machine without a network.
pub(super) fn fails_dialling(error: &io::Error, to: IpAddr, has_route: impl Fn(IpAddr) -> bool) -> bool {
    match error.kind() {
        // No port is left, unless this machine has no address of the family.
        io::ErrorKind::AddrNotAvailable => has_route(to),
        io::ErrorKind::NetworkDown | io::ErrorKind::NetworkUnreachable => !NOWHERE.into_iter().any(has_route),
        _ => is_exhausted(error),
    }
}

/// Returns whether there is a route to this address. Nothing is sent: a datagram socket is connected locally.
pub(super) fn has_route(to: IpAddr) -> bool {
    let any = match to {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((to, 9))).is_ok()
}

#[cfg(test)]
mod tests {
    use io::ErrorKind;

    use super::*;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, 1));

    #[test]
    fn a_machine_that_has_run_out_is_told_from_a_receiver_that_refuses() {
        for code in EXHAUSTED {
            let error = io::Error::from_raw_os_error(code);
            assert!(fails_dialling(&error, V4, |_| true) && fails_look_ups(&error), "{error}");
        }
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable, ErrorKind::TimedOut] {
            assert!(!fails_dialling(&kind.into(), V4, |_| false) && !fails_look_ups(&kind.into()), "{kind}");
        }
        assert!(fails_dialling(&ErrorKind::OutOfMemory.into(), V4, |_| true));
        assert!(fails_look_ups(&ErrorKind::WouldBlock.into()), "no thread for it");
        assert!(!fails_look_ups(&ErrorKind::NotFound.into()));
    }

    #[test]
    fn only_a_machine_without_any_route_is_cut_off() {
        for kind in [ErrorKind::NetworkDown, ErrorKind::NetworkUnreachable] {
            assert!(fails_dialling(&kind.into(), V6, |_| false));
            assert!(!fails_dialling(&kind.into(), V6, |to| to.is_ipv4()), "it has IPv4 alone");
            assert!(!fails_dialling(&kind.into(), V4, |_| true), "a router says so");
        }
    }

    #[test]
    fn an_address_that_is_not_there_means_that_no_port_is_left_if_there_is_a_route() {
        let error = || io::Error::from(ErrorKind::AddrNotAvailable);
        assert!(fails_dialling(&error(), V4, |to| to == V4));
        assert!(!fails_dialling(&error(), V6, |to| to == V4));
    }

    #[test]
    fn a_route_to_this_machine_itself_is_found() {
        assert!(has_route(Ipv4Addr::LOCALHOST.into()));
    }
}
