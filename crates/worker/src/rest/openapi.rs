//! The interface as an `OpenAPI` document.

use axum::http::header;
use axum::response::IntoResponse;

/// Written by hand; tests hold it against the routes.
const DOCUMENT: &str = include_str!("../../openapi.json");

pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::routes;
    use super::*;

    fn parsed() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn operations() -> Vec<(String, String, Value)> {
        let document = parsed();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
        });
        operations.collect()
    }

    #[test]
    fn every_route_is_documented_and_every_documented_route_is_there() {
        let documented: BTreeSet<_> = operations().into_iter().map(|(method, path, _)| (method, path)).collect();
        let served = routes::all().listed;
        let served: BTreeSet<_> =
            served.iter().map(|(method, path)| (method.to_string(), (*path).to_owned())).collect();
        assert_eq!(documented, served);
        assert!(served.len() > 25);
    }

    #[test]
    fn references_lead_somewhere_and_the_parts_of_a_path_are_declared() {
        let document = parsed();
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            match value {
                Value::Object(map) => open.extend(map.values()),
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
        for (method, path, operation) in operations() {
            let parts: BTreeSet<_> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            let references = operation["parameters"].as_array().cloned().unwrap_or_default();
            let declared: BTreeSet<_> = references
                .iter()
                .map(|reference| document.pointer(reference["$ref"].as_str().unwrap().trim_start_matches('#')).unwrap())
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(declared, parts, "{method} {path}");
        }
    }
}
