//! The two scripts of the tree: they find a program, or build it, and call it.

use std::fmt::Write as _;

use crate::options::RenderOptions;
use crate::tree::Tree;

const HEAD: &str = "\
#!/usr/bin/env bash
# Rendered by datapipe-deploy: change the settings and render again.
set -euo pipefail
here=$(cd \"$(dirname \"$0\")\" && pwd)

# program NAME: where it is; built if the sources are in a folder above this one.
program() {
    if command -v \"$1\"; then return; fi
    local folder=$here
    while [ \"$folder\" != / ]; do
        if [ -x \"$folder/target/release/$1\" ]; then echo \"$folder/target/release/$1\"; return; fi
        if [ -d \"$folder/bins/${1#datapipe-}\" ] && command -v cargo > /dev/null; then
            echo \"building $1\" >&2
            if (cd \"$folder\" && cargo build --release --locked --bin \"$1\" >&2); then
                echo \"$folder/target/release/$1\"
                return
            fi
            echo \"error: $1 could not be built; the lines above say why\" >&2
            exit 69
        fi
        folder=$(dirname \"$folder\")
    done
    echo \"error: $1 is not in the path, and there are no sources of it above $here\" >&2
    echo \"  fix: install it: cargo install --locked --path bins/${1#datapipe-} in datapipe's sources\" >&2
    exit 69
}
";

pub(crate) fn render(options: &RenderOptions, tree: &mut Tree) {
    let deploy = "Brings the cluster to what this folder says, and waits until rows can flow.";
    tree.put_program("deploy-multi-instance.sh", script(deploy, "datapipe-deploy", "apply", &options.flags));
    let verify = "Says whether every worker and its connectors are healthy.";
    let flags: Vec<String> = std::iter::once("--deployed".to_owned()).chain(options.flags.clone()).collect();
    tree.put_program("verify-multi-instance.sh", script(verify, "datapipe-verify", "", &flags));
}

/// Settings are looked for where this folder was rendered from, above it.
fn script(what: &str, program: &str, command: &str, flags: &[String]) -> String {
    let mut text = HEAD.replacen("set -euo", &format!("# {what} Further flags are passed on.\nset -euo"), 1);
    let _ = write!(text, "\nfound=$(program {program})\n");
    let mut call = "\"$found\"".to_owned();
    if !command.is_empty() {
        let _ = write!(
            text,
            "if ! \"$found\" help {command} > /dev/null 2>&1; then\n\
             \u{20}   echo \"error: $found is too old to {command}; build it again from newer sources\" >&2\n\
             \u{20}   exit 69\n\
             fi\n"
        );
        let _ = write!(call, " {command}");
    }
    for flag in flags {
        let _ = write!(call, " {}", quoted(flag));
    }
    let _ = write!(text, "cd \"$here/..\"\nexec {call} \"$@\"\n");
    text
}

/// A word as the shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
