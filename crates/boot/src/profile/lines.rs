//! The lines of AWS's shared files: sections, properties, comments, properties of properties.

use std::collections::{BTreeMap, BTreeSet};

use datapipe_core::Secret;

/// How a file writes the name of a profile: `[profile x]` and `[default]`, or `[x]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Config,
    Credentials,
}

/// What stands there of one profile, and which profiles there are.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lines: BTreeMap<String, Secret>,
    pub(super) names: BTreeSet<String>,
}

impl Found {
    pub(super) fn read(&mut self, text: &str, kind: Kind, profile: &str) {
        // `[profile default]` takes the place of `[default]`.
        let prefixed = text.lines().any(|line| header(line, kind) == Some(Header::Prefixed("default")));
        let mut wanted = false;
        let mut property = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            if line.trim().is_empty() || line.trim_start().starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = header(line, kind) {
                let name = match header {
                    Header::Plain("default") if prefixed => None,
                    Header::Plain(name) | Header::Prefixed(name) => Some(name),
                    Header::Other => None,
                };
                self.names.extend(name.map(str::to_owned));
                wanted = name == Some(profile);
                property = None;
            } else if property.is_some_and(|before| indent > before) {
                // A line below a property belongs to it; none of those that count has any.
            } else if let Some((key, value)) = line.split_once('=') {
                property = Some(indent);
                if wanted {
                    self.lines.insert(key.trim().to_ascii_lowercase(), Secret::new(without_comment(value)));
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header<'a> {
    Plain(&'a str),
    Prefixed(&'a str),
    /// A section of another kind, as `[sso-session x]`.
    Other,
}

fn header(line: &str, kind: Kind) -> Option<Header<'_>> {
    let (name, _) = line.strip_prefix('[')?.split_once(']')?;
    let words: Vec<&str> = name.split_whitespace().collect();
    Some(match (kind, words.as_slice()) {
        (Kind::Credentials, [name]) => Header::Plain(name),
        (Kind::Config, ["default"]) => Header::Plain("default"),
        (Kind::Config, ["profile", name]) => Header::Prefixed(name),
        _ => Header::Other,
    })
}

/// A comment in a value starts after white space: keys may hold the signs themselves.
fn without_comment(value: &str) -> &str {
    let comment = value
        .char_indices()
        .zip(value.chars().skip(1))
        .find(|((_, before), sign)| before.is_whitespace() && ['#', ';'].contains(sign));
    comment.map_or(value, |((at, _), _)| &value[..at]).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_default_replaces_the_plain_one() {
        let mut found = Found::default();
        found.read("[default]\na = 1\nb = 2\n[profile default]\na = 3\n", Kind::Config, "default");
        assert_eq!(found.lines.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(found.lines["a"].expose(), "3");
    }
}
