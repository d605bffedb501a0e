//! Fetching by coordinates through the `mvn` client, so that the user's mirrors, proxies and credentials apply.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Error, Progress, Result, requirements};

const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";
const ERROR_LINES_MAX: usize = 6;

/// Copies the jars of `artifacts` and of all they depend on at run time into `folder`.
pub(crate) fn copy_dependencies(artifacts: &[&str], folder: &Path, progress: &Progress) -> Result<()> {
    let pom_path = folder.join("pom.xml");
    fs::write(&pom_path, pom(artifacts)).map_err(Error::io(format!("write {}", pom_path.display())))?;
    let mut command = Command::new("mvn");
    command
        .arg("-f")
        .arg(&pom_path)
        .arg(format!("{PLUGIN}:copy-dependencies"))
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .arg("-DincludeScope=runtime");
    let result = run(command, &artifacts.join(", "), progress);
    fs::remove_file(&pom_path).map_err(Error::io(format!("remove {}", pom_path.display())))?;
    result
}

/// Unpacks the jar `artifact` (`group:artifact:version`) into `folder`.
pub(crate) fn unpack(artifact: &str, folder: &Path, progress: &Progress) -> Result<()> {
    let mut command = Command::new("mvn");
    command
        .arg(format!("{PLUGIN}:unpack"))
        .arg(format!("-Dartifact={artifact}"))
        .arg(format!("-DoutputDirectory={}", folder.display()))
        // The plugin leaves marker files beside its output unless told otherwise.
        .arg(format!("-DmarkersDirectory={}", folder.join("markers").display()));
    run(command, artifact, progress)
}

fn run(mut command: Command, artifact: &str, progress: &Progress) -> Result<()> {
    requirements::maven()?;
    let mut child = command
        .args(["--batch-mode", "--no-snapshot-updates"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io("run mvn"))?;
    let mut errors = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
            if let Some(file) = downloaded_jar(&line) {
                progress.line(&format!("  fetched {file}"));
            } else if line.contains("[ERROR]") && errors.len() < ERROR_LINES_MAX {
                errors.push(line);
            }
        }
    }
    let status = child.wait().map_err(Error::io("wait for mvn"))?;
    if status.success() {
        return Ok(());
    }
    let reason = if errors.is_empty() { status.to_string() } else { errors.join("\n") };
    Err(Error::Fetch { artifact: artifact.to_owned(), reason })
}

/// `kafka-clients-4.3.1.jar (10 MB at ..)` of a line about a finished download.
fn downloaded_jar(line: &str) -> Option<&str> {
    let (_, address) = line.split_once("Downloaded from ")?;
    let file = address.rsplit_once('/').map_or(address, |(_, file)| file);
    // The speed, "10 MB/s)", holds the last slash.
    let file = if file.starts_with("s)") {
        let address = address.strip_suffix("/s)")?;
        address.rsplit_once('/')?.1.split(" at ").next()?
    } else {
        file
    };
    file.contains(".jar").then_some(file.trim_end_matches(')'))
}

fn pom(artifacts: &[&str]) -> String {
    let mut dependencies = String::new();
    for artifact in artifacts {
        let mut parts = artifact.split(':');
        for tag in ["groupId", "artifactId", "version"] {
            let open = if tag == "groupId" { "<dependency>" } else { "" };
            let value = parts.next().unwrap_or_default();
            let _ = write!(dependencies, "{open}<{tag}>{value}</{tag}>");
        }
        dependencies.push_str("</dependency>\n");
    }
    format!(
        r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>datapipe</groupId><artifactId>embedded</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
{dependencies}</dependencies>
</project>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_downloads_of_jars_are_recognised() {
        let line = "Downloaded from central: scheme://host/a/b/kafka-clients-4.3.1.jar (10 MB at 3.1 MB/s)";
        assert_eq!(downloaded_jar(line), Some("kafka-clients-4.3.1.jar (10 MB"));
        assert_eq!(downloaded_jar("Downloaded from central: scheme://host/a/b.pom (1 kB at 3 kB/s)"), None);
        assert_eq!(downloaded_jar("[INFO] BUILD SUCCESS"), None);
    }

    #[test]
    fn the_project_file_asks_for_every_coordinate() {
        let text = pom(&["g:a:1", "h:b:2"]);
        assert!(
            text.contains(
                "<dependency><groupId>h</groupId><artifactId>b</artifactId><version>2</version></dependency>"
            )
        );
        assert_eq!(text.matches("<dependency>").count(), 2);
    }
}
