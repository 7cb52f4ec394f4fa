//! Sending requests: the [`Transport`] trait, and `HttpTransport` behind the feature `http-transport`.
//!
//! A transport carries one prepared request to one receiver and returns the response. It knows nothing
//! of webhooks, retries or stores.
//!
//! # Which addresses are allowed
//!
//! `HttpTransport` checks every address of a host. The first matching rule decides:
//!
//! | | matches |
//! |---|---|
//! | refused | networks passed to `deny_network` |
//! | refused | metadata and credential services of clouds, including those on public addresses |
//! | allowed | networks passed to `allow_network` |
//! | allowed | loopback, with `allow_loopback` |
//! | refused | everything that is not public unicast: IANA's special-purpose registries, multicast, unallocated space |
//! | allowed | everything else |
//!
//! An IPv4 address inside an IPv6 address (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP) is
//! checked as well; `allow_loopback` does not apply to it. One refused address refuses the whole host. The
//! same check runs at registration, at a ping and whenever a connection is opened.

mod error;
#[cfg(feature = "http-transport")]
mod http;
mod incomplete;
mod limits;
mod traits;

pub use self::error::TransportError;
#[cfg(feature = "http-transport")]
pub use self::http::{BuildTransportError, HttpTransport, HttpTransportBuilder, Resolve, TransportFault};
pub use self::incomplete::IncompleteBody;
pub use self::limits::SendLimits;
pub use self::traits::Transport;
