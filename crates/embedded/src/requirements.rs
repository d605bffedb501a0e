//! What can't be brought along, checked before anything is fetched or started.

use std::path::PathBuf;
use std::process::Command;

use crate::error::MissingProgram;
use crate::{Error, Result};

const JAVA_MAJOR_MIN: u32 = 17;

#[cfg(target_os = "macos")]
const JAVA_PACKAGE: &str = "openjdk@17";
#[cfg(not(target_os = "macos"))]
const JAVA_PACKAGE: &str = "openjdk-17-jre-headless";

/// A Java that will do.
#[derive(Debug, Clone)]
pub(crate) struct Java {
    pub(crate) program: PathBuf,
    /// As Java tells it, for instance `17.0.15`.
    pub(crate) version: String,
}

/// Everything that a start needs is there: Java, and Maven if something must be fetched.
pub(crate) fn check(fetches: bool) -> Result<()> {
    let missing = [find_java().err(), fetches.then(find_maven).and_then(Result::err)];
    let missing: Vec<_> = missing.into_iter().flatten().collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::MissingPrograms(missing)) }
}

/// The `java` program of `JAVA_HOME`, else of `PATH`, if its version will do.
pub(crate) fn java() -> Result<Java> {
    find_java().map_err(|missing| Error::MissingPrograms(vec![missing]))
}

/// Maven is there. Only asked when something must be fetched.
pub(crate) fn maven() -> Result<()> {
    find_maven().map_err(|missing| Error::MissingPrograms(vec![missing]))
}

fn find_java() -> Result<Java, MissingProgram> {
    let program = std::env::var_os("JAVA_HOME")
        .map(|home| PathBuf::from(home).join("bin/java"))
        .filter(|java| java.exists())
        .unwrap_or_else(|| PathBuf::from("java"));
    let missing = |reason: String| MissingProgram { program: "Java 17 or later", reason, package: JAVA_PACKAGE };
    let output = Command::new(&program)
        .arg("-version")
        .output()
        .map_err(|error| missing(format!("{} did not run: {error}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let Some(version) = text.split('"').nth(1) else {
        return Err(missing(format!("{} told no version", program.display())));
    };
    match java_major(version) {
        Some(major) if major >= JAVA_MAJOR_MIN => Ok(Java { version: version.to_owned(), program }),
        _ => Err(missing(format!("{} is version {version}", program.display()))),
    }
}

fn find_maven() -> Result<(), MissingProgram> {
    let missing = |reason: String| MissingProgram { program: "Maven", reason, package: "maven" };
    match Command::new("mvn").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(missing(format!("`mvn --version` ended with {}", output.status))),
        Err(error) => Err(missing(format!("`mvn` did not run: {error}"))),
    }
}

/// The major version in Java's own: `1.8.0_392` is 8, `17.0.15` is 17.
fn java_major(version: &str) -> Option<u32> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let first = numbers.next()?.parse().ok()?;
    if first == 1 { numbers.next()?.parse().ok() } else { Some(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions_old_and_new() {
        assert_eq!(java_major("17.0.15"), Some(17));
        assert_eq!(java_major("1.8.0_392"), Some(8));
        assert_eq!(java_major("21-ea"), Some(21));
        assert_eq!(java_major("nothing"), None);
    }
}
