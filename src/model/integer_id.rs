//! The ids that are integers: events, departments, webhooks and deliveries.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::number::number;

/// Declares an integer id that is written as a JSON number and read from a number or a string.
macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        number! {
            $(#[$doc])*
            #[derive(Serialize)]
            #[serde(transparent)]
            $name($inner)
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for $inner {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let LenientInteger(number) = LenientInteger::deserialize(deserializer)?;
                let number = number.try_into().map_err(serde::de::Error::custom)?;
                Ok(Self(number))
            }
        }
    };
}

integer_id! {
    /// The id of a kind of event in the catalog: 0 to 17 for Zoho Assist.
    ///
    /// ```
    /// use hookwire::{assist, EventId};
    ///
    /// assert_eq!(assist::DEVICE_ONLINE, EventId::new(13));
    /// ```
    EventId(u32)
}

integer_id! {
    /// The id of a department of the host service; a subscription can be limited to departments.
    DeptId(i64)
}

integer_id! {
    /// The id of a webhook within its tenant. hookwire counts from 1 and never uses an id twice.
    HookId(i64)
}

integer_id! {
    /// The id of a delivery, that is of one event for one webhook.
    DeliveryId(i64)
}

/// An integer read from a JSON number or from a string of digits, in which JavaScript keeps large ones exact.
#[derive(Clone, Copy)]
pub(super) struct LenientInteger(pub(super) i64);

impl<'de> Deserialize<'de> for LenientInteger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IntegerVisitor)
    }
}

struct IntegerVisitor;

impl serde::de::Visitor<'_> for IntegerVisitor {
    type Value = LenientInteger;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of 64 bits, as a number or as a string of digits")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<LenientInteger, E> {
        Ok(LenientInteger(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<LenientInteger, E> {
        i64::try_from(number).map(LenientInteger).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LenientInteger, E> {
        text.parse().map(LenientInteger).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_from_numbers_and_strings() {
        for json in ["9007199254740993", r#""9007199254740993""#] {
            let id: HookId = serde_json::from_str(json).expect(json);
            assert_eq!(id, HookId::new(9_007_199_254_740_993));
        }
        assert_eq!(serde_json::to_string(&HookId::new(7)).expect("number"), "7");
    }

    #[test]
    fn what_is_no_whole_number_is_refused() {
        for json in ["1.5", r#""x""#, "true", "null", "9223372036854775808", "[1]"] {
            assert!(serde_json::from_str::<DeptId>(json).is_err(), "{json}");
        }
        assert!(serde_json::from_str::<EventId>("-1").is_err());
    }
}
