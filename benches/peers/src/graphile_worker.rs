//! graphile_worker: a queue of jobs over PostgreSQL. A job is a delivery; its handler signs and posts it with reqwest.

use std::sync::Arc;

use delivery::Error;
use delivery::load::AT_ONCE;
use delivery::note::Note;
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, TaskHandler, Worker, WorkerContext, WorkerOptions, WorkerUtils,
};
use hookwire::clock::{Clock, SystemClock};
use hookwire::model::{MessageId, SignatureScheme};
use hookwire::signature::{KeyRing, Message, SigningKey};
use serde::{Deserialize, Serialize};

use crate::database;
use crate::peer::Running;

pub(crate) struct GraphileWorker {
    utils: WorkerUtils,
    urls: Vec<String>,
    _worker: Running,
}

impl GraphileWorker {
    pub(crate) async fn open(urls: &[String]) -> Result<Self, Error> {
        let sender = Sender {
            client: reqwest::Client::new(),
            ring: Arc::new(KeyRing::new(SigningKey::from_random(SignatureScheme::V1, [7; 32]))),
        };
        let options = WorkerOptions::default().database_url(&database::create().await?).concurrency(AT_ONCE);
        let options = options.schema("graphile_worker").listen_os_shutdown_signals(false);
        let worker: Worker = options.define_job::<Delivery>().add_extension(sender).init().await?;
        let utils = worker.create_utils();
        let worker = Running::spawn(async move {
            if let Err(error) = worker.run().await {
                eprintln!("the worker ended: {error}");
            }
        });
        Ok(Self { utils, urls: urls.to_vec(), _worker: worker })
    }

    pub(crate) async fn publish(&self, note: &Note) -> Result<(), Error> {
        let body = serde_json::to_string(note)?;
        let id = uuid::Uuid::now_v7();
        for url in &self.urls {
            let delivery = Delivery { url: url.clone(), id: format!("msg_{id}"), body: body.clone() };
            self.utils.add_job(delivery, JobSpec::default()).await?;
        }
        Ok(())
    }
}

/// The job.
#[derive(Deserialize, Serialize)]
struct Delivery {
    url: String,
    id: String,
    body: String,
}

impl TaskHandler for Delivery {
    const IDENTIFIER: &'static str = "delivery";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let sender = context.get_ext::<Sender>().expect("it was added at the opening");
        sender.send(self).await.map_err(|error| error.to_string())
    }
}

/// What handlers share.
#[derive(Clone, Debug)]
struct Sender {
    client: reqwest::Client,
    ring: Arc<KeyRing>,
}

impl Sender {
    async fn send(&self, Delivery { url, id, body }: Delivery) -> Result<(), Error> {
        let id = MessageId::new(id)?;
        let at = SystemClock::default().now();
        let message = Message { scheme: SignatureScheme::V1, id: &id, at, body: body.as_bytes() };
        let signed = message.headers(&self.ring.sign(&message))?;
        let request = self.client.post(url).headers(signed).header("content-type", "application/json");
        request.body(body).send().await?.error_for_status()?;
        Ok(())
    }
}
