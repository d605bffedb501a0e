//! Writes a page for each check into a folder: `cargo run -p datapipe-checks --example pages -- docs/checks`.
#![allow(clippy::unwrap_used)]

#[path = "../tests/recorded/mod.rs"]
mod recorded;

use datapipe_checks::{CHECKS, index, page};

fn main() {
    let folder = std::path::PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "docs/checks".into()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("README.md"), index()).unwrap();
    std::fs::write(folder.join("faults.md"), recorded::page()).unwrap();
    for check in CHECKS {
        std::fs::write(folder.join(format!("{}.md", check.code)), page(check)).unwrap();
    }
}
