//! `datapipe-run start --config datapipe.toml` on servers that exist, with a role that has the least rights.

use std::path::{Path, PathBuf};
use std::process::Command;

use datapipe_core::convention::Names;
use datapipe_e2e::load::{self, Load};
use datapipe_e2e::process::Worker;
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{BUCKET, PATIENCE, PG15, PG18, Stage};
use datapipe_embedded::PostgresSource;

const PASSWORD: &str = "a-word-never-to-be-printed";
/// Exit code of a start that found something missing and changed nothing.
const UNAVAILABLE: i32 = 69;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_rights_on_postgresql_15() {
    least_rights(PG15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_rights_on_postgresql_18() {
    least_rights(PG18).await;
}

async fn least_rights(postgres: PostgresSource) {
    let stage = Stage::for_load(postgres).await;
    let version: String = stage.db.query_one("SHOW server_version", &[]).await.unwrap().get(0);
    load::fill(&stage.db, 100).await.unwrap();
    stage.db.batch_execute(&format!("CREATE ROLE cdc LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
    // One table without its key, one that may be read already.
    stage
        .db
        .batch_execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey; GRANT SELECT ON users TO cdc")
        .await
        .unwrap();

    let config = write_config(&stage, "a-wrong-secret");
    let words = refused(&stage, &config);
    println!("PostgreSQL {version}, everything missing:\n{words}");
    for part in ["role cdc may not start replication", "s3.bucket", "table public.orders: it has no primary key"] {
        assert!(words.contains(part), "{part}:\n{words}");
    }
    assert_eq!(statements(&words, "GRANT").len(), 3, "{words}");
    assert_eq!(statements(&words, "CREATE PUBLICATION").len(), 4, "{words}");
    assert!(!words.contains(PASSWORD), "{words}");
    unchanged(&stage).await;

    // What it tells to do is done word for word; then it starts.
    for verb in ["ALTER", "GRANT", "CREATE PUBLICATION"] {
        for statement in statements(&words, verb) {
            stage.db.batch_execute(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    }
    let words = refused(&stage, &config);
    assert_eq!(words.matches("fix:").count(), 1, "only S3 is left:\n{words}");
    unchanged(&stage).await;

    write_config(&stage, stage.servers.stack.s3().secret_key());
    let sql = "SELECT rolsuper FROM pg_roles WHERE rolname = 'cdc'";
    assert!(!stage.db.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
    let mut worker = Worker::run(command(&config), stage.root.path(), "start", stage.settings.ports.to_vec()).unwrap();
    worker.flows(PATIENCE).await.unwrap();
    let loads = Load::start(&stage.servers, 3, true).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    loads.end().await.unwrap();
    for judged in stage.judge(&worker).await {
        assert!(judged.verdict.events >= 100 && judged.objects > 0, "{}: {:?}", judged.table, judged.verdict);
    }
    assert!(!worker.words().contains(PASSWORD));
    worker.stop().await.unwrap();
    stage.end().await;
}

fn write_config(stage: &Stage, s3_secret: &str) -> PathBuf {
    let (postgres, s3) = (stage.servers.stack.postgres(), stage.servers.stack.s3());
    let ports = TABLES.iter().zip(stage.settings.ports);
    let ports: Vec<String> = ports.map(|(table, port)| format!("[tables.{table}]\nport = {port}\n")).collect();
    let ports = ports.concat();
    let secrets = stage.root.path().join("secrets.properties");
    std::fs::write(&secrets, format!("password={PASSWORD}\nkey={}\nsecret={}\n", s3.access_key(), s3_secret)).unwrap();
    let secret = |key: &str| format!("${{file:{}:{key}}}", secrets.display());
    let text = format!(
        "[postgres]\nurl = \"postgres://cdc@{}:{}/{}\"\npassword = \"{}\"\n\
         [kafka]\nbootstrap = \"{}\"\nreplication_factor = 1\n\
         [s3]\nendpoint = \"{}\"\nbucket = \"{BUCKET}\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n\
         [source]\nheartbeat = \"1s\"\n[sink]\nage = \"1s\"\n[run]\ndata_dir = \"{}\"\n{ports}",
        postgres.host(),
        postgres.port(),
        postgres.database(),
        secret("password"),
        stage.servers.stack.kafka().bootstrap(),
        s3.endpoint(),
        secret("key"),
        secret("secret"),
        stage.root.path().join("spool").display(),
    );
    let path = stage.root.path().join("datapipe.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(datapipe_e2e::process::program().unwrap());
    command.arg("start").arg("--config").arg(config);
    command
}

/// What a start that is refused says.
fn refused(stage: &Stage, config: &Path) -> String {
    let output = command(config).current_dir(stage.root.path()).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(UNAVAILABLE), "{words}");
    words
}

/// The statements that begin so among the remedies.
fn statements(words: &str, verb: &str) -> Vec<String> {
    let fixes = words.lines().filter_map(|line| line.trim().strip_prefix("fix: "));
    fixes.filter(|fix| fix.starts_with(verb)).map(str::to_owned).collect()
}

/// No slot, no topic, no object.
async fn unchanged(stage: &Stage) {
    let slots = stage.db.query_one("SELECT count(*) FROM pg_replication_slots", &[]).await.unwrap();
    assert_eq!(slots.get::<_, i64>(0), 0);
    for table in TABLES {
        let names = Names::derive("cdc", "public", table).unwrap();
        let topics = [&names.data_topic, &names.configs_topic, &names.offsets_topic, &names.status_topic];
        for topic in topics {
            let folder = format!("{topic}-0");
            assert!(!holds(&stage.servers.stack.root().join("kafka"), &folder), "topic {topic} was made");
        }
    }
    assert!(!stage.root.path().join("spool").exists());
}

fn holds(folder: &Path, name: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries = entries.filter(|entry| entry.path().is_dir());
    entries.any(|entry| entry.file_name() == name || holds(&entry.path(), name))
}
