//! What a hybrid takes beside its table's own: a second port, and names that another table might have.

use super::{PipelinePlan, Problem};
use crate::table::{JVM_PORT_OFFSET, WorkerKind};

/// Hybrids whose JVM worker has no port, or whose own topics are those of a table that is called so.
pub(super) fn clashes(tables: &[PipelinePlan], problems: &mut Vec<Problem>) {
    for hybrid in tables.iter().filter(|one| one.worker.kind == WorkerKind::Hybrid) {
        let (table, port) = (&hybrid.names.table, hybrid.port);
        if hybrid.worker.jvm_url.is_none() && port.checked_add(JVM_PORT_OFFSET).is_none() {
            let what = format!("is not set, and {port} + {JVM_PORT_OFFSET} is no port");
            let fix = "set it, as in \"http://127.0.0.1:18083\"";
            problems.push(Problem::new(format!("tables.{table}.worker.jvm_url"), what, fix));
        }
        let own = hybrid.names.of_hybrid_sink();
        if let Some(other) = tables.iter().find(|other| other.names.group == own.group) {
            let what = format!("keeps its sink in {}, and so does table {}", own.configs_topic, other.names.table);
            let fix = "make it \"native\" or \"kafka-connect\", or rename one of the tables";
            problems.push(Problem::new(format!("tables.{table}.worker.kind"), what, fix));
        }
    }
}
