//! The folders under crates/tables and the registry name the same tables.

use std::path::Path;

#[test]
fn folders_and_registry_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tables");
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
