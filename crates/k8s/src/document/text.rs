//! The document's words.

use std::fmt::Write as _;

use datapipe_core::plan::Plan;

use crate::checks::own_postgres;
use crate::options::RenderOptions;
use crate::postgres::SUPERUSER_KEY;
use crate::worker::secret_keys;
use crate::{CREDENTIALS, FOLDER, NAMESPACE, POSTGRES};

pub(super) const HEAD: &str = "\
# Multi-instance architecture

Rendered by datapipe-deploy from the settings: every name and figure here is this deployment's own, but for the comparison at the end.

Each table has a worker, a replication slot, a publication, a Connect cluster, a topic and an S3 prefix of its own.
";

pub(super) const WHY: &str = "\
## What that brings, and what it does not

- A failure, a restart or a full dead letter queue of one table stays there; so do its logs and its status.
- Each table has resources and connector settings of its own, and is deployed and scaled down alone.
- Not isolated is the database server: each slot decodes the whole log, so a flood in one table costs every walsender CPU.
";

pub(super) fn deployment(plan: &Plan, options: &RenderOptions) -> String {
    let mut text = format!(
        "## Deploy\n\nThe passwords are in Secrets, which are not part of this folder. Each key's value comes from a file, so that\n\
         it is in no history:\n\n```bash\nkubectl create namespace {NAMESPACE}\n"
    );
    let from_files = |keys: &[&str]| {
        keys.iter().fold(String::new(), |mut text, key| {
            let _ = write!(text, " \\\n  --from-file={key}=./{key}");
            text
        })
    };
    let keys = secret_keys(plan);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let _ = writeln!(text, "kubectl create secret generic {CREDENTIALS} -n {NAMESPACE}{}", from_files(&keys));
    if own_postgres(plan) {
        let _ = writeln!(
            text,
            "kubectl create secret generic {POSTGRES} -n {NAMESPACE} \\\n  --from-file={SUPERUSER_KEY}=./superuser-password"
        );
    }
    let _ = write!(
        text,
        "```\n\n(Files without a line's end: `printf %s \"$value\" > file`.) Then:\n\n\
         ```bash\ncd {FOLDER}\n./deploy-multi-instance.sh\n./verify-multi-instance.sh\n```\n\n\
         The images must be where the cluster finds them: `{}` for JVM workers, `{}` for native ones",
        options.connect_image, options.worker_image
    );
    if own_postgres(plan) {
        let _ = write!(text, ", `{}`", options.postgres.image);
    }
    text + ".\n"
}

pub(super) fn checks(plan: &Plan) -> String {
    let first = plan.tables.first().map_or("kafka-connect-users", |pipeline| pipeline.names.worker.as_str());
    let mut text = format!(
        "## Look at it\n\n```bash\nkubectl get pods -n {NAMESPACE} -l component=worker\n\
         kubectl logs -n {NAMESPACE} -l app={first} -f\n\n"
    );
    for pipeline in &plan.tables {
        let _ = writeln!(text, "curl http://localhost:{}/             # {}", pipeline.port, pipeline.names.table);
    }
    text.push('\n');
    for pipeline in &plan.tables {
        let _ = writeln!(text, "curl http://localhost:{}/connectors", pipeline.port);
    }
    text.push('\n');
    for pipeline in &plan.tables {
        for connector in &pipeline.connectors {
            let _ = writeln!(text, "curl http://localhost:{}/connectors/{}/status", pipeline.port, connector.name);
        }
    }
    text + "```\n"
}

pub(super) const TROUBLE: &str = "\
## When something is wrong

| what | look at | likely |
|---|---|---|
| a pod does not become Ready | `kubectl describe pod -n data-ingestion -l component=worker` | image missing, Secret or one of its keys missing, quota |
| a pod starts again and again | `kubectl logs --previous`, `Last State` in the description | `OOMKilled`: more memory or smaller buffers; exit 78 or 69: its last lines say which setting or server |
| a connector FAILED | the trace in its `/status` | plugin missing, slot held by another, publication missing, bucket or key refused |
| RUNNING and no rows | the slot's `confirmed_flush_lsn`, the group's lag | a network policy in the way; dead letters |
| a slot was lost (`wal_status` = `lost`) | `pg_replication_slots` | the table was stopped for longer than `max_slot_wal_keep_size` allows: it is read anew |
";

pub(super) const MIGRATION: &str = "\
## From one shared Kafka Connect

1. Keep what there is. `kubectl get connectors` knows connectors only where Strimzi has installed that kind; everywhere else
   the REST interface has them:

   ```bash
   kubectl get connectors -o yaml > backup-connectors.yaml
   curl 'http://localhost:8083/connectors?expand=info' > backup-connectors.json
   ```

2. Stop the old connectors (`PUT /connectors/NAME/stop`), or rows reach the topics twice, and deploy:
   `./deploy-multi-instance.sh`
3. `./verify-multi-instance.sh`
4. Then the old one may go, and after it the slot that it held:

   ```bash
   kubectl delete deployment kafka-connect -n data-ingestion
   ```
";

/// The figures are docs/single-against-multi.md's, which has all of them, and how they were measured.
pub(super) const COMPARISON: &str = "\
## One shared worker against a worker per table

| | one shared Kafka Connect worker | a Kafka Connect worker per table | a native worker per table |
|---|---|---|---|
| tables that stop when a worker is killed, or passes its memory limit | 4 of 4 | 1 of 4 | 1 of 4 |
| tables that stop when a connector is given what it cannot process | 1 of 4 | 1 of 4 | 1 of 4 |
| a worker is killed: until its table flows again | 8.8 s | 14.4 s | 6.3 s |
| meanwhile, p99 of the other tables: in quiet, and then | 1,004 ms, 8,833 ms | 928 ms, 1,020 ms | 109 ms, 68 ms |
| a worker passes its memory limit: p99 of the other tables | 1,003 ms, 71,674 ms | 898 ms, 947 ms | 91 ms, 302 ms |
| 100,000 rows in one transaction: p99 of the other tables | 918 ms, 1,008 ms | 849 ms, 1,085 ms | 35 ms, 343 ms |
| rows per second of that transaction's table | 12,777 | 5,529 | 54,433 |
| memory, peak of all workers | 243 MiB | 594 MiB | 48 MiB |
| logs, status, limits, settings | shared: a new setting restarts all | one table's | one table's |
| replication slots | one or more | one per table: more log decoding in the server | the same |

Measured by datapipe's own tests on 26 November 2026, not in this cluster: a one-node Kubernetes, two cores, four tables with 50
transactions per second each, sources only, 1000Mi and one CPU in all for each column.
";
