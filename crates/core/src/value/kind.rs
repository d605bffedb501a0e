//! Which PostgreSQL types a record can hold.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::Shape;

/// A type as PostgreSQL's catalog describes it, filled by whoever can read `pg_type` and `pg_attribute`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PgType {
    /// `pg_type.oid`
    pub oid: u32,
    /// The name of the type's schema, `pg_catalog` for the built-in ones.
    pub schema: String,
    /// `pg_type.typname`; an array's starts with an underscore.
    pub name: String,
    /// `pg_type.typtype`: `b` base, `c` composite, `d` domain, `e` enum, `m` multirange, `p` pseudo, `r` range.
    pub kind: char,
    /// `pg_type.typcategory`, as `A` for arrays.
    pub category: char,
    /// The element type of an array (`pg_type.typelem` of category `A`).
    pub element: Option<Box<PgType>>,
    /// The type under a domain (`pg_type.typbasetype`), its modifier being `pg_type.typtypmod`.
    pub base: Option<Box<PgType>>,
    /// `pg_attribute.atttypmod`; -1 for none. An array's modifier is that of its elements.
    pub modifier: i32,
    /// The labels of an enum in their order (`pg_enum.enumlabel`).
    #[serde(default)]
    pub labels: Vec<String>,
}

/// A column's type after resolution: domains stand for their base type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// `bool`
    Bool,
    /// `int2`
    Int2,
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `oid`
    Oid,
    /// `float4`
    Float4,
    /// `float8`
    Float8,
    /// `numeric(p, s)`; none without digits (and for a negative scale).
    Numeric(Option<Digits>),
    /// `money`
    Money,
    /// `text`, `varchar(n)`, `bpchar(n)` (padded), `"char"` and `name`, with the most characters that one holds if the type
    /// says so. They are carried as their text, unchanged.
    Chars(Option<u32>),
    /// An enum, with its labels and commas between them. Its values are carried as their text.
    Enum(Arc<str>),
    /// What else is carried as its text, unchanged: `citext`, `inet`, `cidr`, `macaddr`, `macaddr8` and the built-in ranges.
    Text,
    /// `xml`, as its text.
    Xml,
    /// `tsvector`, as its text.
    Tsvector,
    /// `ltree`, as its text.
    Ltree,
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytea,
    /// `json` and `jsonb`
    Json,
    /// `date`
    Date,
    /// `time(p)`, with how many digits of the second it may have, 0 to 6.
    Time(u8),
    /// `timetz`
    TimeTz,
    /// `timestamp(p)`, with how many digits of the second it may have, 0 to 6.
    Timestamp(u8),
    /// `timestamptz(p)`, with how many digits of the second it is written with, 0 to 6.
    TimestampTz(u8),
    /// `interval`
    Interval,
    /// `bit(1)` and `varbit(1)`
    Bit,
    /// `bit(n)` and `varbit(n)` of any other length, and `varbit` without one.
    Bits(Option<u32>),
    /// `point`, `line`, `lseg`, `box`, `path`, `polygon` and `circle`
    Geometric(Shape),
    /// `hstore`
    Hstore,
    /// A one-dimensional array.
    Array(Box<ColumnType>),
}

/// The digits of a `numeric(p, s)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// How many there are.
    pub precision: u16,
    /// How many of them are behind the point; it may be more than there are.
    pub scale: u16,
}

/// What Debezium makes of values that it loses and that this keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// It keeps them too.
    #[default]
    None,
    /// Null in a stream; a snapshot has the value.
    Streamed,
    /// Null, but for an empty array.
    Elements,
    /// The column is left out.
    Column,
}

/// A type that a record has no form for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("type {name} is not supported: {why}")]
pub struct UnsupportedType {
    /// The type's name, with its schema unless it is built in.
    pub name: String,
    /// Why it is not supported.
    pub why: &'static str,
}

impl fmt::Display for PgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(element), 'A') = (&self.element, self.category) {
            return write!(f, "{element}[]");
        }
        if self.schema != "pg_catalog" {
            write!(f, "{}.", self.schema)?;
        }
        f.write_str(&self.name)
    }
}

impl PgType {
    /// What Debezium loses of values of this type.
    pub fn loss(&self) -> Loss {
        match (&self.element, self.category) {
            (Some(element), 'A') => match (element.kind, element.name.as_str()) {
                ('d', _) => Loss::Column,
                ('e', _) => Loss::Elements,
                _ if element.schema != "pg_catalog" => Loss::None,
                (_, "name" | "xml" | "money" | "interval" | "varbit") => Loss::Column,
                (_, "bit") => Loss::Elements,
                _ => Loss::None,
            },
            _ if self.schema == "pg_catalog" && self.name == "name" => Loss::Streamed,
            _ => Loss::None,
        }
    }
}

