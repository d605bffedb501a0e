//! One record as an object of some form holds it.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use datapipe_core::output::{Encoding, Field, Format, Output};
use datapipe_core::port::log::ReadRecord;
use datapipe_parquet::{Record, Row, Schemas, Shape, Unfit};
use serde::de::IgnoredAny;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a record could not be, and where in Kafka Connect that would have been found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// Kafka Connect's name of the stage.
    pub(super) stage: &'static str,
    /// What is wrong.
    pub(super) why: Cow<'static, str>,
}

const fn unusable(stage: &'static str, why: &'static str) -> Unusable {
    Unusable { stage, why: Cow::Borrowed(why) }
}

const fn value(why: &'static str) -> Unusable {
    unusable("VALUE_CONVERTER", why)
}

const KEY_UNWRAPPED: Unusable = unusable("KEY_CONVERTER", "the key is no JSON with a schema and a payload");

/// A record as it is added to an object.
pub(super) struct Content<'a> {
    /// The value, without its schema.
    pub(super) payload: &'a [u8],
    pub(super) form: Form<'a>,
}

pub(super) enum Form<'a> {
    /// Text, without what separates it from its neighbours.
    Text(&'a [u8]),
    /// The entries of columns.
    Row(&'a Arc<Shape>, &'a mut Row),
}

impl Content<'_> {
    /// Bytes before compression.
    pub(super) fn size(&self) -> u64 {
        match self.form {
            Form::Text(text) => text.len() as u64,
            Form::Row(..) => self.payload.len() as u64,
        }
    }
}

/// Puts records together; keeps what it needs for that between them.
#[derive(Default)]
pub(super) struct Composer {
    scratch: Vec<u8>,
    value: Unwrapper,
    key: Unwrapper,
    shape: Option<Arc<Shape>>,
    row: Row,
}

/// Takes schemas off.
#[derive(Default)]
struct Unwrapper {
    /// Everything before the last payload that had a schema, which the next one most likely has too.
    opening: Vec<u8>,
    schema: String,
}

impl Unwrapper {
    /// The value without its schema; none if it is not wrapped.
    fn payload<'a>(&mut self, content: &'a [u8]) -> Option<&'a [u8]> {
        let known = content.strip_prefix(self.opening.as_slice()).filter(|_| !self.opening.is_empty());
        if let Some(payload) = known.and_then(|rest| rest.strip_suffix(b"}")) {
            return Some(payload);
        }
        let parts = datapipe_parquet::split(content)?;
        let payload = parts.payload.get().as_bytes();
        parts.schema.get().clone_into(&mut self.schema);
        // The payload is a part of the content: what is before it opens the next value too, if nothing else follows.
        let before = payload.as_ptr() as usize - content.as_ptr() as usize;
        self.opening.clear();
        if content.len() == before + payload.len() + 1 {
            self.opening.extend_from_slice(&content[..before]);
        }
        Some(payload)
    }
}

impl Composer {
    /// A record in the form of the output; text is the value itself where it can be.
    pub(super) fn compose<'a>(&'a mut self, output: &Output, record: &ReadRecord<'a>) -> Result<Content<'a>, Unusable> {
        let content = record.value.unwrap_or_default();
        let unwrapped = if output.schemas { self.value.payload(content) } else { Some(content) };
        let payload = unwrapped.ok_or(value("the value is no JSON with a schema and a payload"))?;
        let mut record = *record;
        // Bytes in CSV stay as they are.
        if output.key_schemas && output.fields.contains(&Field::Key) && output.format != Format::Csv {
            let unwrapped = record.key.map(|key| self.key.payload(key).ok_or(KEY_UNWRAPPED));
            record.key = unwrapped.transpose()?;
        }
        let record = &record;
        if output.format == Format::Parquet {
            return self.row(output, record, payload);
        }
        check_value(output, payload)?;
        if output.only_value() {
            return Ok(Content { payload, form: Form::Text(payload) });
        }
        self.scratch.clear();
        if output.format == Format::Csv {
            write_fields(output, record, payload, &mut self.scratch);
        } else {
            write_json(output, record, payload, &mut self.scratch)?;
        }
        Ok(Content { payload, form: Form::Text(&self.scratch) })
    }

