//! What a host does for its own safety, and what hookwire does for it.
//!
//! SECURITY.md in the repository holds the threat model, and names for each promise the test that shows it.
//!
//! # What leaves your network
//!
//! A webhook URL is an order from a stranger to make a request from inside your network. `HttpTransport`
//! judges every address that it dials, by the IANA special-purpose registries: only global unicast passes,
//! in IPv4, in IPv6, and in each IPv4 address that an IPv6 address carries. It judges at registration, at
//! each ping, and again at each dial, because a name can lead elsewhere by then.
//!
//! Three things only you can know:
//!
//! - **Public addresses that trust your network**: a load balancer, an office, a partner's allow-list. Name
//!   them with `deny_network`.
//! - **Private receivers that are meant to be reached.** Name exactly them with `allow_network`. Whoever
//!   registers webhooks can then reach the whole of that network, on every port that `allow_ports` leaves.
//! - **What else the process can reach.** The guard is the first wall. Make a second: let the process run
//!   where the network itself allows nothing but the store and the internet, or send what leaves through an
//!   egress proxy that holds the same rules.
//!
//! ```
//! # #[cfg(feature = "http-transport")]
//! # fn main() -> Result<(), hookwire::transport::BuildTransportError> {
//! use hookwire::transport::HttpTransport;
//!
//! let transport = HttpTransport::builder()
//!     .deny_network("203.0.113.0/24") // ours, and it trusts this network
//!     .allow_ports([443, 8443])
//!     .build()?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "http-transport"))]
//! # fn main() {}
//! ```
//!
//! [`allow_loopback_http`](crate::service::WebhooksBuilder::allow_loopback_http) is for development: with it,
//! whoever registers webhooks can reach the machine itself.
//!
//! # Keys
//!
//! Each webhook has a secret of its own, 32 random bytes. It is given out by
//! [`create`](crate::service::Tenant::create), [`rotate_secret`](crate::service::Tenant::rotate_secret) and
//! [`reveal_secret`](crate::service::Tenant::reveal_secret) alone, prints as `[redacted]`, and is wiped from
//! memory when it is dropped. After a rotation the old one signs along for
//! [24 hours](crate::policy::Policy::with_secret_overlap), so that receivers change over without a gap.
//!
//! Whoever has the store's file or a backup of the database has what is in it: payloads, URLs, extra headers.
//! Keep them like passwords.
//!
//! # What to show tenants
//!
//! A [`Tenant`](crate::service::Tenant) handle does what its scopes grant, for its tenant alone: give each
//! request of a user the handle of the user's own tenant, narrowed by
//! [`with_scopes`](crate::service::Tenant::with_scopes).
//!
//! | of | tenants see | [operators](crate::service::Tenant::for_operator) see |
//! |---|---|---|
//! | a failure | its [class](crate::model::FailureKind): refused, timed out, .. | what exactly, with addresses |
//! | an answer | its status | its status and the start of its body |
//! | a secret | once, at creation; later by `reveal_secret` | never |
//!
//! Bodies are shown to tenants only with
//! [`show_response_bodies`](crate::service::WebhooksBuilder::show_response_bodies): a tenant may register a URL
//! that is not its own, and read there what an anonymous POST is told.
//!
//! # What receivers should do
//!
//! Verify each request before reading it ([`signature::Verifier`](crate::signature::Verifier)), refuse old
//! timestamps, and treat the `webhook-id` as a key: what arrives twice carries the same one.
