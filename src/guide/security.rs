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
//! Revealing and rotating are noted in the log (`tracing`, target `hookwire`, level info) with tenant and webhook.
//! So is, as a warning, each URL and each attempt that the address guard refused, with the address.
//!
//! **Without keys of yours, secrets lie in the store in clear.** Whoever reads its file, its database or a backup
//! can then sign as you. With the feature `seal` and
//! [`seal_with`](crate::service::WebhooksBuilder#method.seal_with) the service encrypts them before the store sees
//! them:
//!
//! ```
//! # #[cfg(feature = "seal")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hookwire::model::KeyId;
//! use hookwire::sealing::{SealingKey, SealingKeys};
//! use hookwire::store::MemoryStore;
//! use hookwire::{Webhooks, assist};
//!
//! # let from_your_secret_manager = "Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8=";
//! let key = SealingKey::from_base64(KeyId::new("2026-01")?, from_your_secret_manager)?;
//! let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new());
//! let builder = builder.seal_with(SealingKeys::new(key));
//! # let _ = builder;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "seal"))]
//! # fn main() {}
//! ```
//!
//! - Make the key with `openssl rand -base64 32`, and keep it where the store's backups are not. Who loses it loses
//!   the secrets: every webhook has to be registered anew.
//! - A webhook whose secrets do not open is not delivered to: its attempts fail as `Prepare`, the operator's log names
//!   the id of the key that is missing, and they are tried again by the schedule.
//! - [`sealing`](crate::sealing) tells how to change keys, and what is done for secrets from before.
//! - Who can write to the store can put a secret of his own in the place of a sealed one. Sealing hides; it does not
//!   replace the store's own access control.
//!
//! Payloads, URLs and extra headers are in the store in clear, with keys or without. Keep it like a password.
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
