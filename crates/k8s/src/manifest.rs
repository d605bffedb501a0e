//! Objects as files.

use serde::Serialize;
use serde_json::{Value, json};

use crate::options::ManifestFormat;
use crate::tree::Tree;

const HEAD: &str = "# Rendered by datapipe-deploy: change the settings and render again.\n";

/// The objects of one file, in order.
#[derive(Default)]
pub(crate) struct Objects(Vec<Value>);

impl Objects {
    /// Adds one. What it does not say is left out, where the types would write `null`.
    pub(crate) fn add(&mut self, object: &impl Serialize) {
        // The types of Kubernetes are plain values with text keys, which cannot fail.
        self.0.push(serde_json::to_value(object).unwrap_or_default());
    }

    /// Puts the file `name` with the ending of the format.
    pub(crate) fn put(self, name: &str, format: ManifestFormat, tree: &mut Tree) {
        match format {
            ManifestFormat::Yaml => {
                let documents: Vec<String> =
                    self.0.iter().map(|object| serde_yaml_ng::to_string(object).unwrap_or_default()).collect();
                tree.put(format!("{name}.yaml"), format!("{HEAD}{}", documents.join("---\n")));
            }
            ManifestFormat::Json => {
                let list = json!({ "apiVersion": "v1", "kind": "List", "items": &self.0 });
                tree.put(format!("{name}.json"), serde_json::to_string_pretty(&list).unwrap_or_default() + "\n");
            }
        }
        tree.put_objects(self.0);
    }
}
