//! What is promised to arrive, by what, and what is not; and how to look after the store.
//!
//! # The promise
//!
//! When `publish` has returned, the event and a delivery for each webhook that wants it are written, whole, as
//! durably as the store writes anything. From then on each delivery ends: delivered, or given up after the
//! whole schedule, expired, or cancelled with its webhook. Which of these, and why, is in the log.
//!
//! - **At least once.** A delivery is sent again when its outcome was not recorded: the process died between
//!   the request and the record, or the store's answer was lost. What is sent again carries the same
//!   `webhook-id`.
//! - **No order.** Retries pass each other. Receivers should go by the event's time.
//! - **Not before it returns.** A `publish` whose future was dropped, or that failed with
//!   [`Store`](crate::ErrorKind::Store), has written the event or not: publish again with the same
//!   [message id](crate::Event::message_id), which is published once.
//!
//! # By what
//!
//! | store | survives | does not survive |
//! |---|---|---|
//! | [`MemoryStore`](crate::store::MemoryStore) | nothing: it ends with the process | |
//! | `SqliteStore`, `Durability::PowerLoss` (the default) | `kill -9`, a crash of the system, a power cut | a disk that loses what it said it had synced |
//! | `SqliteStore`, `Durability::ProcessCrash` | `kill -9` | after a power cut the last moments may be missing |
//!
//! A claim is held for a [lease](crate::policy::Policy::with_lease), 35 s unless set. After a crash the
//! deliveries that were in flight are due again when a `SqliteStore` is opened; in a store that several
//! processes share, when their leases have ended.
//!
//! # The event and your own data
//!
//! Publishing after your own commit leaves a gap: the process may die in between. Close it by publishing
//! inside your transaction, so that both are there or neither.
//!
//! # Backup
//!
//! A backup of the store holds the webhooks, their secrets, and what waited then. Restoring it repeats what
//! was delivered since, with the same message ids, and forgets what was published since.
//!
//! # Sizing
//!
//! - **Bytes.** In SQLite an event takes its payload and about 200 bytes, each of its deliveries about 100 bytes with
//!   one attempt, and each attempt what the receiver answered, up to
//!   [16 KiB](crate::policy::Policy::with_response_bytes).
//! - **Kept for** [30 days](crate::policy::Policy::with_keep) after the last delivery of an event ended. A
//!   message id is remembered as long. Space that is freed is used again; the file does not shrink.
//! - **Waiting.** A delivery waits at most [30 days](crate::policy::Policy::with_expires), at disabled webhooks
//!   too, and then ends as expired.
//! - **Memory.** A dispatcher holds at most [64 MiB](crate::policy::Policy::with_in_flight_bytes) of payloads.
//!
//! Watch [`Webhooks::stats`](crate::Webhooks::stats): `oldest_due` is how far delivery is behind, and the one
//! number worth an alarm.
