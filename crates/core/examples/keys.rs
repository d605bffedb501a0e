//! Prints docs/connector-keys.md: every key of both connectors, and what the native worker makes of it.
#![allow(clippy::print_stdout)]

use std::fmt::Write as _;

use datapipe_core::connector::keys::{ConfigKey, PLUGINS, Served};

fn main() {
    print!("{}", page());
}

/// The page.
pub(crate) fn page() -> String {
    let mut text = "\
# Connector keys

Every documented key of the two connectors that a native worker serves, by the groups of
`GET /connector-plugins/{class}/config`. Printed by `cargo run -p datapipe-core --example keys`.

What a native worker makes of a key: *read*: it has the effect described; *only*: one of these values is served, any other
is refused; *no effect*: accepted, because it tunes a JVM or has no other outcome here; *default only*: any other value is
refused, because it would change what is written. A key that is not listed is refused, those that begin with
`producer.override.` or `topic.creation.` aside.
"
    .to_owned();
    for plugin in PLUGINS {
        let _ = write!(text, "\n## {}\n\nBehaves as version {}.\n", plugin.class, plugin.version);
        for group in plugin.groups {
            let _ = write!(
                text,
                "\n### {}\n\n| key | type | default | native worker | meaning |\n|---|---|---|---|---|\n",
                group.name
            );
            for key in group.keys {
                let default = plugin.default_of(key).map_or_else(String::new, code);
                let ConfigKey { name, kind, documentation, .. } = key;
                let (name, kind, served) = (code(name), kind.name().to_lowercase(), served(key.served));
                let _ = writeln!(text, "| {name} | {kind} | {default} | {served} | {documentation} |");
            }
        }
    }
    text
}

fn served(served: Served) -> String {
    match served {
        Served::Read => "read".to_owned(),
        Served::Only(values) => {
            format!("only {}", values.iter().map(|value| code(value)).collect::<Vec<_>>().join(", "))
        }
        Served::Ignored => "no effect".to_owned(),
        Served::Default => "default only".to_owned(),
    }
}

fn code(text: &str) -> String {
    if text.is_empty() { "(empty)".to_owned() } else { format!("`{}`", text.replace('|', "\\|")) }
}
