//! Every check has its page, and no page speaks of none.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use datapipe_checks::{CHECKS, index, page};

#[test]
fn every_code_has_its_page() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/checks");
    let pages = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = pages.filter(|name| name != "README.md").collect();
    let codes: BTreeSet<String> = CHECKS.iter().map(|check| format!("{}.md", check.code)).collect();
    assert_eq!(pages, codes);
    let list = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
    assert_eq!(list, index(), "run: cargo run -p datapipe-checks --example pages -- docs/checks");
    for check in CHECKS {
        let text = std::fs::read_to_string(format!("{folder}/{}.md", check.code)).unwrap();
        assert_eq!(text, page(check), "run: cargo run -p datapipe-checks --example pages -- docs/checks");
    }
}
