//! A record, taken apart into columns by Dremel's levels.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datapipe_core::port::log::ReadHeaders;
use serde_json::Value;

use crate::leaf::{Cell, Kind};
use crate::shape::{Node, Shape, Top};

/// A value that is not of its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

/// What a row is made of.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The value, without its schema.
    pub value: &'a [u8],
    /// The key, without its schema.
    pub key: &'a [u8],
    /// The offset.
    pub offset: i64,
    /// The log's timestamp.
    pub timestamp_ms: i64,
    /// The headers.
    pub headers: ReadHeaders<'a>,
}

/// One record's entries in the columns, in their order.
#[derive(Debug, Default)]
pub struct Row {
    pub(crate) entries: Vec<Entry>,
}

/// One entry of a column. Without a cell the level says how far the path to it exists.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) column: usize,
    pub(crate) definition: i16,
    pub(crate) repetition: i16,
    pub(crate) cell: Option<Cell>,
}

/// Where in the tree a value stands.
#[derive(Clone, Copy, Default)]
struct Levels {
    definition: i16,
    repetition: i16,
    /// How many repeated nodes lie above.
    depth: i16,
}

impl Row {
    /// Takes a record apart, in the place of the last one.
    pub fn take(&mut self, shape: &Shape, record: Record<'_>) -> Result<(), Unfit> {
        self.entries.clear();
        let json = |text: &[u8], schema: Option<&str>| match schema {
            Some(_) => serde_json::from_slice::<Value>(text).map_err(|_| Unfit),
            None => Ok(Value::Null),
        };
        let schemas = shape.schemas();
        let (value, key) = (json(record.value, schemas.value)?, json(record.key, schemas.key)?);
        let levels = Levels::default();
        for top in &shape.root {
            match top {
                Top::Member(name, node) => {
                    let of = if schemas.value.is_some() { &value } else { &key };
                    self.node(node, of.get(name).unwrap_or(&Value::Null), levels)?;
                }
                Top::Key(node) => self.node(node, &key, levels)?,
                Top::Value(node) => self.node(node, &value, levels)?,
                Top::Offset(column) => self.push(*column, levels, Some(Cell::Int64(record.offset))),
                Top::Timestamp(column) => self.push(*column, levels, Some(Cell::Int64(record.timestamp_ms))),
                Top::Headers(node) => self.node(node, &headers(node, record.headers)?, levels)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, column: usize, levels: Levels, cell: Option<Cell>) {
        let Levels { definition, repetition, .. } = levels;
        self.entries.push(Entry { column, definition, repetition, cell });
    }

    fn node(&mut self, node: &Node, value: &Value, levels: Levels) -> Result<(), Unfit> {
        if value.is_null() {
            if !node.optional() {
                return Err(Unfit);
            }
            self.absent(node, levels);
            return Ok(());
        }
        let levels = Levels { definition: levels.definition + i16::from(node.optional()), ..levels };
        match node {
            Node::Leaf { column, kind, .. } => {
                let cell = kind.cell(value).ok_or(Unfit)?;
                self.push(*column, levels, Some(cell));
                Ok(())
            }
            Node::Struct { fields, .. } => {
                let value = value.as_object().ok_or(Unfit)?;
                fields
                    .iter()
                    .try_for_each(|(name, node)| self.node(node, value.get(name).unwrap_or(&Value::Null), levels))
            }
            Node::List { element, .. } => {
                let values = value.as_array().ok_or(Unfit)?;
                if values.is_empty() {
                    self.absent(element, levels);
                }
                let items = values.iter().enumerate();
                items.into_iter().try_for_each(|(place, value)| self.node(element, value, levels.item(place)))
            }
            Node::Map { value: node, key, .. } => {
                let pairs = value.as_object().ok_or(Unfit)?;
                if pairs.is_empty() {
                    self.push(*key, levels, None);
                    self.absent(node, levels);
                }
                for (place, (name, value)) in pairs.iter().enumerate() {
                    let item = levels.item(place);
                    self.push(*key, item, Some(Cell::Bytes(name.as_bytes().to_vec().into())));
                    self.node(node, value, item)?;
                }
                Ok(())
            }
        }
    }

    /// Nothing below this node exists.
    fn absent(&mut self, node: &Node, levels: Levels) {
        match node {
            Node::Leaf { column, .. } => self.push(*column, levels, None),
            Node::Struct { fields, .. } => fields.iter().for_each(|(_, node)| self.absent(node, levels)),
            Node::List { element, .. } => self.absent(element, levels),
            Node::Map { value, key, .. } => {
                self.push(*key, levels, None);
                self.absent(value, levels);
            }
        }
    }
}

impl Levels {
    /// The levels of an item of a repeated node: all but the first repeat it.
    const fn item(self, place: usize) -> Self {
        let depth = self.depth + 1;
        let repetition = if place == 0 { self.repetition } else { depth };
        Self { definition: self.definition + 1, repetition, depth }
    }
}

/// Headers as a map; of several with one name the last one stays, as in the reference.
fn headers(node: &Node, headers: ReadHeaders<'_>) -> Result<Value, Unfit> {
    let text = matches!(node, Node::Map { value, .. } if matches!(**value, Node::Leaf { kind: Kind::Text, .. }));
    let mut map = serde_json::Map::new();
    for (name, value) in headers.iter() {
        let value = match value {
            None => Value::Null,
            Some(value) if text => Value::String(std::str::from_utf8(value).map_err(|_| Unfit)?.to_owned()),
            Some(value) => Value::String(STANDARD.encode(value)),
        };
        map.insert(name.to_owned(), value);
    }
    Ok(Value::Object(map))
}
