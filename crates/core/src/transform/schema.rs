//! Schemas beside the payloads that they describe, as Kafka Connect's JSON converter writes both.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::json::{elements, member, members, object, string, value_end};

/// A schema as written.
pub(super) type Text = Arc<[u8]>;

const OPENING: &[u8] = b"{\"schema\":";
const MIDDLE: &[u8] = b",\"payload\":";

/// What was made of schemas, kept so that it is made once: a topic has few of them, and as many as a table has had
/// definitions.
pub(super) struct Memo<T>(Mutex<Vec<(Text, Arc<T>)>>);

/// More than a table has at a time; beyond them all is made anew.
const KEPT_MAX: usize = 16;

impl<T> Memo<T> {
    /// What is made of a schema.
    pub(super) fn of(&self, schema: &[u8], make: impl FnOnce(&[u8]) -> Option<T>) -> Result<Arc<T>, &'static str> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = kept.iter().find(|(known, _)| **known == *schema) {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make(schema).ok_or("its schema is none of a struct")?);
        if kept.len() == KEPT_MAX {
            kept.clear();
        }
        kept.push((schema.into(), Arc::clone(&value)));
        Ok(value)
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Nothing that is kept is worth copying.
impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

/// The schemas that were seen, to cut them off without reading them again.
#[derive(Default)]
pub(super) struct Seen(Memo<Text>);

impl Clone for Seen {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seen")
    }
}

impl Seen {
    /// Takes a schema off; what has none is payload.
    pub(super) fn split<'a>(&self, whole: &'a [u8]) -> (Option<Text>, &'a [u8]) {
        let Some(rest) = whole.strip_prefix(OPENING) else { return (None, whole) };
        let known = |schema: &Text| rest.starts_with(schema) && rest[schema.len()..].starts_with(MIDDLE);
        let mut kept = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().map(|(schema, _)| schema).find(|schema| known(schema)).cloned();
        let schema = found.or_else(|| {
            let schema: Text = rest.get(..value_end(rest)?)?.into();
            if !known(&schema) {
                return None;
            }
            if kept.len() == KEPT_MAX {
                kept.clear();
            }
            kept.push((Arc::clone(&schema), Arc::new(Arc::clone(&schema))));
            Some(schema)
        });
        let payload = |schema: &Text| rest[schema.len() + MIDDLE.len()..].strip_suffix(b"}");
        match schema.as_ref().and_then(payload) {
            Some(payload) => (schema, payload),
            None => (None, whole),
        }
    }
}

/// Puts a schema around a payload.
pub(super) fn joined(schema: &[u8], payload: &[u8]) -> Vec<u8> {
    [OPENING, schema, MIDDLE, payload, b"}"].concat()
}

/// A struct's field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Its schema, with its name as `field`.
    pub(super) text: Vec<u8>,
    pub(super) default: Option<Vec<u8>>,
}

impl Field {
    fn read(text: &[u8]) -> Option<Self> {
        let parts = members(text)?;
        let name = serde_json::from_slice(member(&parts, "field")?).ok()?;
        Some(Self { name, text: text.to_vec(), default: member(&parts, "default").map(<[u8]>::to_vec) })
    }

    /// A text.
    pub(super) fn text(name: &str, optional: bool) -> Self {
        let quoted = string(name);
        let head = format!(r#"{{"type":"string","optional":{optional},"field":"#).into_bytes();
        Self { name: name.to_owned(), text: [head.as_slice(), &quoted, b"}"].concat(), default: None }
    }

    /// The same under another name.
    pub(super) fn renamed(&self, name: &str) -> Option<Self> {
        let quoted = string(name);
        let parts = members(&self.text)?.into_iter();
        let parts = parts.map(|(key, value)| if key == "field" { (key, quoted.as_slice()) } else { (key, value) });
        Some(Self { name: name.to_owned(), text: object(parts), default: self.default.clone() })
    }

    /// The same, optional and without a default.
    pub(super) fn optional(&self) -> Option<Self> {
        let parts = members(&self.text)?.into_iter().filter(|(key, _)| key != "default");
        let parts = parts.map(|(key, value)| if key == "optional" { (key, &b"true"[..]) } else { (key, value) });
        Some(Self { name: self.name.clone(), text: object(parts), default: None })
    }
}

/// A struct's fields.
pub(super) fn fields(schema: &[u8]) -> Option<Vec<Field>> {
    let parts = members(schema)?;
    elements(member(&parts, "fields")?)?.into_iter().map(Field::read).collect()
}

/// What of a struct's schema becomes another.
#[derive(Default)]
pub(super) struct Changes<'a> {
    pub(super) fields: Option<&'a [Field]>,
    pub(super) optional: Option<bool>,
    pub(super) name: Option<&'a str>,
    /// It is no other struct's field any more.
    pub(super) alone: bool,
}

/// The schema with these changes.
pub(super) fn changed(schema: &[u8], changes: &Changes<'_>) -> Option<Vec<u8>> {
    let texts = changes.fields.map(|fields| {
        let texts: Vec<&[u8]> = fields.iter().map(|field| field.text.as_slice()).collect();
        [b"[", texts.join(&b","[..]).as_slice(), b"]"].concat()
    });
    let name = changes.name.map(string);
    let parts = members(schema)?.into_iter().filter(|(key, _)| !changes.alone || key != "field");
    let parts = parts.map(|(key, value)| {
        let new = match key.as_str() {
            "fields" => texts.as_deref(),
            "name" => name.as_deref(),
            "optional" => changes.optional.map(|optional| if optional { &b"true"[..] } else { b"false" }),
            _ => None,
        };
        (key, new.unwrap_or(value))
    });
    Some(object(parts))
}

/// What stands for a null in a field: its default, where one is known.
pub(super) fn present<'a>(fields: &'a [Field], name: &str, value: &'a [u8]) -> &'a [u8] {
    if value != b"null" {
        return value;
    }
    let default = fields.iter().find(|field| field.name == name).and_then(|field| field.default.as_deref());
    default.unwrap_or(value)
}