/// Finds the form of a column's type, or says why there is none.
pub fn resolve(pg: &PgType) -> Result<ColumnType, UnsupportedType> {
    let refuse = |why| Err(UnsupportedType { name: pg.to_string(), why });
    match pg.kind {
        'd' => match &pg.base {
            Some(base) => resolve(base).map_err(|cause| UnsupportedType { name: pg.to_string(), why: cause.why }),
            None => refuse("the type under the domain is not known"),
        },
        'e' => Ok(ColumnType::Enum(pg.labels.join(",").into())),
        'c' => refuse("composite types have no form in a record"),
        'm' => refuse("multiranges have no form in a record"),
        'p' => refuse("pseudo types hold no values"),
        'r' | 'b' => match (&pg.element, pg.category) {
            (Some(element), 'A') => {
                let mut element = (**element).clone();
                if element.kind != 'd' {
                    element.modifier = pg.modifier;
                }
                match resolve(&element)? {
                    ColumnType::Geometric(_) => refuse("arrays of geometric types have no form in a record"),
                    ColumnType::Array(_) => refuse("arrays of arrays have no form in a record"),
                    kind => Ok(ColumnType::Array(Box::new(kind))),
                }
            }
            _ => match base(pg) {
                Some(kind) => Ok(kind),
                None => refuse("it has no form in a record; leave the column out or cast it in a generated column"),
            },
        },
        _ => refuse("its kind (pg_type.typtype) is not known"),
    }
}

/// The form of a type that is neither a domain nor an array, by name.
fn base(pg: &PgType) -> Option<ColumnType> {
    let name = pg.name.as_str();
    if pg.schema != "pg_catalog" {
        // Extensions may be installed in any schema.
        return match name {
            "citext" => Some(ColumnType::Text),
            "ltree" => Some(ColumnType::Ltree),
            "hstore" => Some(ColumnType::Hstore),
            _ => None,
        };
    }
    Some(match name {
        "bool" => ColumnType::Bool,
        "int2" => ColumnType::Int2,
        "int4" => ColumnType::Int4,
        "int8" => ColumnType::Int8,
        "oid" => ColumnType::Oid,
        "float4" => ColumnType::Float4,
        "float8" => ColumnType::Float8,
        "numeric" => ColumnType::Numeric(digits(pg.modifier)),
        "money" => ColumnType::Money,
        "text" | "name" => ColumnType::Chars(None),
        "char" => ColumnType::Chars(Some(1)),
        "varchar" | "bpchar" => ColumnType::Chars(length(pg.modifier)),
        "inet" | "cidr" | "macaddr" | "macaddr8" | "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange"
        | "daterange" => ColumnType::Text,
        "xml" => ColumnType::Xml,
        "tsvector" => ColumnType::Tsvector,
        "uuid" => ColumnType::Uuid,
        "bytea" => ColumnType::Bytea,
        "json" | "jsonb" => ColumnType::Json,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time(second_digits(pg.modifier)),
        "timetz" => ColumnType::TimeTz,
        "timestamp" => ColumnType::Timestamp(second_digits(pg.modifier)),
        "timestamptz" => ColumnType::TimestampTz(second_digits(pg.modifier)),
        "interval" => ColumnType::Interval,
        "bit" | "varbit" if pg.modifier == 1 => ColumnType::Bit,
        "bit" | "varbit" => ColumnType::Bits(u32::try_from(pg.modifier).ok()),
        name => ColumnType::Geometric(Shape::of(name)?),
    })
}

/// How many characters a type's modifier allows; it counts four bytes of a header too.
fn length(modifier: i32) -> Option<u32> {
    u32::try_from(modifier).ok()?.checked_sub(4)
}

/// How many digits of the second a type's modifier asks for; 6 without one.
fn second_digits(modifier: i32) -> u8 {
    u8::try_from(modifier).map_or(6, |digits| digits.min(6))
}

/// What a numeric's modifier says: `((precision << 16) | (scale & 0x7ff)) + 4`, the scale in 11 bits with sign.
fn digits(modifier: i32) -> Option<Digits> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let (precision, scale) = (u16::try_from(packed >> 16).ok()?, u16::try_from(packed & 0x7ff).ok()?);
    (scale < 0x400).then_some(Digits { precision, scale })
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int2 => "int2",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Oid => "oid",
            Self::Float4 => "float4",
            Self::Float8 => "float8",
            Self::Numeric(_) => "numeric",
            Self::Money => "money",
            Self::Chars(_) | Self::Text => "text",
            Self::Enum(_) => "enum",
            Self::Xml => "xml",
            Self::Tsvector => "tsvector",
            Self::Ltree => "ltree",
            Self::Uuid => "uuid",
            Self::Bytea => "bytea",
            Self::Json => "json",
            Self::Date => "date",
            Self::Time(_) => "time",
            Self::TimeTz => "timetz",
            Self::Timestamp(_) => "timestamp",
            Self::TimestampTz(_) => "timestamptz",
            Self::Interval => "interval",
            Self::Bit | Self::Bits(_) => "bit",
            Self::Geometric(shape) => shape.name(),
            Self::Hstore => "hstore",
            Self::Array(element) => return write!(f, "{element}[]"),
        })
    }
}
