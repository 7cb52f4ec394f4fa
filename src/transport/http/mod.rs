//! [`HttpTransport`]: HTTP/1.1 and HTTP/2 over TLS, to checked addresses only.
//!
//! ```text
//! send  --> pool ----(new connection)--> Connector: TLS --> GuardedConnector: resolve, check all, dial or tunnel
//! check --------------------------------------------------> GuardedConnector with its own resolver: resolve, check all
//! ```
//!
//! - `guard` is a pure function from a policy and addresses to `CheckedAddr`s or a refusal. Only it makes a
//!   `CheckedAddr`, and nothing else is dialled. `special_purpose` is the table of the registries;
//!   `embedded_ipv4` finds IPv4 addresses inside IPv6 addresses.
//! - `proxy` asks an egress proxy for the checked address, never for the name, because the proxy might resolve
//!   the name differently. So proxies that decide by name cannot be used. Names are resolved and checked as
//!   without a proxy. Loopback addresses, where allowed, are dialled directly.
//! - `builder` turns settings into a pool of connections. `reconfigure` replaces settings and pool together, so
//!   no pooled connection outlives the rules under which it was opened. Requests in progress end under the old
//!   rules.
//! - `pool` gives each request a connection that takes it now, and opens as many as the waiting requests need;
//!   `host` decides that, without I/O. A connection of HTTP/2 gets no more requests than its receiver allows
//!   streams, and one until the receiver has said how many. So no request waits inside the client, behind others.
//! - `sender` tells whether the receiver surely did not process a failed request. Only such a request is sent
//!   again. `connection` holds what the I/O of a connection (`settings_watch`) records for that.
//! - `resolve` limits concurrent lookups to 128 for deliveries and 16 for checks, because a lookup of the
//!   operating system blocks a thread, one of its own, and cannot be cancelled. Three quarters of the 128 are for names whose
//!   last lookup succeeded, so that names that hang delay only each other.
//! - `resolve` looks names up from the root (`crm.`), so that no search domain turns `crm` into an internal
//!   host. In return, names in the hosts file are found only if written there with the final dot.
//! - `dial` races the addresses of a name, two at a time, as RFC 8305 says: a dead one costs 250 ms. All
//!   addresses are judged before, and the loser is closed before TLS begins.
//! - `look_ups` tells a deadline that passed during a look-up from one that passed at the receiver: only the latter
//!   is a timeout, for which a lane is demoted.
//! - `local` tells what failed on this machine (`Local`): no descriptors, ports, memory or threads, no route, no proxy.
//!   `outage` does so for look-ups, whose errors do not say whether a name or all resolvers failed: it asks for names
//!   that were found before. A receiver must not be able to bring about a failure that is not counted against it.
//! - `settings_watch` closes the connection of a receiver that allows no HTTP/2 stream (read by `h2_settings`).
//!   Otherwise the client would keep requests whose calls have ended until a stream is allowed. It records how
//!   many streams are allowed, and what is written.
//! - `body` reads the body for a short time after the head. A complete head is a response, whatever comes after it.
//! - `call` ends what a call leaves on its connection, by the handle of `managed_stream`: whatever a receiver does, the
//!   body, the task and the socket of an attempt are gone within seconds of its deadline.
//! - `classify` gives each error its kind. Faults of a certificate have kinds of their own (`TlsExpired`,
//!   `TlsUntrusted`, ..), because the owner of the receiver has to fix them and sees only the kind. `verifier` tells
//!   a certificate without its chain, and `client_certificate` a receiver that wants one of ours.

mod body;
mod builder;
mod call;
mod classify;
mod client;
mod client_certificate;
mod connection;
mod connector;
mod dial;
mod embedded_ipv4;
mod error;
mod guard;
mod h2_settings;
mod host;
mod local;
mod look_ups;
mod managed_stream;
mod outage;
mod pool;
mod proxy;
mod resolve;
mod sender;
mod settings_watch;
mod special_purpose;
mod tls;
mod verifier;

pub use self::builder::HttpTransportBuilder;
pub use self::client::HttpTransport;
pub use self::error::{BuildTransportError, TransportFault};
pub use self::resolve::Resolve;
