//! What is said when the service is started.

use std::path::PathBuf;

use crate::Error;

/// Where webhooks and events are kept.
pub enum Keeping {
    Sqlite(PathBuf),
    Postgres(String),
}

pub struct Options {
    pub is_demo: bool,
    pub keeping: Keeping,
    pub listen: String,
    /// Where `GET /metrics` is answered.
    pub metrics: Option<String>,
}

const USAGE: &str =
    "usage: service [--demo] [--sqlite FILE | --postgres URL] [--listen ADDRESS] [--metrics ADDRESS]";

/// Where a demonstration shows its metrics, unless another address is named.
const DEMO_METRICS: &str = "127.0.0.1:9000";

impl Options {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, Error> {
        let file = std::env::temp_dir().join("hookwire-service.db");
        let mut options = Self {
            is_demo: false,
            keeping: Keeping::Sqlite(file),
            listen: "127.0.0.1:8080".to_owned(),
            metrics: None,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(USAGE);
            match argument.as_str() {
                "--demo" => options.is_demo = true,
                "--sqlite" => options.keeping = Keeping::Sqlite(value()?.into()),
                "--postgres" => options.keeping = Keeping::Postgres(value()?),
                "--listen" => options.listen = value()?,
                "--metrics" => options.metrics = Some(value()?),
                _ => return Err(USAGE.into()),
            }
        }
        if options.is_demo {
            options.metrics.get_or_insert_with(|| DEMO_METRICS.to_owned());
        }
        Ok(options)
    }
}
