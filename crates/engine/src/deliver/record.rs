//! One record as an object of some form holds it.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use datapipe_core::output::{Encoding, Field, Format, Output};
use datapipe_core::port::log::ReadRecord;
use serde::de::IgnoredAny;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a record could not be, and where in Kafka Connect that would have been found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// Kafka Connect's name of the stage.
    pub(super) stage: &'static str,
    /// What is wrong.
    pub(super) why: &'static str,
}

const fn value(why: &'static str) -> Unusable {
    Unusable { stage: "VALUE_CONVERTER", why }
}

/// The record as text, without what separates it from its neighbours; in `scratch`, unless it is the value itself.
pub(super) fn text<'a>(
    output: &Output,
    record: &ReadRecord<'a>,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], Unusable> {
    let content = record.value.unwrap_or_default();
    check_value(output, content)?;
    if output.only_value() {
        return Ok(content);
    }
    scratch.clear();
    if output.format == Format::Csv {
        write_fields(output, record, content, scratch);
    } else {
        write_json(output, record, content, scratch)?;
    }
    Ok(scratch)
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
                return Err(Unusable { stage: "KEY_CONVERTER", why: "the key is no JSON on one line" });
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
                        Err(_) => return Err(Unusable { stage: "HEADER_CONVERTER", why: "a header is no UTF-8" }),
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
        let mut scratch = Vec::new();
        text(output, record, &mut scratch).map(|text| String::from_utf8(text.to_vec()).unwrap())
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
}
