//! What is wrong with a setting, in words.

use std::path::Path;

use datapipe_core::connector::is_secret_key;
use datapipe_core::plan::Problem;
use datapipe_core::settings::{Settings, TableSettings};
use figment::error::{Actual, Kind};
use figment::value::Value;
use figment::{Error, Figment, Provider, Source};

use super::{DEFAULT, ENVIRONMENT_PREFIX, FLAG};

/// A guess that is further off than this share of the key is none.
const EDITS_SHARE: usize = 3;

/// Where a value came from: the file, the variable, the flag. None if nobody set it.
pub(super) fn origin(figment: &Figment, path: &[String]) -> Option<String> {
    let profiles = figment.data().ok()?;
    let mut value = profiles.get(&figment::Profile::Default)?.get(path.first()?)?;
    for part in &path[1..] {
        value = match value {
            Value::Dict(_, dict) => dict.get(part)?,
            _ => break,
        };
    }
    let tag = match value {
        // A table has no origin of its own: its first value's serves.
        Value::Dict(tag, dict) => dict.values().next().map_or(*tag, Value::tag),
        other => other.tag(),
    };
    let metadata = figment.get_metadata(tag)?;
    match &metadata.source {
        Some(Source::File(file)) => Some(file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()),
        _ if metadata.name == FLAG => Some(format!("{FLAG} {}", path.join("."))),
        _ if metadata.name == DEFAULT => None,
        _ => Some(variable(path)),
    }
}

/// The environment variable of a setting.
fn variable(path: &[String]) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", path.join("__").to_uppercase())
}

/// A file that is no TOML. Its text is not shown: the line may hold a secret.
pub(super) fn syntax(file: &Path, error: &Error) -> Problem {
    let text = error.kind.to_string();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let place = lines.next().and_then(|line| line.strip_prefix("TOML parse error at ")).unwrap_or("an unknown place");
    let reason = lines.next_back().filter(|line| !line.contains('|')).unwrap_or("it cannot be read");
    let what = format!("is no TOML at {}: {reason}", place.trim());
    let fix = if reason.contains("duplicate") {
        "write each section and each key once"
    } else {
        "texts stand in quotes, as in region = \"us-east-1\""
    };
    Problem::new(file.display().to_string(), what, fix)
}

/// A value that cannot be read as what it should be.
pub(super) fn problem(figment: &Figment, path: &[String], kind: &Kind) -> Problem {
    let key = path.join(".");
    let object = match origin(figment, path) {
        Some(origin) => format!("{key} ({origin})"),
        None => key.clone(),
    };
    let secret = is_secret_key(&key);
    match kind {
        Kind::UnknownField(name, expected) => Problem::new(object, "is no setting", unknown(path, name, expected)),
        // Whatever stands here may be the secret itself.
        _ if secret => {
            let fix = "put it where only this process can read it, and refer to it: \"${env:NAME}\", \"${file:/path:key}\" or \"${dir:/path:file}\"";
            Problem::new(object, "is no reference to a secret (the text is not shown here)", fix)
                .because("settings are printed with the plan and in logs")
        }
        Kind::UnknownVariant(value, expected) => {
            let near = nearest(value, expected.iter().copied());
            let fix = match near {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("set one of {}", quoted(expected)),
            };
            Problem::new(object, format!("{value:?} is none of {}", quoted(expected)), fix)
        }
        Kind::InvalidType(actual, expected) => wrong_type(object, path, actual, expected),
        Kind::InvalidValue(actual, expected) => {
            Problem::new(object, format!("{} is out of bounds", shown(actual)), format!("set {}", plain(expected)))
        }
        Kind::Message(text) => {
            let (what, fix) = text.split_once(": ").unwrap_or((text, "correct it"));
            Problem::new(object, what, fix)
        }
        other => Problem::new(object, other.to_string(), "correct it"),
    }
}

