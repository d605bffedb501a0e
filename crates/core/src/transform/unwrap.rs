//! Debezium's envelope down to the row.

use super::Draft;
use super::json::{Members, member, members, object, plain};
use super::schema::{Changes, Field, Memo, Text, changed, fields, present};

/// What becomes of deletes and their tombstones: `delete.tombstone.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletes {
    /// Neither is kept.
    Drop,
    /// The delete's value is null; the tombstone behind it goes. The converter writes such a null as the text `null`.
    Tombstone,
    /// The old row with `__deleted`.
    Rewrite,
    /// The same, and the tombstone stays.
    RewriteWithTombstone,
    /// The delete becomes the tombstone.
    DeleteToTombstone,
}

/// `ExtractNewRecordState`
#[derive(Clone, Debug)]
pub(super) struct Unwrap {
    pub(super) deletes: Deletes,
    pub(super) fields: Vec<Addition>,
    pub(super) headers: Vec<Addition>,
    /// The row's field whose value is the topic.
    pub(super) route_by: Option<String>,
    /// A null becomes its field's default, where the row is made anew for `__deleted`.
    pub(super) nulls: bool,
    pub(super) schemas: Memo<Rows>,
}

/// The schemas of an envelope's rows.
#[derive(Debug)]
pub(super) struct Rows {
    fields: Vec<Field>,
    /// Of a row that is written.
    written: Text,
    /// Of one that is null.
    null: Text,
    /// Which of the added fields the envelope has.
    added: Vec<bool>,
}

/// Something of the envelope that is added to the row, or to the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    /// The struct that it is taken from: `source`, or none for the envelope, and `source` after it.
    pub(super) structure: Option<String>,
    /// The field there.
    pub(super) field: String,
    /// Its name in the row.
    pub(super) name: String,
}

impl Unwrap {
    /// Changes the record; false if it is dropped.
    pub(super) fn apply(&self, draft: &mut Draft) -> Result<bool, &'static str> {
        let Some(value) = &draft.value else {
            return Ok(self.deletes == Deletes::RewriteWithTombstone);
        };
        let Some(envelope) = members(value).filter(is_envelope) else { return Ok(true) };
        let (before, after) = (member(&envelope, "before"), member(&envelope, "after"));
        let row = |image: Option<&'_ [u8]>| image.filter(|image| *image != b"null").map(<[u8]>::to_vec);
        let deleted = match (row(before), row(after)) {
            // A truncate has neither image.
            (None, None) => return Ok(false),
            (_, Some(_)) => false,
            (Some(_), None) => true,
        };
        if deleted && self.deletes == Deletes::Drop {
            return Ok(false);
        }
        let headers: Vec<_> =
            self.headers.iter().map(|addition| (addition.name.clone(), plain(addition.find(&envelope)))).collect();
        let image = row(if deleted { before } else { after }).ok_or("the envelope has no row")?;
        let fields = members(&image).ok_or("the envelope's row is no object")?;
        let topic = self.route_by.as_deref().and_then(|field| member(&fields, field)).map(plain);
        let rows = draft.value_schema.as_deref().map(|schema| self.schemas.of(schema, |schema| self.rows(schema)));
        let rows = rows.transpose()?;
        let (value, schema) = match (deleted, self.deletes) {
            (true, Deletes::Tombstone) => (Some(b"null".to_vec()), rows.map(|rows| Text::clone(&rows.null))),
            (true, Deletes::DeleteToTombstone) => (None, None),
            _ => {
                let row = self.row(fields, deleted, &envelope, rows.as_deref());
                (Some(row), rows.map(|rows| Text::clone(&rows.written)))
            }
        };
        draft.value_schema = schema;
        if let Some(topic) = topic.filter(|topic| !topic.is_empty() && topic != b"null") {
            draft.topic = String::from_utf8(topic).map_err(|_| "the field that names the topic is not UTF-8")?;
        }
        draft.headers.extend(headers);
        draft.value = value;
        Ok(true)
    }

    fn rewrites(&self) -> bool {
        matches!(self.deletes, Deletes::Rewrite | Deletes::RewriteWithTombstone)
    }

    /// Whether it puts defaults in the place of nulls, for which it must know them.
    pub(super) fn replaces_nulls(&self) -> bool {
        self.nulls && self.rewrites()
    }

    fn row(&self, mut fields: Members<'_>, deleted: bool, envelope: &Members<'_>, rows: Option<&Rows>) -> Vec<u8> {
        if self.rewrites() {
            fields.push((DELETED.to_owned(), if deleted { b"\"true\"" } else { b"\"false\"" }));
        }
        let known = rows.filter(|_| self.replaces_nulls()).map_or(&[][..], |rows| &rows.fields);
        let fields = fields.into_iter().map(|(name, value)| {
            let value = present(known, &name, value);
            (name, value)
        });
        let is_there = |at: usize| rows.is_none_or(|rows| rows.added[at]);
        let added = self.fields.iter().enumerate().filter(|(at, _)| is_there(*at));
        let added = added.map(|(_, addition)| (addition.name.clone(), addition.find(envelope)));
        object(fields.chain(added))
    }

    fn rows(&self, envelope: &[u8]) -> Option<Rows> {
        let of_envelope = fields(envelope)?;
        let row = &of_envelope.iter().find(|field| field.name == "after")?.text;
        let of_row = fields(row)?;
        let mut written = of_row.clone();
        written.extend(self.rewrites().then(|| Field::text(DELETED, true)));
        let mut added = Vec::new();
        for addition in &self.fields {
            let found = addition.find_schema(&of_envelope);
            added.push(found.is_some());
            written.extend(found.as_ref().and_then(Field::optional).and_then(|field| field.renamed(&addition.name)));
        }
        let changes = Changes { fields: Some(&written), optional: Some(false), alone: true, ..Changes::default() };
        let written = changed(row, &changes)?.into();
        let null = changed(row, &Changes { alone: true, ..Changes::default() })?.into();
        Some(Rows { fields: of_row, written, null, added })
    }
}

const DELETED: &str = "__deleted";

/// Heartbeats, messages and transaction metadata are other records: they pass.
fn is_envelope(members: &Members<'_>) -> bool {
    ["before", "after", "source", "op"].iter().all(|name| member(members, name).is_some())
}

impl Addition {
    /// The value as written; null if there is none.
    fn find<'a>(&self, envelope: &Members<'a>) -> &'a [u8] {
        let within = |structure: &str| {
            let found = members(member(envelope, structure)?)?;
            member(&found, &self.field)
        };
        let found = match &self.structure {
            Some(structure) => within(structure),
            None => member(envelope, &self.field).or_else(|| within("source")),
        };
        found.unwrap_or(b"null")
    }

    /// The schema of what is found, in the same order.
    fn find_schema(&self, envelope: &[Field]) -> Option<Field> {
        let named = |fields: &[Field], name: &str| fields.iter().find(|field| field.name == name).cloned();
        let within = |structure: &str| named(&fields(&named(envelope, structure)?.text)?, &self.field);
        match &self.structure {
            Some(structure) => within(structure),
            None => named(envelope, &self.field).or_else(|| within("source")),
        }
    }
}
