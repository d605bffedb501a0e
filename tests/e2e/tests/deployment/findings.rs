//! What `datapipe-verify -o json` finds.

use serde_json::Value;

pub(crate) fn word<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap()
}

/// What a check says of a table.
pub(crate) fn of<'a>(findings: &'a [Value], table: &str, code: &str) -> &'a Value {
    findings.iter().find(|finding| finding["table"] == table && finding["code"] == code).unwrap()
}

pub(crate) fn is_wrong(finding: &Value) -> bool {
    finding["outcome"] == "failed" || finding["outcome"] == "warning"
}

/// Whether it is wrong and follows from nothing else.
pub(crate) fn is_root(finding: &Value) -> bool {
    is_wrong(finding) && finding["caused_by"].as_array().is_none_or(Vec::is_empty)
}

pub(crate) fn wrong(findings: &[Value]) -> Vec<&Value> {
    findings.iter().filter(|finding| is_wrong(finding)).collect()
}

/// Table and code of each root, in order.
pub(crate) fn roots(findings: &[Value]) -> Vec<(&str, &str)> {
    let roots = findings.iter().filter(|finding| is_root(finding));
    let mut roots: Vec<_> = roots.map(|root| (word(root, "table"), word(root, "code"))).collect();
    roots.sort_unstable();
    roots
}
