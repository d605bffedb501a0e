//! From the command line to plan and options.

use datapipe_boot::settings::{Loaded, Sources};
use datapipe_boot::{Exit, report};
use datapipe_core::plan::{Plan, Problems};
use datapipe_k8s::{RenderOptions, in_cluster};

use crate::cli::Selection;

/// Plan and options, or the problems of both.
pub(crate) fn planned(selection: &Selection) -> Result<(Plan, RenderOptions), Problems> {
    let catalog = datapipe_catalog::all()?;
    let loaded = load(selection).completed(in_cluster);
    match (loaded.plan(&catalog), RenderOptions::new(&loaded.readable().deploy)) {
        (Ok(plan), Ok(options)) => Ok((plan, options)),
        (plan, options) => {
            let found = [plan.err(), options.err()].into_iter().flatten();
            Err(Problems(found.flat_map(|problems| problems.0).collect()))
        }
    }
}

fn load(selection: &Selection) -> Loaded {
    let workers = selection.workers.iter().map(|(table, kind)| {
        let key =
            table.as_ref().map_or_else(|| "worker.kind".to_owned(), |table| format!("tables.{table}.worker.kind"));
        (key, kind.name().to_owned())
    });
    let names: Vec<&str> = selection.with.iter().map(|server| server.name()).collect();
    let with = (!names.is_empty()).then(|| ("deploy.with".to_owned(), format!("[{}]", names.join(","))));
    datapipe_boot::settings::load(&Sources {
        file: selection.config.clone(),
        defaults: Vec::new(),
        flags: workers.chain(with).chain(selection.set.clone()).collect(),
    })
}

/// Tells why there is no plan.
pub(crate) fn refuse(problems: &Problems) -> Exit {
    let count = match problems.0.len() {
        1 => "one problem".to_owned(),
        count => format!("{count} problems"),
    };
    report::print(&report::problems(&format!("{count} with the settings; nothing was written or changed"), problems));
    Exit::Config
}
