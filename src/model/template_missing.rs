//! What a template names and a sample of the payload lacks: a hint for whoever writes the template.

use serde_json::value::RawValue;

use super::filter::LazyPayload;
use super::findings::Findings;
use super::json_tokens::tokens;
use super::template::{BodyTemplate, Parameter};
use super::template_reader::Reader;

/// A parameter of a [`BodyTemplate`] for which a payload has no value.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MissingMember {
    /// The path of the string in which the parameter stands, as in violations: `template.items[0].name`.
    pub field: String,
    /// The parameter, as it is written: `${payload.device.name}`.
    pub parameter: String,
}

impl BodyTemplate {
    /// Returns the parameters that name a member which `sample` lacks, in the order of the template, each once for a string.
    ///
    /// It is a hint and no error: the sample is one payload, and others may have the member. Where a payload lacks it, `null`
    /// stands in its place, or nothing within other text. A member that is `null` is there.
    ///
    /// ```
    /// use hookwire::assist;
    /// use hookwire::model::BodyTemplate;
    ///
    /// let catalog = assist::catalog();
    /// let online = catalog.get(assist::DEVICE_ONLINE).expect("in the catalog");
    /// let template = BodyTemplate::parse(r#"{"text": "${payload.deviceName} is on, ${payload.devicename}"}"#)?;
    /// let missing = template.missing_in(online.sample());
    /// assert_eq!(missing.len(), 1);
    /// assert_eq!((&*missing[0].field, &*missing[0].parameter), ("template.text", "${payload.devicename}"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn missing_in(&self, sample: &RawValue) -> Vec<MissingMember> {
        let payload = LazyPayload::new(sample);
        let mut missing = Vec::new();
        for (field, parameter) in self.parameters() {
            if is_there(&parameter, &payload) {
                continue;
            }
            let hint = MissingMember { field, parameter: parameter.to_string() };
            if !missing.contains(&hint) {
                missing.push(hint);
            }
        }
        missing
    }

    /// Returns the parameters with their paths.
    fn parameters(&self) -> Vec<(String, Parameter)> {
        // Nothing is found: the source was read by the same rules.
        let mut found = Findings::default();
        let mut reader = Reader::new("template", &mut found);
        tokens(self.source.get()).for_each(|(_, token)| reader.read(token));
        reader.into_parts().1
    }
}

fn is_there(parameter: &Parameter, payload: &LazyPayload<'_>) -> bool {
    match parameter {
        Parameter::Payload(path) => path.is_empty() || payload.member(path).is_some(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(template: &str, sample: &str) -> Vec<(String, String)> {
        let template = BodyTemplate::parse(template).expect(template);
        let sample = RawValue::from_string(sample.to_owned()).expect(sample);
        let missing = template.missing_in(&sample);
        missing.into_iter().map(|it| (it.field, it.parameter)).collect()
    }

    fn are(template: &str, sample: &str, expected: &[(&str, &str)]) {
        let found = missing(template, sample);
        let found: Vec<_> = found.iter().map(|(field, name)| (field.as_str(), name.as_str())).collect();
        assert_eq!(found, expected, "{template} {sample}");
    }

    #[test]
    fn what_the_sample_lacks_is_told_with_its_place() {
        let template = r#"{"a": ["${payload.x}", {"b c": "<${payload.o.y}> ${payload.o.k} ${payload.l.2} ${payload.o.y}"}],
            "d": "${payload.x}", "e": "${payload.o.k.z}"}"#;
        let expected = [
            ("template.a[0]", "${payload.x}"),
            (r#"template.a[1]["b c"]"#, "${payload.o.y}"),
            (r#"template.a[1]["b c"]"#, "${payload.l.2}"),
            ("template.d", "${payload.x}"),
            ("template.e", "${payload.o.k.z}"),
        ];
        are(template, r#"{"o": {"k": 1}, "l": [0, 1]}"#, &expected);
    }

    #[test]
    fn what_is_there_is_not_told_even_if_it_is_null_nor_is_what_no_payload_has() {
        let template = r#"["${payload}", "${payload.n} ${payload.l.1.k}", "${eventBy} ${department}", "${$}{payload.x}"]"#;
        are(template, r#"{"n": null, "l": [0, {"k": false}]}"#, &[]);
        are("\"${payload}\"", "null", &[]);
        are("{\"${payload.x}\": 1}", "{}", &[]);
    }

    #[test]
    fn a_sample_without_members_lacks_them_all() {
        for sample in ["null", "7", "\"x\"", "[]", "{}"] {
            are("\"${payload.x}\"", sample, &[("template", "${payload.x}")]);
        }
    }
}
