//! `record`: what the real Debezium writes for every type under every mode of its values, into
//! `crates/core/tests/modes.json`. Run it again when a new version is out, and read the difference.

mod modes;
mod reference;

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
    let text = modes::record(&reference).await?;
    let path = datapipe_e2e::recorded::folder().join("modes.json");
    std::fs::write(&path, text)?;
    eprintln!("wrote {}", path.display());
    reference.stop().await
}
