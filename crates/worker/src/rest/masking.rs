//! Secrets in what a JVM worker answers: it gives back what stands in clear, and this worker never does. Pure.

use datapipe_core::connector::{MASK, is_secret_key, shown};
use serde_json::Value;

/// An answer with its secrets masked.
pub(super) fn masked(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mask = |(key, value): (String, Value)| match value {
                Value::String(text) => {
                    let text = shown(&key, &text).to_owned();
                    (key, Value::String(text))
                }
                other => (key, masked(other)),
            };
            Value::Object(map.into_iter().map(mask).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(masked).collect()),
        other => other,
    }
}

/// The same for a body; what is no JSON stays as it is.
pub(super) fn masked_body(body: Vec<u8>) -> Vec<u8> {
    serde_json::from_slice(&body).map_or(body, |value| masked(value).to_string().into_bytes())
}

/// A key whose secret is given as the mask that is shown for it: a JVM worker would take that for the secret.
pub(super) fn masked_key(value: &Value) -> Option<String> {
    value.as_object()?.iter().find_map(|(key, value)| match value {
        Value::String(text) => (text == MASK && is_secret_key(key)).then(|| key.clone()),
        other => masked_key(other),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_and_a_mask_is_found() {
        let config = json!({ "database.password": "hunter2", "database.user": "cdc", "x.token": "${env:T}" });
        let shown = masked(json!([{ "config": config.clone() }, "name"]));
        let expected = json!({ "database.password": MASK, "database.user": "cdc", "x.token": "${env:T}" });
        assert_eq!(shown, json!([{ "config": expected.clone() }, "name"]));
        assert_eq!(masked_key(&json!({ "name": "s", "config": expected })).as_deref(), Some("database.password"));
        assert_eq!(masked_key(&json!({ "name": "s", "config": config })), None);
        assert_eq!(masked_body(b"no JSON".to_vec()), b"no JSON");
    }
}