    fn row<'a>(
        &'a mut self,
        output: &Output,
        record: &ReadRecord<'_>,
        payload: &'a [u8],
    ) -> Result<Content<'a>, Unusable> {
        let columns = |field, schema| output.fields.contains(&field).then_some(schema);
        let schemas = Schemas {
            value: columns(Field::Value, self.value.schema.as_str()),
            key: columns(Field::Key, self.key.schema.as_str()),
        };
        if schemas.key.is_some() && record.key.is_none() {
            return Err(unusable("KEY_CONVERTER", "the record has no key"));
        }
        let known = self.shape.take().filter(|shape| shape.schemas() == schemas);
        let shape = known.map_or_else(|| Shape::new(schemas, output).map(Arc::new), Ok);
        let no_columns = |why| Unusable { stage: "VALUE_CONVERTER", why: format!("no columns: {why}").into() };
        let shape = shape.map_err(no_columns)?;
        let shape = &*self.shape.insert(shape);
        let ReadRecord { key, offset, timestamp_ms, headers, .. } = *record;
        let record = Record { value: payload, key: key.unwrap_or_default(), offset, timestamp_ms, headers };
        let taken = self.row.take(shape, record);
        taken.map_err(|Unfit| value("the record does not fit its schema"))?;
        Ok(Content { payload, form: Form::Row(shape, &mut self.row) })
    }
}

/// Whether a value can stand in an object. It is not parsed whole: what our capture and a JSON converter write passes,
/// what no reader of the object could use does not.
fn check_value(output: &Output, content: &[u8]) -> Result<(), Unusable> {
    let as_it_is = output.format != Format::Csv || output.value_encoding == Encoding::None;
    if output.format != Format::Csv && (content.first() != Some(&b'{') || content.last() != Some(&b'}')) {
        Err(value("the value is no JSON object"))
    } else if as_it_is && output.fields.contains(&Field::Value) && content.iter().any(|b| matches!(b, b'\n' | b'\r')) {
        Err(value("the value has a line break in it"))
    } else {
        Ok(())
    }
}

fn write_json(output: &Output, record: &ReadRecord<'_>, content: &[u8], to: &mut Vec<u8>) -> Result<(), Unusable> {
    if !output.envelope {
        return output.fields.iter().try_for_each(|field| write_member(*field, output, record, content, to));
    }
    for (place, field) in Field::ALL.iter().filter(|field| output.fields.contains(field)).enumerate() {
        to.push(if place == 0 { b'{' } else { b',' });
        string(field.name(), to);
        to.push(b':');
        write_member(*field, output, record, content, to)?;
    }
    to.push(b'}');
    Ok(())
}

fn write_member(
    field: Field,
    output: &Output,
    record: &ReadRecord<'_>,
    content: &[u8],
    to: &mut Vec<u8>,
) -> Result<(), Unusable> {
    match field {
        Field::Value => to.extend_from_slice(content),
        Field::Key => match record.key {
            None => to.extend_from_slice(b"null"),
            Some(key) if serde_json::from_slice::<IgnoredAny>(key).is_err() || key.contains(&b'\n') => {
                return Err(unusable("KEY_CONVERTER", "the key is no JSON on one line"));
            }
            Some(key) => to.extend_from_slice(key),
        },
        Field::Offset => number(record.offset, to),
        Field::Timestamp => timestamp(record.timestamp_ms, to),
        Field::Headers => {
            to.push(b'[');
            for (place, (name, content)) in record.headers.iter().enumerate() {
                to.extend_from_slice(if place == 0 { b"{\"key\":" } else { b",{\"key\":" });
                string(name, to);
                to.extend_from_slice(b",\"value\":");
                match (content, output.header_encoding) {
                    (None, _) => to.extend_from_slice(b"null"),
                    (Some(content), Encoding::Base64) => string(&STANDARD.encode(content), to),
                    (Some(content), Encoding::None) => match std::str::from_utf8(content) {
                        Ok(text) => string(text, to),
                        Err(_) => return Err(unusable("HEADER_CONVERTER", "a header is no UTF-8")),
                    },
                }
                to.push(b'}');
            }
            to.push(b']');
        }
    }
    Ok(())
}

