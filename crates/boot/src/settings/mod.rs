//! Settings from their sources: defaults, then `datapipe.toml`, then the environment, then flags; the later one wins.

mod read;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use datapipe_core::catalog::Catalog;
use datapipe_core::plan::{Plan, Problem, Problems};
use datapipe_core::settings::Settings;
use figment::providers::{Env, Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

/// The file that is read if no other is named and it is there.
pub const DEFAULT_FILE: &str = "datapipe.toml";

/// What the environment's variables start with. `__` stands for the dot: `DATAPIPE_POSTGRES__URL` is `postgres.url`.
pub const ENVIRONMENT_PREFIX: &str = "DATAPIPE_";

/// Variables with the prefix that are no settings.
const NO_SETTINGS: [&str; 2] = ["LOG", "CONFIG"];

/// The variables of this process that are read as settings: a child with settings of its own must not inherit them.
pub fn variables() -> Vec<OsString> {
    let is_setting = |name: &OsString| {
        let name = name.to_string_lossy().to_uppercase();
        name.strip_prefix(ENVIRONMENT_PREFIX).is_some_and(|rest| !NO_SETTINGS.contains(&rest))
    };
    std::env::vars_os().map(|(name, _)| name).filter(is_setting).collect()
}

/// Where to read settings.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file; [`DEFAULT_FILE`] if there is one, without it. A file that is named must exist.
    pub file: Option<PathBuf>,
    /// The program's own defaults, as `("worker.kind", "native")`.
    pub defaults: Vec<(String, String)>,
    /// What was set by flags, as `("sink.rows", "1000")`.
    pub flags: Vec<(String, String)>,
}

/// Settings as far as they could be read, and what could not.
pub struct Loaded {
    settings: Settings,
    problems: Vec<Problem>,
    /// Key paths that were dropped, because they could not be read.
    dropped: Vec<String>,
    /// The file could not be read at all, so what seems missing may stand in it.
    file_failed: bool,
    figment: Figment,
}

/// Reads all sources. Problems are kept, so that those of the plan can be told along with them.
pub fn load(sources: &Sources) -> Loaded {
    let file = sources.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let defaults = merge(Figment::new(), DEFAULT, &sources.defaults);
    let mut figment = defaults.clone();
    let mut problems = Vec::new();
    match readable(&file, sources.file.is_some()) {
        Ok(false) => {}
        Ok(true) => figment = figment.merge(Toml::file_exact(&file)),
        Err(problem) => problems.push(problem),
    }
    // A file that is no TOML hides the other sources, so it is told apart first.
    if let Err(error) = figment.data() {
        problems.extend(error.into_iter().map(|error| words::syntax(&file, &error)));
        figment = defaults;
    }
    let file_failed = !problems.is_empty();
    let environment = Env::prefixed(ENVIRONMENT_PREFIX).ignore(&NO_SETTINGS).split("__");
    figment = merge(figment.merge(environment), FLAG, &sources.flags);
    Loaded { file_failed, ..read::settings(figment, problems) }
}

impl Loaded {
    /// The plan for the catalog's tables, or every problem of settings and plan at once.
    pub fn plan(&self, catalog: &Catalog) -> Result<Plan, Problems> {
        let mut problems = self.problems.clone();
        if self.file_failed {
            return Err(Problems(problems));
        }
        match Plan::new(catalog, &self.settings) {
            Ok(plan) if problems.is_empty() => return Ok(plan),
            Ok(_) => {}
            Err(planned) => problems.extend(planned.0.into_iter().filter_map(|problem| self.located(problem))),
        }
        Err(Problems(problems))
    }

    /// Fills in what a program knows beside its sources, before anything is derived.
    #[must_use]
    pub fn completed(mut self, complete: impl FnOnce(Settings) -> Settings) -> Self {
        self.settings = complete(self.settings);
        self
    }

    /// The settings as far as they could be read.
    pub fn readable(&self) -> &Settings {
        &self.settings
    }

    /// The settings, or every problem with them at once.
    pub fn settings(&self) -> Result<&Settings, Problems> {
        if self.problems.is_empty() { Ok(&self.settings) } else { Err(Problems(self.problems.clone())) }
    }

    /// Says where a setting came from; none if it seems missing only because it could not be read.
    fn located(&self, mut problem: Problem) -> Option<Problem> {
        if self.dropped.contains(&problem.object) || (problem.object == "postgres.url" && self.dropped_postgres()) {
            return None;
        }
        let origin = words::origin(&self.figment, &parts(&problem.object).0);
        if let Some(origin) = origin {
            problem.object = format!("{} ({origin})", problem.object);
        }
        Some(problem)
    }

    fn dropped_postgres(&self) -> bool {
        self.dropped.iter().any(|path| path.starts_with("postgres"))
    }
}

/// A setting's path in parts, and whether the last one is a name with dots of its own, as below these sections.
fn parts(path: &str) -> (Vec<String>, bool) {
    let section = ["kafka.properties.", "source.config.", "sink.config."];
    let split = section.iter().find_map(|section| {
        let end = path.find(section)? + section.len();
        let whole = end == section.len() || path.starts_with("tables.");
        (whole && end < path.len()).then(|| path.split_at(end))
    });
    let (sections, name) = split.unwrap_or((path, ""));
    let parts = sections.trim_end_matches('.').split('.').chain((!name.is_empty()).then_some(name));
    (parts.map(str::to_owned).collect(), !name.is_empty())
}

fn readable(file: &Path, named: bool) -> Result<bool, Problem> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_dir() => {
            let fix = "name the file itself, as in --config datapipe.toml";
            Err(Problem::new(file.display().to_string(), "is a folder, not a file of settings", fix))
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(false),
        Err(error) => {
            let fix = "correct --config, or leave it out to read datapipe.toml in the working folder";
            Err(Problem::new(file.display().to_string(), format!("cannot be read ({})", error.kind()), fix))
        }
    }
}

/// The names of the providers of defaults and flags.
const DEFAULT: &str = "default";
const FLAG: &str = "--set";

/// One setting as key path and text. The text is read as the environment's are: numbers, booleans and lists where it
/// looks like one.
struct Pair<'a> {
    name: &'static str,
    path: &'a str,
    text: &'a str,
}

impl Provider for Pair<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let (parts, named) = parts(self.path);
        // The values of such names are texts, whatever they look like.
        let value: Value = if named { self.text.into() } else { self.text.parse().expect("any text is a value") };
        let nest = |value, part| Value::from(Dict::from([(part, value)]));
        let nested = parts.into_iter().rev().fold(value, nest);
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

fn merge(figment: Figment, name: &'static str, pairs: &[(String, String)]) -> Figment {
    pairs.iter().fold(figment, |figment, (path, text)| figment.merge(Pair { name, path, text }))
}
