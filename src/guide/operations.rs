//! Running a service: stuck deliveries, alarms, log lines, stopping.
//!
//! # Alarms
//!
//! | watch | from | it means |
//! |---|---|---|
//! | `oldest_due` grows | [`Webhooks::stats`](crate::Webhooks::stats) | delivery is behind by that time, or no dispatcher runs |
//! | `unrouted` stays above zero | [`Webhooks::stats`](crate::Webhooks::stats) | no dispatcher routes the events that were written by SQL |
//! | `stopped` grows | [`Webhooks::stats`](crate::Webhooks::stats) | events wait for webhooks to be enabled or resumed, until they expire |
//! | `running` is false | `Dispatcher::health` | the dispatcher of this process has ended |
//! | `store_failures` grows | `Dispatcher::health` | the store fails; `last_store_error` says why |
//! | `clock_off` is not `None` | `Dispatcher::health` | the clock of this machine is off; receivers answer 401 to what is signed then |
//! | `narrowed_to` is not `None` | `Dispatcher::health` | this machine cannot open connections; `last_own_failure` says why |
//! | `store_waiting` grows | `Dispatcher::health` | the store hangs: its oldest call has been out for so long |
//!
//! If you can have one alarm only, have it on `oldest_due`. It covers events that wait for routing, too: one that SQL wrote,
//! in the host's own transaction, has no delivery until a dispatcher routes it. What waits at disabled webhooks is not
//! late.
//!
//! # Notices
//!
//! [`WebhooksBuilder::observe`](crate::service::WebhooksBuilder::observe) sets a function that is told of each attempt and
//! end of a delivery, of webhooks that fail, recover, or are disabled, and of secrets that are rotated or revealed: for
//! counts, alerts, and mails to customers. What must not be missed when a process ends is listed by
//! [`Webhooks::disabled_since`](crate::Webhooks::disabled_since).
//!
//! # Statistics
//!
//! [`Tenant::statistics`](crate::Tenant::statistics) has the attempts at a webhook and their successes by the hour,
//! [`Tenant::recent_attempts`](crate::Tenant::recent_attempts) how long its last attempts took, and
//! [`Tenant::details`](crate::Tenant::details) when it last succeeded. Dispatchers count attempts in memory once the store
//! has recorded them, and write the counts down once a minute and when they stop: what is shown is late by up to a minute.
//! A process that is killed loses the counts of its last minute, and so does one whose store fails just then, which is
//! logged. The counts are never too high, and the log of deliveries lacks nothing.
//!
//! # Stuck deliveries
//!
//! [`Tenant::explain`](crate::Tenant::explain) says of one event what happened at each webhook, or why nothing did.
//! [`Tenant::deliveries`](crate::Tenant::deliveries) lists deliveries by webhook, state and time, and
//! [`Tenant::attempts`](crate::Tenant::attempts) the requests of one.
//! [`Tenant::webhook_stats`](crate::Tenant::webhook_stats) counts the pending deliveries of one webhook.
//! A webhook that was disabled, by a user or because it only failed, keeps its deliveries pending, which `explain` says:
//! [`Tenant::details`](crate::Tenant::details) says since when and why. So does one that was
//! [paused](crate::Tenant::pause), and those of a [suspended](crate::Tenant::suspend) tenant.
//!
//! [`Tenant::redeliver`](crate::Tenant::redeliver) sends one event again, and
//! [`Tenant::recover`](crate::Tenant::recover), page by page, all that a webhook has missed since a time. Neither can once
//! [`Policy::with_keep_payloads`](crate::policy::Policy::with_keep_payloads) has passed: the log shows `null` then, and
//! `explain` says that the payload was removed.
//! [`Tenant::recover_skipped`](crate::Tenant::recover_skipped) delivers what a webhook was skipped for, and
//! [`Tenant::redeliver_as_new`](crate::Tenant::redeliver_as_new) sends a message under a new id to a receiver that ignores
//! the old one. [`Tenant::erase_payload`](crate::Tenant::erase_payload) removes the payload of one message at once.
//!
//! ## By SQL
//!
//! In PostgreSQL the tables may be read:
//!
//! ```sql
//! -- Pending deliveries, by webhook.
//! SELECT tenant, hook, count(*) AS pending, to_timestamp(min(due) / 1000.0) AS first_due
//! FROM hookwire.delivery JOIN hookwire.lane ON lane.id = delivery.lane AND lane.epoch = delivery.epoch
//! WHERE state = 0 GROUP BY tenant, hook;
//! -- Committed events that wait for routing, by tenant.
//! SELECT tenant, count(*) FROM hookwire.event WHERE routed_at IS NULL GROUP BY tenant;
//! ```
//!
//! In SQLite, `SELECT count(*) FROM hookwire_outbox WHERE refused IS NULL`, in the host's own file, counts the events
//! that `drain_outbox` has not fetched. `SqliteStore` shows how to read its file with the `sqlite3` tool.
//!
//! # Log lines
//!
//! hookwire writes `tracing` events. Their targets begin with `hookwire`. Tenants, webhooks and messages are named;
//! payloads, secrets and the paths of URLs are not. [Stability](super::stability#log-lines) says what of them is
//! promised.
//!
//! | level | message | fields |
//! |---|---|---|
//! | debug | attempt | `tenant`, `webhook`, `message`, `number`, `outcome` |
//! | debug | outcomes came after their leases had ended, and were not recorded | `fenced` |
//! | info | connections can be opened again; as many attempts run at once as before | |
//! | info | the secret was revealed; the secret was rotated | `tenant`, `webhook` |
//! | info | the webhook was disabled | `tenant`, `webhook`, `reason` |
//! | warn | a row of the outbox was put aside | `file`, `seq`, `why` |
//! | warn | a URL was refused by its address | `tenant`, `detail` |
//! | warn | a connection to PostgreSQL ended | `error` |
//! | warn | a delivery cannot be read; it is set aside until the store is opened again or it expires (SQLite) | `delivery`, `error` |
//! | warn | an observer panicked | |
//! | warn | an attempt was refused by its address | `tenant`, `webhook`, `message`, `number`, `detail` |
//! | warn | attempts could not be counted; the statistics lack them | `error`, `attempts` |
//! | warn | claims could not be given back; claims could not be given back in time; their leases will end | `error` |
//! | warn | due deliveries could not be claimed yet | `error`, `failures` |
//! | warn | events could not be routed; they will be tried again | `tenant`, `error` |
//! | warn | no request can be made; deliveries wait | `tenant`, `webhook`, `message`, `number`, `detail` |
//! | warn | no connections can be opened from here; few attempts run at once until it is over | `error` |
//! | warn | not published: it was published before with other content; choose another | `tenant`, `message` |
//! | warn | outcomes could not be recorded yet | `error`, `failures` |
//! | warn | outcomes could not be recorded; they come again | `error`, `lost` |
//! | warn | the clock of this machine is off, by the dates of receivers' answers | `offset` |
//! | warn | the database's clock was ahead (PostgreSQL) | `lanes`, `deliveries`, `events` |
//! | warn | the process was killed at least five times in a row while a delivery was under way; it is put off (SQLite) | `delivery`, `kills`, `delay` |
//! | warn | the row of a delivery or of its event cannot be read; it is set aside (PostgreSQL) | `delivery` |
//! | warn | the row of a lane cannot be read; nothing of it is delivered (PostgreSQL) | `lane` |
//! | warn | upkeep failed; it will be tried again | `error` |
//!
//! # Stopping
//!
//! `Dispatcher::shutdown_within(grace)` claims nothing more, lets the attempts under way finish within `grace`, and
//! gives the rest back to the store, where it is due at once for the next process. It returns how many finished and
//! how many were given back. `Dispatcher::run(&hooks, signal)` does the same when the future `signal` completes, with
//! the deadline of one attempt, 15 s unless [set](crate::policy::Policy::with_deadline).
//!
//! A new process may start meanwhile: `SqliteOptions::wait_for_owner` opens the file as soon as the old process has
//! dropped its store, and in PostgreSQL both run side by side.
//!
//! A process that is killed loses nothing either. Its deliveries come back when a `SqliteStore` is opened again, and
//! in PostgreSQL when their [leases](crate::policy::Policy::with_lease) end, after 35 s unless set. A receiver may
//! then get a request twice, with the same `webhook-id`.
