use crate::model::Outcome;

/// Who reads what a handle gives of attempts and pings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Audience {
    /// Everything: details of failures may name addresses inside.
    Operator,
    /// The class of what happened.
    Tenant,
    /// The class of what happened, and what receivers answered.
    TenantWithBodies,
}

impl Audience {
    /// What of an outcome is for these eyes.
    pub(super) fn see(self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Answered { status, retry_after, .. } if self == Self::Tenant => {
                Outcome::Answered { status, retry_after, body: String::new() }
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

    fn seen(audience: Audience) -> (String, String) {
        let (status, retry_after) = (StatusCode::BAD_REQUEST, None);
        let answered = Outcome::Answered { status, retry_after, body: "words".to_owned() };
        let failed = Outcome::Failed { kind: FailureKind::Refused, detail: "10.0.0.7".to_owned() };
        let (Outcome::Answered { body, .. }, Outcome::Failed { detail, .. }) =
            (audience.see(answered), audience.see(failed))
        else {
            panic!("the class stays")
        };
        (body, detail)
    }

    #[test]
    fn each_audience_sees_what_is_for_it() {
        let pair = |body: &str, detail: &str| (body.to_owned(), detail.to_owned());
        assert_eq!(seen(Audience::Tenant), pair("", ""));
        assert_eq!(seen(Audience::TenantWithBodies), pair("words", ""));
        assert_eq!(seen(Audience::Operator), pair("words", "10.0.0.7"));
    }
}
