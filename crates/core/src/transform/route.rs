//! Records into other topics.

use regex_lite::Regex;

use super::Draft;
use super::json::{member, members, object, string};
use super::schema::{Changes, Field, Memo, Text, changed, fields};

/// `RegexRouter`: the whole name must match.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) regex: Regex,
    pub(super) replacement: String,
}

impl Route {
    pub(super) fn apply(&self, topic: &mut String) {
        if let Some(routed) = replaced(&self.regex, &self.replacement, topic) {
            *topic = routed;
        }
    }
}

/// `ByLogicalTableRouter`: many tables into one topic, the table's name in the key.
#[derive(Clone, Debug)]
pub(super) struct LogicalRoute {
    pub(super) topic: Route,
    /// The key's field for the table; none if keys stay as they are.
    pub(super) key_field: Option<String>,
    /// What of the topic's name stands there; without it all of it.
    pub(super) key_value: Option<Route>,
    pub(super) schemas: Memo<Text>,
}

impl LogicalRoute {
    pub(super) fn apply(&self, draft: &mut Draft) -> Result<(), &'static str> {
        let Some(routed) = replaced(&self.topic.regex, &self.topic.replacement, &draft.topic) else { return Ok(()) };
        if let (Some(field), Some(key)) = (&self.key_field, &mut draft.key) {
            let mut table = draft.topic.clone();
            if let Some(route) = &self.key_value {
                route.apply(&mut table);
            }
            let mut fields = members(key).ok_or("the key is no object")?;
            if member(&fields, field).is_some() {
                return Err("the key has a field of that name already: set key.field.name");
            }
            let table = string(&table);
            fields.push((field.clone(), &table));
            *key = object(fields);
        }
        if let Some(schema) = &mut draft.key_schema {
            *schema = self.of(schema, &routed, |schema| self.key_schema(schema, &routed))?;
        }
        if let Some(schema) = &mut draft.value_schema {
            *schema = self.of(schema, &routed, |schema| value_schema(schema, &routed))?;
        }
        draft.topic = routed;
        Ok(())
    }

    /// What is made of a schema depends on the topic too.
    fn of(
        &self,
        schema: &[u8],
        topic: &str,
        make: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Text, &'static str> {
        let both = [schema, b"\0", topic.as_bytes()].concat();
        let changed = self.schemas.of(&both, |_| make(schema).map(Text::from))?;
        Ok(Text::clone(&changed))
    }

    fn key_schema(&self, schema: &[u8], topic: &str) -> Option<Vec<u8>> {
        let mut fields = fields(schema)?;
        fields.extend(self.key_field.as_deref().map(|name| Field::text(name, false)));
        let name = format!("{topic}.Key");
        changed(schema, &Changes { fields: Some(&fields), name: Some(&name), ..Changes::default() })
    }
}

/// An envelope and its rows are named by the topic; anything else keeps its schema.
fn value_schema(schema: &[u8], topic: &str) -> Option<Vec<u8>> {
    let mut fields = fields(schema)?;
    let is_there = |name: &&str| fields.iter().any(|field| field.name == **name);
    if !["before", "after", "source", "op"].iter().all(is_there) {
        return Some(schema.to_vec());
    }
    let name = format!("{topic}.Value");
    for field in fields.iter_mut().filter(|field| ["before", "after"].contains(&field.name.as_str())) {
        field.text = changed(&field.text, &Changes { name: Some(&name), ..Changes::default() })?;
    }
    let name = format!("{topic}.Envelope");
    changed(schema, &Changes { fields: Some(&fields), name: Some(&name), ..Changes::default() })
}

/// The replacement for a name that matches as a whole.
fn replaced(regex: &Regex, replacement: &str, name: &str) -> Option<String> {
    let whole = regex.find(name)?;
    (whole.start() == 0 && whole.end() == name.len()).then(|| regex.replace(name, replacement).into_owned())
}

/// A pattern that is anchored at both ends.
pub(super) fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

/// A replacement in Java's form: `$1` ends with its digits, and a backslash takes the next character as it is.
pub(super) fn replacement(java: &str) -> String {
    let mut out = String::new();
    let mut characters = java.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => {}
            },
            '$' if characters.peek().is_some_and(char::is_ascii_digit) => {
                out.push_str("${");
                while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                    out.push(digit);
                }
                out.push('}');
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_javas() {
        let route = |pattern: &str, java: &str, topic: &str| {
            let mut topic = topic.to_owned();
            Route { regex: whole(pattern).unwrap(), replacement: replacement(java) }.apply(&mut topic);
            topic
        };
        assert_eq!(route("(a)b(c)", "$2all$1x", "abc"), "callax");
        assert_eq!(route("(a)b", r"\$1$1", "ab"), "$1a");
        assert_eq!(route("b|ab", "x", "ab"), "x");
        assert_eq!(route("b", "x", "ab"), "ab");
    }
}
