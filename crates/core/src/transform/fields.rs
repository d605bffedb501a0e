//! Fields left out, renamed and masked.

use std::borrow::Cow;

use super::json::{members, object, string};

/// `ReplaceField`: of the first level only.
#[derive(Clone, Debug, Default)]
pub(super) struct Replace {
    pub(super) exclude: Vec<String>,
    /// Empty for all.
    pub(super) include: Vec<String>,
    /// Old name, new name.
    pub(super) renames: Vec<(String, String)>,
}

impl Replace {
    pub(super) fn apply(&self, part: &mut Option<Vec<u8>>) -> Result<(), &'static str> {
        let Some(fields) = part.as_deref().filter(|part| *part != b"null") else { return Ok(()) };
        let fields = members(fields).ok_or("fields can be replaced in an object only")?;
        let kept = fields.into_iter().filter(|(name, _)| {
            !self.exclude.contains(name) && (self.include.is_empty() || self.include.contains(name))
        });
        let renamed = kept.map(|(name, value)| {
            let new = self.renames.iter().find(|(old, _)| *old == name).map(|(_, new)| new.clone());
            (new.unwrap_or(name), value)
        });
        *part = Some(object(renamed));
        Ok(())
    }
}

/// `MaskField`: of the first level only.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    pub(super) fields: Vec<String>,
    /// Without one: zero, false, an empty text.
    pub(super) replacement: Option<String>,
}

impl Mask {
    pub(super) fn apply(&self, part: &mut Option<Vec<u8>>) -> Result<(), &'static str> {
        const NO_OBJECT: &str = "fields can be masked in an object only: let a filter, or the transform before, drop \
                                 tombstones and records without key";
        let fields = part.as_deref().and_then(members).ok_or(NO_OBJECT)?;
        let mut masked = Vec::new();
        for (name, value) in fields {
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
