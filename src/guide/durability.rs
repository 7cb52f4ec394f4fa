//! Durability: which events survive what, how an event commits with the host's data, backups.
//!
//! # The promise
//!
//! When `publish` has returned, the event and a delivery for each webhook that wants it are written, as durably as the
//! store writes anything. Each delivery then ends in one of four ways: it is delivered, it is given up after the
//! whole schedule, it expires, or it is cancelled with its webhook. The log says which, and why.
//!
//! - **At least once.** A delivery is sent again when its outcome was not recorded: the process died between
//!   the request and the record, or the store's answer was lost. The second request carries the same
//!   `webhook-id`.
//! - **No order.** Retries overtake each other. Receivers should go by the event's time.
//! - **Not before it returns.** A `publish` whose future was dropped, or that failed with
//!   [`Store`](crate::ErrorKind::Store), may have written the event or not. Publish again with the same
//!   [message id](crate::Event::message_id): a message id is published once.
//!
//! # By store
//!
//! | store | survives | does not survive |
//! |---|---|---|
//! | [`MemoryStore`](crate::store::MemoryStore) | nothing: it ends with the process | |
//! | `SqliteStore`, `Durability::PowerLoss` (the default) | `kill -9`, a crash of the system, a power cut | a disk that loses what it said it had synced |
//! | `SqliteStore`, `Durability::ProcessCrash` | `kill -9` | after a power cut the last moments may be missing |
//! | `PostgresStore`, of the crate `hookwire-postgres` | `kill -9` of any process; whatever the server survives with `fsync` on: its crash, a power cut | the loss of the server's disk; a failover to a standby that is behind |
//!
//! After a failover to a standby that is not synchronous, acknowledged events may be missing, and an outdated claim may
//! pass for the current one. Use synchronous standbys.
//!
//! A dispatcher claims a delivery for a [lease](crate::policy::Policy::with_lease), 35 s unless set. After a crash, the
//! deliveries that were in flight are due again: in a `SqliteStore` when it is opened, in a store that several
//! processes share when their leases have ended.
//!
//! # The event and your own data
//!
//! If you publish after your own commit, the process may die in between, and the event is lost. Write the event in
//! your own transaction instead, with your own driver. If the transaction commits, the event is delivered; if it rolls
//! back, the event never existed.
//!
//! - **Your data is in PostgreSQL**: `hookwire-postgres` installs the function `hookwire.publish(text)`.
//!   [`Tenant::to_sql_document`](crate::Tenant::to_sql_document) makes its parameter, and
//!   `PostgresStore::publish_statement` is the statement. After the commit, call [`wake`](crate::Webhooks::wake).
//! - **Your data is in SQLite**: `store::sqlite` has an outbox, a table in your own file. Insert a row, commit,
//!   and call `SqliteStore::drain_outbox`, which fetches it.
//!
//! In both cases the message id makes the event unique. If a commit had no answer, run the transaction again with the
//! same id: the event is published once. An event written this way is routed after the commit, to the webhooks that
//! exist then. An event that the catalog does not have is not refused; it ends in the log with that reason.
//!
//! # Backup
//!
//! A backup of the store holds the webhooks, their secrets, and the deliveries that were pending. A restored
//! backup delivers again what was delivered since, with the same message ids, and lacks what was published since. Run
//! no dispatcher on a copy that is only to be read: it would deliver.
//!
//! - **`SqliteStore`**: `sqlite3 hooks.db ".backup copy.db"`, while it runs. A plain copy of the file lacks
//!   what is in `hooks.db-wal`.
//! - **`PostgresStore`**: with the database, by whatever backs that up; `pg_dump --schema=hookwire` for it alone.
//!   Restore your own data and the events from the same snapshot, or they no longer match.
