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

/// The tables that a command line names; all of them if it names none.
pub(crate) struct Tables<'a> {
    /// Where they stand in the command line.
    pub(crate) object: &'static str,
    pub(crate) names: &'a [String],
}

impl Tables<'_> {
    pub(crate) const ALL: Self = Self { object: "", names: &[] };

    /// Their SQL names: the dashed form, as in workers' names, is as good.
    pub(crate) fn sql(&self) -> Vec<String> {
        self.names.iter().map(|name| name.replace('-', "_")).collect()
    }

    /// Whether the plan has them.
    pub(crate) fn check(&self, plan: &Plan) -> Result<(), Problems> {
        let mut checked = plan.clone().only(&self.sql());
        if let Err(problems) = &mut checked {
            problems.0.iter_mut().for_each(|problem| self.object.clone_into(&mut problem.object));
        }
        checked.map(drop)
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
    refuse_for("settings", problems)
}

/// Tells what is wrong, and with what.
pub(crate) fn refuse_for(with: &str, problems: &Problems) -> Exit {
    let count = match problems.0.len() {
        1 => "one problem".to_owned(),
        count => format!("{count} problems"),
    };
    report::print(&report::problems(&format!("{count} with the {with}; nothing was written or changed"), problems));
    Exit::Config
}
