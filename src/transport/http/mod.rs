//! [`HttpTransport`]: HTTP/1.1 and HTTP/2 over TLS, to checked addresses only.
//!
//! ```text
//! send  --> client --(new connection)--> Connector: TLS --> GuardedConnector: resolve, check all, dial or tunnel
//! check --------------------------------------------------> GuardedConnector with its own resolver: resolve, check all
//! ```
//!
//! - `guard` is a pure function from a policy and addresses to `CheckedAddr`s or a refusal. Only it makes a
//!   `CheckedAddr`, and nothing else is dialled. `special_purpose` is the table of the registries;
//!   `embedded_ipv4` finds IPv4 addresses inside IPv6 addresses.
//! - `proxy` asks an egress proxy for the checked address, never for the name, because the proxy might resolve
//!   the name differently. So proxies that decide by name cannot be used. Names are resolved and checked as
//!   without a proxy. Loopback addresses, where allowed, are dialled directly.
//! - `builder` turns settings into a client. `reconfigure` replaces the client and its pool together, so no
//!   pooled connection outlives the rules under which it was opened. Requests in progress end under the old
//!   rules.
//! - `resolve` limits concurrent lookups to 128 for deliveries and 16 for checks, because a lookup of the
//!   operating system blocks a thread and cannot be cancelled. Three quarters of the 128 are for names whose
//!   last lookup succeeded, so that names that hang delay only each other.
//! - `resolve` looks names up from the root (`crm.`), so that no search domain turns `crm` into an internal
//!   host. In return, names in the hosts file are found only if written there with the final dot.
//! - `settings_watch` closes the connection of a receiver that allows no HTTP/2 stream (read by `h2_settings`).
//!   Otherwise the client would keep requests whose calls have ended until a stream is allowed.
//! - `body` reads the body for a short time after the head. A complete head is a response, whatever comes after it.
//! - `call` ends what a call leaves on its connection, by the handle of `connection`: whatever a receiver does, the
//!   body, the task and the socket of an attempt are gone within seconds of its deadline.
//! - `classify` gives each error its kind. Faults of a certificate have kinds of their own (`TlsExpired`,
//!   `TlsUntrusted`, ..), because the owner of the receiver has to fix them and sees only the kind.

mod body;
mod builder;
mod call;
mod classify;
mod client;
mod connection;
mod connector;
mod embedded_ipv4;
mod error;
mod guard;
mod h2_settings;
mod proxy;
mod resolve;
mod settings_watch;
mod special_purpose;
mod tls;

pub use self::builder::HttpTransportBuilder;
pub use self::client::HttpTransport;
pub use self::error::{BuildTransportError, TransportFault};
pub use self::resolve::Resolve;
