//! Fields left out, renamed and masked.

use std::borrow::Cow;

use super::json::{members, object, string};
use super::schema::{Changes, Field, Memo, Text, changed, fields, present};

/// `ReplaceField`: of the first level only.
#[derive(Clone, Debug, Default)]
pub(super) struct Replace {
    pub(super) exclude: Vec<String>,
    /// Empty for all.
    pub(super) include: Vec<String>,
    /// Old name, new name.
    pub(super) renames: Vec<(String, String)>,
    /// A null becomes its field's default.
    pub(super) nulls: bool,
    pub(super) schemas: Memo<Replaced>,
}

/// A schema's fields, and the schema that it becomes.
#[derive(Debug)]
pub(super) struct Replaced {
    fields: Vec<Field>,
    schema: Text,
}

impl Replace {
    pub(super) fn apply(&self, (part, schema): (&mut Option<Vec<u8>>, &mut Option<Text>)) -> Result<(), &'static str> {
        let Some(payload) = part.as_deref().filter(|part| *part != b"null") else { return Ok(()) };
        let replaced = schema.as_deref().map(|schema| self.schemas.of(schema, |schema| self.replaced(schema)));
        let replaced = replaced.transpose()?;
        let known = replaced.as_deref().filter(|_| self.nulls).map_or(&[][..], |replaced| &replaced.fields);
        let kept = members(payload).ok_or("fields can be replaced in an object only")?;
        let kept = kept.into_iter().filter(|(name, _)| self.keeps(name));
        let renamed = kept.map(|(name, value)| {
            let value = present(known, &name, value);
            (self.new_name(&name).map_or(name, str::to_owned), value)
        });
        *part = Some(object(renamed));
        if let Some(replaced) = replaced {
            *schema = Some(Text::clone(&replaced.schema));
        }
        Ok(())
    }

    fn keeps(&self, name: &str) -> bool {
        let is = |other: &String| other == name;
        !self.exclude.iter().any(is) && (self.include.is_empty() || self.include.iter().any(is))
    }

    fn new_name(&self, name: &str) -> Option<&str> {
        self.renames.iter().find(|(old, _)| old == name).map(|(_, new)| new.as_str())
    }

    fn replaced(&self, schema: &[u8]) -> Option<Replaced> {
        let fields = fields(schema)?;
        let kept =
            fields.iter().filter(|field| self.keeps(&field.name)).map(|field| match self.new_name(&field.name) {
                Some(new) => field.renamed(new),
                None => Some(field.clone()),
            });
        let kept: Vec<Field> = kept.collect::<Option<_>>()?;
        let changes = Changes { fields: Some(&kept), optional: Some(false), ..Changes::default() };
        let schema = changed(schema, &changes)?.into();
        Some(Replaced { fields, schema })
    }
}

/// `MaskField`: of the first level only.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    pub(super) fields: Vec<String>,
    /// Without one: zero, false, an empty text.
    pub(super) replacement: Option<String>,
    /// A null becomes its field's default.
    pub(super) nulls: bool,
    pub(super) schemas: Memo<Vec<Field>>,
}

impl Mask {
    pub(super) fn apply(&self, (part, schema): (&mut Option<Vec<u8>>, &mut Option<Text>)) -> Result<(), &'static str> {
        const NO_OBJECT: &str = "fields can be masked in an object only: let a filter, or the transform before, drop \
                                 tombstones and records without key";
        let payload = part.as_deref().and_then(members).ok_or(NO_OBJECT)?;
        let known = schema.as_deref().filter(|_| self.nulls).map(|schema| self.schemas.of(schema, fields));
        let known = known.transpose()?;
        let mut masked = Vec::new();
        for (name, value) in payload {
            let value = present(known.as_deref().map_or(&[][..], Vec::as_slice), &name, value);
            let value = if self.fields.contains(&name) { self.masked(value)? } else { Cow::Borrowed(value) };
            masked.push((name, value));
        }
        *part = Some(object(masked.iter().map(|(name, value)| (name, value.as_ref()))));
        Ok(())
    }

    fn masked(&self, value: &[u8]) -> Result<Cow<'static, [u8]>, &'static str> {
        let (is_text, is_float) = (value.first() == Some(&b'"'), value.contains(&b'.'));
        match (value, &self.replacement) {
            (b"null", _) => Ok(Cow::Borrowed(b"null")),
            (b"true" | b"false", None) => Ok(Cow::Borrowed(b"false")),
            ([b'{', ..], None) => Ok(Cow::Borrowed(b"{}")),
            ([b'[', ..], None) => Ok(Cow::Borrowed(b"[]")),
            (_, None) if is_text => Ok(Cow::Borrowed(b"\"\"")),
            (_, None) if is_float => Ok(Cow::Borrowed(b"0.0")),
            (_, None) => Ok(Cow::Borrowed(b"0")),
            (b"true" | b"false" | [b'{' | b'[', ..], Some(_)) => Err("only texts and numbers can have a replacement"),
            (_, Some(text)) if is_text => Ok(Cow::Owned(string(text))),
            (_, Some(text)) => number(text, is_float).ok_or("the replacement is no number of the field's kind"),
        }
    }
}

fn number(text: &str, is_float: bool) -> Option<Cow<'static, [u8]>> {
    if is_float {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
        return Some(Cow::Owned(format!("{number:?}").into_bytes()));
    }
    let number = text.parse::<i64>().ok()?;
    Some(Cow::Owned(number.to_string().into_bytes()))
}
