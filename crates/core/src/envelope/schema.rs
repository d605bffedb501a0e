//! The schemas of keys and values, as Kafka Connect's JSON converter puts them before each if it is asked to.

use std::fmt::Write as _;
use std::sync::Arc;

use super::layout::{Form, Image, Layout};
use super::{EnvelopeSettings, RowError};
use crate::change::{Column, Relation};
use crate::value::json::write_string;
use crate::value::{
    BinaryMode, ColumnType, DecimalMode, Digits, HstoreMode, IntervalMode, Modes, Shape, TimeMode, Unit, write_default,
};

/// Puts schemas around keys and values; without one they stay as they are.
pub(super) struct Wrapper {
    server_name: String,
    keys: bool,
    values: bool,
    /// Values have a schema where a default may be wanted.
    defaults: bool,
    relation: Option<Arc<Relation>>,
    /// `{"schema":{..},"payload":`, or nothing.
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Wrapper {
    pub(super) fn new(settings: &EnvelopeSettings) -> Self {
        let EnvelopeSettings { key_schemas: keys, schemas: values, schemas_for_defaults: defaults, .. } = *settings;
        let server_name = settings.server_name.clone();
        Self { server_name, keys, values, defaults, relation: None, key: Vec::new(), value: Vec::new() }
    }

    /// Makes the schemas of a relation, once.
    pub(super) fn prepare(&mut self, layout: &Layout, form: &Form) {
        if (self.keys || self.values || self.defaults)
            && self.relation.as_ref().is_none_or(|cached| !Arc::ptr_eq(cached, &layout.relation))
        {
            let relation = &layout.relation;
            let name = format!("{}.{}.{}", self.server_name, relation.schema, relation.name);
            if self.keys {
                self.key = opening(&key_schema(&name, layout, form));
            }
            let typed = self.values || (self.defaults && has_defaults(relation, form));
            self.value = if typed { opening(&value_schema(&name, relation, form)) } else { Vec::new() };
            self.relation = Some(Arc::clone(relation));
        }
    }

    pub(super) fn open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value);
    }

    pub(super) fn close(&self, out: &mut Vec<u8>) {
        if !self.value.is_empty() {
            out.push(b'}');
        }
    }

    /// Writes a row's key; false, and nothing, if there is none.
    pub(super) fn write_key(&self, layout: &Layout, image: Image<'_>, out: &mut Vec<u8>) -> Result<bool, RowError> {
        let from = out.len();
        out.extend_from_slice(&self.key);
        let keyed = layout.write_key(image, out)?;
        match (keyed, self.keys) {
            (false, _) => out.truncate(from),
            (true, true) => out.push(b'}'),
            (true, false) => {}
        }
        Ok(keyed)
    }

    /// The key without its schema.
    pub(super) fn bare_key<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        let rest = key.strip_prefix(self.key.as_slice()).unwrap_or(key);
        if self.keys { &rest[..rest.len().saturating_sub(1)] } else { rest }
    }
}

/// Whether a NULL of this table could be taken for a default.
fn has_defaults(relation: &Relation, form: &Form) -> bool {
    let has = |column: &Column| {
        let text = column.default.as_deref().filter(|_| column.nullable);
        text.is_some_and(|text| write_default(&column.kind, form.modes, text, &mut Vec::new()))
    };
    relation.columns.iter().any(has)
}

