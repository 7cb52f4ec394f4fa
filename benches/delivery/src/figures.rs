//! What a run has measured: figures by name, each with a value a round, and their two forms.

use serde_json::{Value, json};

use crate::options::Options;

/// The figures of a run, in the order in which they were first added.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

#[derive(Debug)]
struct Figure {
    name: String,
    unit: &'static str,
    /// One a round.
    values: Vec<f64>,
}

impl Figures {
    /// Adds the value of a round.
    pub fn add(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        let name = name.into();
        match self.0.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.0.push(Figure { name, unit, values: vec![value] }),
        }
    }

    /// A line a figure: the median, and the range of the rounds.
    pub fn table(&self, title: &str) -> String {
        let mut table = format!("{title}: median, lowest and highest\n");
        for Figure { name, unit, values } in &self.0 {
            let sorted = sorted(values);
            let (low, high) = (sorted.first().unwrap_or(&f64::NAN), sorted.last().unwrap_or(&f64::NAN));
            table += &format!("{name:<44} {:>12.3} {unit:<6} {low:>12.3} {high:>12.3}\n", median(&sorted));
        }
        table
    }

    /// One document, for `scripts/results`.
    pub(crate) fn json(&self, options: &Options, database: &str) -> Value {
        let figures: Vec<_> = self.0.iter().map(Figure::json).collect();
        json!({
            "scenario": options.scenario.name(),
            "store": options.store.name(),
            "rounds": options.rounds,
            "seconds": options.round.as_secs_f64(),
            "database": database,
            "figures": figures,
        })
    }
}

impl Figure {
    fn json(&self) -> Value {
        json!({"name": self.name, "unit": self.unit, "values": self.values})
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The middle one, or the mean of the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let at = |index| sorted.get(index).copied().unwrap_or(f64::NAN);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_rounds_is_told_with_their_range() {
        let mut figures = Figures::default();
        for value in [3.0, 1.0, 2.0] {
            figures.add("rate", "1/s", value);
        }
        let table = figures.table(&Options::default().title());
        let row: Vec<_> = table.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(row, ["rate", "2.000", "1/s", "1.000", "3.000"]);
        let json = figures.json(&Options::default(), "");
        assert_eq!(json["figures"][0], json!({"name": "rate", "unit": "1/s", "values": [3.0, 1.0, 2.0]}));
    }

    #[test]
    fn of_an_even_number_the_median_is_between_the_two_in_the_middle() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
        assert!(median(&[]).is_nan());
    }
}
