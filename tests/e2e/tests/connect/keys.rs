//! Every key of Debezium's connector, as both sides tell it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::side::{NAME, Side};

/// Two names of one key share a place in Debezium's list; only the documented one is ours.
const THEIRS: &str = "internal.legacy.snapshot.max.threads";

fn by_name(keys: &Value, name: impl Fn(&Value) -> &Value) -> BTreeMap<String, Value> {
    let keys = keys.as_array().unwrap().iter();
    keys.map(|key| (name(key).as_str().unwrap().to_owned(), key.clone())).collect()
}

/// Compares the plugin, its keys, and what validation makes of a configuration that both would run.
pub(crate) async fn compare(sides: &[Side; 2], config: &Value) {
    let mut plugins = Vec::new();
    let mut keys = Vec::new();
    let mut validated = Vec::new();
    for side in sides {
        let all = side.get("/connector-plugins").await;
        let ours = |plugin: &&Value| plugin["class"] == config["connector.class"];
        plugins.push(all.as_array().unwrap().iter().find(ours).unwrap().clone());
        keys.push(by_name(&side.get("/connector-plugins/PostgresConnector/config").await, |key| &key["name"]));
        let mut named = config.clone();
        named["name"] = json!(NAME);
        let path = "/connector-plugins/PostgresConnector/config/validate";
        let answer = side.json("PUT", path, &named).await;
        let errors: Vec<_> = answer.body["configs"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|info| info["value"]["errors"] != json!([]))
            .map(|info| info["value"].to_string())
            .collect();
        assert_eq!((answer.status, &answer.body["error_count"]), (200, &json!(0)), "{}: {errors:?}", side.name);
        assert_eq!(answer.body["name"], config["connector.class"]);
        validated.push(by_name(&answer.body["configs"], |info| &info["value"]["name"]));
    }
    assert_eq!(plugins[0], plugins[1]);
    println!("equal      the plugin {}", plugins[0]);
    definitions(&keys[0], &keys[1]);
    values(&validated[0], &validated[1]);
}

/// Type, default, importance, group, order, width, name and dependents; the documentation is in our own words.
fn definitions(native: &BTreeMap<String, Value>, reference: &BTreeMap<String, Value>) {
    let mut differences = Vec::new();
    for (name, theirs) in reference.iter().filter(|(name, _)| *name != THEIRS) {
        let Some(ours) = native.get(name) else {
            differences.push(format!("{name} is missing"));
            continue;
        };
        for (field, value) in theirs.as_object().unwrap().iter().filter(|(field, _)| *field != "documentation") {
            if ours[field] != *value {
                differences.push(format!("{name}: {field} is {} / {value}", ours[field]));
            }
        }
    }
    let further: Vec<_> = native.keys().filter(|name| !reference.contains_key(*name)).collect();
    println!("{} keys of the reference, {} of ours; only ours: {further:?}", reference.len(), native.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The reference tells values of its own keys only, none of the connector's; and versions of converters.
fn values(native: &BTreeMap<String, Value>, reference: &BTreeMap<String, Value>) {
    let mut differences = Vec::new();
    let mut told = 0;
    for (name, theirs) in reference {
        let theirs = &theirs["value"]["value"];
        if theirs.is_null() || name.ends_with(".converter.plugin.version") {
            continue;
        }
        told += 1;
        match native.get(name).map(|ours| &ours["value"]["value"]) {
            Some(ours) if ours == theirs => {}
            // Parts of converters and of topics to be made are listed by us only if they are declared.
            None if name.starts_with("topic.creation.") || name.contains(".converter.") => {}
            ours => differences.push(format!("{name}: the value is {ours:?} / {theirs}")),
        }
    }
    println!("{told} values of the reference compared");
    assert!(differences.is_empty() && told > 20, "{told} compared\n{}", differences.join("\n"));
}