/// What stands before the payload.
pub(super) fn opening(schema: &str) -> Vec<u8> {
    format!(r#"{{"schema":{schema},"payload":"#).into_bytes()
}

fn key_schema(name: &str, layout: &Layout, form: &Form) -> String {
    let relation = &layout.relation;
    let field = |at: &usize| {
        let column = &relation.columns[*at];
        if form.hides(relation, column) {
            // Of such a column Debezium knows neither that it is NOT NULL nor its default.
            return field(&Column::new(&column.name, column.kind.clone(), true), form.modes, None);
        }
        field(column, form.modes, None)
    };
    let fields: Vec<String> = layout.key.iter().map(field).collect();
    let name = quoted(&format!("{name}.Key"));
    format!(r#"{{"type":"struct","fields":[{}],"optional":false,"name":{name}}}"#, fields.join(","))
}

fn value_schema(name: &str, relation: &Relation, form: &Form) -> String {
    let shown = |column: &&Column| !form.hides(relation, column);
    let field = |column: &Column| field(column, form.modes, form.columns.marked(relation, column));
    let columns: Vec<String> = relation.columns.iter().filter(shown).map(field).collect();
    let (columns, row) = (columns.join(","), quoted(&format!("{name}.Value")));
    let mut out = String::from(r#"{"type":"struct","fields":["#);
    for image in ["before", "after"] {
        let _ =
            write!(out, r#"{{"type":"struct","fields":[{columns}],"optional":true,"name":{row},"field":"{image}"}},"#);
    }
    let name = quoted(&format!("{name}.Envelope"));
    let _ = write!(out, r#"{SOURCE},"optional":false,"name":{name},"version":2}}"#);
    out
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

const POINT: &str = concat!(
    r#","fields":[{"type":"double","optional":false,"field":"x"},{"type":"double","optional":false,"field":"y"},"#,
    r#"{"type":"bytes","optional":true,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}]"#,
);
const LINE: &str = concat!(
    r#","fields":[{"type":"double","optional":false,"field":"a"},{"type":"double","optional":false,"field":"b"},"#,
    r#"{"type":"double","optional":false,"field":"c"}]"#,
);
const GEOMETRY: &str = concat!(
    r#","fields":[{"type":"bytes","optional":false,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"},"#,
    r#"{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"string","optional":false},"#,
    r#""optional":true,"field":"extensions"}]"#,
);

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_string(text.as_bytes(), &mut out).expect("a name is a string, so it is UTF-8");
    String::from_utf8(out).expect("JSON of UTF-8 is UTF-8")
}

/// A column's schema, as a struct holds it, with what a mask adds to its parameters.
fn field(column: &Column, modes: Modes, mark: Option<(&'static str, String)>) -> String {
    let mut described = Described::of(&column.kind, modes);
    described.parameters.extend(mark);
    let mut schema = described.schema(column.nullable || described.optional_always);
    let mut default = Vec::new();
    if column.default.as_ref().is_some_and(|text| write_default(&column.kind, modes, text, &mut default)) {
        let _ = write!(schema, r#","default":{}"#, String::from_utf8_lossy(&default));
    }
    let _ = write!(schema, r#","field":{}}}"#, quoted(&column.name));
    schema
}

/// A type's schema in parts.
struct Described {
    /// The type, and what a container holds.
    kind: String,
    /// Its name, a text about it, and the version of what has a name.
    name: Option<&'static str>,
    doc: Option<&'static str>,
    version: u8,
    parameters: Vec<(&'static str, String)>,
    /// Whether it may be null as an element of an array.
    optional_element: bool,
    /// Whether it may be null in a column that is NOT NULL.
    optional_always: bool,
}

impl Described {
    fn plain(kind: &str) -> Self {
        let kind = format!(r#""type":"{kind}""#);
        Self {
            kind,
            name: None,
            doc: None,
            version: 1,
            parameters: Vec::new(),
            optional_element: true,
            optional_always: false,
        }
    }

    fn named(kind: &str, name: &'static str) -> Self {
        Self { name: Some(name), ..Self::plain(kind) }
    }

    fn with(mut self, parameter: &'static str, value: &impl ToString) -> Self {
        self.parameters.push((parameter, value.to_string()));
        self
    }

    fn of(kind: &ColumnType, modes: Modes) -> Self {
        match kind {
            ColumnType::Bool | ColumnType::Bit => Self::plain("boolean"),
            ColumnType::Int2 => Self::plain("int16"),
            ColumnType::Int4 => Self::plain("int32"),
            ColumnType::Int8 | ColumnType::Oid => Self::plain("int64"),
            ColumnType::Float4 => Self::plain("float"),
            ColumnType::Float8 => Self::plain("double"),
            ColumnType::Numeric(_) | ColumnType::Money => Self::number(kind, modes.decimal),
            ColumnType::Uuid => Self::named("string", "io.debezium.data.Uuid"),
            ColumnType::Bytea if modes.binary == BinaryMode::Bytes => Self::plain("bytes"),
            ColumnType::Bytea | ColumnType::Chars(_) | ColumnType::Text => Self::plain("string"),
            ColumnType::Enum(labels) => {
                let described = Self::named("string", "io.debezium.data.Enum").with("allowed", labels);
                Self { optional_element: false, ..described }
            }
            ColumnType::Xml => Self::named("string", "io.debezium.data.Xml"),
            ColumnType::Tsvector => {
                Self { optional_element: false, ..Self::named("string", "io.debezium.data.Tsvector") }
            }
            ColumnType::Ltree => Self::named("string", "io.debezium.data.Ltree"),
            ColumnType::Bits(length) => {
                // The greatest length stands for none.
                let length = length.unwrap_or(i32::MAX.unsigned_abs());
                Self::named("bytes", "io.debezium.data.Bits").with("length", &length)
            }
            ColumnType::Json => Self::named("string", "io.debezium.data.Json"),
            ColumnType::Date | ColumnType::Time(_) | ColumnType::Timestamp(_) => Self::time(kind, modes.time),
            ColumnType::TimeTz => Self::named("string", "io.debezium.time.ZonedTime"),
            ColumnType::TimestampTz(_) => Self::named("string", "io.debezium.time.ZonedTimestamp"),
            ColumnType::Interval => match modes.interval {
                IntervalMode::Numeric => Self::named("int64", "io.debezium.time.MicroDuration"),
                IntervalMode::String => Self::named("string", "io.debezium.time.Interval"),
            },
            ColumnType::Geometric(shape) => Self::geometric(*shape),
            ColumnType::Hstore => match modes.hstore {
                HstoreMode::Json => Self::named("string", "io.debezium.data.Json"),
                HstoreMode::Map => {
                    let mut map = Self::plain("map");
                    let keys = Self::plain("string").whole(false);
                    let _ = write!(map.kind, r#","keys":{keys},"values":{}"#, Self::plain("string").whole(true));
                    map
                }
            },
            ColumnType::Array(element) => {
                let element = Self::of(element, modes);
                let mut array = Self::plain("array");
                let _ = write!(array.kind, r#","items":{}"#, element.whole(element.optional_element));
                array
            }
        }
    }

    fn number(kind: &ColumnType, mode: DecimalMode) -> Self {
        const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
        match (mode, kind) {
            (DecimalMode::String, _) => Self::plain("string"),
            (DecimalMode::Double, _) => Self::plain("double"),
            (DecimalMode::Precise, ColumnType::Numeric(None)) => {
                let mut variable = Self::named("struct", "io.debezium.data.VariableScaleDecimal");
                variable.kind += r#","fields":[{"type":"int32","optional":false,"field":"scale"},{"type":"bytes","optional":false,"field":"value"}]"#;
                Self { doc: Some("Variable scaled decimal"), ..variable }
            }
            (DecimalMode::Precise, ColumnType::Numeric(Some(Digits { precision, scale }))) => {
                Self::named("bytes", DECIMAL).with("scale", scale).with("connect.decimal.precision", precision)
            }
            (DecimalMode::Precise, _) => Self::named("bytes", DECIMAL).with("scale", &2),
        }
    }

    fn geometric(shape: Shape) -> Self {
        let described = |name, doc, fields: &str| {
            let mut described = Self::named("struct", name);
            described.kind += fields;
            Self { doc, ..described }
        };
        let point = || described("io.debezium.data.geometry.Point", Some("Geometry (POINT)"), POINT);
        let described = match shape {
            Shape::Point => return point(),
            Shape::Line => described("io.debezium.data.geometry.Line", Some("Geometry (LINE)"), LINE),
            Shape::Circle => {
                let center = point().schema(false);
                let fields = format!(
                    r#","fields":[{center},"field":"center"}},{{"type":"double","optional":false,"field":"radius"}}]"#
                );
                described("io.debezium.data.geometry.Circle", Some("Geometry (CIRCLE)"), &fields)
            }
            Shape::Segment | Shape::Box | Shape::Path | Shape::Polygon => {
                Self { version: 2, ..described("io.debezium.data.geometry.Geometry", Some("Geometry"), GEOMETRY) }
            }
        };
        Self { optional_always: true, ..described }
    }

    fn time(kind: &ColumnType, mode: TimeMode) -> Self {
        let (unit, connect) = match kind {
            ColumnType::Date => {
                return match mode {
                    TimeMode::Isostring => Self::named("string", "io.debezium.time.IsoDate"),
                    TimeMode::Connect => Self::named("int32", "org.apache.kafka.connect.data.Date"),
                    _ => Self::named("int32", "io.debezium.time.Date"),
                };
            }
            ColumnType::Time(digits) => (Unit::of(mode, *digits, true), mode == TimeMode::Connect),
            ColumnType::Timestamp(digits) => (Unit::of(mode, *digits, false), mode == TimeMode::Connect),
            _ => (None, false),
        };
        match (unit, matches!(kind, ColumnType::Time(_))) {
            (None, true) => Self::named("string", "io.debezium.time.IsoTime"),
            (Some(Unit::Millis), true) if connect => Self::named("int32", "org.apache.kafka.connect.data.Time"),
            (Some(Unit::Millis), true) => Self::named("int32", "io.debezium.time.Time"),
            (Some(Unit::Micros), true) => Self::named("int64", "io.debezium.time.MicroTime"),
            (Some(Unit::Nanos), true) => Self::named("int64", "io.debezium.time.NanoTime"),
            (None, false) => Self::named("string", "io.debezium.time.IsoTimestamp"),
            (Some(Unit::Millis), false) if connect => Self::named("int64", "org.apache.kafka.connect.data.Timestamp"),
            (Some(Unit::Millis), false) => Self::named("int64", "io.debezium.time.Timestamp"),
            (Some(Unit::Micros), false) => Self::named("int64", "io.debezium.time.MicroTimestamp"),
            (Some(Unit::Nanos), false) => Self::named("int64", "io.debezium.time.NanoTimestamp"),
        }
    }

    /// The schema without its closing brace.
    fn schema(&self, optional: bool) -> String {
        let mut out = format!(r#"{{{},"optional":{optional}"#, self.kind);
        if let Some(name) = self.name {
            let _ = write!(out, r#","name":"{name}","version":{}"#, self.version);
        }
        if let Some(doc) = self.doc {
            let _ = write!(out, r#","doc":"{doc}""#);
        }
        if !self.parameters.is_empty() {
            let parameter = |(name, value): &(&str, String)| format!(r#""{name}":{}"#, quoted(value));
            let parameters: Vec<String> = self.parameters.iter().map(parameter).collect();
            let _ = write!(out, r#","parameters":{{{}}}"#, parameters.join(","));
        }
        out
    }

    fn whole(&self, optional: bool) -> String {
        self.schema(optional) + "}"
    }
}
