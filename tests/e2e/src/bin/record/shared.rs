//! Schemas that many records share, written once.

use serde_json::json;

use crate::reference::Kept;

/// The schemas of a file. In records `<schema 0>` stands for the first one.
#[derive(Debug, Default)]
pub(crate) struct Schemas(Vec<String>);

impl Schemas {
    /// The records with numbers in the place of their schemas.
    pub(crate) fn shorten(&mut self, mut records: Vec<Kept>) -> Vec<Kept> {
        for record in &mut records {
            for part in [&mut record.key, &mut record.value].into_iter().flatten() {
                let Some(whole) = part.strip_prefix("{\"schema\":{") else { continue };
                let Some((schema, payload)) = whole.split_once("},\"payload\":") else { continue };
                let schema = format!("{{{schema}}}");
                let known = self.0.iter().position(|known| *known == schema);
                let number = known.unwrap_or_else(|| {
                    self.0.push(schema);
                    self.0.len() - 1
                });
                *part = format!("{{\"schema\":<schema {number}>,\"payload\":{payload}");
            }
        }
        records
    }

    /// As an array, one a line.
    pub(crate) fn file(&self) -> String {
        let lines: Vec<_> = self.0.iter().map(|schema| json!(schema).to_string()).collect();
        format!("[\n{}]", lines.join(",\n"))
    }
}