/// Fields with commas between them, in the configuration's order; a missing one is empty.
fn write_fields(output: &Output, record: &ReadRecord<'_>, content: &[u8], to: &mut Vec<u8>) {
    for (place, field) in output.fields.iter().enumerate() {
        if place > 0 {
            to.push(b',');
        }
        match field {
            Field::Value if output.value_encoding == Encoding::None => to.extend_from_slice(content),
            Field::Value => base64(content, to),
            Field::Key => base64(record.key.unwrap_or_default(), to),
            Field::Offset => number(record.offset, to),
            Field::Timestamp => number(record.timestamp_ms, to),
            Field::Headers => {
                for (name, content) in record.headers.iter() {
                    base64(name.as_bytes(), to);
                    to.push(b':');
                    base64(content.unwrap_or_default(), to);
                    to.push(b';');
                }
            }
        }
    }
}

// Writing to memory does not fail.
fn number(number: i64, to: &mut Vec<u8>) {
    let _ = write!(to, "{number}");
}

fn string(text: &str, to: &mut Vec<u8>) {
    let _ = serde_json::to_writer(to, text);
}

fn base64(bytes: &[u8], to: &mut Vec<u8>) {
    let mut encoder = EncoderWriter::new(to, &STANDARD);
    let _ = encoder.write_all(bytes).and_then(|()| encoder.finish().map(drop));
}

/// As Java prints an instant: no fraction of a second, or three digits of it.
fn timestamp(timestamp_ms: i64, to: &mut Vec<u8>) {
    let seconds = OffsetDateTime::from_unix_timestamp(timestamp_ms.div_euclid(1000));
    let text = seconds.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    let ms = timestamp_ms.rem_euclid(1000);
    let _ = match text.strip_suffix('Z') {
        Some(text) if ms > 0 => write!(to, "\"{text}.{ms:03}Z\""),
        _ => write!(to, "\"{text}\""),
    };
}

#[cfg(test)]
mod tests {
    use datapipe_core::port::log::ReadHeaders;
    use datapipe_core::table::Compression;

    use super::*;

