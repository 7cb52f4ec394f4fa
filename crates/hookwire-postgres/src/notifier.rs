//! `Notifier`: wakes dispatchers when there is work.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client};

use crate::connection::dial::Messages;
use crate::connection::schema::SchemaName;
use crate::connection::session::Sessions;
use crate::connection::target::Target;

/// Takes off the limits of a database or a role for the session that listens. Servers before version 14 do not know the
/// second one.
const WITHOUT_LIMITS: &str = "SET statement_timeout TO 0;
    SELECT pg_catalog.set_config('idle_session_timeout', '0', false)
        WHERE pg_catalog.current_setting('idle_session_timeout', true) <> '0';";
/// The least time between two notifications of other processes.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(50);
/// The time after which a lost listening connection is opened again.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Wakes the dispatchers of this store, and those of other processes.
#[derive(Debug)]
pub(crate) struct Notifier {
    /// The number of notifications so far.
    count: Arc<watch::Sender<u64>>,
    /// Notified when other processes are to be.
    wanted: Arc<Notify>,
    /// The task that notifies other processes.
    notify: JoinHandle<()>,
    /// The task that listens to them.
    listen: Option<JoinHandle<()>>,
}

/// Counts the notifications of all processes, on a connection of its own.
struct Listener {
    target: Target,
    channel: String,
    count: Arc<watch::Sender<u64>>,
}

impl Notifier {
    /// Creates a notifier that does not listen, and notifies other processes only by [`notify_all`](Self::notify_all).
    pub(crate) fn silent(schema: &SchemaName, sessions: Sessions) -> Self {
        let wanted = Arc::new(Notify::new());
        let statement = format!("NOTIFY \"{}\"", channel(schema));
        let notify = tokio::spawn(notify_peers(sessions, statement, Arc::clone(&wanted)));
        Self { count: Arc::new(watch::Sender::new(0)), wanted, notify, listen: None }
    }

    /// Creates a notifier for all stores on this schema that listen.
    pub(crate) fn listening(target: Target, sessions: Sessions) -> Self {
        let mut notifier = Self::silent(&target.schema, sessions);
        let channel = channel(&target.schema);
        let listener = Listener { target, channel, count: Arc::clone(&notifier.count) };
        notifier.listen = Some(tokio::spawn(listener.run()));
        notifier
    }

    /// Returns the number of notifications so far, for [`notified`](Self::notified).
    pub(crate) fn mark(&self) -> u64 {
        *self.count.borrow()
    }

    /// Wakes the dispatchers of this store and, if it listens, those of other processes that listen.
    pub(crate) fn notify(&self) {
        self.count.send_modify(|count| *count += 1);
        if self.listen.is_some() {
            self.wanted.notify_one();
        }
    }

    /// Wakes the dispatchers of this store, and those of other processes that listen.
    pub(crate) fn notify_all(&self) {
        self.count.send_modify(|count| *count += 1);
        self.wanted.notify_one();
    }

    /// Waits for a notification after `mark`.
    pub(crate) async fn notified(&self, mark: u64) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count > mark).await;
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.notify.abort();
        self.listen.iter().for_each(JoinHandle::abort);
    }
}

fn channel(schema: &SchemaName) -> String {
    let mut channel = format!("hookwire_{}", schema.as_str());
    // The server takes no longer names. Schemas that share a channel wake each other for nothing, which is harmless.
    channel.truncate(63);
    channel
}

/// Notifies other processes, by a statement outside the publishing transaction: inside, it would make all commits of
/// the database wait for each other. A notification that fails is not repeated; the others look by themselves soon.
async fn notify_peers(sessions: Sessions, statement: String, wanted: Arc<Notify>) {
    loop {
        wanted.notified().await;
        let _ = sessions.execute(&statement).await;
        tokio::time::sleep(NOTIFY_INTERVAL).await;
    }
}

impl Listener {
    async fn run(self) {
        loop {
            if let Ok((client, messages)) = self.target.open().await {
                let _ = tokio::join!(self.forward(messages), self.listen(&client));
            }
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }

    /// Subscribes to the channel, and counts once for all that was missed before.
    async fn listen(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        client.batch_execute(WITHOUT_LIMITS).await?;
        client.batch_execute(&format!("LISTEN \"{}\"", self.channel)).await?;
        self.count.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Counts each notification, until the connection ends.
    async fn forward(&self, mut messages: Messages) {
        while let Some(Ok(message)) = poll_fn(&mut messages).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                self.count.send_modify(|count| *count += 1);
            }
        }
    }
}
