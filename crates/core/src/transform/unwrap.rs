//! Debezium's envelope down to the row.

use super::Draft;
use super::json::{Members, member, members, object, plain};

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
        let value = match (deleted, self.deletes) {
            (true, Deletes::Tombstone) => Some(b"null".to_vec()),
            (true, Deletes::DeleteToTombstone) => None,
            _ => Some(self.row(fields, deleted, &envelope)),
        };
        if let Some(topic) = topic.filter(|topic| !topic.is_empty() && topic != b"null") {
            draft.topic = String::from_utf8(topic).map_err(|_| "the field that names the topic is not UTF-8")?;
        }
        draft.headers.extend(headers);
        draft.value = value;
        Ok(true)
    }

    fn row(&self, mut fields: Members<'_>, deleted: bool, envelope: &Members<'_>) -> Vec<u8> {
        if matches!(self.deletes, Deletes::Rewrite | Deletes::RewriteWithTombstone) {
            fields.push(("__deleted".to_owned(), if deleted { b"\"true\"" } else { b"\"false\"" }));
        }
        let added = self.fields.iter().map(|addition| (addition.name.clone(), addition.find(envelope)));
        object(fields.into_iter().chain(added))
    }
}

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
}
