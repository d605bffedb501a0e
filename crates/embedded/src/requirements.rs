//! What can't be brought along, checked before anything is fetched or started.

use std::path::PathBuf;
use std::process::Command;

use crate::{Error, Result};

const JAVA_MAJOR_MIN: u32 = 17;

#[cfg(target_os = "macos")]
const INSTALL_JAVA: &str = "brew install openjdk@17";
#[cfg(not(target_os = "macos"))]
const INSTALL_JAVA: &str = "apt-get install openjdk-17-jre-headless (or your system's package of JDK 17 or later)";
#[cfg(target_os = "macos")]
const INSTALL_MAVEN: &str = "brew install maven";
#[cfg(not(target_os = "macos"))]
const INSTALL_MAVEN: &str = "apt-get install maven (or your system's package of Maven 3.6 or later)";

/// A Java that will do.
#[derive(Debug, Clone)]
pub(crate) struct Java {
    pub(crate) program: PathBuf,
    /// As Java tells it, for instance `17.0.15`.
    pub(crate) version: String,
}

/// The `java` program of `JAVA_HOME`, else of `PATH`, if its version will do.
pub(crate) fn java() -> Result<Java> {
    let program = std::env::var_os("JAVA_HOME")
        .map(|home| PathBuf::from(home).join("bin/java"))
        .filter(|java| java.exists())
        .unwrap_or_else(|| PathBuf::from("java"));
    let missing = |reason: String| Error::MissingProgram { program: "Java 17 or later", reason, install: INSTALL_JAVA };
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

/// Maven is there. Only asked when something must be fetched.
pub(crate) fn maven() -> Result<()> {
    let found = Command::new("mvn").arg("--version").output();
    match found {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(no_maven(format!("`mvn --version` ended with {}", output.status))),
        Err(error) => Err(no_maven(format!("`mvn` did not run: {error}"))),
    }
}

fn no_maven(reason: String) -> Error {
    Error::MissingProgram { program: "Maven", reason, install: INSTALL_MAVEN }
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
