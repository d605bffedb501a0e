//! Lists of regular expressions, as Debezium reads them.

use regex_lite::{Regex, RegexBuilder};

/// Several patterns, any of which may match. A name must match as a whole; the case of letters makes no difference.
#[derive(Clone, Debug)]
pub(crate) struct Patterns(Vec<Regex>);

impl Patterns {
    /// Reads patterns that are separated by commas; `\,` stands for a comma.
    pub(crate) fn parse(list: &str) -> Result<Self, String> {
        let mut parts = vec![String::new()];
        let mut characters = list.chars().peekable();
        while let Some(character) = characters.next() {
            let part = parts.last_mut().ok_or("no pattern was begun")?;
            match character {
                ',' => parts.push(String::new()),
                '\\' => match characters.next() {
                    Some(',') => part.push(','),
                    next => part.extend(std::iter::once('\\').chain(next)),
                },
                other => part.push(other),
            }
        }
        let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
        Ok(Self(parts.map(regex).collect::<Result<_, _>>()?))
    }

    /// Reads `message.key.columns`: `table:column,column;table:column`, the tables and columns being patterns.
    pub(super) fn of_message_key(list: &str) -> Result<Vec<Self>, String> {
        let tables = list.split(';').map(str::trim).filter(|table| !table.is_empty());
        tables
            .map(|entry| {
                let form = || format!("{entry:?} is not in the form schema.table:column,column");
                let (table, columns) = entry.split_once(':').ok_or_else(form)?;
                let (table, columns) = (table.trim(), columns.trim());
                if table.is_empty() || columns.is_empty() || columns.contains(':') {
                    return Err(form());
                }
                let columns = columns.split(',').map(str::trim);
                let columns = columns.map(|column| regex(&format!("(?:{table})\\.(?:{column})")));
                Ok(Self(columns.collect::<Result<_, _>>()?))
            })
            .collect()
    }

    /// One by one, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Regex> {
        self.0.iter()
    }

    /// Whether one of them matches the whole name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(name))
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    let whole = RegexBuilder::new(&format!("^(?:{pattern})$")).case_insensitive(true).build();
    whole.map_err(|error| format!("{pattern:?} is no regular expression that is served: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_name_in_any_case() {
        let patterns = Patterns::parse(r" public\.users\.(a|b) ,, PUBLIC\.T\..*,x\,y").unwrap();
        for (name, expected) in [
            ("public.users.a", true),
            ("public.users.ab", false),
            ("a.public.users.a", false),
            ("public.t.anything", true),
            ("x,y", true),
            ("x", false),
        ] {
            assert_eq!(patterns.matches(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        assert!(Patterns::parse("a(").unwrap_err().contains("\"a(\""));
        for list in ["t", "t:", ":a", "t:a:b"] {
            assert!(Patterns::of_message_key(list).unwrap_err().contains("schema.table:column"), "{list}");
        }
    }
}
