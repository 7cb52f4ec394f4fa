//! Security: networks, keys, and what to show tenants.
//!
//! SECURITY.md in the repository holds the threat model, and names for each promise the test that shows it.
//!
//! # Networks
//!
//! A webhook URL makes the process send a request, from inside your network, to where a stranger says. `HttpTransport`
//! judges every address that it dials by the IANA special-purpose registries. Only global unicast passes: in IPv4, in
//! IPv6, and in each IPv4 address that an IPv6 address carries. It judges at registration, at each ping, and again at
//! each dial, because a name can lead elsewhere by then.
//!
//! Three things are for you to decide:
//!
//! - **Public addresses that trust your network**: a load balancer, an office, a partner's allow-list. Name
//!   them with `deny_network`.
//! - **Private receivers that are meant to be reached.** Name exactly them with `allow_network`. Whoever
//!   registers webhooks can then reach the whole of that network, on every port that `allow_ports` leaves.
//! - **The network around the process.** Add a second barrier: run the process where the network itself allows
//!   nothing but the store and the internet, or send its requests through an egress proxy that has the same rules.
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
//! Receivers of your own, inside, may be reached by plain HTTP:
//! [`allow_private_http`](crate::service::WebhooksBuilder::allow_private_http), with a transport that allows their networks
//! and has `allow_private_http()` too. Public hosts and metadata services are never sent to without TLS.
//!
//! # Keys
//!
//! Each webhook has a secret of its own, 32 random bytes. It is given out by
//! [`create`](crate::Tenant::create), [`rotate_secret`](crate::Tenant::rotate_secret) and
//! [`reveal_secret`](crate::Tenant::reveal_secret) alone, prints as `[redacted]`, and is wiped from
//! memory when it is dropped. For
//! [24 hours](crate::policy::Policy::with_secret_overlap) after a rotation, requests are signed by the old and the new
//! one, so that receivers change over without a gap.
//!
//! A [`tracing` event](super::operations#log-lines) records each revealed and each rotated secret, with tenant and
//! webhook. Another, a warning, records each URL and each attempt that the address guard refused, with the address.
//!
//! **Without keys of yours, secrets are in the store in clear.** Whoever reads its file, its database or a backup
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
//! - Make the key with `openssl rand -base64 32`, and keep it where the store's backups are not. If you lose it, the
//!   secrets are lost, and every webhook has to be registered anew.
//! - A webhook whose secrets do not open is not delivered to: its attempts fail as `Prepare` and are tried again by the
//!   schedule. The detail, which operators see, names the id of the missing key.
//! - [`sealing`](crate::sealing) says how to change keys, and how secrets from before are sealed.
//! - Whoever can write to the store can put a secret of their own in the place of a sealed one. Sealing hides secrets;
//!   it does not replace the store's own access control.
//!
//! Payloads, URLs and extra headers are in the store in clear, with keys or without. Protect the store accordingly.
//!
//! # What to show tenants
//!
//! A [`Tenant`](crate::Tenant) handle does what its scopes grant, for its tenant alone: give each
//! request of a user the handle of the user's own tenant, narrowed by
//! [`with_scopes`](crate::Tenant::with_scopes).
//!
//! | | tenants see | [operators](crate::Tenant::for_operator) see |
//! |---|---|---|
//! | a failure | its [class](crate::model::FailureKind): refused, timed out, .. | its detail, with addresses |
//! | an answer | its status | its status and the start of its body |
//! | a secret | once, at creation; later by `reveal_secret` | never |
//!
//! Bodies are shown to tenants only with
//! [`show_response_bodies`](crate::service::WebhooksBuilder::show_response_bodies): a tenant may register a URL
//! that is not its own, and would then read what that server answers to an anonymous POST.
//!
//! # Receivers
//!
//! Verify each request before reading it ([`signature::Verifier`](crate::signature::Verifier)), refuse old
//! timestamps, and treat the `webhook-id` as a key: an event that arrives twice carries the same one.
