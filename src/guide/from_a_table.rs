//! Moving here from a table and a cron job: what goes where, what receivers see, and the cut-over.
//!
//! This is for services with a table of their own, here `pending_webhooks`, in which they write a row with each change, and a
//! loop that reads due rows by `FOR UPDATE SKIP LOCKED`, posts them, and counts the failures.
//!
//! # What goes where
//!
//! | there | here |
//! |---|---|
//! | `INSERT` in the transaction of the change | PostgreSQL: `publish_in`, or one statement; SQLite: a row of the outbox. [Both commit with your data](super::durability#the-event-and-your-own-data) |
//! | a customer's id | [`TenantId`](crate::TenantId) |
//! | the URLs of customers, in a table or in settings | webhooks: [`Tenant::create`](crate::Tenant::create) |
//! | the name of the event, in the code | an [event of the catalog](crate::model::EventType); its key is that name |
//! | the id of the row, or of the event | the [message id](crate::Event::message_id): 1 to 64 letters, digits, `_` and `-` |
//! | `payload`, `created_at` | the payload, and [`Event::at`](crate::Event::at) |
//! | `status`: pending, sent, failed | [`DeliveryState`](crate::model::DeliveryState): `Pending`, or `Ended` as [`Delivered`](crate::model::End::Delivered), [`Exhausted`](crate::model::End::Exhausted), .. |
//! | `retries`, `next_attempt_at`, backoff | [`RetryPolicy`](crate::retry::RetryPolicy): 10 attempts over 75 h, unless set |
//! | `last_error` | [every attempt](crate::Tenant::attempts) with its outcome |
//! | `locked_until` | the [lease](crate::policy::Policy::with_lease) of a delivery |
//! | `UPDATE .. SET status = 'pending'` by hand | [`redeliver`](crate::Tenant::redeliver), [`recover`](crate::Tenant::recover) |
//! | the job that deletes old rows | [`Policy::with_keep`](crate::policy::Policy::with_keep), 30 days |
//! | a delay before the first attempt, an order of rows | none |
//!
//! The table had a row for each event and URL, or the loop looked the URLs up. Here you publish an event once, and it is
//! routed to the webhooks that want it.
//!
//! # What receivers see
//!
//! The **body** is `{"type", "timestamp", "data"}` with your payload as the `data`, or another
//! [envelope](crate::model::EnvelopeKind). If yours have another form, give their webhooks a
//! [template](crate::model::BodyTemplate): `"${payload}"` sends the payload as you published it.
//!
//! The **signature** is likely a hexadecimal HMAC-SHA256 in a header of your own, such as `X-Signature`:
//!
//! | what is signed | scheme of the webhook's [options](crate::Tenant::set_options) | its header |
//! |---|---|---|
//! | the body | [`SignatureScheme::GitHub`](crate::model::SignatureScheme::GitHub) | `x-hub-signature-256: sha256=..` |
//! | time, `.` and body | [`SignatureScheme::Stripe`](crate::model::SignatureScheme::Stripe) | `stripe-signature: t=..,v1=..` |
//! | id, `.`, time, `.` and body, in base64 | [`SignatureScheme::V1`](crate::model::SignatureScheme::V1), the default | `webhook-signature: v1,..` |
//!
//! **Keys.** [`WebhookDraft::secret`](crate::WebhookDraft::secret) takes `whsec_` and base64. In `V1` the key is the bytes that
//! the base64 encodes: a key of 24 to 64 bytes is brought as `whsec_` and its base64, one of 16 to 23 with
//! [`accept_short_secrets`](crate::service::WebhooksBuilder::accept_short_secrets). In GitHub's and Stripe's forms the key is
//! the whole text, `whsec_` included, as receivers have it. So a key of yours that is any other text cannot be brought for
//! these: a [`Signer`](crate::signer::Signer) signs by it. It then signs for all webhooks, by keys that you keep.
//!
//! **A header's name** is changed on the way out, by a transport of yours around `HttpTransport`:
//!
//! ```
//! use async_trait::async_trait;
//! use bytes::Bytes;
//! use hmac::{Hmac, KeyInit, Mac};
//! use hookwire::model::{CallbackUrl, HookId, TenantId};
//! use hookwire::signature::{HUB_SIGNATURE, Message, Signature};
//! use hookwire::signer::{SignError, Signer};
//! use hookwire::transport::{SendLimits, Transport, TransportError};
//! use http::{Request, Response};
//!
//! /// Signs by the keys that your customers have.
//! #[derive(Debug)]
//! struct OldKeys; // with a pool of connections to your table of keys
//! # impl OldKeys {
//! #     async fn key(&self, _: &TenantId, _: HookId) -> std::io::Result<Vec<u8>> { Ok(b"s3cret".to_vec()) }
//! # }
//!
//! #[async_trait]
//! impl Signer for OldKeys {
//!     async fn sign(&self, tenant: &TenantId, hook: HookId, message: &Message<'_>) -> Result<Vec<Signature>, SignError> {
//!         let key = self.key(tenant, hook).await.map_err(SignError::new)?;
//!         let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).map_err(|it| SignError::new(it.to_string()))?;
//!         mac.update(&message.content()); // by the scheme: with GitHub's, the body
//!         Ok(vec![Signature::HmacSha256(mac.finalize().into_bytes().into())])
//!     }
//! }
//!
//! /// Sends GitHub's signature as `x-signature` too.
//! #[derive(Debug)]
//! struct OldHeader<T>(T);
//!
//! #[async_trait]
//! impl<T: Transport> Transport for OldHeader<T> {
//!     async fn send(&self, mut request: Request<Bytes>, limits: &SendLimits) -> Result<Response<Bytes>, TransportError> {
//!         if let Some(signature) = request.headers().get(HUB_SIGNATURE).cloned() {
//!             request.headers_mut().insert("x-signature", signature);
//!         }
//!         self.0.send(request, limits).await
//!     }
//!
//!     async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
//!         self.0.check(url).await
//!     }
//! }
//! # fn is_transport<T: Transport>() {}
//! # #[cfg(feature = "http-transport")]
//! is_transport::<OldHeader<hookwire::transport::HttpTransport>>();
//! ```
//!
//! Build with `.signer(OldKeys)` and `.transport(OldHeader(HttpTransport::new()?))`. GitHub's form tells no replays: offer
//! receivers `V1` once they have moved.
//!
//! # The cut-over
//!
//! 1. Create the webhooks from your table of URLs, enabled: nothing is published yet. Set their schemes, and keep the key of
//!    each under its tenant and its new id, if a `Signer` is to find it.
//! 2. Deploy once, with a switch that decides at each change whether it inserts a row or publishes. The old loop and the
//!    dispatcher both run. An event goes one way only, whatever process is replaced when.
//! 3. Turn the switch. The old loop sends the rows that are left, and has nothing to do when its last retry is over.
//!
//! To go back, turn the switch again, and let the dispatcher run until [`stats`](crate::Webhooks::stats) has nothing pending.
//!
//! ## Moving the rows
//!
//! If rows wait for too long to leave them to the old loop, stop it, and publish what is unsent with its old id. A second run,
//! or one that goes on after a crash, publishes nothing twice:
//!
//! ```
//! # async fn run(acme: hookwire::Tenant) -> Result<(), Box<dyn std::error::Error>> {
//! use hookwire::model::{MessageId, Timestamp};
//! use hookwire::{Event, EventId};
//!
//! # struct Row { id: i64, payload: serde_json::Value, created_ms: i64 }
//! # let rows: Vec<Row> = Vec::new();
//! for row in rows { // of this tenant: SELECT .. WHERE status = 'pending' ORDER BY id
//!     let event = Event::new(EventId::new(1), &row.payload)?
//!         .message_id(MessageId::new(format!("row_{}", row.id))?) // what receivers had as its id, if they had one
//!         .at(Timestamp::from_millis(row.created_ms));
//!     acme.publish(event).await?; // a repetition: `Sent::is_duplicate`
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It goes to all webhooks that want it. With a row for each URL, publish an event once, and only if none of its rows was
//! sent; leave the others to the old loop.
//!
//! # What disappears
//!
//! The table, the loop and its cron job; claiming, backoff and the job that deletes; the HTTP client with its time limits and
//! its check of addresses; the signing, but for a `Signer`; the queries for what is stuck.
//!
//! # What to watch afterwards
//!
//! - Unsent rows of the old table, which fall to zero.
//! - `oldest_due`, and `unrouted` where events are written by SQL: [alarms](super::operations#alarms).
//! - Answers of 401 and 403, in [`Tenant::deliveries_with_attempts`](crate::Tenant::deliveries_with_attempts): a receiver that
//!   does not verify what it gets. [`signature::diagnose`](crate::signature::diagnose) says why.
//! - [`Notice::Failing`](crate::service::Notice::Failing): a webhook that has only failed since.