fn wrong_type(object: String, path: &[String], actual: &Actual, expected: &str) -> Problem {
    if let Some((_, examples)) = expected.split_once("its unit, as in ") {
        let what = format!("is {}, without a unit", shown(actual));
        return Problem::new(object, what, format!("write a text with one, as in {examples}"));
    }
    let named = path.len() > 2 && path.iter().any(|part| part == "properties" || part == "config");
    let fix = if named && matches!(actual, Actual::Map) {
        "quote a key with dots, as in \"security.protocol\" = \"SSL\"".to_owned()
    } else if expected.contains("string") && !matches!(actual, Actual::Map | Actual::Seq) {
        format!("write it in quotes; in the environment and in {FLAG} in two pairs of them, as in '\"text\"'")
    } else if expected.starts_with("struct") || expected == "a map" {
        "make it a section of its own, as in [sink] and below it rows = 50000".to_owned()
    } else {
        format!("set {}", plain(expected))
    };
    Problem::new(object, format!("is {}, not {}", shown(actual), plain(expected)), fix)
}

fn unknown(path: &[String], name: &str, expected: &[&str]) -> String {
    if let Some(near) = nearest(name, expected.iter().copied()) {
        let meant: Vec<&str> = path[..path.len() - 1].iter().map(String::as_str).chain([near]).collect();
        return format!("did you mean {}?", meant.join("."));
    }
    // The word may belong to another section, or one underscore may stand for two.
    let all = key_paths();
    let flat = path.join("_");
    let elsewhere = all.iter().find(|known| known.replace('.', "_") == flat || known.rsplit('.').next() == Some(name));
    match elsewhere {
        Some(known) => {
            let parts: Vec<String> = known.split('.').map(str::to_owned).collect();
            format!("did you mean {known}, in the environment {}?", variable(&parts))
        }
        None if expected.is_empty() => "leave it out".to_owned(),
        None => format!("known here are {}", expected.join(", ")),
    }
}

/// The key paths of all settings, those of a table as `tables.NAME.`.
fn key_paths() -> Vec<String> {
    let whole = Value::serialize(Settings::default()).expect("settings are plain values");
    let table = Value::serialize(TableSettings::default()).expect("settings are plain values");
    let mut paths = Vec::new();
    collect("", &whole, &mut paths);
    collect("tables.NAME", &table, &mut paths);
    paths
}

fn collect(prefix: &str, value: &Value, paths: &mut Vec<String>) {
    let Value::Dict(_, dict) = value else { return };
    for (key, child) in dict {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match child {
            Value::Dict(_, inner) if !inner.is_empty() => collect(&path, child, paths),
            _ => paths.push(path),
        }
    }
}

fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    let rated = candidates.map(|candidate| (strsim::osa_distance(&text, candidate), candidate));
    rated
        .filter(|(edits, candidate)| *edits <= 1.max(candidate.len() / EDITS_SHARE))
        .min()
        .map(|(_, candidate)| candidate)
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

fn shown(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => format!("the truth value {value}"),
        Actual::Unsigned(value) => format!("the number {value}"),
        Actual::Signed(value) => format!("the number {value}"),
        Actual::Float(value) => format!("the number {value}"),
        Actual::Str(value) => format!("the text {value:?}"),
        Actual::Map => "a section".to_owned(),
        Actual::Seq => "a list".to_owned(),
        other => other.to_string(),
    }
}

/// The words of Rust's types, for people.
fn plain(expected: &str) -> String {
    let number = |bounds: &str| format!("a whole number {bounds}");
    match expected {
        "u16" => number("from 1 to 65535"),
        "i16" => number("from 1 to 32767"),
        "u32" => number("from 0 to 4294967295"),
        "u64" => number("of 0 or more"),
        "i32" => number("from 1 to 2147483647"),
        "a string" | "string" | "path string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list, as in [\"source\", \"sink\"]".to_owned(),
        text if text.starts_with("struct") || text == "a map" => "a section".to_owned(),
        text if text.starts_with("enum") => "a word in quotes".to_owned(),
        text => text.to_owned(),
    }
}
