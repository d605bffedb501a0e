//! Where the outside libraries come from, and under which licences: as deny.toml says, without its tool.
#![allow(clippy::unwrap_used)]

mod tree;

use serde_json::Value;

/// The licences that deny.toml allows.
const ALLOWED: [&str; 10] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

fn packages() -> Vec<Value> {
    let metadata = tree::metadata(&["--all-features"]);
    metadata["packages"].as_array().unwrap().clone()
}

/// Every part that must hold has an alternative that is allowed. Old manifests write `/` for OR.
fn allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim())))
}

#[test]
fn licences_are_allowed() {
    let packages = packages();
    assert!(packages.len() > 100, "the tree was not read");
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "licences outside of deny.toml:\n{}", refused.join("\n"));
}

#[test]
fn expressions_are_read() {
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0") && allowed("Apache-2.0/MIT") && allowed("Unlicense OR MIT"));
    assert!(!allowed("GPL-3.0") && !allowed("MIT AND GPL-3.0") && !allowed("MIT OR Apache-2.0 AND LGPL-3.0"));
}

#[test]
fn sources_are_the_registry_or_this_tree() {
    let strange: Vec<Value> = packages()
        .iter()
        .filter(|package| package["source"].as_str().is_some_and(|source| !source.starts_with("registry+")))
        .map(|package| package["id"].clone())
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn deny_says_the_same() {
    let deny = std::fs::read_to_string(tree::root().join("deny.toml")).unwrap();
    let licences = deny.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    let listed: Vec<&str> = licences.split('"').skip(1).step_by(2).collect();
    assert_eq!(listed, ALLOWED);
}
