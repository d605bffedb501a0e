//! `datapipe-deploy delete`.

use datapipe_boot::Exit;
use datapipe_k8s::NAMESPACE;
use datapipe_k8s::apply::{ApplyOptions, delete, deletion};

use crate::apply::{line, with_cluster};
use crate::cli::DeleteArguments;
use crate::planned::Tables;

pub(crate) fn run(arguments: &DeleteArguments) -> Exit {
    with_cluster(&arguments.cluster, &Tables::ALL, async |cluster, plan, options| {
        let found = deletion(&cluster, &plan, &options, arguments.data).await?;
        let count = found.titles().count();
        if !arguments.yes {
            found.titles().for_each(|title| line(&format!("- {title}")));
        } else if count > 0 {
            let how = ApplyOptions { wait_max: arguments.timeout.0, say: &line };
            delete(&cluster, &found, &how).await?;
        }
        found.left.iter().for_each(|left| line(&format!("  {left}")));
        if count == 0 {
            line(&format!("nothing of datapipe's is in {NAMESPACE}"));
        } else if arguments.yes {
            line(&format!("{count} objects deleted"));
        } else {
            line(&format!("{count} objects would be deleted; nothing was: add --yes"));
            return Ok(Exit::Changes);
        }
        Ok(Exit::Healthy)
    })
}
