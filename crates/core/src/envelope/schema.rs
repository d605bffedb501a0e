//! The schema of an envelope, as Kafka Connect's JSON converter puts it before each value if it is asked to.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Columns;
use crate::change::{Column, Relation};
use crate::value::json::write_string;
use crate::value::{BinaryMode, ColumnType, DecimalMode, HstoreMode, IntervalMode, Modes, TimeMode, Unit};

/// Puts the schema around values; without one they stay as they are.
pub(super) struct Wrapper {
    server_name: Option<String>,
    cached: Option<(Arc<Relation>, Vec<u8>)>,
}

impl Wrapper {
    pub(super) const fn new(server_name: Option<String>) -> Self {
        Self { server_name, cached: None }
    }

    /// Makes the schema of a relation, once.
    pub(super) fn prepare(&mut self, relation: &Arc<Relation>, modes: Modes, columns: &Columns) {
        let Some(server_name) = &self.server_name else { return };
        if self.cached.as_ref().is_none_or(|(cached, _)| !Arc::ptr_eq(cached, relation)) {
            self.cached = Some((Arc::clone(relation), opening(server_name, relation, modes, columns)));
        }
    }

    pub(super) fn open(&self, out: &mut Vec<u8>) {
        if let Some((_, opening)) = &self.cached {
            out.extend_from_slice(opening);
        }
    }

    pub(super) fn close(&self, out: &mut Vec<u8>) {
        if self.cached.is_some() {
            out.push(b'}');
        }
    }
}

/// `{"schema":{..},"payload":`
fn opening(server_name: &str, relation: &Relation, modes: Modes, columns: &Columns) -> Vec<u8> {
    let name = quoted(&format!("{server_name}.{}.{}", relation.schema, relation.name));
    let name = &name[1..name.len() - 1];
    let shown = |column: &&Column| !columns.hides(&relation.schema, &relation.name, &column.name);
    let columns: Vec<String> = relation.columns.iter().filter(shown).map(|column| field(column, modes)).collect();
    let columns = columns.join(",");
    let mut out = String::from(r#"{"schema":{"type":"struct","fields":["#);
    for image in ["before", "after"] {
        let _ = write!(
            out,
            r#"{{"type":"struct","fields":[{columns}],"optional":true,"name":"{name}.Value","field":"{image}"}},"#
        );
    }
    out.push_str(SOURCE);
    let _ = write!(out, r#","optional":false,"name":"{name}.Envelope","version":2}},"payload":"#);
    out.into_bytes()
}

/// From `source` to the end of the fields.
const SOURCE: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},"#,
    r#"{"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},"#,
    r#"{"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"name":"io.debezium.data.Enum","#,
    r#""version":1,"parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"#,
    r#""default":"false","field":"snapshot"},{"type":"string","optional":false,"field":"db"},"#,
    r#"{"type":"string","optional":true,"field":"sequence"},{"type":"int64","optional":true,"field":"ts_us"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_ns"},{"type":"string","optional":false,"field":"schema"},"#,
    r#"{"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"txId"},"#,
    r#"{"type":"int64","optional":true,"field":"lsn"},{"type":"int64","optional":true,"field":"xmin"},"#,
    r#"{"type":"string","optional":true,"field":"origin"},{"type":"int64","optional":true,"field":"origin_lsn"}],"#,
    r#""optional":false,"name":"io.debezium.connector.postgresql.Source","version":1,"field":"source"},"#,
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},"#,
    r#"{"type":"int64","optional":false,"field":"total_order"},"#,
    r#"{"type":"int64","optional":false,"field":"data_collection_order"}],"optional":true,"name":"event.block","version":1,"#,
    r#""field":"transaction"},{"type":"string","optional":false,"field":"op"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_ms"},{"type":"int64","optional":true,"field":"ts_us"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_ns"}]"#,
);

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_string(text.as_bytes(), &mut out).expect("a name is a string, so it is UTF-8");
    String::from_utf8(out).expect("JSON of UTF-8 is UTF-8")
}

