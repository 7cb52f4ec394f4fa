//! Who sees which part of an attempt's or a ping's outcome.

use crate::model::Outcome;

/// The reader of outcomes, who decides what a handle shows of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Visibility {
    /// Everything. Details of failures may name internal addresses.
    Operator,
    /// The kind of a failure, and the status of an answer.
    Tenant,
    /// The kind of a failure, and the status and body of an answer.
    TenantWithBodies,
}

impl Visibility {
    /// Removes from an outcome what this reader must not see.
    pub(super) fn redact(self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Answered { status, retry_after, incomplete, location, .. } if self == Self::Tenant => {
                Outcome::Answered { status, retry_after, body: String::new(), incomplete, location }
            }
            Outcome::Failed { kind, .. } if self != Self::Operator => {
                Outcome::Failed { kind, detail: String::new() }
            }
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::model::FailureKind;

    fn seen(visibility: Visibility) -> (String, String) {
        let answered = Outcome::answered(StatusCode::BAD_REQUEST, None, "words");
        let failed = Outcome::Failed { kind: FailureKind::Refused, detail: "10.0.0.7".to_owned() };
        let (Outcome::Answered { body, .. }, Outcome::Failed { detail, .. }) =
            (visibility.redact(answered), visibility.redact(failed))
        else {
            panic!("the kind stays")
        };
        (body, detail)
    }

    #[test]
    fn each_reader_sees_its_part() {
        let pair = |body: &str, detail: &str| (body.to_owned(), detail.to_owned());
        assert_eq!(seen(Visibility::Tenant), pair("", ""));
        assert_eq!(seen(Visibility::TenantWithBodies), pair("words", ""));
        assert_eq!(seen(Visibility::Operator), pair("words", "10.0.0.7"));
    }
}
