//! `datapipe-deploy restart`, `pause`, `resume`, `stop`.

use datapipe_boot::Exit;
use datapipe_k8s::apply::{Action, ApplyOptions, operate};

use crate::apply::{line, with_cluster};
use crate::cli::OperateArguments;
use crate::planned::Tables;

pub(crate) fn run(arguments: &OperateArguments, action: Action) -> Exit {
    let tables = Tables { object: "TABLE", names: &arguments.tables };
    with_cluster(&arguments.cluster, &tables, async |cluster, plan, _| {
        let how = ApplyOptions { wait_max: arguments.timeout.0, say: &line };
        operate(&cluster, &plan, &tables.sql(), action, &how).await?;
        Ok(Exit::Healthy)
    })
}
