//! What workers need: servers that answer, PostgreSQL with its slots and publications, topics.

use rustix::process::Signal;

use super::workers::signal;
use super::{ALL, Named, Scene};
use crate::bed::until;
use crate::inside::set_policy;

impl Scene {
    fn sql(&self, statement: &str) {
        self.bed.tool(&["sql", statement]);
    }

    pub(super) fn rows_and_topics(&mut self) {
        let products = |code, words| Named::of(&["products"], code, words);
        self.fault(
            "publication of another table",
            &products("DP0306", "public.users"),
            |scene| scene.sql("ALTER PUBLICATION \"dbz_publication_products\" SET TABLE users"),
            |scene| scene.sql("ALTER PUBLICATION \"dbz_publication_products\" SET TABLE products"),
        );
        let topic = "connect-offsets-products";
        self.fault(
            "offsets topic that is not compacted",
            &products("DP0402", "cleanup.policy is delete"),
            |scene| set_policy(&scene.bed, topic, "delete"),
            |scene| set_policy(&scene.bed, topic, "compact"),
        );
        let (port, source) = (8085, "postgres-cdc-orders-connector");
        self.fault(
            "slot dropped while the source was stopped",
            &Named::orders("DP0303", "there is no slot"),
            |scene| {
                scene.curl("PUT", port, &format!("{source}/stop"), "");
                until("the slot to be dropped", 20, || {
                    let drop = "SELECT pg_drop_replication_slot('debezium_slot_orders')";
                    scene.bed.try_tool(&["sql", drop]).is_some()
                });
                scene.curl("PUT", port, &format!("{source}/resume"), "");
            },
            |scene| {
                scene.curl("PUT", port, &format!("{source}/stop"), "");
                // Not before it has stopped.
                until("the offsets to be deleted", 20, || {
                    scene.try_curl("DELETE", port, &format!("{source}/offsets"), "").is_ok()
                });
                scene.curl("PUT", port, &format!("{source}/resume"), "");
            },
        );
    }

    /// Servers that all tables share. Rows come while they hang, so that every worker has something to do there, and none of
    /// them is lost or doubled.
    pub(super) fn servers(&mut self) {
        let database = "statefulset/postgresql";
        self.fault(
            "PostgreSQL scaled to 0",
            &Named::of(&ALL, "DP0301", "postgresql:5432"),
            |scene| {
                scene.kubectl(&["scale", database, "--replicas=0"]);
                // It does not wait for its clients, who would stay.
                scene.kubectl(&["wait", "--for=delete", "pod/postgresql-0", "--timeout=60s"]);
            },
            |scene| drop(scene.kubectl(&["scale", database, "--replicas=1"])),
        );
        // They are not ended: what a trial server holds goes with its pod.
        for (fault, app, code, tables) in
            [("Kafka hangs", "kafka", "DP0401", &ALL[..]), ("S3 hangs", "s3", "DP0501", &ALL[1..])]
        {
            self.fault(
                fault,
                &Named::of(tables, code, "no answer"),
                |scene| {
                    signal(&scene.bed, app, Signal::STOP);
                    scene.bed.rows(50);
                },
                |scene| signal(&scene.bed, app, Signal::CONT),
            );
        }
        for (table, from) in ALL.iter().zip(["topic", "objects", "objects", "objects"]) {
            self.bed.holds(from, table);
        }
    }
}
