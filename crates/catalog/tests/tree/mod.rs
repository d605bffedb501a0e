//! What cargo says of the tree.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The workspace. Asked at run time, because a copy of the tree may share its target folder with this one.
#[expect(clippy::disallowed_methods, reason = "cargo tells a test where it is")]
pub(crate) fn root() -> PathBuf {
    PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..")
}

/// `cargo metadata` of the whole tree, for all platforms: what was not downloaded for this one is downloaded now.
pub(crate) fn metadata(extra: &[&str]) -> Value {
    let manifest = root().join("Cargo.toml");
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]).arg(manifest).args(extra);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
