//! The macro that declares newtypes of numbers; `store` and `registry` use it too.

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
