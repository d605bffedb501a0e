//! An object's lines to the values of its records.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datapipe_core::output::{Encoding, Field, Format, Output};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Finds the values in the lines of one object.
pub(crate) struct Content {
    output: Output,
    stage: Stage,
}

/// How far a JSON array has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Records,
    /// The last record had no comma after it.
    Last,
    End,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

impl Content {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, stage: Stage::Start }
    }

    /// The value in a line; none if the line only opens or closes an array.
    pub(crate) fn value<'a>(&mut self, line: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, String> {
        let line = match self.output.format {
            Format::Csv => return self.fields(line).map(Some),
            Format::Jsonl | Format::Parquet => line,
            Format::Json => match self.element(line)? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        if !self.output.envelope {
            return if self.output.fields == [Field::Value] { Ok(Some(line.into())) } else { Err(no_value()) };
        }
        let wrapped: Wrapped<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        Ok(Some(wrapped.value.get().as_bytes().into()))
    }

    /// The object ends: what is open is a fault.
    pub(crate) fn end(&self) -> Result<(), String> {
        if self.output.format == Format::Json && self.stage != Stage::End {
            return Err("the array is not closed".to_owned());
        }
        Ok(())
    }

    fn element<'a>(&mut self, line: &'a [u8]) -> Result<Option<&'a [u8]>, String> {
        let (stage, element) = match (self.stage, line) {
            (Stage::Start, b"[") => (Stage::Records, None),
            (Stage::Records, [record @ .., b',']) => (Stage::Records, Some(record)),
            (Stage::Records, record) if record != b"]" => (Stage::Last, Some(record)),
            (Stage::Last, b"]") => (Stage::End, None),
            _ => return Err("it is not an array with one record per line".to_owned()),
        };
        self.stage = stage;
        Ok(element)
    }

    /// Only a value that stands as it is may hold commas.
    fn fields<'a>(&self, line: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        let Output { fields, value_encoding, .. } = &self.output;
        let before = fields.iter().position(|field| *field == Field::Value).ok_or_else(no_value)?;
        let after = fields.len() - before - 1;
        let missing = || format!("it has fewer than {} fields", fields.len());
        let mut rest = line;
        for _ in 0..before {
            let comma = rest.iter().position(|byte| *byte == b',').ok_or_else(missing)?;
            rest = &rest[comma + 1..];
        }
        for _ in 0..after {
            let comma = rest.iter().rposition(|byte| *byte == b',').ok_or_else(missing)?;
            rest = &rest[..comma];
        }
        match value_encoding {
            Encoding::None => Ok(payload(rest).unwrap_or(rest).into()),
            Encoding::Base64 => {
                let value = STANDARD.decode(rest).map_err(|error| error.to_string())?;
                Ok(payload(&value).map(<[u8]>::to_vec).unwrap_or(value).into())
            }
        }
    }
}

/// CSV holds the bytes as they came, so a schema may be around the value.
fn payload(value: &[u8]) -> Option<&[u8]> {
    value
        .starts_with(b"{\"schema\":")
        .then(|| datapipe_parquet::split(value))?
        .map(|parts| parts.payload.get().as_bytes())
}

fn no_value() -> String {
    "the sink's format.output.fields lacks value: without it rows cannot be compared".to_owned()
}

#[cfg(test)]
mod tests {
    use datapipe_core::table::Compression;

    use super::*;

    fn values(output: &Output, lines: &[&str]) -> Result<Vec<String>, String> {
        let mut content = Content::new(output.clone());
        let mut values = Vec::new();
        for line in lines {
            values.extend(content.value(line.as_bytes())?.map(|value| String::from_utf8(value.to_vec()).unwrap()));
        }
        content.end()?;
        Ok(values)
    }

    #[test]
    fn values_are_found_in_every_form() {
        let lines = Output::lines(Compression::None);
        let json = Output { format: Format::Json, ..lines.clone() };
        let wrapped = Output { envelope: true, fields: vec![Field::Value, Field::Key], ..json.clone() };
        let csv =
            Output { format: Format::Csv, fields: vec![Field::Key, Field::Value, Field::Offset], ..lines.clone() };
        let plain = Output { value_encoding: Encoding::None, ..csv.clone() };
        let expected = [r#"{"a":1,"b":2}"#, r#"{"a":3}"#];
        for (output, text) in [
            (&lines, vec![r#"{"a":1,"b":2}"#, r#"{"a":3}"#]),
            (&json, vec!["[", r#"{"a":1,"b":2},"#, r#"{"a":3}"#, "]"]),
            (&wrapped, vec!["[", r#"{"value":{"a":1,"b":2},"key":{"x":1}},"#, r#"{"value":{"a":3},"key":null}"#, "]"]),
            (&csv, vec!["eA==,eyJhIjoxLCJiIjoyfQ==,7", ",eyJhIjozfQ==,8"]),
            (&plain, vec![r#"eA==,{"a":1,"b":2},7"#, r#",{"a":3},8"#]),
        ] {
            assert_eq!(values(output, &text).unwrap(), expected, "{output:?}");
        }
    }

    #[test]
    fn what_is_no_such_content_is_told() {
        let json = Output { format: Format::Json, ..Output::lines(Compression::None) };
        for lines in
            [&["[", "{},"][..], &["[", "{}"], &["{}"], &["[", "{}", "{}"], &["[", "]"], &["[", "{}", "]", "{}"]]
        {
            assert!(values(&json, lines).is_err(), "{lines:?}");
        }
        let keys = Output { fields: vec![Field::Key], ..json.clone() };
        assert!(values(&keys, &["[", "{}"]).unwrap_err().contains("lacks value"));
        let csv = Output { format: Format::Csv, fields: vec![Field::Key, Field::Value], ..json };
        assert!(values(&csv, &["e30="]).unwrap_err().contains("fewer than 2"));
    }
}
