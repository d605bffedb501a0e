//! The contract's four tables, declared here, so that nothing is linked.
#![allow(dead_code, reason = "each test program uses a part")]

use std::sync::Arc;

use datapipe_core::catalog::Catalog;
use datapipe_core::plan::{Plan, Problems};
use datapipe_core::settings::Settings;
use datapipe_core::table::{Table, TablePipeline};
use datapipe_k8s::{RenderOptions, Tree, in_cluster, render};
use serde_json::{Value, json};

struct Declared(Table);

impl TablePipeline for Declared {
    fn table(&self) -> Table {
        self.0.clone()
    }
}

pub(crate) fn catalog() -> Catalog {
    let tables = [("users", 8083), ("products", 8084), ("orders", 8085), ("order_items", 8086)];
    let declared = tables.map(|(name, port)| Arc::new(Declared(Table::new(name, port))) as Arc<dyn TablePipeline>);
    Catalog::of(declared).unwrap()
}

/// The user's own Kafka and S3, and what `value` sets beside or instead.
pub(crate) fn settings(value: &Value) -> Settings {
    let mut all = json!({
        "kafka": { "bootstrap": "kafka-1.example.org:9092" },
        "s3": { "region": "eu-west-1", "bucket": "lake" },
    });
    for (key, section) in value.as_object().unwrap() {
        all[key] = section.clone();
    }
    in_cluster(serde_json::from_value(all).unwrap())
}

pub(crate) fn rendered(value: &Value) -> Result<Tree, Problems> {
    let settings = settings(value);
    render(&Plan::new(&catalog(), &settings)?, &RenderOptions::new(&settings.deploy)?)
}

/// All problems, a line each.
pub(crate) fn told(value: &Value) -> String {
    rendered(value).expect_err("it is refused").to_string()
}
