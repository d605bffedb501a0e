//! What rendering needs beside the plan, complete and checked.

use datapipe_core::plan::{Problem, Problems};
use datapipe_core::settings::{
    ByteSize, DeployPostgresSettings, DeploySettings, PluginSettings, SinkFlavour, TrialServer,
};

/// The form of manifests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestFormat {
    /// `.yaml`, one document per object.
    #[default]
    Yaml,
    /// `.json`, one List per file.
    Json,
}

/// How a plan is deployed. Made from settings by [`RenderOptions::new`].
#[derive(Clone, Debug, PartialEq)]
pub struct RenderOptions {
    /// The image of JVM workers.
    pub connect_image: String,
    /// The image of native workers.
    pub worker_image: String,
    /// The image that fetches plugins.
    pub fetch_image: String,
    /// The image of the trial's broker.
    pub kafka_image: String,
    /// The image of the trial's S3 server.
    pub s3_image: String,
    /// The version of Debezium on JVM workers.
    pub debezium: String,
    /// Whether JVM workers send exactly once.
    pub exactly_once: bool,
    /// Whose S3 sink runs on JVM workers.
    pub s3_sink: SinkFlavour,
    /// The archive of classes in the JVM workers' image.
    pub class_archive: Option<String>,
    /// Plugins that are fetched.
    pub plugins: Vec<PluginSettings>,
    /// Whether a broker is deployed.
    pub with_kafka: bool,
    /// Whether an S3 server is deployed.
    pub with_s3: bool,
    /// Networks from where users reach the workers' ports.
    pub node_networks: Vec<String>,
    /// The namespace whose pods may read metrics.
    pub monitoring_namespace: String,
    /// The database server.
    pub postgres: PostgresOptions,
    /// The form of manifests.
    pub format: ManifestFormat,
    /// The flags that the generated scripts repeat, so that they mean the same deployment: names and values in turn.
    pub flags: Vec<String>,
}

/// The database server that is deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresOptions {
    /// The image.
    pub image: String,
    /// The user it runs as.
    pub uid: i64,
    /// The volume's size in bytes.
    pub volume_bytes: u64,
    /// The volume's class; the cluster's default without it.
    pub storage_class: Option<String>,
    /// The most log that a slot may hold back, in bytes.
    pub slot_wal_bytes: u64,
    /// Replication slots, and walsenders.
    pub slots: u32,
    /// Whether the tables are made too.
    pub sample_tables: bool,
}

/// The first version of Debezium that loses no row at a restart.
const SOUND_DEBEZIUM: (u64, u64) = (3, 7);

impl RenderOptions {
    /// The options that follow from settings, or all that is wrong with them.
    pub fn new(settings: &DeploySettings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let text = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        let debezium = text(&settings.debezium, "3.7.0");
        let exactly_once = exactly_once(&debezium, settings.exactly_once, &mut problems);
        plugins(&settings.plugins, &mut problems);
        let networks = settings.node_networks.clone().unwrap_or_else(|| vec!["172.16.0.0/12".to_owned()]);
        for network in networks.iter().filter(|network| !is_network(network)) {
            let fix = "write addresses and prefix lengths, as in [\"172.18.0.0/16\"]";
            problems.push(Problem::new("deploy.node_networks", format!("{network:?} is no network"), fix));
        }
        let options = Self {
            connect_image: text(&settings.connect_image, "datapipe-connect:4.3.1-debezium-3.7.0"),
            worker_image: text(&settings.worker_image, concat!("datapipe-run:", env!("CARGO_PKG_VERSION"))),
            fetch_image: text(&settings.fetch_image, "curlimages/curl:8.16.0"),
            kafka_image: text(&settings.kafka_image, "apache/kafka:4.3.1"),
            s3_image: text(&settings.s3_image, "minio/minio:RELEASE.2025-09-07T16-13-09Z"),
            debezium,
            exactly_once,
            s3_sink: settings.s3_sink.unwrap_or(SinkFlavour::Aiven),
            class_archive: settings.class_archive.clone(),
            plugins: settings.plugins.clone(),
            with_kafka: settings.with.contains(&TrialServer::Kafka),
            with_s3: settings.with.contains(&TrialServer::S3),
            node_networks: networks,
            monitoring_namespace: text(&settings.monitoring_namespace, "monitoring"),
            postgres: PostgresOptions::new(&settings.postgres, &mut problems),
            format: ManifestFormat::Yaml,
            flags: Vec::new(),
        };
        options.images(&mut problems);
        if problems.is_empty() { Ok(options) } else { Err(Problems(problems)) }
    }

    fn images(&self, problems: &mut Vec<Problem>) {
        let images = [
            ("connect_image", &self.connect_image),
            ("worker_image", &self.worker_image),
            ("fetch_image", &self.fetch_image),
            ("kafka_image", &self.kafka_image),
            ("s3_image", &self.s3_image),
            ("postgres.image", &self.postgres.image),
        ];
        for (key, image) in images.into_iter().filter(|(_, image)| !is_pinned(image)) {
            let what = format!("{image:?} names no version");
            let fix = "add a tag or a digest, as in \"postgres:18\": what runs must not change by itself";
            problems.push(Problem::new(format!("deploy.{key}"), what, fix));
        }
    }
}

