//! The connectors that are served, their keys, and whether a configuration would do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use datapipe_connect::{ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigValueInfo, PluginInfo};
use datapipe_core::connector::keys::{ConfigKey, KeyGroup, PLUGINS, Served, Type};
use datapipe_core::connector::{ConfigProblem, Plugin, is_secret_key};
use datapipe_core::port::connect::ConfigMap;
use serde::Deserialize;

use super::answer::{Answer, Refusal};
use super::body::{LooseMap, Sent, read};
use crate::connectors::{Connector, check, classes};
use crate::worker::Shown;

/// How long a server may take to be looked at.
const EXAMINE_MAX: Duration = Duration::from_secs(20);
/// What stands for a password's value.
const HIDDEN: &str = "[hidden]";

/// What configurations of both connectors name beside them: classes, and what they are.
const PARTS: [(&str, &str); 3] = [
    ("org.apache.kafka.connect.transforms.Filter", "transformation"),
    ("org.apache.kafka.connect.transforms.predicates.RecordIsTombstone", "predicate"),
    ("org.apache.kafka.connect.json.JsonConverter", "converter"),
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListQuery {
    connectors_only: String,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { connectors_only: "true".to_owned() }
    }
}

pub(super) async fn list(Query(query): Query<ListQuery>) -> Json<Vec<PluginInfo>> {
    let connector = |plugin: &&Plugin| PluginInfo {
        class: plugin.class.to_owned(),
        kind: if plugin.source { "source" } else { "sink" }.to_owned(),
        version: Some(plugin.version.to_owned()),
    };
    let mut infos: Vec<_> = PLUGINS.iter().map(connector).collect();
    if !query.connectors_only.eq_ignore_ascii_case("true") {
        let part = |(class, kind): (&str, &str)| PluginInfo {
            class: class.to_owned(),
            kind: kind.to_owned(),
            version: Some(super::VERSION.to_owned()),
        };
        infos.extend(PARTS.map(part));
    }
    Json(infos)
}

/// The version of the plugin that is asked about.
#[derive(Debug, Default, Deserialize)]
pub(super) struct VersionQuery {
    version: Option<String>,
}

pub(super) async fn config(
    Path(name): Path<String>,
    Query(query): Query<VersionQuery>,
) -> Answer<Json<Vec<ConfigKeyInfo>>> {
    let plugin = Plugin::named(&name).ok_or_else(|| Refusal::unknown(format!("Unknown plugin {name}.")))?;
    if let Some(version) = query.version.filter(|version| version != "latest" && version != plugin.version) {
        let only = plugin.version;
        return Err(Refusal::bad(format!(
            "Plugin {name} not found that matches the version range {version}, available versions: [{only}]"
        )));
    }
    Ok(Json(plugin.groups.iter().flat_map(|group| definitions(plugin, group)).map(|(_, info)| info).collect()))
}

fn definitions(
    plugin: &'static Plugin,
    group: &'static KeyGroup,
) -> impl Iterator<Item = (&'static ConfigKey, ConfigKeyInfo)> {
    (group.first..).zip(group.keys).map(|(order, key)| (key, definition(plugin, group.name, order, key)))
}

fn definition(plugin: &Plugin, group: &str, order: i32, key: &ConfigKey) -> ConfigKeyInfo {
    let effect = match key.served {
        Served::Read | Served::Only(_) => "",
        Served::Ignored => " Accepted, and without effect on a native worker.",
        Served::Default => " A native worker serves the default only.",
    };
    ConfigKeyInfo {
        name: key.name.to_owned(),
        kind: key.kind.name().to_owned(),
        required: key.required,
        default_value: plugin.default_of(key).map(str::to_owned),
        importance: key.importance.name().to_owned(),
        documentation: format!("{}{effect}", key.documentation),
        group: Some(group.to_owned()),
        order_in_group: order,
        width: key.width.name().to_owned(),
        display_name: key.display_name.to_owned(),
        dependents: key.dependents.iter().map(|key| (*key).to_owned()).collect(),
    }
}

pub(super) async fn validate(
    Shared(shown): Shared<Arc<Shown>>,
    Path(name): Path<String>,
    body: Sent,
) -> Answer<Json<ConfigInfos>> {
    let (config, nulls) = read::<LooseMap>(&body)?.split();
    let bare = |class: &str| class.strip_suffix("Connector").unwrap_or(class).to_owned();
    if let Some(class) = config.get("connector.class").filter(|class| !bare(class).ends_with(&bare(&name))) {
        return Err(Refusal::bad(format!("Included connector type {class} does not match request type {name}")));
    }
    examine(&shown, &config, &nulls).await.map(|examined| Json(examined.0))
}

/// What is known of a configuration, the server's word included.
#[derive(Debug)]
pub(super) struct Examined(ConfigInfos);

