//! `record`: what the real Debezium writes for every kind of change, and for every type under every mode of its values, and
//! what its and Kafka Connect's transforms make of records, into `crates/core/tests/{values,envelope,modes,transforms,schemas,signals}.json`.
//! Run it again when a new version is out, and read the difference. `record envelope` and its like make one of them.

mod catalog;
mod envelope;
mod modes;
mod reference;
mod schemas;
mod shared;
mod signals;
mod transforms;
mod values;

use std::process::ExitCode;

use datapipe_e2e::Result;
use datapipe_embedded::{Debezium, Progress};

#[tokio::main]
async fn main() -> ExitCode {
    match record().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn record() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("datapipe-record-").tempdir()?;
    let progress = Progress::new(|line| eprintln!("{line}"));
    let reference = reference::Reference::start(folder.path(), Debezium::V3_7, progress).await?;
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |what: &str| asked.is_empty() || asked.iter().any(|asked| asked == what);
    // First, because the others take the types from it.
    if wanted("values") {
        write("values.json", &values::record(&reference).await?)?;
    }
    if wanted("envelope") {
        write("envelope.json", &envelope::record(&reference).await?)?;
    }
    if wanted("modes") {
        write("modes.json", &modes::record(&reference).await?)?;
    }
    if wanted("transforms") {
        write("transforms.json", &transforms::record(&reference).await?)?;
    }
    if wanted("schemas") {
        write("schemas.json", &schemas::record(&reference).await?)?;
    }
    if wanted("signals") {
        write("signals.json", &signals::record(&reference).await?)?;
    }
    reference.stop().await
}

fn write(name: &str, text: &str) -> Result<()> {
    let path = datapipe_e2e::recorded::folder().join(name);
    std::fs::write(&path, text)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
