//! A recorder that keeps every value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// What was described and recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By name: the kind, and the unit.
    described: BTreeMap<String, (&'static str, Option<Unit>)>,
    /// By name and labels, as in `name{label=value}`.
    series: BTreeMap<String, Arc<Series>>,
}

/// The values of one series, in their order: increments of a counter, settings of a gauge, records of a histogram.
#[derive(Debug, Default)]
struct Series(Mutex<Vec<f64>>);

impl Recorded {
    /// The metrics that were described: name, kind and unit.
    pub(super) fn described(&self) -> BTreeMap<String, (&'static str, Option<Unit>)> {
        self.state().described.clone()
    }

    /// The names and labels of all series.
    pub(super) fn series(&self) -> BTreeSet<String> {
        self.state().series.keys().cloned().collect()
    }

    /// The values of a series that was registered.
    #[track_caller]
    pub(super) fn values(&self, series: &str) -> Vec<f64> {
        let state = self.state();
        let found = state.series.get(series);
        found.unwrap_or_else(|| panic!("no series {series} among {:?}", state.series.keys())).take_stock()
    }

    #[track_caller]
    pub(super) fn sum(&self, series: &str) -> f64 {
        self.values(series).iter().sum()
    }

    /// The sum over all series of a metric.
    pub(super) fn total(&self, name: &str) -> f64 {
        let series = self.series();
        let own = series.iter().filter(|series| series.split('{').next() == Some(name));
        own.map(|series| self.sum(series)).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, name: &KeyName, kind: &'static str, unit: Option<Unit>) {
        self.state().described.insert(name.as_str().to_owned(), (kind, unit));
    }

    fn register(&self, key: &Key) -> Arc<Series> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        Arc::clone(self.state().series.entry(format!("{}{labels}", key.name())).or_default())
    }
}

impl Series {
    fn push(&self, value: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }

    fn take_stock(&self) -> Vec<f64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, "counter", unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, "gauge", unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, "histogram", unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.register(key))
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.push(value as f64);
    }

    fn absolute(&self, value: u64) {
        panic!("{value} is not added");
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        panic!("{value} is not set");
    }

    fn decrement(&self, value: f64) {
        panic!("{value} is not set");
    }

    fn set(&self, value: f64) {
        self.push(value);
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.push(value);
    }
}
