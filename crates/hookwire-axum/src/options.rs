//! [`Options`]: delivery options as a user sends them.

use std::collections::BTreeMap;

use hookwire::model::{BodyTemplate, DeliveryOptions, EnvelopeKind, SignatureScheme, Violation};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Delivery options; what is left out takes its default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    envelope: Option<EnvelopeKind>,
    template: Option<Box<RawValue>>,
    signature: Option<SignatureScheme>,
    headers: Option<BTreeMap<String, String>>,
    rate: Option<u32>,
    max_in_flight: Option<u32>,
}

impl Options {
    /// Returns the options, or everything that is wrong with them.
    pub(crate) fn check(self) -> Result<DeliveryOptions, Vec<Violation>> {
        let one = |violation| vec![violation];
        let checked = Checked::default()
            .set(self.envelope, |options, envelope| Ok(options.with_envelope(envelope)))
            .set(self.signature, |options, signature| Ok(options.with_signature(signature)))
            .set(self.template.filter(|it| it.get() != "null"), |options, template| {
                let template = BodyTemplate::parse(template.get()).map_err(|it| it.violations)?;
                Ok(options.with_template(template))
            })
            .set(self.rate, |options, rate| options.with_rate(rate).map_err(one))
            .set(self.max_in_flight, |options, most| options.with_max_in_flight(most).map_err(one))
            .set(self.headers, |options, headers| options.with_headers(headers));
        if checked.broken.is_empty() { Ok(checked.options) } else { Err(checked.broken) }
    }
}

/// The options so far, and what is wrong with them.
#[derive(Default)]
struct Checked {
    options: DeliveryOptions,
    broken: Vec<Violation>,
}

impl Checked {
    /// Sets an option, if it is given.
    fn set<T>(
        mut self,
        value: Option<T>,
        with: impl FnOnce(DeliveryOptions, T) -> Result<DeliveryOptions, Vec<Violation>>,
    ) -> Self {
        match value.map(|value| with(self.options.clone(), value)) {
            Some(Ok(options)) => self.options = options,
            Some(Err(broken)) => self.broken.extend(broken),
            None => {}
        }
        self
    }
}
