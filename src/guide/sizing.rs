//! Sizing: what one process and one database hold, what they take, and how to split by tenant.
//!
//! # What one process holds
//!
//! On two cores that are shared by the service, the receiver and the database, with payloads of some 100 bytes. The run and
//! its ranges are in `benches/RESULTS.md`; `scripts/results` makes the same for your machine.
//!
//! <!-- written by scripts/results -->
//!
//! |  | MemoryStore | SqliteStore, PowerLoss | PostgresStore |
//! | --- | --- | --- | --- |
//! | deliveries a second, while their events are published | 24,000 | 14,000 | 5,100 |
//! | deliveries a second, of what waits | 20,000 | 17,000 | 7,400 |
//! | CPU of the process for a delivery, µs | 51 | 65.4 | 94.9 |
//! | publish to receipt at a fourth of that, p50, ms | 0.113 | 0.508 | 2.63 |
//! | publish to receipt at a fourth of that, p99, ms | 0.502 | 1.99 | 14.9 |
//!
//! <!-- to here -->
//!
//! More processes on one PostgreSQL share its work: add some when the processes are busy, not when the database is.
//!
//! # What it takes
//!
//! - **Places.** Receivers decide how many attempts run at once: their rate times the time that they take. 500 deliveries a
//!   second to receivers that answer within 300 ms are 150. A dispatcher has [512](crate::store::Quota) places, of which a
//!   tenant may have 64 and a webhook 16: 16 places are 53 deliveries a second to a receiver that takes 300 ms. What
//!   exceeds that waits. Each place that is taken may be a connection, so a descriptor.
//! - **Memory.** A dispatcher holds at most [64 MiB](crate::policy::Policy::with_in_flight_bytes) of payloads, beside the
//!   buffers of its connections: up to 64 KiB of head and [16 KiB](crate::policy::Policy::with_response_bytes) of body for
//!   an answer. What waits is in the database: of a million deliveries the process holds no more than of a thousand. A
//!   `MemoryStore` has all in memory.
//! - **Disk.** In SQLite an event takes its payload and about 200 bytes, and each of its deliveries about 100 bytes with one
//!   attempt. In PostgreSQL they take about 360 and 690 bytes, with their indexes and the room that settled rows
//!   leave, and half as much again once old ones are removed all the time. Each attempt also takes the body of the
//!   answer, up to [16 KiB](crate::policy::Policy::with_response_bytes). PostgreSQL writes about 2.1 kB of WAL for an
//!   event with one delivery.
//! - **Retention.** An event is kept for [30 days](crate::policy::Policy::with_keep) after its last delivery
//!   ended, its payload for [less](crate::policy::Policy::with_keep_payloads) if you say so. Space that is freed is used
//!   again: after the first days, files and tables stay as large as they are. The SQLite file does not shrink. The
//!   file `-wal` beside it takes about 10 MB, and 32 MB while many read or once fewer write at the same time. While one
//!   reader holds a snapshot for long, it grows by what is written meanwhile.
//! - **Expiry.** A delivery is pending for at most [30 days](crate::policy::Policy::with_expires), also at a disabled
//!   webhook. Then it ends as expired.
//! - **Connections.** A `PostgresStore` opens up to eight to the database, unless told otherwise, and one that listens.
//!
//! # A day of ten million events
//!
//! On paper, by the table above, with two deliveries an event and payloads of 500 bytes:
//!
//! | | | |
//! |---|---|---|
//! | deliveries a second | 20 M / 86,400 s; the busiest hour has three times the mean | 230; 700 |
//! | of what two cores hold in PostgreSQL, at the busiest hour | 700 / 2,800 | a fourth |
//! | CPU of the processes | 20 M × 0.16 ms | 0.9 core hours |
//! | places, at the busiest hour, with receivers that take 300 ms | 700 × 0.3 | 210 of 512 |
//! | on disk a day, in PostgreSQL | 10 M × (360 + 500) + 20 M × 690 bytes | 22 GB |
//! | on disk a day, in SQLite | 10 M × (200 + 500) + 20 M × 100 bytes | 9 GB |
//! | WAL a day, in PostgreSQL | 20 M × 2.1 kB, at most | 42 GB |
//!
//! So one PostgreSQL and two small processes, of which either holds the load while the other is replaced, are enough; the
//! log decides the size of the disk. Keep it for 7 days instead of 30, or keep [payloads](crate::policy::Policy::with_keep_payloads)
//! for one. If all receivers are down for an hour at noon, two million deliveries wait, and are made in about ten minutes beside
//! the usual load.
//!
//! # When to split
//!
//! Watch [`Stats::oldest_due`](crate::store::Stats::oldest_due): it stays near zero while all is well.
//!
//! | it grows, and | then |
//! |---|---|
//! | `DispatcherHealth::in_flight` is at the quota | receivers are slow: raise the [quota](crate::policy::Policy::with_quota), or add a process |
//! | processes have no CPU left | add a process (PostgreSQL) |
//! | one tenant has most of what waits | nothing: the others are served before it |
//! | the database has no CPU or disk left | a larger database, then split by tenant |
//!
//! Tenants share nothing but the catalog: registry, deliveries, message ids and limits are each tenant's own. So a part
//! is a [`Webhooks`](crate::Webhooks) with a store of its own: a database, a schema, or a SQLite file for each process. Write down
//! at which part a tenant is when it comes, so that a new part moves nobody:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use hookwire::{Tenant, TenantId, Webhooks};
//!
//! struct Parts {
//!     parts: Vec<Webhooks>,
//!     /// From your own table of tenants.
//!     part_of: HashMap<TenantId, usize>,
//! }
//!
//! impl Parts {
//!     fn tenant(&self, id: TenantId) -> Option<Tenant> {
//!         let part = self.part_of.get(&id)?;
//!         Some(self.parts[*part].tenant(id))
//!     }
//! }
//! ```
//!
//! New tenants fill a new part. One that moves is registered anew there, with new secrets for its receivers; leave
//! its webhooks at the old part until its [`stats`](crate::Tenant::stats) there count nothing.
//!
//! [`operations`](super::operations#alarms) says which numbers to watch.
