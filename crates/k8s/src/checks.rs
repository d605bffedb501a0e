//! What a deployment cannot do, found by arithmetic before anything is written.

mod memory;
mod servers;

use std::collections::BTreeMap;

use datapipe_core::plan::{Plan, Problem};

use crate::options::RenderOptions;

pub(crate) use memory::{HYBRID_NATIVE_MIB, heap_mib};
pub(crate) use servers::{own_postgres, s3_address};

pub(crate) fn all(plan: &Plan, options: &RenderOptions) -> Vec<Problem> {
    let mut problems = Vec::new();
    memory::check(plan, &mut problems);
    servers::check(plan, options, &mut problems);
    slots(plan, options, &mut problems);
    log_volume(options, &mut problems);
    node_ports(plan, &mut problems);
    problems
}

/// Kubernetes' default range of such ports: the first, and how many.
const NODE_PORTS: (u16, u16) = (30_000, 2768);

/// The NodePort of a table's port: 30083 for 8083. Others are folded into Kubernetes' default range, 30000 to 32767.
pub fn node_port(port: u16) -> u16 {
    let (first, count) = NODE_PORTS;
    let turns = u32::from(port) + u32::from(count) * 3 - 8000;
    // The remainder is below 2768.
    first + u16::try_from(turns % u32::from(count)).unwrap_or_default()
}

fn node_ports(plan: &Plan, problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<u16, &str> = BTreeMap::new();
    for pipeline in &plan.tables {
        let table = &pipeline.names.table;
        if let Some(first) = owners.insert(node_port(pipeline.port), table) {
            let what =
                format!("port {} has NodePort {}, and so has table {first}", pipeline.port, node_port(pipeline.port));
            let fix = "set a port from 8000 to 10767: there each has a NodePort of its own";
            problems.push(Problem::new(format!("tables.{table}.port"), what, fix));
        }
    }
}

/// Each source holds one slot and one walsender.
fn slots(plan: &Plan, options: &RenderOptions, problems: &mut Vec<Problem>) {
    if !own_postgres(plan) {
        return;
    }
    let sources =
        plan.tables.iter().filter(|pipeline| pipeline.connector(datapipe_core::settings::Role::Source).is_some());
    let (needed, slots) = (sources.count(), options.postgres.slots);
    if needed > slots as usize {
        let what = format!("is {slots}, and {needed} tables take a replication slot each");
        let fix = format!("set {} or more: a move to another worker takes a second slot for a while", needed * 2);
        problems.push(Problem::new("deploy.postgres.slots", what, fix));
    }
}

/// Log that is kept for all, and the room between two checkpoints, in bytes: as `postgresql.conf` is rendered.
pub(crate) const WAL_KEEP_BYTES: u64 = 2 << 30;
pub(crate) const MAX_WAL_BYTES: u64 = 1 << 30;

/// Slots share the log: together they hold back what the slowest one does.
fn log_volume(options: &RenderOptions, problems: &mut Vec<Problem>) {
    use datapipe_core::settings::ByteSize;
    let postgres = &options.postgres;
    let log = postgres.slot_wal_bytes.max(WAL_KEEP_BYTES).saturating_add(MAX_WAL_BYTES);
    let least = log.saturating_add(1 << 30);
    if postgres.volume_bytes < least {
        let what = format!(
            "{} is less than the log may take ({}) and 1GiB of data",
            ByteSize(postgres.volume_bytes),
            ByteSize(log)
        );
        let fix = format!("set {} or more, or less in deploy.postgres.slot_wal", ByteSize(least));
        let why = "a full volume stops the server, and every table with it";
        problems.push(Problem::new("deploy.postgres.volume", what, fix).because(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ports_are_in_the_range_and_those_of_the_contract_end_alike() {
        assert_eq!([8083, 8084, 8085, 8086].map(node_port), [30_083, 30_084, 30_085, 30_086]);
        assert_eq!((node_port(8000), node_port(10_767), node_port(7999)), (30_000, 32_767, 32_767));
        assert!((1024..=u16::MAX).map(node_port).all(|port| (30_000..=32_767).contains(&port)));
    }
}
