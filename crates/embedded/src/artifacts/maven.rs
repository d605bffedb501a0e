//! Fetching by coordinates through the `mvn` client, so that the user's mirrors, proxies and credentials apply.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Error, Progress, Result, requirements};

const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";
const ERROR_LINES_MAX: usize = 6;

/// Copies the jars of `artifacts` and of all they depend on at run time into `folder`. Downloads of wanted files are
/// reported; Maven also fetches parts of itself.
pub(crate) fn copy_dependencies(
    artifacts: &[&str],
    folder: &Path,
    is_wanted: impl Fn(&str) -> bool,
    progress: &Progress,
) -> Result<()> {
    let pom_path = folder.join("pom.xml");
    fs::write(&pom_path, pom(artifacts)).map_err(Error::io(format!("write {}", pom_path.display())))?;
    let mut command = Command::new("mvn");
    command
        .arg("-f")
        .arg(&pom_path)
        .arg(format!("{PLUGIN}:copy-dependencies"))
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .arg("-DincludeScope=runtime");
    let result = run(command, &artifacts.join(", "), is_wanted, progress);
    fs::remove_file(&pom_path).map_err(Error::io(format!("remove {}", pom_path.display())))?;
    result
}

/// Unpacks the jar `artifact` (`group:artifact:version`) into `folder`, which is empty; the plugin's own marks stay there.
pub(crate) fn unpack(artifact: &str, folder: &Path, progress: &Progress) -> Result<()> {
    let mut command = Command::new("mvn");
    command
        .arg(format!("{PLUGIN}:unpack"))
        .arg(format!("-Dartifact={artifact}"))
        .arg(format!("-DoutputDirectory={}", folder.display()))
        // Without a project file the plugin takes this folder for the project's, and keeps marks there of what it has
        // unpacked: elsewhere, it would unpack nothing the second time.
        .current_dir(folder);
    let name = artifact.split(':').nth(1).unwrap_or(artifact);
    run(command, artifact, |file| file.starts_with(name), progress)
}

fn run(mut command: Command, artifact: &str, is_wanted: impl Fn(&str) -> bool, progress: &Progress) -> Result<()> {
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
            if let Some((file, size)) = downloaded_jar(&line) {
                if is_wanted(file) {
                    progress.line(&format!("  fetched {file} ({size})"));
                }
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

/// File name and size in a line about a finished download:
/// `Downloaded from central: scheme://host/path/kafka-clients-4.3.1.jar (10 MB at 3.1 MB/s)`.
fn downloaded_jar(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once("Downloaded from ")?;
    let (address, rate) = rest.split_once(" (")?;
    let (_, file) = address.rsplit_once('/')?;
    let (size, _) = rate.split_once(" at ")?;
    (Path::new(file).extension()? == "jar").then_some((file, size))
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
        assert_eq!(downloaded_jar(line), Some(("kafka-clients-4.3.1.jar", "10 MB")));
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
