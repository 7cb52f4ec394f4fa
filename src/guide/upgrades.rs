//! Upgrades: how a new version takes over, how to go back, and what a restored backup sends again.
//!
//! # Two kinds of steps
//!
//! A new version may bring a new form of what is stored: tables of the `SqliteStore`'s file, the schema of
//! `PostgresStore`. CHANGELOG.md names each, with its kind.
//!
//! - **An expanding step** only adds what the version before it can pass over. That version and the new one work on one
//!   file or database, in either order and, in PostgreSQL, at the same time. To go back, start the old version. This is
//!   the rule.
//! - **A closed step** changes what the version before it relies on. That version refuses the new form by name,
//!   `OpenError::Newer` or `ConnectError::Newer`, and changes nothing in it. To go back takes a backup.
//!
//! A version refuses what it does not know, never what it knows: it opens every form from the oldest released one to its
//! own, and the later ones that say of themselves that it can work with them.
//!
//! | closed step | since |
//! |---|---|
//! | SQLite file, from form 2 to 3 | 0.1 |
//! | PostgreSQL schema, from version 3 to 4 | 0.1 |
//!
//! # Upgrading
//!
//! 1. Read CHANGELOG.md: is there a step, and of which kind?
//! 2. Before a closed step, stop publishing, and wait until [`Webhooks::stats`](crate::Webhooks::stats) has no `pending`
//!    deliveries and nothing waits for routing. A backup of then sends nothing again. It may be skipped: see
//!    [below](#what-a-restored-backup-sends-again). Deliveries of disabled webhooks are pending too; they stay.
//! 3. Back up.
//! 4. Expanding: migrate (`PostgresStore::migrate`; a file is migrated when it is opened), and replace the processes
//!    one by one. Closed: stop all of them first, then migrate, and start the new ones.
//!
//! An older version beside a new one passes over what it does not know: it keeps no rate and no cap of a webhook, delivers
//! to all payloads whatever a filter says, sends the envelope in place of a template, which is lost when it writes the webhook
//! anew, and resumes a paused webhook, or one of a suspended tenant, when it writes it anew. It cannot read a webhook that
//! subscribes by a pattern, or whose envelope is that of CloudEvents. Use these when all processes know them.
//!
//! A migration is one transaction. If the process dies meanwhile, the old form is as it was.
//!
//! Hosts that publish from [their own transactions](super::durability#the-event-and-your-own-data) need not stop. What
//! they write waits: in the outbox of the host's own file, or, in PostgreSQL, until a dispatcher routes it. While a
//! migration runs, such a transaction waits for it.
//!
//! # Backing up
//!
//! | store | backup | restoring |
//! |---|---|---|
//! | `SqliteStore` | `sqlite3 hooks.db ".backup hooks-before.db"` | with the process stopped, put it in the place of `hooks.db`, and remove `hooks.db-wal` and `hooks.db-shm` |
//! | `PostgresStore` | `pg_dump --schema=hookwire --file=hooks-before.sql DATABASE` | with all processes stopped, `DROP SCHEMA hookwire CASCADE`, then `psql --single-transaction --file=hooks-before.sql DATABASE` |
//!
//! Both may be made while the store is in use. Both hold the secrets of the webhooks.
//!
//! # Going back over a closed step
//!
//! Nothing that waits in the new form can be read by the old version, so the new version delivers it first:
//!
//! 1. Stop publishing, also by SQL in PostgreSQL. Hosts with an outbox in a SQLite file may go on: what they write stays
//!    there.
//! 2. Let the new version run until `pending` is 0, or does not fall any more because receivers are away. What then is
//!    left is lost to the old version, unless you publish it again: list it by
//!    [`Tenant::deliveries`](crate::Tenant::deliveries) and keep the events.
//! 3. Stop all processes, restore the backup, and start the old version.
//!
//! The old version then has the webhooks, secrets and log of the backup. What was registered, changed or rotated since
//! is to be done again, and a message id that was published since is not known: publish no event twice.
//!
//! # What a restored backup sends again
//!
//! Each delivery that was pending in the backup is sent, also if it was delivered since. It has the same `webhook-id`, so
//! a receiver that keeps those ids takes it once. If nothing was pending, nothing is sent. To send none of it, drop the
//! backlog of each webhook before a dispatcher starts: [`Tenant::disable`](crate::Tenant::disable), then
//! [`Tenant::enable`](crate::Tenant::enable) with [`Backlog::Drop`](crate::registry::Backlog::Drop).
