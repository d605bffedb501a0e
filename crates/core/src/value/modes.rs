//! The modes of values: which of Debezium's forms a connector asks for.

/// Declares a mode: its key, and the value of each form.
macro_rules! mode {
    ($(#[$about:meta])* $name:ident, $key:literal, $($(#[$doc:meta])* $form:ident = $text:literal,)+) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $form,)+
        }

        impl $name {
            /// The connector's key.
            pub const KEY: &'static str = $key;
            /// The values that are served.
            pub const VALUES: &'static [&'static str] = &[$($text),+];

            /// The form of a value; none if it is not served.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$form),)+
                    _ => None,
                }
            }

            /// The value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$form => $text,)+
                }
            }
        }
    };
}

mode! {
    /// How `numeric` and `money` are written.
    DecimalMode, "decimal.handling.mode",
    /// The number without its point, in base64; with its scale beside it where the column has none.
    Precise = "precise",
    /// A floating point number, which may be another one than the column's.
    Double = "double",
    /// A string of the same digits.
    String = "string",
}

mode! {
    /// How `date`, `time` and `timestamp` are written. (`timetz` and `timestamptz` are always strings.)
    TimeMode, "time.precision.mode",
    /// Milliseconds up to three digits of the second, microseconds above; dates in days.
    Adaptive = "adaptive",
    /// The same, with every `time` in microseconds.
    AdaptiveTimeMicroseconds = "adaptive_time_microseconds",
    /// Milliseconds, which cuts digits off.
    Connect = "connect",
    /// ISO 8601 in UTC.
    Isostring = "isostring",
    /// Microseconds.
    Microseconds = "microseconds",
    /// Nanoseconds: they reach from 1677 to 2262.
    Nanoseconds = "nanoseconds",
}

mode! {
    /// How `interval` is written.
    IntervalMode, "interval.handling.mode",
    /// Microseconds, a month counting 365.25 / 12 days.
    Numeric = "numeric",
    /// As `P1Y2M3DT4H5M6.789S`.
    String = "string",
}

mode! {
    /// How `bytea` is written.
    BinaryMode, "binary.handling.mode",
    /// Bytes, which JSON has in base64.
    Bytes = "bytes",
    /// A string in base64.
    Base64 = "base64",
    /// The same with `-` and `_` in the place of `+` and `/`.
    Base64UrlSafe = "base64-url-safe",
    /// A string of hexadecimal digits.
    Hex = "hex",
}

mode! {
    /// How `hstore` is written.
    HstoreMode, "hstore.handling.mode",
    /// A string that holds a JSON object.
    Json = "json",
    /// An object.
    Map = "map",
}

/// The forms of all values of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// `decimal.handling.mode`
    pub decimal: DecimalMode,
    /// `time.precision.mode`
    pub time: TimeMode,
    /// `interval.handling.mode`
    pub interval: IntervalMode,
    /// `binary.handling.mode`
    pub binary: BinaryMode,
    /// `hstore.handling.mode`
    pub hstore: HstoreMode,
}

impl Modes {
    /// What the plan asks for: every value keeps all its digits, and can be read without a schema.
    pub const PLAN: Self = Self {
        decimal: DecimalMode::String,
        time: TimeMode::Isostring,
        interval: IntervalMode::Numeric,
        binary: BinaryMode::Bytes,
        hstore: HstoreMode::Json,
    };

    /// What Debezium takes where a connector says nothing.
    pub const DEBEZIUM: Self = Self {
        decimal: DecimalMode::Precise,
        time: TimeMode::Adaptive,
        interval: IntervalMode::Numeric,
        binary: BinaryMode::Bytes,
        hstore: HstoreMode::Json,
    };
}