impl Examined {
    /// Refuses a configuration that has errors, with all of them.
    pub(super) fn accept(self) -> Answer<()> {
        let Self(infos) = self;
        if infos.error_count == 0 {
            return Ok(());
        }
        let errors: Vec<_> = infos.configs.iter().flat_map(|info| &info.value.errors).map(String::as_str).collect();
        Err(Refusal::bad(format!(
            "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the \
             above list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
            infos.error_count,
            errors.join("\n")
        )))
    }
}

/// Looks at a configuration: by itself, and if that is well, at the server that it names.
pub(super) async fn examine(shown: &Shown, config: &ConfigMap, nulls: &[String]) -> Answer<Examined> {
    let Some(class) = config.get("connector.class") else {
        let name = config.get("name").map_or("", String::as_str);
        return Err(Refusal::bad(format!("Connector config {{name={name}}} contains no connector type")));
    };
    let Some(plugin) = Plugin::of(config) else {
        return Err(Refusal::bad(format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors \
             are: {}",
            classes().join(", ")
        )));
    };
    let null = |key: &String| ConfigProblem {
        key: key.clone(),
        why: "Null value can not be supplied as the configuration value".to_owned(),
        fix: "leave it out".to_owned(),
    };
    let mut problems: Vec<_> = nulls.iter().map(null).chain(name_problem(config)).collect();
    let mut unknown = Vec::new();
    match check(config) {
        Err(found) => problems.extend(found),
        Ok(connector) => {
            unknown = connector.unknown().to_vec();
            if problems.is_empty() {
                problems.extend(ask_server(shown, &connector).await);
            }
        }
    }
    Ok(Examined(infos(plugin, class, config, (&problems, &unknown))))
}

/// A name is part of keys of the internal topics, and of URLs.
fn name_problem(config: &ConfigMap) -> Option<ConfigProblem> {
    let name = config.get("name").map_or("", String::as_str);
    let fits = !name.contains('/') && !name.chars().any(char::is_control);
    (!fits).then(|| ConfigProblem {
        key: "name".to_owned(),
        why: format!("{name:?} holds a slash or a control character"),
        fix: "choose another name".to_owned(),
    })
}

async fn ask_server(shown: &Shown, connector: &Connector) -> Vec<ConfigProblem> {
    let asked = async {
        match connector {
            Connector::Source(config) => shown.adapters.examine_source(config).await,
            Connector::Sink(config) => shown.adapters.examine_sink(config).await,
            Connector::Unusable(_) => Vec::new(),
        }
    };
    let key = match connector {
        Connector::Sink(_) => "aws.s3.endpoint",
        Connector::Source(_) | Connector::Unusable(_) => "database.hostname",
    };
    tokio::time::timeout(EXAMINE_MAX, asked).await.unwrap_or_else(|_| {
        let why = format!("the server gave no answer within {} s", EXAMINE_MAX.as_secs());
        vec![ConfigProblem { key: key.to_owned(), why, fix: "correct the address, or see that it is up".to_owned() }]
    })
}

fn infos(
    plugin: &'static Plugin,
    class: &str,
    config: &ConfigMap,
    (problems, unknown): (&[ConfigProblem], &[String]),
) -> ConfigInfos {
    // A key that is passed over is shown without a definition, and without an error.
    let mut errors: BTreeMap<&str, Vec<String>> = unknown.iter().map(|key| (key.as_str(), Vec::new())).collect();
    for problem in problems {
        errors.entry(&problem.key).or_default().push(problem.to_string());
    }
    let error_count = problems.len();
    let mut groups: Vec<String> = Vec::new();
    let mut configs = Vec::new();
    // Kafka Connect shows its own keys first.
    let (framework, own): (Vec<&KeyGroup>, Vec<&KeyGroup>) = plugin.groups.iter().partition(|group| group.framework);
    for group in framework.into_iter().chain(own) {
        if !groups.iter().any(|name| name == group.name) {
            groups.push(group.name.to_owned());
        }
        for (key, definition) in definitions(plugin, group) {
            let value = config.get(key.name).map(String::as_str).or(key.without()).or(plugin.default_of(key));
            let value = value.map(|value| if key.kind == Type::Password { HIDDEN } else { value }.to_owned());
            let recommended_values = match key.served {
                Served::Only(values) => values.iter().map(|value| (*value).to_owned()).collect(),
                Served::Read | Served::Ignored | Served::Default => Vec::new(),
            };
            let errors = errors.remove(key.name).unwrap_or_default();
            let name = key.name.to_owned();
            let value = ConfigValueInfo { name, value, recommended_values, errors, visible: true };
            configs.push(ConfigInfo { definition: Some(definition), value });
        }
    }
    for (key, errors) in errors {
        let shown = config.get(key).map(|value| if is_secret_key(key) { HIDDEN.to_owned() } else { value.clone() });
        let value = ConfigValueInfo {
            name: key.to_owned(),
            value: shown,
            recommended_values: Vec::new(),
            errors,
            visible: true,
        };
        configs.push(ConfigInfo { definition: None, value });
    }
    ConfigInfos { name: class.to_owned(), error_count, groups, configs }
}
