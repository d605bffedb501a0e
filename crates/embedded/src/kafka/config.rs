//! `server.properties` of the one node.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::KafkaOptions;
use crate::{Error, Result};

/// Version of the broker, as in the manifest of its jars.
pub(crate) const VERSION: &str = "4.3.1";
const LOGGING: &str = include_str!("../../artifacts/log4j2.properties");

/// One node is broker and controller; so every replication factor is 1, and no group waits for members at its start.
/// The rest keeps memory and disk small: Kafka's defaults reserve 128 MiB of heap for the cleaner's buffer, 10 MiB of
/// disk for each index, and 50 partitions for each internal topic.
const FIXED: &str = "\
process.roles=broker,controller
node.id=1
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=131072
num.network.threads=2
num.io.threads=4
background.threads=2
";

/// Writes the configuration of this start.
pub(crate) fn write(folder: &Path, port: u16, controller_port: u16, options: &KafkaOptions) -> Result<()> {
    for (path, text) in
        [(path(folder), properties(folder, port, controller_port, options)), (log_path(folder), LOGGING.to_owned())]
    {
        fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
    }
    Ok(())
}

pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("server.properties")
}

pub(crate) fn log_path(folder: &Path) -> PathBuf {
    folder.join("log4j2.properties")
}

fn properties(folder: &Path, port: u16, controller_port: u16, options: &KafkaOptions) -> String {
    let mut text = FIXED.to_owned();
    // In a properties file a backslash escapes.
    let data = folder.join("data").display().to_string().replace('\\', "\\\\");
    let _ = write!(
        text,
        "listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=BROKER://127.0.0.1:{port}\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         log.dirs={data}\n"
    );
    for (name, value) in &options.settings {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_lines_win() {
        let options = KafkaOptions {
            settings: vec![("log.segment.bytes".to_owned(), "1048576".to_owned())],
            ..KafkaOptions::default()
        };
        let text = properties(Path::new("/x"), 1, 2, &options);
        assert!(text.rfind("log.segment.bytes=1048576") > text.find("log.segment.bytes=67108864"), "{text}");
        assert!(text.contains("log.dirs=/x/data\n"));
        assert!(text.contains("controller.quorum.voters=1@127.0.0.1:2\n"));
    }
}
