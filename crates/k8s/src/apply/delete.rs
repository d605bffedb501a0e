//! Taking a deployment away, and saying what is left.

use std::collections::BTreeSet;

use datapipe_core::plan::{Plan, Problems};
use datapipe_core::settings::Role;
use serde_json::{Value, json};

use super::cluster::{Cluster, ClusterError, FIELD_MANAGER, name, title};
use super::{ApplyError, ApplyOptions, preflight, prune, rank, wait};
use crate::checks::own_postgres;
use crate::options::RenderOptions;
use crate::{CREDENTIALS, NAMESPACE, POSTGRES};

/// What a deletion takes away, and what it leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deletion {
    /// In the order in which they go.
    objects: Vec<Value>,
    /// What stays, a line each: in the cluster, and on servers of their own with the lines that drop it.
    pub left: Vec<String>,
}

impl Deletion {
    /// `Deployment kafka-connect-users` and so on, in the order in which they go.
    pub fn titles(&self) -> impl Iterator<Item = String> {
        self.objects.iter().map(title)
    }
}

/// What is this program's in the cluster. With `data` PostgreSQL's volume claim goes too, and with it all rows.
pub async fn deletion(
    cluster: &Cluster,
    plan: &Plan,
    options: &RenderOptions,
    data: bool,
) -> Result<Deletion, ClusterError> {
    let mut found = Deletion { objects: prune::ours(cluster).await?, left: Vec::new() };
    for claim in claims(cluster).await? {
        if data {
            found.objects.push(claim);
        } else {
            found.left.push(format!("{} stays with PostgreSQL's data; --data deletes it too", title(&claim)));
        }
    }
    for secret in [CREDENTIALS, POSTGRES] {
        if cluster.secret_keys(secret).await?.is_some() {
            found.left.push(format!("Secret {secret} stays: kubectl delete secret {secret} -n {NAMESPACE}"));
        }
    }
    let namespace = json!({ "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    if cluster.live(&namespace).await?.is_some() {
        found.left.push(format!(
            "Namespace {NAMESPACE} stays, as it may hold what is not datapipe's: kubectl delete namespace {NAMESPACE}"
        ));
    }
    found.left.extend(elsewhere(plan, options));
    Ok(found)
}

/// The claims of the PostgreSQL that this program has deployed.
async fn claims(cluster: &Cluster) -> Result<Vec<Value>, ClusterError> {
    let server = json!({ "kind": "StatefulSet", "metadata": { "name": POSTGRES } });
    let live = cluster.live(&server).await?;
    let foreign = live.is_some_and(|live| live["metadata"]["labels"]["app.kubernetes.io/managed-by"] != FIELD_MANAGER);
    if foreign {
        return Ok(Vec::new());
    }
    let all = cluster.listed("PersistentVolumeClaim", &format!("app={POSTGRES}")).await?;
    // One replica, one claim.
    Ok(all.into_iter().filter(|claim| name(claim) == format!("data-{POSTGRES}-0")).collect())
}

/// What lies on servers that are not deployed, with the lines by which a person drops it.
fn elsewhere(plan: &Plan, options: &RenderOptions) -> Vec<String> {
    let mut lines = Vec::new();
    if !own_postgres(plan) {
        let postgres = &plan.postgres;
        lines.push(format!("slots and publications stay in {} on {}:", postgres.database, postgres.host));
        for pipeline in plan.tables.iter().filter(|pipeline| pipeline.connector(Role::Source).is_some()) {
            let names = &pipeline.names;
            lines.push(format!(
                "  SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{}';",
                names.slot
            ));
            lines.push(format!("  DROP PUBLICATION IF EXISTS {};", names.publication));
        }
    }
    if !options.with_kafka {
        let servers = plan.kafka.bootstrap.join(",");
        lines.push(format!("topics stay on {servers}:"));
        let topics: BTreeSet<&str> =
            plan.tables.iter().flat_map(|pipeline| &pipeline.topics).map(|topic| topic.name.as_str()).collect();
        lines.extend(
            topics
                .into_iter()
                .map(|topic| format!("  kafka-topics.sh --bootstrap-server {servers} --delete --topic {topic}")),
        );
    }
    if !options.with_s3 {
        lines.push(format!("objects stay in s3://{}", plan.s3.bucket));
    }
    lines
}

/// Deletes, one after the other: servers only when no worker needs them any more.
pub async fn delete(cluster: &Cluster, what: &Deletion, how: &ApplyOptions<'_>) -> Result<(), ApplyError> {
    let kinds: BTreeSet<&str> = what.objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    let problems = preflight::may_delete(cluster, &kinds).await?;
    if !problems.is_empty() {
        return Err(ApplyError::Refused(Problems(problems)));
    }
    // Workers end beside each other.
    for stage in what.objects.chunk_by(|one, other| rank(one) == rank(other)) {
        for object in stage {
            cluster.remove(object).await?;
            (how.say)(&format!("- {}", title(object)));
        }
        for object in stage {
            wait::gone(cluster, object, how).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datapipe_core::catalog::Catalog;
    use datapipe_core::settings::Settings;
    use datapipe_core::table::{Table, TablePipeline};

    use super::*;
    use crate::in_cluster;

    struct Orders;
    impl TablePipeline for Orders {
        fn table(&self) -> Table {
            Table::new("orders", 8085)
        }
    }

    fn told(settings: &Value) -> Vec<String> {
        let settings: Settings = in_cluster(serde_json::from_value(settings.clone()).unwrap());
        let catalog = Catalog::of([Arc::new(Orders) as Arc<dyn TablePipeline>]).unwrap();
        let plan = Plan::new(&catalog, &settings).unwrap();
        elsewhere(&plan, &RenderOptions::new(&settings.deploy).unwrap())
    }

    #[test]
    fn what_stays_on_servers_of_their_own_is_told_with_the_lines_that_drop_it() {
        assert_eq!(told(&json!({ "deploy": { "with": ["kafka", "s3"] } })), [""; 0], "all of it goes with its server");
        let own = json!({ "postgres": { "url": "postgres://cdc@db.example.org/shop" },
                          "kafka": { "bootstrap": "k:9092" }, "s3": { "bucket": "lake", "region": "eu-west-1" } });
        let told = told(&own).join("\n");
        insta::assert_snapshot!(told);
    }
}