/// A column's schema, as a struct holds it.
fn field(column: &Column, modes: Modes) -> String {
    let mut schema = schema(&column.kind, modes, column.nullable);
    schema.pop();
    let _ = write!(schema, r#","field":{}}}"#, quoted(&column.name));
    schema
}

/// A schema on its own.
fn schema(kind: &ColumnType, modes: Modes, optional: bool) -> String {
    let named =
        |kind: &str, name: &str| format!(r#"{{"type":"{kind}","optional":{optional},"name":"{name}","version":1}}"#);
    let plain = |kind: &str| format!(r#"{{"type":"{kind}","optional":{optional}}}"#);
    match kind {
        ColumnType::Bool | ColumnType::Bit => plain("boolean"),
        ColumnType::Int2 => plain("int16"),
        ColumnType::Int4 => plain("int32"),
        ColumnType::Int8 | ColumnType::Oid => plain("int64"),
        ColumnType::Float4 => plain("float"),
        ColumnType::Float8 => plain("double"),
        ColumnType::Numeric(scale) => match modes.decimal {
            DecimalMode::String => plain("string"),
            DecimalMode::Double => plain("double"),
            DecimalMode::Precise => scale.map_or_else(|| variable(optional), |scale| decimal(scale, optional)),
        },
        ColumnType::Money => match modes.decimal {
            DecimalMode::String => plain("string"),
            DecimalMode::Double => plain("double"),
            DecimalMode::Precise => decimal(2, optional),
        },
        ColumnType::Uuid => named("string", "io.debezium.data.Uuid"),
        ColumnType::Bytea if modes.binary == BinaryMode::Bytes => plain("bytes"),
        ColumnType::Bytea | ColumnType::Chars(_) | ColumnType::Text => plain("string"),
        ColumnType::Bits => named("bytes", "io.debezium.data.Bits"),
        ColumnType::Json => named("string", "io.debezium.data.Json"),
        ColumnType::Date => match modes.time {
            TimeMode::Isostring => named("string", "io.debezium.time.IsoDate"),
            TimeMode::Connect => named("int32", "org.apache.kafka.connect.data.Date"),
            _ => named("int32", "io.debezium.time.Date"),
        },
        ColumnType::Time(digits) => match Unit::of(modes.time, *digits, true) {
            None => named("string", "io.debezium.time.IsoTime"),
            Some(Unit::Millis) if modes.time == TimeMode::Connect => {
                named("int32", "org.apache.kafka.connect.data.Time")
            }
            Some(Unit::Millis) => named("int32", "io.debezium.time.Time"),
            Some(Unit::Micros) => named("int64", "io.debezium.time.MicroTime"),
            Some(Unit::Nanos) => named("int64", "io.debezium.time.NanoTime"),
        },
        ColumnType::TimeTz => named("string", "io.debezium.time.ZonedTime"),
        ColumnType::Timestamp(digits) => match Unit::of(modes.time, *digits, false) {
            None => named("string", "io.debezium.time.IsoTimestamp"),
            Some(Unit::Millis) if modes.time == TimeMode::Connect => {
                named("int64", "org.apache.kafka.connect.data.Timestamp")
            }
            Some(Unit::Millis) => named("int64", "io.debezium.time.Timestamp"),
            Some(Unit::Micros) => named("int64", "io.debezium.time.MicroTimestamp"),
            Some(Unit::Nanos) => named("int64", "io.debezium.time.NanoTimestamp"),
        },
        ColumnType::TimestampTz(_) => named("string", "io.debezium.time.ZonedTimestamp"),
        ColumnType::Interval => match modes.interval {
            IntervalMode::Numeric => named("int64", "io.debezium.time.MicroDuration"),
            IntervalMode::String => named("string", "io.debezium.time.Interval"),
        },
        ColumnType::Hstore => match modes.hstore {
            HstoreMode::Json => named("string", "io.debezium.data.Json"),
            HstoreMode::Map => {
                let (keys, values) = (r#"{"type":"string","optional":false}"#, r#"{"type":"string","optional":true}"#);
                format!(r#"{{"type":"map","keys":{keys},"values":{values},"optional":{optional}}}"#)
            }
        },
        ColumnType::Array(element) => {
            let items = schema_of_element(element, modes);
            format!(r#"{{"type":"array","items":{items},"optional":{optional}}}"#)
        }
    }
}

fn schema_of_element(element: &ColumnType, modes: Modes) -> String {
    schema(element, modes, true)
}

fn decimal(scale: u16, optional: bool) -> String {
    format!(
        r#"{{"type":"bytes","optional":{optional},"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{{"scale":"{scale}"}}}}"#
    )
}

fn variable(optional: bool) -> String {
    let fields =
        r#"{"type":"int32","optional":false,"field":"scale"},{"type":"bytes","optional":false,"field":"value"}"#;
    format!(
        r#"{{"type":"struct","fields":[{fields}],"optional":{optional},"name":"io.debezium.data.VariableScaleDecimal","version":1,"doc":"Variable scaled decimal"}}"#
    )
}
