//! Log lines, to standard error.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use datapipe_core::port::clock::Clock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::SystemClock;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `DATAPIPE_LOG` is no filter.
    #[error(
        "DATAPIPE_LOG={text:?} is no log filter; write a level or modules with levels, as in \"info\" or \"info,datapipe_worker=debug\""
    )]
    Filter {
        /// What it holds.
        text: String,
        /// Why it is none.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// It was set up before.
    #[error("telemetry was set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging: level `info` or what `DATAPIPE_LOG` says; without colours where standard error is no terminal or
/// `NO_COLOR` is set. What it returns changes levels while the process runs.
#[expect(clippy::disallowed_methods, reason = "the process edge")]
pub fn init(format: Format) -> Result<Levels, TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let text = std::env::var("DATAPIPE_LOG").ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "info".to_owned());
    let set = Set::of(&text);
    let filter = EnvFilter::builder().parse(&text).map_err(|source| TelemetryError::Filter { text, source })?;
    let plain = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !plain;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let reload: Reload = match format {
        Format::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init().map_err(TelemetryError::Twice)?;
            Box::new(move |filter| handle.reload(filter).is_ok())
        }
        Format::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init().map_err(TelemetryError::Twice)?;
            Box::new(move |filter| handle.reload(filter).is_ok())
        }
    };
    Ok(Levels { set: Mutex::new(set), reload })
}

type Reload = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// The name of the level of everything that has none of its own.
const ROOT: &str = "root";

/// The log levels of this process, to be seen and changed while it runs. Loggers are modules, as `datapipe_kafka` or
/// `datapipe_engine::capture`; levels are Log4j's.
pub struct Levels {
    set: Mutex<Set>,
    reload: Reload,
}

/// A level that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLevel {
    /// `OFF`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: String,
    /// When it was changed, in milliseconds since 1970-01-01 UTC; none if it is as it was at the start.
    pub changed_at_ms: Option<i64>,
}

impl Levels {
    /// Every level that is set, by logger.
    pub fn all(&self) -> BTreeMap<String, SetLevel> {
        self.lock().levels.iter().map(|(logger, level)| (logger.clone(), level.shown())).collect()
    }

    /// Sets the level of a logger and of all below it; returns the loggers whose level changed. None if the logger's
    /// name or the level is none.
    pub fn set(&self, logger: &str, level: &str) -> Option<Vec<String>> {
        let now_ms = SystemClock.now_us() / 1000;
        let mut set = self.lock();
        let (next, changed) = set.with(logger, parse(level)?, Some(now_ms));
        let filter = EnvFilter::builder().parse(next.text()).ok()?;
        if !(self.reload)(filter) {
            return None;
        }
        *set = next;
        Some(changed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Log4j knows two levels more than we do.
fn parse(level: &str) -> Option<LevelFilter> {
    match level.to_ascii_uppercase().as_str() {
        "ALL" | "TRACE" => Some(LevelFilter::TRACE),
        "DEBUG" => Some(LevelFilter::DEBUG),
        "INFO" => Some(LevelFilter::INFO),
        "WARN" => Some(LevelFilter::WARN),
        "ERROR" | "FATAL" => Some(LevelFilter::ERROR),
        "OFF" => Some(LevelFilter::OFF),
        _ => None,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Level {
    filter: LevelFilter,
    changed_at_ms: Option<i64>,
}

impl Level {
    fn shown(&self) -> SetLevel {
        SetLevel { level: self.filter.to_string().to_ascii_uppercase(), changed_at_ms: self.changed_at_ms }
    }
}

/// What a filter's text says: a level per module, and directives that say more (about spans or fields), kept as they
/// are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    levels: BTreeMap<String, Level>,
    further: Vec<String>,
}

impl Set {
    fn of(text: &str) -> Self {
        // Without a level of its own a filter lets errors pass.
        let root = Level { filter: LevelFilter::ERROR, changed_at_ms: None };
        let mut set = Self { levels: BTreeMap::from([(ROOT.to_owned(), root)]), further: Vec::new() };
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let (logger, level) = directive.rsplit_once('=').unwrap_or((ROOT, directive));
            match level.parse::<LevelFilter>() {
                Ok(filter) if !logger.contains(['[', '{']) => {
                    set.levels.insert(logger.to_owned(), Level { filter, changed_at_ms: None });
                }
                _ => set.further.push(directive.to_owned()),
            }
        }
        set
    }

    fn text(&self) -> String {
        let level = |(logger, level): (&String, &Level)| match logger.as_str() {
            ROOT => level.filter.to_string(),
            logger => format!("{logger}={}", level.filter),
        };
        self.levels.iter().map(level).chain(self.further.iter().cloned()).collect::<Vec<_>>().join(",")
    }

    fn with(&self, logger: &str, filter: LevelFilter, now_ms: Option<i64>) -> (Self, Vec<String>) {
        let mut next = self.clone();
        let below = |name: &str| {
            logger == ROOT || name.strip_prefix(logger).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let named = [logger.to_owned()];
        let mut changed = Vec::new();
        for name in self.levels.keys().filter(|name| below(name)).chain(&named) {
            let level = Level { filter, changed_at_ms: now_ms };
            if next.levels.get(name).is_none_or(|before| before.filter != filter) {
                next.levels.insert(name.clone(), level);
                changed.push(name.clone());
            }
        }
        changed.sort();
        (next, changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(set: &Set) -> Vec<(&str, String)> {
        set.levels.iter().map(|(logger, level)| (logger.as_str(), level.shown().level)).collect()
    }

    #[test]
    fn a_filter_s_text_is_read_and_written() {
        let set = Set::of("info, datapipe_kafka=debug,[span{x=1}]=trace,off_topic");
        let expected = [("datapipe_kafka", "DEBUG".to_owned()), ("root", "INFO".to_owned())];
        assert_eq!(levels(&set), expected);
        assert_eq!(set.text(), "datapipe_kafka=debug,info,[span{x=1}]=trace,off_topic");
        assert_eq!(levels(&Set::of("datapipe_kafka=warn"))[1], ("root", "ERROR".to_owned()));
    }

    #[test]
    fn a_level_goes_down_to_all_below_it() {
        let set = Set::of("info,a::b=debug,ab=warn");
        let (set, changed) = set.with("a", LevelFilter::TRACE, Some(7));
        assert_eq!(changed, ["a", "a::b"]);
        assert_eq!(set.text(), "a=trace,a::b=trace,ab=warn,info");
        assert_eq!(set.levels["a"].shown().changed_at_ms, Some(7));
        let (set, changed) = set.with("root", LevelFilter::WARN, Some(8));
        assert_eq!(changed, ["a", "a::b", "root"]);
        assert_eq!(set.with("root", LevelFilter::WARN, Some(9)).1, [""; 0]);
        assert_eq!(
            (parse("fatal"), parse("all"), parse("x")),
            (Some(LevelFilter::ERROR), Some(LevelFilter::TRACE), None)
        );
    }
}
