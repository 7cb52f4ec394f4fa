//! The macro that declares newtypes of numbers, which `store` and `registry` use too, and a helper for serde.

/// Declares a `Copy` newtype of a number with `new` and `get`.
macro_rules! number {
    ($(#[$attribute:meta])* $name:ident($inner:ty)) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name($inner);

        impl $name {
            #[doc = concat!("Creates a `", stringify!($name), "` from its number.")]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// Returns the number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }
    };
}

pub(crate) use number;

/// Tells serde to leave a number out that is its default.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) const fn is_zero(number: &u32) -> bool {
    *number == 0
}
