//! A steady load on all tables, and how late each change is readable: from the tables' topics, and by a bare receiver.

use std::io::{Read as _, Write as _, stdin, stdout};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use clap::Args;
use datapipe_core::port::log::LogReader as _;
use datapipe_e2e::Result;
use datapipe_e2e::latency::{self, Sample};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{connect, reader, variable};

/// Tables, and a statement that changes each by one row.
const STATEMENTS: [(&str, &str); 4] = [
    ("users", "INSERT INTO users (name) VALUES ('somebody')"),
    ("products", "INSERT INTO products (name, price) VALUES ('something', 1.25)"),
    ("orders", "INSERT INTO orders (user_id, status) VALUES (1, 'new')"),
    ("order_items", "INSERT INTO order_items (order_id, product_id, quantity, price) VALUES (1, 1, 1, 9.99)"),
];
/// Samples that may wait to be printed.
const QUEUE: usize = 10_000;
/// How often they are.
const PRINTED_EVERY: Duration = Duration::from_millis(200);

/// The bare receiver's table, which is its publication and its slot, too.
const BARE: &str = "bare";
/// A row that is 14 bytes long in every message.
const BARE_STATEMENT: &str = "INSERT INTO bare (note) VALUES ('fourteen bytes')";
/// PostgreSQL counts from 2000.
const EPOCH_US: i64 = 946_684_800_000_000;

#[derive(Args, Debug)]
pub(crate) struct Flow {
    /// Transactions per second and table, of one row each
    #[arg(long)]
    rate: u32,
    /// A table that is left alone
    #[arg(long)]
    without: Option<String>,
    /// With a table that `pg_recvlogical` reads
    #[arg(long)]
    bare: bool,
}

impl Flow {
    /// Prints lines of the table, the time of the commit, and the time when it was read, both in microseconds since 1970.
    pub(crate) async fn run(self) -> Result<String> {
        let stop = CancellationToken::new();
        let ended = stop.clone();
        thread::spawn(move || {
            let _ = stdin().read_to_end(&mut Vec::new());
            ended.cancel();
        });
        let (samples, printed) = mpsc::channel(QUEUE);
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        for (table, statement) in STATEMENTS {
            if self.without.as_deref() == Some(table) {
                continue;
            }
            let mut reader = reader(table)?;
            let (_, end) = reader.bounds(0).await?;
            reader.seek(0, end).await?;
            let (samples, stopped) = (samples.clone(), stop.clone());
            // A full queue is a defect of the measurement: what is printed must be whole.
            tasks.spawn(async move {
                let mut lost = 0;
                latency::read(reader, &stopped, |sample| {
                    lost += usize::from(samples.try_send((table, sample)).is_err());
                })
                .await?;
                if lost == 0 { Ok(()) } else { Err(format!("{lost} samples of {table} were not printed").into()) }
            });
            tasks.spawn(write(statement, self.rate, stop.clone()));
        }
        if self.bare {
            let receiver = receive().await?;
            tasks.spawn(read_bare(receiver, samples.clone(), stop.clone()));
            tasks.spawn(write(BARE_STATEMENT, self.rate, stop.clone()));
        }
        drop(samples);
        tasks.spawn(print(printed));
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        if self.bare {
            forget().await?;
        }
        Ok("ended".to_owned())
    }
}

async fn write(statement: &'static str, rate: u32, stop: CancellationToken) -> Result<()> {
    latency::write(&connect().await?, statement, rate, &stop, || ()).await
}

async fn print(mut samples: mpsc::Receiver<(&'static str, Sample)>) -> Result<()> {
    let mut some = Vec::new();
    while samples.recv_many(&mut some, QUEUE).await > 0 {
        let mut lines = Vec::new();
        for (table, Sample { committed_us, read_us }) in some.drain(..) {
            writeln!(lines, "{table} {committed_us} {read_us}")?;
        }
        stdout().write_all(&lines)?;
        sleep(PRINTED_EVERY).await;
    }
    Ok(())
}

/// Ends the bare receiver's slot, publication and table.
async fn forget() -> Result<()> {
    let slots =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'bare' AND NOT active";
    let db = connect().await?;
    for _ in 0..50 {
        db.batch_execute(slots).await?;
        if db.query("SELECT FROM pg_replication_slots WHERE slot_name = 'bare'", &[]).await?.is_empty() {
            db.batch_execute("DROP PUBLICATION IF EXISTS bare; DROP TABLE IF EXISTS bare").await?;
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err("the bare receiver's slot is still in use 5 s after its end".into())
}

/// `pg_recvlogical` on a slot of its own.
async fn receive() -> Result<Child> {
    forget().await?;
    let make = "CREATE TABLE bare (note text); CREATE PUBLICATION bare FOR TABLE bare";
    let db = connect().await?;
    db.batch_execute(make).await?;
    db.batch_execute("SELECT pg_create_logical_replication_slot('bare', 'pgoutput')").await?;
    let mut command = Command::new("/usr/lib/postgresql/15/bin/pg_recvlogical");
    command.args(["--host=postgresql", "--username=postgres", "--dbname=shop", "--slot", BARE, "--start", "--file=-"]);
    command.args(["--fsync-interval=0", "--status-interval=1", "--option=proto_version=1"]);
    command.arg(format!("--option=publication_names={BARE}")).env("PGPASSWORD", variable("POSTGRES_PASSWORD")?);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?)
}

/// How long a message about the bare table is: begin, relation, insert, commit. No length stands before any of them.
fn length(tag: u8) -> Result<usize> {
    let name = BARE.len() + 1;
    match tag {
        b'B' => Ok(1 + 8 + 8 + 4),
        b'R' => Ok(1 + 4 + "public\0".len() + name + 1 + 2 + (1 + "note\0".len() + 4 + 4)),
        b'I' => Ok(1 + 4 + 1 + 2 + (1 + 4 + "fourteen bytes".len())),
        b'C' => Ok(1 + 1 + 8 + 8 + 8),
        _ => Err(format!("pg_recvlogical wrote a message {tag:?} that nothing here causes").into()),
    }
}

/// A sample for each transaction, when the end of it is there.
async fn read_bare(
    mut receiver: Child,
    samples: mpsc::Sender<(&'static str, Sample)>,
    stop: CancellationToken,
) -> Result<()> {
    let mut output = receiver.stdout.take().ok_or("pg_recvlogical has no output")?;
    let (mut bytes, mut committed_us) = (Vec::new(), 0);
    loop {
        let count = tokio::select! {
            count = output.read_buf(&mut bytes) => count?,
            () = stop.cancelled() => break,
        };
        if count == 0 {
            return Err("pg_recvlogical has ended".into());
        }
        let mut begin = 0;
        while let Some(&tag) = bytes.get(begin) {
            // Each message is followed by a newline.
            let end = begin + length(tag)? + 1;
            let Some(message) = bytes.get(begin..end) else { break };
            match tag {
                b'B' => committed_us = EPOCH_US + i64::from_be_bytes(message[9..17].try_into()?),
                b'C' => samples.send((BARE, Sample::read_now(committed_us))).await?,
                _ => {}
            }
            begin = end;
        }
        bytes.drain(..begin);
    }
    receiver.kill().await?;
    Ok(())
}
