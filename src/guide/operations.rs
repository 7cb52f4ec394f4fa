//! Running a service: alarms, metrics, alerts with a runbook, stuck deliveries, log lines, stopping.
//!
//! # Alarms
//!
//! | watch | from | it means | alert |
//! |---|---|---|---|
//! | `oldest_due` grows | [`Webhooks::stats`](crate::Webhooks::stats) | delivery is behind by that time, or no dispatcher runs | [Behind](#behind) |
//! | `unrouted` stays above zero | [`Webhooks::stats`](crate::Webhooks::stats) | no dispatcher routes the events that were written by SQL | [Unrouted](#unrouted) |
//! | `stopped` grows | [`Webhooks::stats`](crate::Webhooks::stats) | events wait for webhooks to be enabled or resumed, until they expire | [Stopped](#stopped) |
//! | `running` is false | `Dispatcher::health` | the dispatcher of this process has ended | [NotRunning](#notrunning) |
//! | `store_failures` grows | `Dispatcher::health` | the store fails; `last_store_error` says why | [StoreFails](#storefails) |
//! | `clock_off` is not `None` | `Dispatcher::health` | the clock of this machine is off; receivers answer 401 to what is signed then | [ClockOff](#clockoff) |
//! | `narrowed_to` is not `None` | `Dispatcher::health` | this machine cannot open connections; `last_own_failure` says why | [Narrowed](#narrowed) |
//! | `store_waiting` grows | `Dispatcher::health` | the store hangs: its oldest call has been out for so long | [StoreHangs](#storehangs) |
//!
//! If you can have one alarm only, have it on `oldest_due`. It covers events that wait for routing, too: one that SQL wrote,
//! in the host's own transaction, has no delivery until a dispatcher routes it. What waits at disabled webhooks is not
//! late.
//!
//! # Notices
//!
//! [`WebhooksBuilder::observe`](crate::service::WebhooksBuilder::observe) sets a function that is told of each event, attempt
//! and end of a delivery, of webhooks that fail, recover, or are disabled, and of secrets that are rotated or revealed: for
//! counts, alerts, and mails to customers. What must not be missed when a process ends is listed by
//! [`Webhooks::disabled_since`](crate::Webhooks::disabled_since).
//!
//! # Metrics
//!
//! With the feature `metrics`, `hookwire::metrics` records these through the facade of the crate `metrics`, for the recorder
//! that the host installs. Its page shows how it is set up: one observer, and two calls about once a minute.
//!
//! | metric | kind | labels | from | what it tells |
//! |---|---|---|---|---|
//! | `hookwire_attempt_duration_seconds` | histogram | `result` | observer | from the start of an attempt to its outcome, signing included |
//! | `hookwire_attempts_total` | counter | `outcome` | observer | attempts |
//! | `hookwire_clock_offset_seconds` | gauge | | health | how far this machine's clock is ahead, or, below zero, behind; 0 unless it is known to be off |
//! | `hookwire_disabled_total` | counter | `reason` | observer | webhooks that were disabled |
//! | `hookwire_dispatcher_running` | gauge | | health | 1 while the dispatcher of this process runs, or else 0 |
//! | `hookwire_ended_total` | counter | `end` | observer | deliveries that have ended |
//! | `hookwire_in_flight` | gauge | | health | deliveries that the dispatcher of this process holds |
//! | `hookwire_narrowed` | gauge | | health | 1 while this machine cannot open connections, or else 0 |
//! | `hookwire_oldest_due_seconds` | gauge | | stats | how long the oldest of what is due or unrouted has waited |
//! | `hookwire_pending_deliveries` | gauge | `state` | stats | deliveries that have not ended |
//! | `hookwire_publish_duration_seconds` | histogram | | observer | how long a call that publishes waited for the store to write its events, the commit included; a call that fails, or that a transaction of yours makes, does not count |
//! | `hookwire_published_total` | counter | | observer | events that were stored by a call, or that SQL wrote and this process has routed |
//! | `hookwire_settle_batch_size` | histogram | | observer | outcomes that one call of the store has recorded |
//! | `hookwire_settle_duration_seconds` | histogram | | observer | how long that call took, its commit included |
//! | `hookwire_stats_total` | counter | | stats | calls of `record_stats`; it stands still if the store does not answer |
//! | `hookwire_store_failures` | gauge | | health | calls of the store that have failed in a row |
//! | `hookwire_store_waiting_seconds` | gauge | | health | how long the oldest call of the store has been out |
//! | `hookwire_unrouted_events` | gauge | | stats | events that wait for routing |
//!
//! | label | values |
//! |---|---|
//! | `end` | `cancelled`, `delivered`, `erased`, `exhausted`, `expired`: as [`End`](crate::model::End) has them |
//! | `outcome` | `success` (2xx), `answered_3xx`, `answered_4xx`, `answered_5xx`, `answered_other`; without an answer `connect`, `dns`, `local`, `prepare`, `protocol`, `refused`, `timeout`, `tls`, `tls_client_certificate`, `tls_expired`, `tls_incomplete_chain`, `tls_not_yet_valid`, `tls_too_old`, `tls_untrusted`, `tls_wrong_host`: as [`FailureKind`](crate::model::FailureKind) has them |
//! | `reason` | `call` (somebody did), `failing` (every attempt has failed for days), `gone` (410 again and again) |
//! | `result` | `success`, `failure` |
//! | `state` | `due`, `held`, `scheduled`, `stopped`: as [`Stats`](crate::store::Stats) has them |
//!
//! What comes from the observer or from `health` is of one process: add it up. What comes from `stats` is of the store, and
//! each process of a fleet shows the same: take the greatest. A count is missing where a [notice](#notices) is: what is
//! erased while it waits has ended in the log alone.
//!
//! A recorder for Prometheus shows histograms as summaries unless it is given buckets. Quantiles of a fleet need buckets. For
//! durations take those that OpenTelemetry advises: 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
//! and then 15, the deadline of an attempt. For the size of batches: 1, 4, 16, 64, 256.
//!
//! OpenTelemetry names one metric of HTTP clients that is stable, `http.client.request.duration`:
//! `hookwire_attempt_duration_seconds` corresponds to it, with `result` in place of `http.response.status_code` and
//! `error.type`, which `outcome` tells more briefly, and without `server.address`, which would make a series of each
//! receiver. `http.client.active_requests`, to which `hookwire_in_flight` comes nearest, is not stable.
//!
//! `docs/grafana.json` in the repository is a dashboard of all of them: import it in Grafana, and choose your Prometheus.
//!
//! # Alerts
//!
//! Each is an expression of Prometheus, with how long it has to hold, and its runbook. `docs/alerts.yml` in the repository has
//! them as rules for Prometheus, whose names begin with `Hookwire`. Fit the numbers to your load: what is
//! five minutes late for you may be on time for others. Behind, Unwatched and NotRunning are worth waking somebody.
//!
//! ## Behind
//!
//! ```promql
//! max(hookwire_oldest_due_seconds) > 300
//! ```
//!
//! For 5 minutes. Events are delivered late, or not at all. What waits at disabled webhooks does not count.
//!
//! *Look at*: NotRunning, StoreFails, StoreHangs and Narrowed, which explain it if they fire. Then `hookwire_in_flight`:
//! at the quota, 512 unless set, receivers are slow; far below it, the database or the CPU is.
//!
//! *Do*: start a dispatcher if none runs; add a process (PostgreSQL), or raise the
//! [quota](crate::policy::Policy::with_quota). A backlog of one tenant holds up nobody else:
//! [when to split](super::sizing#when-to-split).
//!
//! ## Unwatched
//!
//! ```promql
//! increase(hookwire_stats_total[10m]) == 0 or absent(hookwire_stats_total)
//! ```
//!
//! For 5 minutes. A process has not read the store for ten minutes, so its gauges of `stats` stand still: Behind cannot
//! fire, or does not end.
//!
//! *Look at*: whether the task that calls `record_stats` runs in that process, and the error of `Webhooks::stats` there.
//!
//! *Do*: restart what calls it; mend the store as in StoreFails.
//!
//! ## NotRunning
//!
//! ```promql
//! min(hookwire_dispatcher_running) == 0 or absent(hookwire_dispatcher_running)
//! ```
//!
//! For 2 minutes. The dispatcher of a process has ended while the process lives, or no process has one. Others go on;
//! without any, nothing is delivered, and nothing is lost.
//!
//! *Look at*: the log of the process for a panic; whether a shutdown hangs after `shutdown_within`.
//!
//! *Do*: restart the process. Its deliveries come back when their leases end, after 35 s unless set.
//!
//! ## Unrouted
//!
//! ```promql
//! min_over_time(max(hookwire_unrouted_events)[10m:1m]) > 0
//! ```
//!
//! For 5 minutes. Events that transactions of yours wrote by SQL wait for a dispatcher to route them. A few are always
//! under way in a busy service: Behind tells whether they are late.
//!
//! *Look at*: the log line "events could not be routed", which names the tenant; NotRunning.
//!
//! *Do*: start a dispatcher on this store; mend what the line names.
//!
//! ## Stopped
//!
//! ```promql
//! max(hookwire_pending_deliveries{state="stopped"}) > 10000
//! ```
//!
//! For 1 hour. Deliveries pile up at webhooks that are disabled or paused, or at suspended tenants. They expire one by
//! one.
//!
//! *Look at*: [`Webhooks::disabled_since`](crate::Webhooks::disabled_since), and [pending deliveries by
//! webhook](#by-sql).
//!
//! *Do*: tell the owners. Enabling delivers what waits; [`Backlog::Drop`](crate::registry::Backlog::Drop) drops it.
//!
//! ## StoreFails
//!
//! ```promql
//! max(hookwire_store_failures) >= 3
//! ```
//!
//! For 1 minute. Calls of the store fail one after the other: nothing can be claimed, or no outcome be recorded. An outcome
//! that is not recorded until its lease ends is sent again.
//!
//! *Look at*: `last_store_error` of `Dispatcher::health`, and the log lines with `error` and `failures`. The disk and the
//! log of the database.
//!
//! *Do*: mend the database: room on the disk, connections, permissions. It goes on by itself.
//!
//! ## StoreHangs
//!
//! ```promql
//! max(hookwire_store_waiting_seconds) > 30
//! ```
//!
//! For 1 minute. A call of the store has no answer, neither a result nor an error.
//!
//! *Look at*: locks and long transactions in `pg_stat_activity`; the network to the database; the disk of a SQLite file.
//!
//! *Do*: end what holds the locks. If the process does not recover, restart it: what it held comes back.
//!
//! ## SlowCommits
//!
//! ```promql
//! histogram_quantile(0.99, sum by (le) (rate(hookwire_settle_duration_seconds_bucket[5m]))) > 1
//! ```
//!
//! For 15 minutes. Recording outcomes takes long. Places stay taken until it is done, so fewer attempts run.
//!
//! *Look at*: `hookwire_settle_batch_size`: large batches are a sign of load, small ones of a slow disk. Checkpoints and
//! vacuum in PostgreSQL.
//!
//! *Do*: give the database a faster disk, or less to do: a shorter [`keep`](crate::policy::Policy::with_keep), fewer
//! bytes of answers.
//!
//! ## SlowPublish
//!
//! ```promql
//! histogram_quantile(0.99, sum by (le) (rate(hookwire_publish_duration_seconds_bucket[5m]))) > 1
//! ```
//!
//! For 15 minutes. Callers of `publish` wait long until their events are stored.
//!
//! *Look at*: SlowCommits, which fires too if the whole database is slow. If it does not: how many events a call of
//! `publish_all` has; in PostgreSQL, connections of the pool and locks in `pg_stat_activity`.
//!
//! *Do*: as in SlowCommits; publish in smaller calls.
//!
//! ## ClockOff
//!
//! ```promql
//! max(abs(hookwire_clock_offset_seconds)) > 0
//! ```
//!
//! For 5 minutes. The clock of this machine is off by more than two minutes, by the dates of receivers' answers.
//! Receivers refuse what is signed more than five minutes off.
//!
//! *Look at*: the time service of the machine that the series names.
//!
//! *Do*: set the clock by it. What was answered 401 meanwhile is tried again.
//!
//! ## Narrowed
//!
//! ```promql
//! max(hookwire_narrowed) == 1
//! ```
//!
//! For 2 minutes. This machine cannot open connections: it has no descriptors, ports or network, no resolver or no egress
//! proxy. No receiver is to blame, and no step of the schedule is used.
//!
//! *Look at*: `last_own_failure` of `Dispatcher::health`; `outcome="local"` of the attempts.
//!
//! *Do*: raise the limit of descriptors, or mend the network, resolver or proxy. It goes on by itself.
//!
//! ## ManyFail
//!
//! ```promql
//! sum(rate(hookwire_attempts_total{outcome!="success"}[15m])) / sum(rate(hookwire_attempts_total[15m])) > 0.5
//! ```
//!
//! For 30 minutes. Half of all attempts fail. A few dead webhooks with much traffic may do that; a fault of your own
//! does, too.
//!
//! *Look at*: `outcome` of the attempts. All kinds alike: a release of yours may have changed what is sent.
//! `answered_4xx`: signatures, see ClockOff. `dns`, `connect`: your network. Then whether it is one webhook or all, by
//! [`Tenant::statistics`](crate::Tenant::statistics).
//!
//! *Do*: take the release back; tell the owners of dead webhooks, which are disabled after five days.
//!
//! ## NotPrepared
//!
//! ```promql
//! sum(increase(hookwire_attempts_total{outcome="prepare"}[15m])) > 0
//! ```
//!
//! For 1 minute. Requests cannot be made: sealed secrets do not open, your signer fails, or the transport panicked.
//!
//! *Look at*: the log line "no request can be made", which says why.
//!
//! *Do*: give the service the key that [sealed](crate::sealing) the secret; mend the signer. Deliveries wait for it.
//!
//! ## Refused
//!
//! ```promql
//! sum(increase(hookwire_attempts_total{outcome="refused"}[1h])) > 10
//! ```
//!
//! For 1 minute. Names of registered URLs lead to addresses that are not allowed: by mistake, or because somebody tries
//! to reach your network.
//!
//! *Look at*: the log line "an attempt was refused by its address": tenant, webhook, address.
//!
//! *Do*: nothing was sent. Disable the webhook and ask its owner, or [allow the network](super::security) if it is meant
//! to be reached.
//!
//! ## Undelivered
//!
//! ```promql
//! sum(increase(hookwire_ended_total{end=~"exhausted|expired"}[1h])) > 0
//! ```
//!
//! For 1 minute. Deliveries have ended without a success, after the whole schedule or after too long a wait.
//!
//! *Look at*: [`Tenant::deliveries`](crate::Tenant::deliveries) by state: whose they are, and the last attempt of each.
//! If they are of many tenants, Behind or ManyFail came before.
//!
//! *Do*: tell the owner. [`Tenant::recover`](crate::Tenant::recover) sends all of them again once the receiver works.
//!
//! ## Disabled
//!
//! ```promql
//! sum(increase(hookwire_disabled_total{reason=~"failing|gone"}[1h])) > 0
//! ```
//!
//! For 1 minute. hookwire has disabled webhooks. Many at once, of many tenants, are rather a fault of yours.
//!
//! *Look at*: [`Webhooks::disabled_since`](crate::Webhooks::disabled_since), which lists them with the reason.
//!
//! *Do*: tell the owners, best by a [notice](#notices). Enabling one delivers what has waited.
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
