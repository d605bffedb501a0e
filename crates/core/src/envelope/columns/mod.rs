//! What of a table's columns the records hold, and in which form: Debezium's `column.*` keys and `message.key.columns`.

mod mask;
mod pattern;

use crate::change::{Column, Relation};
use crate::port::connect::ConfigMap;
use crate::value::Modes;

pub(super) use mask::Mask;
pub(crate) use pattern::Patterns;

const INCLUDE: &str = "column.include.list";
const EXCLUDE: &str = "column.exclude.list";
const KEY: &str = "message.key.columns";

/// Which columns records hold, which of them are masked, and which make the key.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
    masks: Vec<(Patterns, Mask)>,
    key: Vec<Patterns>,
    keys: ConfigMap,
}

/// They are the same if they come from the same keys.
impl PartialEq for Columns {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

impl Eq for Columns {}

/// What becomes of one column.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// The row images leave it out. (The key does not.)
    pub(super) hidden: bool,
    /// What is done to its value in the row images.
    pub(super) mask: Option<Mask>,
}

impl Columns {
    /// All columns as they are, and the primary key.
    pub const fn all() -> Self {
        Self { include: None, exclude: None, masks: Vec::new(), key: Vec::new(), keys: ConfigMap::new() }
    }

    /// Whether a connector's key is about columns.
    pub fn reads(key: &str) -> bool {
        [INCLUDE, EXCLUDE, KEY].contains(&key) || Mask::of_key(key).is_some()
    }

    /// Reads a connector's keys; each problem is a key and what is wrong with its value.
    pub fn from_config(config: &ConfigMap) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let mut columns = Self::default();
        for (key, value) in config.iter().filter(|(key, value)| Self::reads(key) && !value.trim().is_empty()) {
            let done = match key.as_str() {
                INCLUDE => Patterns::parse(value).map(|patterns| columns.include = Some(patterns)),
                EXCLUDE => Patterns::parse(value).map(|patterns| columns.exclude = Some(patterns)),
                KEY => Patterns::of_message_key(value).map(|patterns| columns.key = patterns),
                _ => mask::parse(key).and_then(|mask| {
                    columns.masks.push((Patterns::parse(value)?, mask));
                    Ok(())
                }),
            };
            columns.keys.insert(key.clone(), value.clone());
            problems.extend(done.err().map(|why| (key.clone(), why)));
        }
        if columns.include.is_some() && columns.exclude.is_some() {
            problems.push((EXCLUDE.to_owned(), format!("it cannot be set together with {INCLUDE}")));
        }
        // Where several masks name a column, the first one counts.
        columns.masks.sort_by_key(|(_, mask)| mask.rank());
        if problems.is_empty() { Ok(columns) } else { Err(problems) }
    }

    /// The keys that these were read from.
    pub fn keys(&self) -> &ConfigMap {
        &self.keys
    }

    /// Whether a column's value stands in the records as it is. What does not must not get anywhere else either.
    pub fn shows(&self, relation: &Relation, column: &Column) -> bool {
        let shape = self.shape(&relation.schema, &relation.name, column, Modes::DEBEZIUM);
        !shape.hidden && shape.mask.is_none()
    }

    /// Whether no record holds a column: neither a row image nor a key. Its type is of no interest then.
    pub fn leaves_out(&self, relation: &Relation, column: &str) -> bool {
        let in_key = |at: &usize| relation.columns[*at].name == column;
        self.hides(&relation.schema, &relation.name, column) && !self.message_key(relation).iter().any(in_key)
    }

    /// Whether a column is left out of the row images.
    pub fn hides(&self, schema: &str, table: &str, column: &str) -> bool {
        let name = format!("{schema}.{table}.{column}");
        self.include.as_ref().is_some_and(|include| !include.matches(&name))
            || self.exclude.as_ref().is_some_and(|exclude| exclude.matches(&name))
    }

    /// Whether a row's primary key alone gives its message key.
    pub fn keyed_by_primary_key(&self, relation: &Relation) -> bool {
        self.message_key(relation).iter().all(|at| relation.key.contains(at))
    }

    /// What a mask adds to the parameters of a column's schema: a name and a value.
    pub(super) fn marked(&self, relation: &Relation, column: &Column) -> Option<(&'static str, String)> {
        self.mask_of(&relation.schema, &relation.name, &column.name)?.mark(&column.kind)
    }

    /// Of the masks that name a column, the one that counts.
    fn mask_of(&self, schema: &str, table: &str, column: &str) -> Option<&Mask> {
        let name = format!("{schema}.{table}.{column}");
        self.masks.iter().find(|(patterns, _)| patterns.matches(&name)).map(|(_, mask)| mask)
    }

    pub(super) fn shape(&self, schema: &str, table: &str, column: &Column, modes: Modes) -> Shape {
        let mask = self.mask_of(schema, table, &column.name).and_then(|mask| mask.on(&column.kind, modes));
        Shape { hidden: self.hides(schema, table, &column.name), mask }
    }

    /// The places of the columns that make the message key: the primary key, unless others are named. Their order is
    /// that of the names.
    pub(super) fn message_key(&self, relation: &Relation) -> Vec<usize> {
        let name = |column: &Column| format!("{}.{}.{}", relation.schema, relation.name, column.name);
        let names: Vec<_> = relation.columns.iter().map(name).collect();
        let chosen = |patterns: &Patterns| {
            let places = patterns.iter().flat_map(|one| (0..names.len()).filter(|at| one.is_match(&names[*at])));
            let mut key = Vec::new();
            for place in places {
                if !key.contains(&place) {
                    key.push(place);
                }
            }
            (!key.is_empty()).then_some(key)
        };
        self.key.iter().find_map(chosen).unwrap_or_else(|| relation.key.clone())
    }
}