    fn record<'a>(key: Option<&'a [u8]>, value: &'a [u8], headers: &'a [u8]) -> ReadRecord<'a> {
        let headers = ReadHeaders::of(headers);
        ReadRecord { partition: 0, offset: 42, timestamp_ms: 1_795_395_599_090, key, value: Some(value), headers }
    }

    fn written(output: &Output, record: &ReadRecord<'_>) -> Result<String, Unusable> {
        match Composer::default().compose(output, record)?.form {
            Form::Text(text) => Ok(String::from_utf8(text.to_vec()).unwrap()),
            Form::Row(..) => panic!("a row is no text"),
        }
    }

    fn headers() -> Vec<u8> {
        let mut headers = Vec::new();
        ReadHeaders::write("a\"", Some(b"1"), &mut headers);
        ReadHeaders::write("b", None, &mut headers);
        headers
    }

    #[test]
    fn json_holds_the_fields_that_were_asked_for() {
        let (headers, lines) = (headers(), Output::lines(Compression::None));
        let record = record(Some(b"{\"id\":1}"), b"{\"a\":2}", &headers);
        assert_eq!(written(&lines, &record).unwrap(), "{\"a\":2}");
        let wrapped = Output { envelope: true, ..lines.clone() };
        assert_eq!(written(&wrapped, &record).unwrap(), "{\"value\":{\"a\":2}}");
        let all = Output { fields: Field::ALL.into(), ..wrapped };
        let expected = r#"{"headers":[{"key":"a\"","value":"1"},{"key":"b","value":null}],"offset":42,"value":{"a":2},"key":{"id":1},"timestamp":"2026-11-23T00:59:59.090Z"}"#;
        assert_eq!(written(&all, &record).unwrap(), expected);
        let base64 = Output { header_encoding: Encoding::Base64, ..all };
        assert!(written(&base64, &record).unwrap().contains(r#""value":"MQ==""#));
        let key = Output { fields: vec![Field::Key], ..lines };
        assert_eq!(written(&key, &record).unwrap(), "{\"id\":1}");
    }

    #[test]
    fn csv_holds_bytes() {
        let headers = headers();
        let record = record(None, b"a,b", &headers);
        let fields = vec![Field::Timestamp, Field::Key, Field::Value, Field::Offset, Field::Headers];
        let csv = Output { format: Format::Csv, fields, ..Output::lines(Compression::None) };
        assert_eq!(written(&csv, &record).unwrap(), "1795395599090,,YSxi,42,YSI=:MQ==;Yg==:;");
        let plain = Output { fields: vec![Field::Value], value_encoding: Encoding::None, ..csv };
        assert_eq!(written(&plain, &record).unwrap(), "a,b");
    }

    #[test]
    fn what_no_reader_could_use_is_refused() {
        let lines = Output::lines(Compression::None);
        let why = |output: &Output, record: &ReadRecord<'_>| written(output, record).unwrap_err();
        assert_eq!(why(&lines, &record(None, b"[1]", b"")).stage, "VALUE_CONVERTER");
        assert!(why(&lines, &record(None, b"{\"a\":\n1}", b"")).why.contains("line break"));
        let keys = Output { envelope: true, fields: vec![Field::Key, Field::Headers], ..lines };
        assert_eq!(why(&keys, &record(Some(b"x"), b"{}", b"")).stage, "KEY_CONVERTER");
        let mut headers = Vec::new();
        ReadHeaders::write("a", Some(&[0xff]), &mut headers);
        assert_eq!(why(&keys, &record(None, b"{}", &headers)).stage, "HEADER_CONVERTER");
    }

    #[test]
    fn whole_seconds_have_no_fraction() {
        let mut text = Vec::new();
        timestamp(0, &mut text);
        assert_eq!(text, b"\"1970-01-01T00:00:00Z\"");
    }

    #[test]
    fn a_key_has_columns_of_its_own() {
        let parquet = |fields: &[Field]| Output {
            format: Format::Parquet,
            fields: fields.to_vec(),
            envelope: true,
            schemas: true,
            key_schemas: true,
            ..Output::lines(Compression::None)
        };
        let schema = r#"{"type":"struct","fields":[{"type":"int64","field":"id"}]}"#;
        let wrapped = format!(r#"{{"schema":{schema},"payload":{{"id":1}}}}"#);
        let mut composer = Composer::default();
        let both = parquet(&[Field::Key, Field::Value]);
        let mut shape = |key: Option<&str>| match composer
            .compose(&both, &record(key.map(str::as_bytes), wrapped.as_bytes(), b""))
        {
            Ok(Content { form: Form::Row(shape, _), .. }) => Ok(Arc::clone(shape)),
            Ok(_) => panic!("no row"),
            Err(why) => Err((why.stage, why.why.into_owned())),
        };
        let first = shape(Some(&wrapped)).unwrap();
        assert!(Arc::ptr_eq(&first, &shape(Some(&wrapped)).unwrap()));
        let other = wrapped.replace("int64", "int32");
        assert_ne!(
            shape(Some(&other)).unwrap().schemas(),
            first.schemas(),
            "another schema of the key is another shape"
        );
        assert_eq!(shape(None).unwrap_err(), ("KEY_CONVERTER", "the record has no key".to_owned()));
        assert_eq!(shape(Some("{\"id\":1}")).unwrap_err().0, "KEY_CONVERTER");
        let key = Output { format: Format::Jsonl, ..parquet(&[Field::Key]) };
        assert_eq!(
            written(&key, &record(Some(wrapped.as_bytes()), wrapped.as_bytes(), b"")).unwrap(),
            r#"{"key":{"id":1}}"#
        );
    }

    #[test]
    fn schemas_are_taken_off() {
        let lines = Output { schemas: true, ..Output::lines(Compression::None) };
        let mut composer = Composer::default();
        for (content, payload) in [
            (&br#"{"schema":{"type":"map"},"payload":{"a":1}}"#[..], &br#"{"a":1}"#[..]),
            (br#"{"schema":{"type":"map"},"payload":{"a":2}}"#, br#"{"a":2}"#),
            (br#"{"schema":{"type":"struct"},"payload":{"a":3}}"#, br#"{"a":3}"#),
            (br#"{ "payload" : {"a":4}, "schema": {"type":"map"} }"#, br#"{"a":4}"#),
            (br#"{"schema":{"type":"map"},"payload":{"a":5}}"#, br#"{"a":5}"#),
        ] {
            assert_eq!(composer.compose(&lines, &record(None, content, b"")).unwrap().payload, payload);
        }
        assert!(
            composer.compose(&lines, &record(None, b"{\"a\":1}", b"")).is_err_and(|why| why.why.contains("schema"))
        );
    }
}
