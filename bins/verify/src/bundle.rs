//! A bundle of evidence for somebody else: what was seen and found, as files in one archive.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use datapipe_boot::{report, secrets};
use datapipe_checks::clean::Clean;
use datapipe_checks::judge::{fold, judge};
use datapipe_checks::{CHECKS, Category, Finding, Looked, Seen};
use datapipe_core::plan::Plan;
use datapipe_core::{Secret, SecretRef};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::cli::Output;
use crate::show;

/// Of a log so much of the end is taken.
const LOG_BYTES_MAX: u64 = 256 * 1024;
const LOG_LINES_MAX: usize = 500;
/// Only for whoever made it: it names servers.
const MODE: u32 = 0o600;

const ABOUT: &str = "What datapipe-verify has seen, for somebody who helps.\n\n\
    report.txt     what was found, in words\n\
    findings.json  the same for programs\n\
    seen/          per table what the worker, PostgreSQL, Kafka and the store said\n\
    plan.json      the plan; secrets are references in it\n\
    logs/          the last lines of the logs that were named with --bundle-log\n\n\
    Left out: secrets (****), values of rows, of words of others what stands in quotes, messages of Java exceptions (..).\n\
    It names servers, tables, columns and topics. Read it before you give it away.\n";

/// Secrets that were resolved in this run, so that they can be found wherever they appear.
#[derive(Default)]
pub(crate) struct Known(RefCell<Vec<Secret>>);

impl Known {
    /// Resolves a reference and remembers the value.
    pub(crate) fn resolve(&self, reference: &SecretRef) -> Result<Secret, String> {
        let secret =
            secrets::resolve(reference).map_err(|error| format!("{}; {}", report::chain(&error), error.hint()))?;
        self.0.borrow_mut().push(secret.clone());
        Ok(secret)
    }

    /// All that were resolved, and what variables of the environment lead to that the live configurations name.
    fn with_those_of(&self, looks: &[Seen]) -> Vec<Secret> {
        let mut all = self.0.borrow().clone();
        for seen in looks {
            let Looked::Seen(worker) = &seen.worker else { continue };
            let configs = worker.connectors.values().filter_map(|live| live.info.as_ref());
            let references = configs.flat_map(|info| info.config.values()).filter_map(|value| value.parse().ok());
            let env = references.filter(|reference| matches!(reference, SecretRef::Env(_)));
            all.extend(env.filter_map(|reference: SecretRef| secrets::resolve(&reference).ok()));
        }
        all
    }
}

/// What one table came to.
pub(crate) struct Examined {
    pub(crate) seen: Seen,
    pub(crate) findings: Vec<Finding>,
}

/// The files of a bundle. What was seen is cleaned first and judged again, so that no finding holds more than that.
pub(crate) fn files(
    plan: &Plan,
    all: &[Examined],
    logs: &[(String, String)],
    known: &Known,
    now_ms: i64,
) -> Vec<(String, String)> {
    let looks: Vec<Seen> = all.iter().map(|one| one.seen.clone()).collect();
    let mut clean = Clean::new(plan, known.with_those_of(&looks));
    for seen in &looks {
        clean.learn(seen);
    }
    let category = |finding: &Finding| CHECKS.iter().find(|check| check.code == finding.code).map(|it| it.category);
    // What the seen does not hold.
    let beside = |clean: &Clean, finding: &Finding| match category(finding) {
        None | Some(Category::Data) => Some(clean.about_rows(finding)),
        Some(Category::Canary | Category::Kubernetes) => Some(clean.in_words(finding)),
        Some(_) => None,
    };
    let (mut findings, mut files) = (Vec::new(), vec![("README.txt".to_owned(), ABOUT.to_owned())]);
    for (pipeline, one) in plan.tables.iter().zip(all) {
        let seen = clean.seen(pipeline, &one.seen);
        let mut own = judge(pipeline, &seen, now_ms);
        own.extend(one.findings.iter().filter_map(|finding| beside(&clean, finding)));
        findings.extend(fold(own));
        files.push((format!("seen/{}.json", pipeline.names.table), document(&clean, &seen)));
    }
    files.push(("findings.json".to_owned(), document(&clean, &findings)));
    files.push(("report.txt".to_owned(), clean.text(&show::text(&findings, Output::Table))));
    files.push(("plan.json".to_owned(), document(&clean, plan)));
    for (name, text) in logs {
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
        let mut kept = String::new();
        for line in last {
            let _ = writeln!(kept, "{}", clean.line(line));
        }
        files.push((format!("logs/{name}"), kept));
    }
    files
}

fn document(clean: &Clean, value: &impl Serialize) -> String {
    let document = serde_json::to_value(value).map(|document| clean.json(document));
    document.and_then(|document| serde_json::to_string_pretty(&document)).unwrap_or_default() + "\n"
}

/// The end of each log, by its file's name.
pub(crate) fn logs(paths: &[PathBuf]) -> io::Result<Vec<(String, String)>> {
    let read = |path: &PathBuf| {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("reading {}: {error}", path.display()));
        let mut file = std::fs::File::open(path).map_err(named)?;
        let from = file.metadata().map_err(named)?.len().saturating_sub(LOG_BYTES_MAX);
        file.seek(SeekFrom::Start(from)).map_err(named)?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES_MAX).read_to_end(&mut bytes).map_err(named)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The first line may have begun before.
        let whole = if from > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((name, whole.to_owned()))
    };
    paths.iter().map(read).collect()
}

/// Writes the archive: gzip around tar.
pub(crate) fn write(path: &Path, files: &[(String, String)], now_ms: i64) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("writing {}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path).map_err(named)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(u64::try_from(now_ms / 1000).unwrap_or_default());
        archive.append_data(&mut header, format!("datapipe-verify/{name}"), text.as_bytes()).map_err(named)?;
    }
    archive.into_inner().and_then(GzEncoder::finish).and_then(|mut file| file.flush()).map_err(named)
}
