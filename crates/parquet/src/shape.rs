//! A schema as Parquet has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use datapipe_core::output::{Encoding, Field, Output};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::schema::types::{Type, TypePtr};

use crate::connect::Schema;
use crate::leaf::{self, Kind};

/// A schema that has no columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(pub(crate) String);

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The texts of a record's schemas: of those parts that have columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schemas<'a> {
    /// The value's.
    pub value: Option<&'a str>,
    /// The key's.
    pub key: Option<&'a str>,
}

/// The columns of a record's schemas.
#[derive(Debug)]
pub struct Shape {
    /// Equal texts are one shape.
    value_schema: Option<Box<str>>,
    key_schema: Option<Box<str>>,
    pub(crate) parquet: TypePtr,
    pub(crate) root: Vec<Top>,
    pub(crate) columns: usize,
}

/// A part of the row.
#[derive(Debug)]
pub(crate) enum Top {
    /// A field by name of the only part that has columns, where its fields are the row.
    Member(String, Node),
    /// The key as a whole.
    Key(Node),
    /// The value as a whole.
    Value(Node),
    Offset(usize),
    Timestamp(usize),
    Headers(Node),
}

/// A schema's node with the levels that a present value has.
#[derive(Debug)]
pub(crate) enum Node {
    Leaf { column: usize, kind: Kind, optional: bool },
    Struct { fields: Vec<(String, Node)>, optional: bool },
    List { element: Box<Node>, optional: bool },
    Map { value: Box<Node>, key: usize, optional: bool },
}

impl Node {
    pub(crate) const fn optional(&self) -> bool {
        let (Self::Leaf { optional, .. }
        | Self::Struct { optional, .. }
        | Self::List { optional, .. }
        | Self::Map { optional, .. }) = self;
        *optional
    }
}

type Made = Result<(TypePtr, Node), Unsupported>;

impl Shape {
    /// What records of these schemas become in objects of this form.
    pub fn new(schemas: Schemas<'_>, output: &Output) -> Result<Self, Unsupported> {
        let read = |schema| -> Result<Schema, Unsupported> {
            serde_json::from_str(schema).map_err(|error| Unsupported(format!("the schema cannot be read: {error}")))
        };
        let value = schemas.value.map(read).transpose()?;
        let key = schemas.key.map(read).transpose()?;
        let mut shaper = Shaper { columns: 0 };
        let (mut types, mut root) = (Vec::new(), Vec::new());
        let alone = match output.fields[..] {
            [Field::Value] => value.as_ref(),
            [Field::Key] => key.as_ref(),
            _ => None,
        };
        if let Some(whole) = alone.filter(|schema| !output.envelope && schema.kind == "struct") {
            for field in members(whole)? {
                let (parquet, node) = shaper.node(&field.field, field)?;
                types.push(parquet);
                root.push(Top::Member(field.field.clone(), node));
            }
        } else {
            for field in Field::ALL.into_iter().filter(|field| output.fields.contains(field)) {
                let (parquet, top) = shaper.top(field, value.as_ref(), key.as_ref(), output)?;
                types.push(parquet);
                root.push(top);
            }
        }
        let parquet = built(Type::group_type_builder("connector_records").with_fields(types).build())?;
        let [value_schema, key_schema] = [schemas.value, schemas.key].map(|schema| schema.map(Into::into));
        Ok(Self { value_schema, key_schema, parquet, root, columns: shaper.columns })
    }

    /// What it is made of.
    pub fn schemas(&self) -> Schemas<'_> {
        Schemas { value: self.value_schema.as_deref(), key: self.key_schema.as_deref() }
    }
}

/// Numbers the columns in the order of the tree's leaves, as Parquet does.
struct Shaper {
    columns: usize,
}

impl Shaper {
    fn column(&mut self) -> usize {
        self.columns += 1;
        self.columns - 1
    }

