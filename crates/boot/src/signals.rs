//! SIGINT and SIGTERM: the first one asks for an orderly stop, the second one ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Installs the handlers and returns a token that the first signal cancels. Needs a running tokio runtime.
pub fn shutdown() -> std::io::Result<CancellationToken> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    tokio::spawn(watch(interrupt, terminate, token.clone()));
    Ok(token)
}

async fn watch(mut interrupt: Signal, mut terminate: Signal, token: CancellationToken) {
    let (name, _) = next(&mut interrupt, &mut terminate).await;
    tracing::info!(signal = name, "stopping in order; a second signal ends at once");
    token.cancel();
    let (name, number) = next(&mut interrupt, &mut terminate).await;
    tracing::warn!(signal = name, "ending at once");
    // The shell's convention for a process ended by a signal.
    std::process::exit(128 + number);
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = interrupt.recv() => ("SIGINT", 2),
        _ = terminate.recv() => ("SIGTERM", 15),
    }
}
