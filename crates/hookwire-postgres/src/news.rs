use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Connection};

use crate::connect::Target;
use crate::session::Sessions;

/// How long others are not told again after they were told.
const PAUSE: Duration = Duration::from_millis(50);
/// How long to leave a server alone that does not let us listen.
const RETRY: Duration = Duration::from_secs(1);

/// Wakes dispatchers when work came: those on this store at once, those of other processes if it listens.
#[derive(Debug)]
pub(crate) struct News {
    rings: Arc<watch::Sender<u64>>,
    herald: Option<Herald>,
}

/// Tells other processes, and hears of them.
#[derive(Debug)]
struct Herald {
    wanted: Arc<Notify>,
    tasks: [JoinHandle<()>; 2],
}

impl News {
    /// News of this store alone.
    pub(crate) fn local() -> Self {
        Self { rings: Arc::new(watch::Sender::new(0)), herald: None }
    }

    /// News of all stores on this schema that listen.
    pub(crate) fn shared(target: Target, sessions: Sessions) -> Self {
        let local = Self::local();
        let wanted = Arc::new(Notify::new());
        let mut channel = format!("hookwire_{}", target.schema.as_str());
        // The server takes no longer names. Schemas that share one hear of each other's work: no harm.
        channel.truncate(63);
        let tell = tokio::spawn(tell(sessions, channel.clone(), Arc::clone(&wanted)));
        let hear = tokio::spawn(hear(target, channel, Arc::clone(&local.rings)));
        Self { herald: Some(Herald { wanted, tasks: [tell, hear] }), ..local }
    }

    pub(crate) fn mark(&self) -> u64 {
        *self.rings.borrow()
    }

    pub(crate) fn ring(&self) {
        self.rings.send_modify(|rings| *rings += 1);
        if let Some(herald) = &self.herald {
            herald.wanted.notify_one();
        }
    }

    pub(crate) async fn rung(&self, mark: u64) {
        // Its sender lives as long as this does.
        let _ = self.rings.subscribe().wait_for(|rings| *rings > mark).await;
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Notifies by a statement of its own: a notification within a publishing transaction would have all
/// commits of the database wait for each other. One that fails is not missed for longer than until others
/// look by themselves.
async fn tell(sessions: Sessions, channel: String, wanted: Arc<Notify>) {
    let notify = format!("NOTIFY \"{channel}\"");
    loop {
        wanted.notified().await;
        let _ = sessions.execute(&notify).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(target: Target, channel: String, rings: Arc<watch::Sender<u64>>) {
    loop {
        let _ = target.listen(&channel, &rings).await;
        tokio::time::sleep(RETRY).await;
    }
}

/// Has the server tell this connection. What it told before was missed.
pub(crate) async fn subscribe(
    client: &Client,
    channel: &str,
    rings: &watch::Sender<u64>,
) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(&format!("LISTEN \"{channel}\"")).await?;
    rings.send_modify(|rings| *rings += 1);
    Ok(())
}

/// Rings at each notification, until the connection ends.
pub(crate) async fn forward<S, T>(mut connection: Connection<S, T>, rings: &watch::Sender<u64>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if matches!(message, AsyncMessage::Notification(_)) {
            rings.send_modify(|rings| *rings += 1);
        }
    }
}
