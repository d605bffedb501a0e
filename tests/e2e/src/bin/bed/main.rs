//! What the Kubernetes test bed needs of us: here, the folders of the pinned jars; in a pod beside the pipelines, a session
//! with PostgreSQL, a judgement of what topics and objects hold, and how late changes are readable.

mod flow;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use datapipe_core::convention::Names;
use datapipe_core::port::log::LogReader as _;
use datapipe_core::secret::Secret;
use datapipe_e2e::Result;
use datapipe_e2e::oracle::{Oracle, Verdict};
use datapipe_e2e::topic::{Topic, check, delivered};
use datapipe_embedded::{Cache, Debezium, Progress, jar_folders};
use datapipe_kafka::{KafkaConfig, ReaderSettings, TopicReader};
use datapipe_s3::{Credentials, S3Config, S3Store};
use serde::Serialize;
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};

const FAULTS_SHOWN_MAX: usize = 5;
/// How long topics and objects may take to hold what PostgreSQL holds.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);

/// What topics or objects hold.
#[derive(Debug, Serialize)]
struct Found {
    verdict: Verdict,
    /// What is wrong with the objects beside that.
    faults: Vec<String>,
    objects: usize,
}

impl Found {
    fn is_equal(&self) -> bool {
        self.verdict.lost == 0 && self.verdict.surplus == 0
    }
}

#[derive(Debug, Parser)]
enum Command {
    /// Print where the jars of broker, Kafka Connect and Debezium lie, a folder a line; they are fetched where missing
    Jars,
    /// Run statements
    Sql { text: String },
    /// Wait until a table's topic holds what the table holds, and print the verdict
    Topic { table: String },
    /// The same of its objects in S3
    Objects { table: String },
    /// Print where a table's topic ends
    End { table: String },
    /// Change the tables at a steady pace, and print how late each change is readable, until standard input ends
    Flow(flow::Flow),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Command::parse()).await {
        Ok(text) => {
            #[expect(clippy::print_stdout, reason = "it is the result")]
            {
                println!("{text}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<String> {
    match command {
        Command::Jars => {
            let progress = Progress::new(|line| eprintln!("{line}"));
            let folders =
                tokio::task::spawn_blocking(move || jar_folders(&Cache::of_user(), Debezium::default(), &progress));
            let folders = folders.await??;
            let lines = [folders.broker, folders.connect, folders.debezium].map(|folder| folder.display().to_string());
            Ok(lines.join("\n"))
        }
        Command::Sql { text } => {
            connect().await?.batch_execute(&text).await?;
            Ok("done".to_owned())
        }
        Command::Topic { table } => until_equal(&table, false).await,
        Command::Objects { table } => until_equal(&table, true).await,
        Command::End { table } => Ok(reader(&table)?.bounds(0).await?.1.to_string()),
        Command::Flow(flow) => flow.run().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the pod's manifest says who we are")]
fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}").into())
}

/// As the superuser: tables are made and judged.
async fn connect() -> Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config.host("postgresql").user("postgres").dbname("shop").password(variable("POSTGRES_PASSWORD")?);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A reader of a table's topic.
fn reader(table: &str) -> Result<TopicReader> {
    let names = Names::derive("cdc", "public", table).map_err(|_| "a table of no name")?;
    let settings = ReaderSettings::new(&names.data_topic, "datapipe-bed");
    Ok(TopicReader::new(&KafkaConfig::plaintext("kafka:9092")?, settings)?)
}

/// Changes have ended by now, so a topic that is equal to its table is at rest, and its objects can be held against it.
async fn until_equal(table: &str, objects: bool) -> Result<String> {
    let begun = Instant::now();
    let mut found = judge(table, false).await;
    // The first row makes the topic.
    while !found.as_ref().is_ok_and(Found::is_equal) && begun.elapsed() < CATCH_UP_MAX {
        sleep(Duration::from_secs(1)).await;
        found = judge(table, false).await;
    }
    let mut found = found?;
    if objects {
        found = judge(table, true).await?;
    }
    found.faults.truncate(FAULTS_SHOWN_MAX);
    Ok(serde_json::to_string(&found)?)
}

/// The table against its topic, or against its objects, which must hold the topic too.
async fn judge(table: &str, from_objects: bool) -> Result<Found> {
    let names = Names::derive("cdc", "public", table).map_err(|_| "a table of no name")?;
    let db = connect().await?;
    let mut oracle = Oracle::new(&db).await?;
    let mut events: Vec<String> = Vec::new();
    let mut reader = reader(table)?;
    let mut each = |value: &[u8]| events.push(String::from_utf8_lossy(value).into_owned());
    let topics = Topic::of(&mut reader, &mut each).await?;
    let (mut faults, mut count) = (Vec::new(), 0);
    if from_objects {
        events.clear();
        let credentials = Credentials::new(
            Secret::new(variable("S3_ACCESS_KEY_ID")?),
            Secret::new(variable("S3_SECRET_ACCESS_KEY")?),
        );
        let store = S3Store::new(S3Config::at("http://s3:9000", "us-east-1", "cdc", credentials));
        for topic in &topics {
            let objects = delivered(&store, table, &names.data_topic, topic, CATCH_UP_MAX).await?;
            count += objects.len();
            faults.extend(check(&store, topic, &objects, |line| events.push(line.to_owned())).await?);
        }
    }
    for event in &events {
        oracle.event(event)?;
    }
    Ok(Found { verdict: oracle.judge_any(table).await?, faults, objects: count })
}
