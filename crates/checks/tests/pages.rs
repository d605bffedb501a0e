//! Every check has its page, and no page speaks of none.
#![allow(clippy::unwrap_used)]

mod recorded;

use std::collections::BTreeSet;

use datapipe_checks::{CHECKS, index, page};

#[test]
fn every_code_has_its_page() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/checks");
    let pages = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = pages.filter(|name| name != "README.md" && name != "faults.md").collect();
    let codes: BTreeSet<String> = CHECKS.iter().map(|check| format!("{}.md", check.code)).collect();
    assert_eq!(pages, codes);
    let list = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
    assert_eq!(list, index(), "run: cargo run -p datapipe-checks --example pages -- docs/checks");
    for check in CHECKS {
        let text = std::fs::read_to_string(format!("{folder}/{}.md", check.code)).unwrap();
        assert_eq!(text, page(check), "run: cargo run -p datapipe-checks --example pages -- docs/checks");
    }
}

#[test]
fn every_fault_is_told_as_its_page_says() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/checks/faults.md")).unwrap();
    assert_eq!(text, recorded::page(), "run: cargo run -p datapipe-checks --example pages -- docs/checks, and read it");
}

#[test]
fn every_check_has_a_fault_that_it_finds() {
    let page = recorded::page();
    let missing: Vec<&str> = CHECKS.iter().map(|check| check.code).filter(|code| !page.contains(code)).collect();
    // For JVM workers, with a test of its own; tells and never warns; compares rows, which no observation holds; sent by name only, with
    // tests of their own.
    assert_eq!(missing, ["DP0205", "DP0313", "DP0601", "DP0701", "DP0702", "DP0803", "DP0804"]);
}
