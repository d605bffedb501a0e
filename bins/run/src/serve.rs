//! `datapipe-run start` and `datapipe-run demo`: a runtime, a stop signal, an exit code.

use std::future::Future;
use std::sync::Arc;

use datapipe_boot::telemetry::Format;
use datapipe_boot::{Exit, report, signals, telemetry};
use datapipe_core::plan::{Plan, ServerReport};
use tokio_util::sync::CancellationToken;

use crate::cli::{DemoArguments, LogFormat, PreflightArguments, ServerArguments, ShadowArguments, StartArguments};
use crate::demo::{self, DemoError, DemoOptions};
use crate::start::{self, StartError};
use crate::{servers, shadow};

pub(crate) fn start(arguments: &StartArguments) -> Exit {
    let format = match arguments.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    with_runtime(async |stop| {
        let plan = match crate::planned(&arguments.selection) {
            Ok(plan) => plan,
            Err(problems) => return crate::refuse(&problems),
        };
        let levels = match telemetry::init(format) {
            Ok(levels) => Arc::new(levels),
            Err(error) => {
                report::print(&report::error(&error));
                return Exit::Usage;
            }
        };
        match start::run(&plan, arguments.wait.0, &levels, &stop).await {
            Ok(()) => Exit::Healthy,
            Err(StartError::Preflight(problems)) => {
                report::print(&report::problems("the pipelines cannot start; nothing was changed", &problems));
                Exit::Unavailable
            }
            Err(StartError::Step(error)) => {
                report::print(&report::error(&error));
                Exit::Failed
            }
        }
    })
}

pub(crate) fn shadow(arguments: &ShadowArguments) -> Exit {
    with_runtime(async |stop| {
        let mut selection = arguments.selection.clone();
        selection.tables = vec![arguments.name.clone()];
        let plan = match crate::planned(&selection) {
            Ok(plan) => plan,
            Err(problems) => return crate::refuse(&problems),
        };
        if let Err(error) = telemetry::init(Format::Text) {
            report::print(&report::error(&error));
            return Exit::Usage;
        }
        match shadow::run(&plan, arguments.span.0, &stop).await {
            Ok(true) => Exit::Healthy,
            Ok(false) => Exit::Failed,
            Err(StartError::Preflight(problems)) => {
                report::print(&report::problems("the table cannot be shadowed; nothing was changed", &problems));
                Exit::Unavailable
            }
            Err(StartError::Step(error)) => {
                report::print(&report::error(&error));
                Exit::Failed
            }
        }
    })
}

pub(crate) fn preflight(arguments: &PreflightArguments) -> Exit {
    let PreflightArguments { asked, servers: names } = arguments;
    let headline = "the servers are not ready for these pipelines; nothing was changed";
    of_servers(asked, headline, async |plan| servers::look(&plan, names, asked.wait.0).await)
}

pub(crate) fn prepare(arguments: &ServerArguments) -> Exit {
    let headline = "not everything could be made";
    of_servers(arguments, headline, async |plan| servers::prepare(&plan, arguments.wait.0).await)
}

pub(crate) fn slots(arguments: &ServerArguments) -> Exit {
    let headline = "the slots could not be looked at";
    of_servers(arguments, headline, async |plan| servers::slots(&plan, arguments.wait.0).await)
}

/// Asks servers until it is done, or told to stop.
fn of_servers(arguments: &ServerArguments, headline: &str, ask: impl AsyncFnOnce(Plan) -> ServerReport) -> Exit {
    with_runtime(async |stop| {
        let plan = match crate::planned(&arguments.selection) {
            Ok(plan) => plan,
            Err(problems) => return crate::refuse(&problems),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Exit::Interrupted,
            report = ask(plan) => servers::tell(&report, arguments, headline),
        }
    })
}

pub(crate) fn demo(arguments: &DemoArguments) -> Exit {
    let options = DemoOptions {
        rows: arguments.rows,
        rate: arguments.rate,
        span: arguments.span.0,
        keep: arguments.keep,
        folder: arguments.dir.clone(),
        port: arguments.port,
        kind: arguments.worker.into(),
        plugin_path: arguments.plugin_path.clone(),
    };
    with_runtime(async |stop| match demo::run(&options, &stop).await {
        Ok(true) => Exit::Healthy,
        Ok(false) => Exit::Failed,
        Err(DemoError::Interrupted) => Exit::Interrupted,
        Err(error) => {
            let fix = error.hint().map_or_else(String::new, |hint| format!("  fix: {hint}\n"));
            report::print(&format!("{}{fix}", report::error(&error)));
            match error {
                DemoError::Stack(_) | DemoError::Port { .. } | DemoError::Used { .. } => Exit::Unavailable,
                _ => Exit::Failed,
            }
        }
    })
}

/// The signal handlers come before anything else, settings included: a signal that finds none ends the process as a
/// crash would. Two threads: one pipeline's walsender keeps a core busy long before we do.
pub(crate) fn with_runtime<F: Future<Output = Exit>>(run: impl FnOnce(CancellationToken) -> F) -> Exit {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            report::print(&report::error(&error));
            return Exit::Internal;
        }
    };
    let exit = runtime.block_on(async {
        match signals::shutdown() {
            Ok(stop) => run(stop).await,
            Err(error) => {
                report::print(&report::error(&error));
                Exit::Internal
            }
        }
    });
    // Clients that are being destroyed in the background must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    exit
}
