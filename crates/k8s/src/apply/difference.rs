//! What differs between an object in the cluster and the same after an apply.

use std::fmt;

use serde_json::Value;

/// One object that an apply makes, changes or removes, or could remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `Deployment kafka-connect-users`
    pub object: String,
    /// What happens to it.
    pub what: What,
}

/// What an apply does to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is made.
    New,
    /// These fields of it change. Their values are not shown.
    Changed(Vec<String>),
    /// It is this program's, in no rendering any more, and removed.
    Removed,
    /// The same, and it stays, as nobody asked for it to be removed.
    LeftOver,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::New => write!(f, "+ {}", self.object),
            What::Changed(paths) => write!(f, "~ {}: {}", self.object, paths.join(", ")),
            What::Removed => write!(f, "- {}", self.object),
            What::LeftOver => write!(f, "  {} is no part of this deployment any more; --prune removes it", self.object),
        }
    }
}

/// Fields that the server keeps for itself.
const SERVERS: [&str; 4] = ["managedFields", "resourceVersion", "generation", "creationTimestamp"];

/// Longer values are not shown, in bytes.
const VALUE_MAX: usize = 60;

/// The paths of the fields that differ.
pub(super) fn differing(live: &Value, would_be: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    walk(live, would_be, "", &mut |path, _, _| paths.push(path.to_owned()));
    paths
}

/// The fields that differ, with what is there and what was planned where that is short.
pub(super) fn differing_in_words(live: &Value, planned: &Value) -> Vec<String> {
    let short = |value: &Value| match value {
        Value::Null => Some("missing".to_owned()),
        Value::Object(_) | Value::Array(_) => None,
        _ => Some(value.to_string()).filter(|text| text.len() <= VALUE_MAX),
    };
    let mut fields = Vec::new();
    walk(live, planned, "", &mut |path, live, planned| {
        fields.push(match (short(live), short(planned)) {
            (Some(live), Some(planned)) => format!("{path} is {live}, planned {planned}"),
            _ => format!("{path} is not as planned"),
        });
    });
    fields
}

fn walk<'a>(live: &'a Value, would_be: &'a Value, path: &str, found: &mut dyn FnMut(&str, &'a Value, &'a Value)) {
    match (live, would_be) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let servers =
                    (path == "metadata" && SERVERS.contains(&key.as_str())) || (path.is_empty() && key == "status");
                if servers {
                    continue;
                }
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null), &inner, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                walk(one, other, &format!("{path}[{index}]"), found);
            }
        }
        _ if live != would_be => found(path, live, would_be),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_keeps_is_no_difference() {
        let live = json!({ "metadata": { "name": "a", "resourceVersion": "1", "generation": 1, "managedFields": [1] },
                           "status": { "ready": 1 }, "spec": { "a": 1, "list": [{ "b": 1 }] } });
        let mut would_be = live.clone();
        would_be["metadata"]["resourceVersion"] = json!("2");
        would_be["metadata"]["managedFields"] = json!([2]);
        would_be["metadata"]["generation"] = json!(2);
        would_be["status"] = json!({});
        assert_eq!(differing(&live, &would_be), Vec::<String>::new());
        would_be["spec"]["list"][0]["b"] = json!(2);
        would_be["spec"]["c"] = json!("new");
        would_be["spec"].as_object_mut().unwrap().remove("a");
        assert_eq!(differing(&live, &would_be), ["spec.a", "spec.c", "spec.list[0].b"]);
        would_be["spec"]["list"] = json!([]);
        let words =
            ["spec.a is 1, planned missing", "spec.c is missing, planned \"new\"", "spec.list is not as planned"];
        assert_eq!(differing_in_words(&live, &would_be), words);
    }

    #[test]
    fn changes_in_words() {
        let change = |what| Change { object: "ConfigMap users".to_owned(), what }.to_string();
        assert_eq!(change(What::New), "+ ConfigMap users");
        assert_eq!(
            change(What::Changed(vec!["data.a".to_owned(), "data.b".to_owned()])),
            "~ ConfigMap users: data.a, data.b"
        );
        assert_eq!(change(What::Removed), "- ConfigMap users");
        assert_eq!(
            change(What::LeftOver),
            "  ConfigMap users is no part of this deployment any more; --prune removes it"
        );
    }
}
