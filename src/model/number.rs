use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Declares an integer id that is written as a JSON number and read from a number or a string.
macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The id with this number.
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> $inner {
                self.0
            }
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
                let Long(number) = Long::deserialize(deserializer)?;
                let number = number.try_into().map_err(serde::de::Error::custom)?;
                Ok(Self(number))
            }
        }
    };
}

number_id! {
    /// The id of a *kind* of event, as in the catalog: 0 to 17 for Zoho Assist.
    ///
    /// ```
    /// use hookwire::{assist, EventId};
    ///
    /// assert_eq!(assist::DEVICE_ONLINE, EventId::new(13));
    /// ```
    EventId(u32)
}

number_id! {
    /// A department of the host service, by which a subscription can be narrowed.
    DeptId(i64)
}

number_id! {
    /// The id of a webhook within its tenant: given by hookwire, counted from 1, never used again.
    HookId(i64)
}

number_id! {
    /// The id of one delivery: one event for one webhook.
    DeliveryId(i64)
}

/// An integer that came as a JSON number or as a string of digits.
#[derive(Clone, Copy)]
pub(super) struct Long(pub(super) i64);

impl<'de> Deserialize<'de> for Long {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LongVisitor)
    }
}

struct LongVisitor;

impl serde::de::Visitor<'_> for LongVisitor {
    type Value = Long;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of 64 bits, as a number or as a string of digits")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Long, E> {
        Ok(Long(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Long, E> {
        i64::try_from(number).map(Long).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Long, E> {
        text.parse().map(Long).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_are_read_from_numbers_and_strings() {
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
