//! The folders under crates/tables and the registry name the same tables.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

/// The workspace. Asked at run time, because a copy of the tree may share its target folder with this one.
#[expect(clippy::disallowed_methods, reason = "cargo tells a test where it is")]
fn root() -> PathBuf {
    PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..")
}

#[test]
fn folders_and_registry_agree() {
    let folder = root().join("crates/tables");
    let mut folders: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let catalog = datapipe_catalog::all().unwrap();
    let linked: Vec<&str> = catalog.tables().collect();
    assert_eq!(
        folders, linked,
        "left: folders under crates/tables, right: tables that are linked; a missing one needs its dependency in \
         crates/catalog/Cargo.toml (docs/adding-a-table.md)"
    );
}

#[test]
fn ports_are_the_contracts() {
    let catalog = datapipe_catalog::all().unwrap();
    let port = |name: &str| catalog.iter().find(|(table, _)| table.name == name).map(|(table, _)| table.port);
    let ports = ["users", "products", "orders", "order_items"].map(port);
    assert_eq!(ports, [Some(8083), Some(8084), Some(8085), Some(8086)]);
}
