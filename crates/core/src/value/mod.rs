//! Column types, and each one's form in a record.

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
    /// `text`, `varchar`, `bpchar`, `char`, `name`, `citext`
    Text,
    /// `uuid`
    Uuid,
    /// A one-dimensional array.
    Array(Box<ColumnType>),
}
