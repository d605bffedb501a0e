//! From merged values to typed settings: what cannot be read is told and dropped, and the rest is read again, until
//! all is told.

use datapipe_core::plan::Problem;
use datapipe_core::settings::Settings;
use figment::error::Kind;
use figment::value::{Dict, Value};
use figment::{Error, Figment, Profile, Provider};

use super::{Loaded, words};

/// So many problems are told at once; a file with more is no file of settings.
const PROBLEMS_MAX: usize = 100;

pub(super) fn settings(figment: Figment, mut problems: Vec<Problem>) -> Loaded {
    let mut dropped = Vec::new();
    let merged = match figment.data() {
        Ok(mut profiles) => profiles.remove(&Profile::Default).unwrap_or_default(),
        Err(error) => {
            problems
                .extend(error.into_iter().map(|error| Problem::new("settings", error.kind.to_string(), "correct it")));
            Dict::new()
        }
    };
    let mut value = Value::from(merged);
    while problems.len() < PROBLEMS_MAX {
        let errors = match value.deserialize::<Settings>() {
            Ok(settings) => return Loaded { settings, problems, dropped, file_failed: false, figment },
            Err(errors) => errors,
        };
        for error in errors {
            let path = offender(&error);
            problems.push(words::problem(&figment, &path, &error.kind));
            if !remove(&mut value, &path) {
                return Loaded { settings: Settings::default(), problems, dropped, file_failed: false, figment };
            }
            dropped.push(path.join("."));
        }
    }
    Loaded { settings: Settings::default(), problems, dropped, file_failed: false, figment }
}

/// The key that is to blame: an unknown field may be told by its parent.
fn offender(error: &Error) -> Vec<String> {
    let mut path = error.path.clone();
    if let Kind::UnknownField(name, _) = &error.kind
        && path.last() != Some(name)
    {
        path.push(name.clone());
    }
    path
}

/// Removes the value at a path, or the nearest one above it that is part of a table.
fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let Value::Dict(_, dict) = value else { return false };
    let Some(child) = dict.get_mut(first) else { return false };
    if rest.is_empty() || !remove(child, rest) {
        dict.remove(first);
    }
    true
}
