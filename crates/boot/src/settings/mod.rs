//! Settings from their sources: defaults, then `datapipe.toml`, then the environment, then flags; the later one wins.

mod read;
mod words;

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
    figment: Figment,
}

/// Reads all sources. Problems are kept, so that those of the plan can be told along with them.
pub fn load(sources: &Sources) -> Loaded {
    let file = sources.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let mut figment = Figment::from(Pairs { name: "default", pairs: &sources.defaults });
    let mut problems = Vec::new();
    match readable(&file, sources.file.is_some()) {
        Ok(false) => {}
        Ok(true) => figment = figment.merge(Toml::file_exact(&file)),
        Err(problem) => problems.push(problem),
    }
    // A file that is no TOML hides the other sources, so it is told apart first.
    if let Err(error) = figment.data() {
        problems.extend(error.into_iter().map(|error| words::syntax(&file, &error)));
        figment = Figment::from(Pairs { name: "default", pairs: &sources.defaults });
    }
    let environment = Env::prefixed(ENVIRONMENT_PREFIX).ignore(&NO_SETTINGS).split("__");
    figment = figment.merge(environment).merge(Pairs { name: FLAG, pairs: &sources.flags });
    read::settings(figment, problems)
}

impl Loaded {
    /// The plan for the catalog's tables, or every problem of settings and plan at once.
    pub fn plan(&self, catalog: &Catalog) -> Result<Plan, Problems> {
        let mut problems = self.problems.clone();
        match Plan::new(catalog, &self.settings) {
            Ok(plan) if problems.is_empty() => return Ok(plan),
            Ok(_) => {}
            Err(planned) => problems.extend(planned.0.into_iter().filter_map(|problem| self.located(problem))),
        }
        Err(Problems(problems))
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
        let path: Vec<String> = problem.object.split('.').map(str::to_owned).collect();
        // A bound that a section breaks is told of the table; the section's own key follows the table's name.
        let section = (path.len() > 3 && path[0] == "tables").then(|| path[2..].to_vec());
        let origin = words::origin(&self.figment, &path);
        let origin = origin.or_else(|| {
            let section = section?;
            Some(format!("{}, {}", section.join("."), words::origin(&self.figment, &section)?))
        });
        if let Some(origin) = origin {
            problem.object = format!("{} ({origin})", problem.object);
        }
        Some(problem)
    }

    fn dropped_postgres(&self) -> bool {
        self.dropped.iter().any(|path| path.starts_with("postgres"))
    }
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

/// The name of the provider of flags.
const FLAG: &str = "--set";

/// Settings as pairs of key path and text. Texts are read as the environment's are: numbers, booleans and lists
/// where they look like it.
struct Pairs<'a> {
    name: &'static str,
    pairs: &'a [(String, String)],
}

impl Provider for Pairs<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut all = Figment::new();
        for (path, text) in self.pairs {
            let value: Value = text.parse().expect("any text is a value");
            all = all.merge(figment::providers::Serialized::default(path, value));
        }
        all.data()
    }
}
