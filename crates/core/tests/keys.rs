//! docs/connector-keys.md says what the table of keys says.

#[allow(dead_code, reason = "its main function")]
#[path = "../examples/keys.rs"]
mod keys;

#[test]
fn the_page_of_keys_is_as_it_would_be_printed_now() {
    let page = include_str!("../../../docs/connector-keys.md");
    assert!(keys::page() == page, "run: cargo run -p datapipe-core --example keys > docs/connector-keys.md");
}
