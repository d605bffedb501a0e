//! What this program has made and no rendering holds any more: a table that was taken out, a trial's server.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cluster::{Cluster, ClusterError, FIELD_MANAGER, title};
use super::difference::{Change, What};
use super::{Applied, ApplyError, ApplyOptions, Scope, rank, wait};
use crate::Tree;
use crate::worker::TOOL_APP;

/// The kinds that are rendered, and removed. Volume claims, Secrets and the namespace hold what no rendering brings back.
const KINDS: [&str; 5] = ["NetworkPolicy", "ConfigMap", "Service", "StatefulSet", "Deployment"];

/// All objects that this program has made, in the order in which they go: what depends on others first.
pub(super) async fn ours(cluster: &Cluster) -> Result<Vec<Value>, ClusterError> {
    let labels = format!("app.kubernetes.io/managed-by={FIELD_MANAGER},app.kubernetes.io/part-of=datapipe");
    let mut all = Vec::new();
    for kind in KINDS {
        all.extend(cluster.listed(kind, &labels).await?);
    }
    // What an apply that was broken off has left. Workers' pods go with their Deployments.
    all.extend(cluster.listed("Pod", &format!("{labels},app={TOOL_APP}")).await?);
    all.sort_by_key(|object| std::cmp::Reverse(rank(object)));
    Ok(all)
}

/// Those of them that the tree does not hold. Of one table alone nothing is left over: the rest is not looked at.
pub(super) async fn left_over(cluster: &Cluster, tree: &Tree, scope: &Scope<'_>) -> Result<Vec<Value>, ClusterError> {
    if !scope.tables.is_empty() {
        return Ok(Vec::new());
    }
    Ok(surplus(ours(cluster).await?, tree.objects()))
}

fn surplus<'a>(live: Vec<Value>, rendered: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let rendered: BTreeSet<String> = rendered.map(title).collect();
    live.into_iter().filter(|object| !rendered.contains(&title(object))).collect()
}

pub(super) fn change(object: &Value, scope: &Scope<'_>) -> Change {
    Change { object: title(object), what: if scope.prune { What::Removed } else { What::LeftOver } }
}

/// Removes what is left over, or says that it is there.
pub(super) async fn prune(
    cluster: &Cluster,
    tree: &Tree,
    scope: &Scope<'_>,
    how: &ApplyOptions<'_>,
    applied: &mut Applied,
) -> Result<(), ApplyError> {
    for object in left_over(cluster, tree, scope).await? {
        let change = change(&object, scope);
        (how.say)(&change.to_string());
        if scope.prune {
            cluster.remove(&object).await?;
            wait::gone(cluster, &object, how).await?;
            if let Some(line) = slot_of(&object) {
                (how.say)(&line);
            }
            applied.changes.push(change);
        }
    }
    Ok(())
}

/// A table's slot outlives its worker, and holds back the log of all tables from then on.
fn slot_of(object: &Value) -> Option<String> {
    let table = object["metadata"]["labels"]["table"].as_str().filter(|_| object["kind"] == "Deployment")?;
    // Slots are named by the table alone.
    let names = datapipe_core::convention::Names::derive("any", "public", table).ok()?;
    Some(format!(
        "  its slot holds back PostgreSQL's log until it is dropped: SELECT pg_drop_replication_slot('{}');",
        names.slot
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, table: Option<&str>) -> Value {
        json!({ "kind": kind, "metadata": { "name": name, "labels": { "table": table } } })
    }

    #[test]
    fn what_no_rendering_holds() {
        let rendered = [object("Service", "kafka", None), object("Deployment", "kafka", None)];
        let live = vec![rendered[1].clone(), object("Deployment", "s3", None), rendered[0].clone()];
        let left = surplus(live, rendered.iter());
        assert_eq!(left.iter().map(title).collect::<Vec<_>>(), ["Deployment s3"]);
        let (kept, pruned) = (Scope::default(), Scope { prune: true, ..Scope::default() });
        assert_eq!(change(&left[0], &kept).what, What::LeftOver);
        assert_eq!(change(&left[0], &pruned).to_string(), "- Deployment s3");
    }

    #[test]
    fn the_slot_of_a_table_that_goes_is_told_once() {
        let told = slot_of(&object("Deployment", "kafka-connect-order-items", Some("order_items"))).unwrap();
        assert!(told.ends_with("SELECT pg_drop_replication_slot('debezium_slot_order_items');"), "{told}");
        assert_eq!(slot_of(&object("Service", "kafka-connect-order-items", Some("order_items"))), None);
        assert_eq!(slot_of(&object("Deployment", "kafka", None)), None);
    }
}
