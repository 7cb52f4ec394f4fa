//! Moving here from Svix: what corresponds to what, and a cut-over that receivers do not notice.
//!
//! What is said of Svix is of its server, version 1.x, and of its documentation in 2026.
//!
//! # What corresponds to what
//!
//! | Svix | here |
//! |---|---|
//! | application | tenant: its `uid`, or the id of your customer, is the [`TenantId`](crate::TenantId) |
//! | endpoint | [webhook](crate::Webhook); it gets a number as its id |
//! | description, headers of an endpoint | [`WebhookDraft::describe`](crate::WebhookDraft::describe); [`DeliveryOptions::with_headers`](crate::model::DeliveryOptions::with_headers) |
//! | rate limit of an endpoint | [`DeliveryOptions::with_rate`](crate::model::DeliveryOptions::with_rate); it holds over all processes |
//! | event type, its schema, deprecated, archived | [`EventType`](crate::model::EventType) of the catalog: its key is the name, its number is yours to choose; [`with_schema`](crate::model::EventType::with_schema), [`deprecated`](crate::model::EventType::deprecated), [`hidden`](crate::model::EventType::hidden) |
//! | filter types | subscriptions; none at all means all: [`subscribe_matching("*")`](crate::WebhookDraft::subscribe_matching), with [`allow_patterns`](crate::model::CatalogBuilder::allow_patterns) |
//! | channels | none: [departments](crate::Event::department), one for an event and by number, or a [filter](crate::model::Filter) on a member of the payload |
//! | transformations | a [template](crate::model::BodyTemplate) of the body, for a webhook or one of its subscriptions; no code |
//! | message, its id `msg_..` | [event](crate::Event), [message id](crate::Event::message_id) |
//! | `eventId`, `Idempotency-Key` (12 hours) of a message | the message id: one event for as long as the log [keeps](crate::policy::Policy::with_keep) it, 30 days |
//! | `Idempotency-Key` of an endpoint | [`create_once`](crate::Tenant::create_once): one webhook as long as that is there; the secret is told once |
//! | attempted message, message attempt | [delivery](crate::model::Delivery), [attempt](crate::model::Attempt) |
//! | attempts after 5 s, 5 min, 30 min, 2, 5, 10, 10 h | after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20, 24 h, unless [set](crate::retry::RetryPolicy::with_delays) |
//! | 15 or 30 s for an answer | 15 s, unless [set](crate::policy::Policy::with_deadline) |
//! | disabled after 5 days of failures | [the same](crate::delivery::DisablePolicy), and at once by an answer of 410 |
//! | resend | [`redeliver`](crate::Tenant::redeliver) |
//! | recover | [`recover`](crate::Tenant::recover) |
//! | replay missing | [`recover_skipped`](crate::Tenant::recover_skipped) |
//! | operational webhooks | [`observe`](crate::service::WebhooksBuilder::observe): [`Failing`](crate::service::Notice::Failing), `Disabled`, `Recovered`, and `Ended` with [`Exhausted`](crate::model::End::Exhausted) |
//! | App Portal | the page of the crate `hookwire-axum`, which your service serves itself |
//! | nothing | [`pause`](crate::Tenant::pause): new events wait, where a disabled webhook is skipped; [`explain`](crate::Tenant::explain) |
//!
//! FIFO endpoints, delivery at a set time, polling, and OAuth2 or client certificates towards receivers have no counterpart.
//!
//! # What receivers see
//!
//! - **Secret.** `GET /api/v1/app/{app}/endpoint/{endpoint}/secret` has the text, `whsec_..`:
//!   [`WebhookDraft::secret`](crate::WebhookDraft::secret) takes it as it is. Those of fewer than 24 bytes need
//!   [`accept_short_secrets`](crate::service::WebhooksBuilder::accept_short_secrets). Only the present secret is brought, so
//!   rotate none on the day before. A private key, `whsk_..`, cannot be brought: such a webhook gets a new pair of keys,
//!   and its receiver a new `whpk_..`.
//! - **Headers.** Svix sends `svix-id`, `svix-timestamp` and `svix-signature`, here they begin with `webhook-`. Its libraries
//!   read both, other receivers may not: with [`header_prefix`](crate::service::WebhooksBuilder::header_prefix)`("svix")` both
//!   are sent. What is signed, and how, is the same.
//! - **Body.** Svix sends the payload as it was given. So does a webhook with the [template](crate::model::BodyTemplate)
//!   `"${payload}"`, which is set by [`DeliveryOptions::with_template`](crate::model::DeliveryOptions::with_template) where the
//!   catalog [allows](crate::model::CatalogBuilder::allow_templates) it. Without one, the payload is the `data` of
//!   `{"type", "timestamp", "data"}`, the form that Standard Webhooks recommends.
//! - **Sender.** The requests come from your addresses, and not from Svix's: tell those whose firewalls let only named ones in.
//!   `user-agent` begins with `hookwire/` in place of `Svix-Webhooks/`, unless you
//!   [set](crate::service::WebhooksBuilder::user_agent) it.
//! - **URL.** `http://` is refused, and so are addresses inside your network; [`create`](crate::Tenant::create) says so.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use hookwire::model::{EventType, MessageId, Status};
//! use hookwire::registry::Backlog;
//! use hookwire::store::MemoryStore;
//! use hookwire::testing::RecordingTransport;
//! use hookwire::{Catalog, Event, EventId, TenantId, WebhookDraft, Webhooks};
//! use serde_json::json;
//!
//! const PAID: EventId = EventId::new(1);
//! let transport = RecordingTransport::new(); // in your service: none, for `HttpTransport`
//! let catalog = Catalog::builder()
//!     .event(EventType::new(PAID, "invoice.paid", "Invoice paid", &json!({"invoice": 4711})))
//!     .allow_patterns() // for endpoints without filter types
//!     .build()?;
//! let hooks = Webhooks::builder(catalog)
//!     .store(MemoryStore::new())
//!     .transport(transport.clone())
//!     .header_prefix("svix")
//!     .build()?;
//!
//! // An endpoint, as Svix lists it.
//! let acme = hooks.tenant(TenantId::new("acme")?);
//! let draft = WebhookDraft::new("Bookkeeping", "https://books.example.com/hook")
//!     .subscribe_matching("*")
//!     .secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
//!     .status(Status::Disabled);
//! let webhook = acme.create(&draft).await?.webhook().hook_id(); // keep it beside the id `ep_..`
//!
//! // Its tenant's turn has come.
//! acme.enable(webhook, Backlog::Resume).await?;
//! let id = MessageId::new("msg_2nUQ3YfGZ5tLrWq8XkVbC1dEo7a")?; // that of Svix's answer
//! acme.publish(Event::new(PAID, &json!({"invoice": 4712}))?.message_id(id.clone())).await?;
//! hooks.deliver_due().await?;
//!
//! let requests = transport.requests();
//! let headers = requests[0].headers();
//! assert_eq!(headers["svix-id"], id.as_str());
//! assert_eq!(headers["svix-signature"], headers["webhook-signature"]);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # The cut-over
//!
//! 1. **Bring the endpoints.** List them with their secrets and headers, and create a webhook for each, disabled, so that it
//!    gets nothing yet. What is refused is told with every violation; settle it with its owner now. Keep which endpoint became
//!    which webhook. From here on, change both, or let nobody change either.
//! 2. **Publish to both**: to Svix first, and then here, with the id of its answer as the message id. The
//!    webhooks here are skipped, and the log has the events. To compare who gets what, create the same webhooks, enabled, in a
//!    `MemoryStore` beside, from which nothing is sent: [`Tenant::route`](crate::Tenant::route) says for each webhook
//!    whether it would get an event, and why not.
//! 3. **Tenant by tenant**: [enable](crate::Tenant::enable) its webhooks here, and then stop publishing its events to Svix.
//!    In this order nothing is missed. What is published in between goes out twice, with one id, which receivers that
//!    remember ids take once. Leave the endpoints enabled: Svix goes on with what it retries, for a day
//!    and a half at most.
//! 4. **At last**, when nothing of Svix is pending, move to [your own transaction](super::durability#the-event-and-your-own-data),
//!    with message ids of your own or none, and close the account. `header_prefix` stays as long as anybody reads `svix-`.
//!
//! To move a single endpoint while its tenant stays, enable the webhook, and then disable the endpoint at Svix. Svix's server
//! sends nothing more to it, not even what it was retrying:
//! [`recover_skipped`](crate::Tenant::recover_skipped), since the oldest message that was not delivered there, sends all that
//! the webhook was skipped for, with the same ids. A receiver that does not remember ids gets some of it twice.
//!
//! # Going back
//!
//! Until step 4, by tenant: publish its events to Svix again, and nothing more here. Leave its webhooks enabled, so that what
//! is pending is sent with the ids that it has, and [disable](crate::Tenant::disable) them when
//! [`Tenant::stats`](crate::Tenant::stats) has nothing `pending`. In between, too, the ids tell receivers what they have seen.
//!
//! After step 4, Svix lacks the webhooks that were registered here and the secrets that were rotated:
//! [`list`](crate::Tenant::list) and [`reveal_secret`](crate::Tenant::reveal_secret) have them, and Svix takes a secret with a
//! new endpoint.