impl PostgresOptions {
    fn new(settings: &DeployPostgresSettings, problems: &mut Vec<Problem>) -> Self {
        const GIB: u64 = 1 << 30;
        let options = Self {
            image: settings.image.clone().unwrap_or_else(|| "postgres:18".to_owned()),
            uid: settings.uid.unwrap_or(999),
            volume_bytes: settings.volume.map_or(20 * GIB, |size| size.0),
            storage_class: settings.storage_class.clone(),
            slot_wal_bytes: settings.slot_wal.map_or(8 * GIB, |size| size.0),
            slots: settings.slots.unwrap_or(8),
            sample_tables: settings.sample_tables.unwrap_or(false),
        };
        if options.uid < 1 {
            let what = format!("{} is no user that a restricted pod may run as", options.uid);
            let fix = "set the number of the image's own user: 999 in PostgreSQL's official image";
            problems.push(Problem::new("deploy.postgres.uid", what, fix));
        }
        if !(1..=1000).contains(&options.slots) {
            let what = format!("{} is out of bounds", options.slots);
            problems.push(Problem::new("deploy.postgres.slots", what, "set a number from 1 to 1000"));
        }
        if options.slot_wal_bytes < 64 << 20 {
            let what = format!("{} is less than four segments of log", ByteSize(options.slot_wal_bytes));
            let fix = "set 64MiB or more: a slot is lost when its consumer is further behind";
            problems.push(Problem::new("deploy.postgres.slot_wal", what, fix));
        }
        options
    }
}

/// Major and minor, from `3.7.0.Final`.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split('.').map(str::parse::<u64>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn exactly_once(debezium: &str, asked: Option<bool>, problems: &mut Vec<Problem>) -> bool {
    let Some(version) = version(debezium) else {
        let what = format!("{debezium:?} is no version");
        problems.push(Problem::new("deploy.debezium", what, "write it as in \"3.7.0\""));
        return false;
    };
    let sound = version >= SOUND_DEBEZIUM;
    if asked == Some(true) && !sound {
        let what = format!("is asked for with Debezium {debezium}");
        let fix = "set deploy.debezium (and the image) to 3.7.0 or later, or leave deploy.exactly_once out";
        let why =
            "up to 3.6 Debezium loses rows at a restart though exactly-once is on, without a word in status or log";
        problems.push(Problem::new("deploy.exactly_once", what, fix).because(why));
    }
    asked.unwrap_or(sound) && sound
}

fn plugins(plugins: &[PluginSettings], problems: &mut Vec<Problem>) {
    for (index, plugin) in plugins.iter().enumerate() {
        let object = |key: &str| format!("deploy.plugins[{index}].{key}");
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if plugin.name.is_empty() || plugin.name.len() > 40 || !plugin.name.chars().all(label) {
            let what = format!("{:?} is no name of a folder", plugin.name);
            let fix = "write 1 to 40 lower-case letters, digits and dashes, as in \"s3-sink\"";
            problems.push(Problem::new(object("name"), what, fix));
        }
        if plugins.iter().take(index).any(|earlier| earlier.name == plugin.name) {
            let what = format!("{:?} is also the name of another plugin", plugin.name);
            problems.push(Problem::new(object("name"), what, "give each its own"));
        }
        if !plugin.url.starts_with("https://") && !plugin.url.starts_with("http://") {
            let fix = "write where its .tar.gz is, with http:// or https://";
            problems.push(Problem::new(object("url"), format!("{:?} is no address", plugin.url), fix));
        }
        if plugin.sha256.len() != 64 || !plugin.sha256.chars().all(|c| c.is_ascii_hexdigit()) {
            let fix = "write the 64 hexadecimal digits that sha256sum prints for the archive";
            problems.push(Problem::new(object("sha256"), "is no SHA-256", fix));
        }
    }
}

/// Whether a reference names a tag or a digest. A colon before the last slash belongs to a port.
fn is_pinned(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let plain = !image.contains(char::is_whitespace) && !last.starts_with([':', '@']);
    plain && tag.is_some_and(|tag| !tag.is_empty() && tag != "latest")
}

fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(address) if address.is_ipv4() => 32,
        Ok(_) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(settings: &DeploySettings) -> String {
        RenderOptions::new(settings).unwrap_err().to_string()
    }

    #[test]
    fn exactly_once_follows_the_version_of_debezium() {
        let with = |debezium: &str, exactly_once| DeploySettings {
            debezium: Some(debezium.to_owned()),
            exactly_once,
            ..DeploySettings::default()
        };
        assert!(RenderOptions::new(&with("3.7.0.Final", None)).unwrap().exactly_once);
        assert!(RenderOptions::new(&with("3.10.1", None)).unwrap().exactly_once);
        assert!(!RenderOptions::new(&with("3.6.3.Final", None)).unwrap().exactly_once);
        assert!(!RenderOptions::new(&with("3.7.0", Some(false))).unwrap().exactly_once);
        assert!(told(&with("3.6.3.Final", Some(true))).contains("loses rows at a restart"));
        assert!(told(&with("newest", None)).contains("is no version"));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let plugin = |name: &str, url: &str, sha256: &str| PluginSettings {
            name: name.to_owned(),
            url: url.to_owned(),
            sha256: sha256.to_owned(),
        };
        let settings = DeploySettings {
            connect_image: Some("connect".to_owned()),
            worker_image: Some("host:5000/run".to_owned()),
            s3_image: Some("minio:latest".to_owned()),
            plugins: vec![plugin("a/b", "sink.tar.gz", "abc"), plugin("a/b", "https://x/y", &"0".repeat(64))],
            node_networks: Some(vec!["10.0.0.0".to_owned(), "10.0.0.0/33".to_owned(), "fd00::/64".to_owned()]),
            postgres: DeployPostgresSettings {
                uid: Some(0),
                slots: Some(0),
                slot_wal: Some(ByteSize(1)),
                ..DeployPostgresSettings::default()
            },
            ..DeploySettings::default()
        };
        insta::assert_snapshot!(told(&settings));
    }
}
