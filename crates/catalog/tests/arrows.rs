//! The arrows of the house: which room may depend on which, and which room alone may touch a big outside library.
//! Read from `cargo metadata`, so a new arrow needs a line here and a reason in its review.
#![allow(clippy::unwrap_used)]

mod tree;

use std::collections::BTreeMap;

use serde_json::Value;

use tree::metadata;

/// Rooms of the workspace (without the prefix) and what each may depend on, tests aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("model", &[]),
    ("boot", &["core"]),
    ("connect", &["core"]),
    ("embedded", &["core"]),
    ("engine", &["core", "parquet"]),
    ("k8s", &["connect", "core"]),
    ("kafka", &["core"]),
    ("parquet", &["core"]),
    ("postgres", &["core"]),
    ("s3", &["core"]),
    ("reconcile", &["core", "parquet"]),
    ("shadow", &["core", "engine", "kafka", "postgres", "worker"]),
    ("testkit", &["core"]),
    ("worker", &["connect", "core", "engine"]),
    ("catalog", &["core", "table-*"]),
    ("table-*", &["core"]),
    ("checks", &["connect", "core", "kafka", "postgres", "reconcile", "s3"]),
    ("deploy", &["boot", "catalog", "core", "k8s"]),
    (
        "run",
        &[
            "boot",
            "catalog",
            "checks",
            "connect",
            "core",
            "embedded",
            "kafka",
            "postgres",
            "reconcile",
            "s3",
            "shadow",
            "worker",
        ],
    ),
    ("verify", &["boot", "catalog", "checks", "core", "k8s", "shadow"]),
    // The facade re-exports rooms, by feature.
    (
        "datapipe",
        &["catalog", "connect", "core", "engine", "k8s", "kafka", "postgres", "reconcile", "s3", "table-*", "worker"],
    ),
    // Tests of the whole, with real servers.
    ("e2e", &["*"]),
];

/// Rooms that only tests may use.
const FOR_TESTS: &[&str] = &["testkit", "embedded"];

/// Outside libraries and the only rooms that may name them.
const ONE_ROOM: &[(&str, &[&str])] = &[
    ("aws-sdk-s3", &["s3"]),
    ("figment", &["boot"]),
    ("k8s-openapi", &["k8s"]),
    ("kube", &["k8s"]),
    ("parquet", &["parquet"]),
    ("rdkafka", &["kafka"]),
    ("s3s", &["embedded"]),
    ("s3s-fs", &["embedded"]),
    ("stateright", &["model"]),
    ("tokio-postgres", &["postgres"]),
    ("tracing-subscriber", &["boot"]),
];

/// What `core` must not see, directly or not: runtimes, networks.
const IMPURE: &[&str] = &["tokio", "reqwest", "hyper", "figment", "rdkafka", "mio"];

struct Package {
    dependencies: Vec<(String, bool)>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The workspace's packages with their direct dependencies; true marks one for tests.
fn packages() -> BTreeMap<String, Package> {
    let metadata = metadata(&["--no-deps"]);
    let package = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let dependencies = dependencies.iter().map(|one| (text(&one["name"]), one["kind"] == "dev")).collect();
        (text(&package["name"]), Package { dependencies })
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

fn room(package: &str) -> Option<&str> {
    package.strip_prefix("datapipe-")
}

fn matches(rule: &str, room: &str) -> bool {
    rule.strip_suffix('*').map_or(rule == room, |start| room.starts_with(start))
}

fn allowed(room: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(rule, _)| matches(rule, room)).map(|(_, allowed)| *allowed)
}

#[test]
fn rooms_depend_on_what_they_may() {
    let mut wrong = Vec::new();
    for (name, package) in packages() {
        let from = room(&name).unwrap_or(&name).to_owned();
        let Some(may) = allowed(&from) else {
            wrong.push(format!("{from}: no arrows are written down for this room"));
            continue;
        };
        for (dependency, for_tests) in &package.dependencies {
            let Some(to) = room(dependency) else { continue };
            let written = may.iter().any(|rule| matches(rule, to));
            let in_tests = *for_tests && FOR_TESTS.contains(&to);
            if !(written || in_tests) {
                wrong.push(format!("{from} -> {to}{}", if *for_tests { " (tests)" } else { "" }));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the house does not have:\n{}", wrong.join("\n"));
}

#[test]
fn one_room_touches_each_big_library() {
    let mut wrong = Vec::new();
    for (name, package) in packages() {
        let from = room(&name).unwrap_or(&name).to_owned();
        for (dependency, for_tests) in &package.dependencies {
            let Some((_, rooms)) = ONE_ROOM.iter().find(|(library, _)| library == dependency) else { continue };
            let in_tests = *for_tests || matches!(from.as_str(), "testkit" | "e2e");
            let tests_of_data = in_tests && dependency != "figment";
            if !rooms.contains(&from.as_str()) && !tests_of_data {
                wrong.push(format!("{from} -> {dependency} (only {})", rooms.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "libraries touched by a second room:\n{}", wrong.join("\n"));
}

#[test]
fn core_is_pure() {
    let metadata = metadata(&[]);
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let name_of: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let normal = |dependency: &Value| {
        let kinds = dependency["dep_kinds"].as_array().unwrap();
        kinds.iter().any(|kind| kind["kind"].is_null())
    };
    let mut waiting: Vec<String> =
        name_of.iter().filter(|(_, name)| *name == "datapipe-core").map(|(id, _)| id.clone()).collect();
    assert_eq!(waiting.len(), 1);
    let mut seen = std::collections::BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id.as_str()).unwrap();
        let dependencies = node["deps"].as_array().unwrap().iter().filter(|dependency| normal(dependency));
        waiting.extend(dependencies.map(|dependency| text(&dependency["pkg"])));
    }
    let impure: Vec<&String> =
        seen.iter().map(|id| &name_of[id]).filter(|name| IMPURE.contains(&name.as_str())).collect();
    assert!(impure.is_empty(), "core reaches {impure:?}");
    assert!(seen.len() > 10, "the walk did not start");
}
