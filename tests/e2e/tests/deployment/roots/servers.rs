//! What workers need: PostgreSQL with its slots and publications, topics.

use super::{Named, Scene};
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
}
