//! `datapipe-verify shadow`: the native capture beside the worker that runs a table.

use datapipe_boot::{Exit, SystemClock, report, secrets, signals};
use datapipe_checks::look::kafka_config;
use datapipe_core::Secret;
use datapipe_core::connector::ConfigSecret;
use datapipe_core::plan::Plan;
use datapipe_core::port::{ErrorKind, PortError};

use crate::cli;

pub(crate) fn run(arguments: &cli::Shadow) -> Exit {
    let plan = match arguments.selection.plan(std::slice::from_ref(&arguments.table)) {
        Ok((plan, _)) => plan,
        Err(problems) => {
            report::print(&report::problems("wrong settings; nothing was looked at", &problems));
            return Exit::Config;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::print(&report::error(&error));
            return Exit::Internal;
        }
    };
    let exit = match runtime.block_on(beside(arguments, &plan)) {
        Ok(true) => Exit::Healthy,
        Ok(false) => Exit::Failed,
        Err(error) => {
            report::print(&report::error(&error));
            Exit::Failed
        }
    };
    runtime.shutdown_background();
    exit
}

async fn beside(arguments: &cli::Shadow, plan: &Plan) -> Result<bool, PortError> {
    let failed = |attempt: &str, why: String| PortError::new(ErrorKind::Refused, attempt.to_owned()).because(why);
    let stop = signals::shutdown().map_err(|error| failed("waiting for signals", error.to_string()))?;
    let resolve = |reference: &_| secrets::resolve(reference).map_err(|error| report::chain(&error));
    let kafka = kafka_config(&plan.kafka, &resolve).map_err(|why| failed("reaching Kafka", why))?;
    let secret = |value: &ConfigSecret, key: &str| -> Result<Secret, PortError> {
        match value {
            ConfigSecret::Plain(secret) => Ok(secret.clone()),
            ConfigSecret::Reference(reference) => secrets::allow(&plan.run.config_providers, reference)
                .and_then(|()| secrets::resolve(reference))
                .map_err(|error| {
                    let hint = error.hint();
                    let attempt = format!("reading {key} from {reference}");
                    PortError::new(ErrorKind::Refused, attempt).because(error).hint(hint)
                }),
        }
    };
    let shadow =
        datapipe_shadow::Shadow { kafka: &kafka, secret: &secret, clock: &SystemClock, span: arguments.span.0 };
    let mut sound = true;
    for pipeline in &plan.tables {
        let verdict = shadow.of(pipeline, &stop).await?;
        report::result(&format!("{}: {verdict}", pipeline.names.table));
        sound &= verdict.sound();
    }
    Ok(sound)
}
