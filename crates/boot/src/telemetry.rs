//! Log lines, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `DATAPIPE_LOG` is no filter.
    #[error(
        "DATAPIPE_LOG={text:?} is no log filter; write a level or modules with levels, as in \"info\" or \"info,datapipe_worker=debug\""
    )]
    Filter {
        /// What it holds.
        text: String,
        /// Why it is none.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// It was set up before.
    #[error("telemetry was set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging: level `info` or what `DATAPIPE_LOG` says; without colours where standard error is no terminal or
/// `NO_COLOR` is set.
#[expect(clippy::disallowed_methods, reason = "the process edge")]
pub fn init(format: Format) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let text = std::env::var("DATAPIPE_LOG").ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::builder().parse(&text).map_err(|source| TelemetryError::Filter { text, source })?;
    let plain = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !plain;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match format {
        Format::Text => builder.finish().try_init(),
        Format::Json => builder.json().finish().try_init(),
    }
    .map_err(TelemetryError::Twice)
}
