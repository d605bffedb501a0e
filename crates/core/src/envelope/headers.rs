//! Record headers.

use crate::port::log::Header;
use crate::value::json::write_number;

/// Who wrote a record, for the headers `__debezium.context.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    logical_name: String,
    task_id: String,
    connector_name: String,
    run_id: String,
}

impl Context {
    /// `server_name` is the connector's `topic.prefix`; `run_id` a text of its own per start (a UUID there).
    pub fn new(server_name: &str, task: u32, run_id: &str) -> Self {
        let mut task_id = Vec::new();
        write_number(i64::from(task), &mut task_id);
        Self {
            logical_name: server_name.to_owned(),
            task_id: String::from_utf8(task_id).expect("digits are UTF-8"),
            connector_name: super::source::CONNECTOR.to_owned(),
            run_id: run_id.to_owned(),
        }
    }
}

/// The other key of an update that changed the key.
pub(super) struct KeyChange {
    name: &'static str,
    key: Vec<u8>,
}

impl KeyChange {
    /// On the delete of the old key: the new one.
    pub(super) fn to(key: &[u8]) -> Self {
        Self { name: "__debezium.newkey", key: plainly_escaped(key) }
    }

    /// On the create of the new key: the old one.
    pub(super) fn from(key: &[u8]) -> Self {
        Self { name: "__debezium.oldkey", key: plainly_escaped(key) }
    }
}

/// Kafka Connect's `SimpleHeaderConverter` escapes nothing but quotes and backslashes.
fn plainly_escaped(json: &[u8]) -> Vec<u8> {
    let Ok(text) = str::from_utf8(json) else { return json.to_vec() };
    let mut out = String::with_capacity(text.len());
    let mut units = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let kind = escape.as_bytes().get(1).copied().unwrap_or_default();
        if kind == b'u' {
            units.clear();
            rest = escape;
            while let Some(unit) = rest.strip_prefix("\\u").and_then(|hex| u16::from_str_radix(hex.get(..4)?, 16).ok())
            {
                units.push(unit);
                rest = &rest[6..];
            }
            out.push_str(&String::from_utf16_lossy(&units));
            if !units.is_empty() {
                continue;
            }
        }
        match kind {
            b'b' => out.push('\u{8}'),
            b't' => out.push('\t'),
            b'n' => out.push('\n'),
            b'f' => out.push('\u{c}'),
            b'r' => out.push('\r'),
            _ => out.push_str(&escape[..escape.len().min(2)]),
        }
        rest = escape.get(2..).unwrap_or_default();
    }
    out.push_str(rest);
    out.into_bytes()
}

/// The headers of one record.
pub(super) struct Headers<'a> {
    list: [Header<'a>; 5],
    from: usize,
    to: usize,
}

impl<'a> Headers<'a> {
    pub(super) fn new(context: Option<&'a Context>, change: Option<&'a KeyChange>) -> Self {
        let mut list = [Header { name: "", value: &[] }; 5];
        if let Some(KeyChange { name, key }) = change {
            list[0] = Header { name, value: key };
        }
        if let Some(Context { logical_name, task_id, connector_name, run_id }) = context {
            let values = [
                ("__debezium.context.connectorLogicalName", logical_name),
                ("__debezium.context.taskId", task_id),
                ("__debezium.context.connectorName", connector_name),
                ("__debezium.context.runId", run_id),
            ];
            for (place, (name, value)) in list[1..].iter_mut().zip(values) {
                *place = Header { name, value: value.as_bytes() };
            }
        }
        Self { list, from: usize::from(change.is_none()), to: if context.is_some() { 5 } else { 1 } }
    }

    pub(super) fn list(&self) -> &[Header<'a>] {
        &self.list[self.from..self.to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quotes_and_backslashes_stay_escaped() {
        let json = br#"{"k":"a\"b\\c\t\n\u0001\uD83D\uDE00\u001F"}"#;
        let plain = "{\"k\":\"a\\\"b\\\\c\t\n\u{1}😀\u{1f}\"}";
        assert_eq!(String::from_utf8(plainly_escaped(json)).unwrap(), plain);
    }

    #[test]
    fn headers_are_those_that_apply() {
        let context = Context::new("cdc", 0, "r");
        let change = KeyChange::to(b"{}");
        let count = |context, change| Headers::new(context, change).list().len();
        assert_eq!(count(None, None), 0);
        assert_eq!(count(None, Some(&change)), 1);
        assert_eq!(count(Some(&context), None), 4);
        assert_eq!(count(Some(&context), Some(&change)), 5);
    }
}
