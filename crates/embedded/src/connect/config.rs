//! The worker's properties.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::ConnectOptions;
use crate::{Error, Result};

const LOGGING: &str = include_str!("../../artifacts/log4j2-connect.properties");

/// One worker of a group of its own, on one broker. Exactly-once is on, because only then offsets are read committed.
const FIXED: &str = "\
exactly.once.source.support=enabled
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter.schemas.enable=false
config.storage.replication.factor=1
offset.storage.replication.factor=1
offset.storage.partitions=1
status.storage.replication.factor=1
status.storage.partitions=1
plugin.discovery=service_load
offset.flush.interval.ms=1000
session.timeout.ms=6000
heartbeat.interval.ms=1500
scheduled.rebalance.max.delay.ms=0
config.providers=file,env,dir
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.dir.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider
";

/// Writes the configuration of this start.
pub(super) fn write(folder: &Path, port: u16, debezium: &Path, options: &ConnectOptions) -> Result<()> {
    // The worker takes every folder in a folder of its plugin path for one plugin.
    let plugins = folder.join("plugins");
    let link = plugins.join("debezium");
    let _ = fs::remove_file(&link);
    fs::create_dir_all(&plugins).map_err(Error::io(format!("create {}", plugins.display())))?;
    symlink(debezium, &link).map_err(Error::io(format!("create {}", link.display())))?;
    let texts = [(path(folder), properties(port, &plugins, options)), (log_path(folder), LOGGING.to_owned())];
    for (path, text) in texts {
        fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
    }
    Ok(())
}

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("worker.properties")
}

pub(super) fn log_path(folder: &Path) -> PathBuf {
    folder.join("log4j2.properties")
}

fn properties(port: u16, own_plugins: &Path, options: &ConnectOptions) -> String {
    let ConnectOptions { bootstrap, name, plugin_path, settings, .. } = options;
    let plugins: Vec<String> = std::iter::once(own_plugins)
        .chain(plugin_path.iter().map(PathBuf::as_path))
        // In a properties file a backslash escapes.
        .map(|folder| folder.display().to_string().replace('\\', "\\\\"))
        .collect();
    let mut text = FIXED.to_owned();
    let _ = write!(
        text,
        "bootstrap.servers={bootstrap}\n\
         group.id=connect-cluster-{name}\n\
         config.storage.topic=connect-configs-{name}\n\
         offset.storage.topic=connect-offsets-{name}\n\
         status.storage.topic=connect-status-{name}\n\
         listeners=http://127.0.0.1:{port}\n\
         rest.advertised.host.name=127.0.0.1\n\
         rest.advertised.port={port}\n\
         plugin.path={}\n",
        plugins.join(",")
    );
    for (name, value) in settings {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_one_and_later_lines_win() {
        let mut options = ConnectOptions::new("127.0.0.1:9092", "users");
        options.plugin_path.push(PathBuf::from("/plugins"));
        options.settings.push(("offset.flush.interval.ms".to_owned(), "60000".to_owned()));
        let text = properties(8083, Path::new("/worker/plugins"), &options);
        for line in [
            "group.id=connect-cluster-users\n",
            "config.storage.topic=connect-configs-users\n",
            "listeners=http://127.0.0.1:8083\n",
            "plugin.path=/worker/plugins,/plugins\n",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
        assert!(text.rfind("interval.ms=60000") > text.find("offset.flush.interval.ms=1000"), "{text}");
    }
}
