//! `datapipe-deploy render`: writes the tree.

use std::fmt::Write as _;
use std::path::Path;

use datapipe_boot::{Exit, report};
use datapipe_core::plan::Problems;
use datapipe_k8s::{FOLDER, ManifestFormat, Tree, WriteError, Written, render};

use crate::cli::{Format, RenderArguments, Selection};
use crate::planned::{planned, refuse};

pub(crate) fn run(arguments: &RenderArguments) -> Exit {
    let tree = match tree(&arguments.selection, arguments.format) {
        Ok(tree) => tree,
        Err(problems) => return refuse(&problems),
    };
    match tree.write(&arguments.out, arguments.force) {
        Ok(written) => say(&arguments.out, &written),
        Err(error @ (WriteError::Foreign { .. } | WriteError::Io { .. })) => {
            report::print(&report::error(&error));
            Exit::Failed
        }
    }
}

/// The tree of these settings, or everything that is wrong with them.
fn tree(selection: &Selection, format: Format) -> Result<Tree, Problems> {
    let (plan, mut options) = planned(selection)?;
    options.format = match format {
        Format::Yaml => ManifestFormat::Yaml,
        Format::Json => ManifestFormat::Json,
    };
    options.flags = flags(selection);
    render(&plan, &options)
}

/// What the scripts must repeat to mean the same. They start in the folder that holds the tree.
fn flags(selection: &Selection) -> Vec<String> {
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: String| flags.extend([name.to_owned(), value]);
    if let Some(config) = &selection.config {
        let config = std::path::absolute(config).unwrap_or_else(|_| config.clone());
        flag("--config", config.display().to_string());
    }
    for (table, kind) in &selection.workers {
        let table = table.as_ref().map(|table| format!("{table}=")).unwrap_or_default();
        flag("--worker", format!("{table}{}", kind.name()));
    }
    let names: Vec<&str> = selection.with.iter().map(|server| server.name()).collect();
    if !names.is_empty() {
        flag("--with", names.join(","));
    }
    for (key, value) in &selection.set {
        flag("--set", format!("{key}={value}"));
    }
    flags
}

fn say(out: &Path, written: &Written) -> Exit {
    let Written { written, unchanged, removed, left } = written;
    let mut text = String::new();
    for (what, paths) in [("written", written), ("removed", removed), ("left, changed by hand", left)] {
        for path in paths {
            let _ = writeln!(text, "{what}: {path}");
        }
    }
    let _ = writeln!(
        text,
        "{}: {} written, {} unchanged, {} removed",
        out.join(FOLDER).display(),
        written.len(),
        unchanged.len(),
        removed.len()
    );
    report::result(&text)
}