    fn top(
        &mut self,
        field: Field,
        value: Option<&Schema>,
        key: Option<&Schema>,
        output: &Output,
    ) -> Result<(TypePtr, Top), Unsupported> {
        let long = |name| {
            built(Type::primitive_type_builder(name, Physical::INT64).with_repetition(Repetition::REQUIRED).build())
        };
        Ok(match field {
            Field::Value => {
                let value = value.ok_or_else(|| Unsupported("the value has no schema".to_owned()))?;
                let (parquet, node) = self.node("value", value)?;
                (parquet, Top::Value(node))
            }
            Field::Offset => (long("offset")?, Top::Offset(self.column())),
            Field::Timestamp => (long("timestamp")?, Top::Timestamp(self.column())),
            Field::Headers => {
                let text = output.header_encoding == Encoding::None;
                let (physical, logical) = (Physical::BYTE_ARRAY, text.then_some(LogicalType::String));
                let key = self.column();
                let column = self.column();
                let value = leaf_type("value", physical, logical, true)?;
                let kind = if text { Kind::Text } else { Kind::Bytes };
                let value_node = Box::new(Node::Leaf { column, kind, optional: true });
                let parquet = map_type("headers", value, false)?;
                (parquet, Top::Headers(Node::Map { value: value_node, key, optional: false }))
            }
            Field::Key => {
                let key = key.ok_or_else(|| Unsupported("the key has no schema".to_owned()))?;
                let (parquet, node) = self.node("key", key)?;
                (parquet, Top::Key(node))
            }
        })
    }

    fn node(&mut self, name: &str, schema: &Schema) -> Made {
        let optional = schema.optional;
        match schema.kind.as_str() {
            "struct" => {
                let (mut types, mut fields) = (Vec::new(), Vec::new());
                for field in members(schema)? {
                    let (parquet, node) = self.node(&field.field, field)?;
                    types.push(parquet);
                    fields.push((field.field.clone(), node));
                }
                let group = Type::group_type_builder(name).with_repetition(repetition(optional)).with_fields(types);
                Ok((built(group.build())?, Node::Struct { fields, optional }))
            }
            "array" => {
                let items =
                    schema.items.as_deref().ok_or_else(|| Unsupported(format!("array {name:?} lacks items")))?;
                let (element, node) = self.node("element", items)?;
                let list = Type::group_type_builder("list").with_repetition(Repetition::REPEATED);
                let list = built(list.with_fields(vec![element]).build())?;
                let outer = Type::group_type_builder(name).with_repetition(repetition(optional));
                let outer = outer.with_logical_type(Some(LogicalType::List)).with_fields(vec![list]);
                Ok((built(outer.build())?, Node::List { element: Box::new(node), optional }))
            }
            "map" => {
                let text = schema.keys.as_deref().is_some_and(|keys| keys.kind == "string");
                let values = schema.values.as_deref().filter(|_| text);
                let values = values.ok_or_else(|| Unsupported(format!("map {name:?} has keys other than texts")))?;
                let key = self.column();
                let (value, node) = self.node("value", values)?;
                Ok((map_type(name, value, optional)?, Node::Map { value: Box::new(node), key, optional }))
            }
            _ => {
                let (kind, logical) = leaf::of(schema)?;
                let column = self.column();
                let parquet = leaf_type(name, kind.physical(), logical, optional)?;
                Ok((parquet, Node::Leaf { column, kind, optional }))
            }
        }
    }
}

/// The fields of a struct: Parquet needs at least one, and no name twice.
fn members(schema: &Schema) -> Result<&[Schema], Unsupported> {
    let names: BTreeSet<&str> = schema.fields.iter().map(|field| field.field.as_str()).collect();
    if schema.fields.is_empty() || names.len() < schema.fields.len() {
        let why = format!("struct {:?} has no fields, or one name twice", schema.name.as_deref().unwrap_or_default());
        return Err(Unsupported(why));
    }
    Ok(&schema.fields)
}

const fn repetition(optional: bool) -> Repetition {
    if optional { Repetition::OPTIONAL } else { Repetition::REQUIRED }
}

fn leaf_type(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
    optional: bool,
) -> Result<TypePtr, Unsupported> {
    let mut builder = Type::primitive_type_builder(name, physical).with_repetition(repetition(optional));
    if let Some(LogicalType::Decimal(decimal)) = &logical {
        builder = builder.with_precision(decimal.precision).with_scale(decimal.scale);
    }
    built(builder.with_logical_type(logical).build())
}

fn map_type(name: &str, value: TypePtr, optional: bool) -> Result<TypePtr, Unsupported> {
    let key = leaf_type("key", Physical::BYTE_ARRAY, Some(LogicalType::String), false)?;
    let pairs = Type::group_type_builder("key_value").with_repetition(Repetition::REPEATED);
    let pairs = built(pairs.with_fields(vec![key, value]).build())?;
    let outer = Type::group_type_builder(name).with_repetition(repetition(optional));
    built(outer.with_logical_type(Some(LogicalType::Map)).with_fields(vec![pairs]).build())
}

fn built(result: parquet::errors::Result<Type>) -> Result<TypePtr, Unsupported> {
    result.map(Arc::new).map_err(|error| Unsupported(error.to_string()))
}
