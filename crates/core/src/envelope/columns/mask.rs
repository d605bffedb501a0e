//! Values that are cut off, replaced by asterisks, or by a hash.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::Digest as _;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::value::json::write_string;
use crate::value::{BinaryMode, ColumnType, DecimalMode, HstoreMode, IntervalMode, Modes, TimeMode};

const TRUNCATE: &str = "column.truncate.to.";
const ASTERISKS: &str = "column.mask.with.";
const HASH: &str = "column.mask.hash.";
/// Longer masks and cuts are typing errors.
const CHARACTERS_MAX: u32 = 1 << 20;

/// What is done to a value.
#[derive(Clone, Debug)]
pub(crate) enum Mask {
    /// `column.truncate.to.{n}.chars`: the first n characters, as Java counts them.
    Truncate(u32),
    /// The same of a value whose bytes are written in base64.
    TruncateBytes(u32),
    /// `column.mask.with.{n}.chars`: n asterisks.
    Asterisks(u32),
    /// `column.mask.hash.{algorithm}.with.salt.{salt}`
    Hash(Hash),
}

#[derive(Clone, Debug)]
pub(crate) struct Hash {
    algorithm: Algorithm,
    salt: String,
    /// The value is hashed as its text; otherwise as Java serializes it.
    plain: bool,
    /// The hash is cut off at the column's length.
    length: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MD5" => Self::Md5,
            "SHA" | "SHA1" | "SHA-1" => Self::Sha1,
            "SHA-224" => Self::Sha224,
            "SHA-256" => Self::Sha256,
            "SHA-384" => Self::Sha384,
            "SHA-512" => Self::Sha512,
            _ => return None,
        })
    }

    fn digest(self, bytes: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&md5::Md5::digest(bytes)),
            Self::Sha1 => hex(&sha1::Sha1::digest(bytes)),
            Self::Sha224 => hex(&Sha224::digest(bytes)),
            Self::Sha256 => hex(&Sha256::digest(bytes)),
            Self::Sha384 => hex(&Sha384::digest(bytes)),
            Self::Sha512 => hex(&Sha512::digest(bytes)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Reads a key; the error says what is wrong with it.
pub(super) fn parse(key: &str) -> Result<Mask, String> {
    Mask::of_key(key).ok_or("it is no mask".to_owned())?
}

impl Mask {
    /// What a key asks for; none if it is no mask's.
    pub(super) fn of_key(key: &str) -> Option<Result<Self, String>> {
        let number = |text: &str| {
            let count = text.parse().ok().filter(|count| *count <= CHARACTERS_MAX);
            count.ok_or_else(|| format!("{text:?} is no number of characters up to {CHARACTERS_MAX}"))
        };
        if let Some(count) = key.strip_prefix(TRUNCATE).and_then(|rest| rest.strip_suffix(".chars")) {
            return Some(number(count).map(Self::Truncate));
        }
        if let Some(count) = key.strip_prefix(ASTERISKS).and_then(|rest| rest.strip_suffix(".chars")) {
            return Some(number(count).map(Self::Asterisks));
        }
        let rest = key.strip_prefix(HASH)?;
        let (name, salt) = rest.split_once(".with.salt.")?;
        let (name, plain) = name.strip_prefix("v2.").map_or((name, false), |name| (name, true));
        let algorithm = Algorithm::named(name).ok_or_else(|| {
            format!("{name:?} is no algorithm that is served: MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512")
        });
        let hash = |algorithm| Self::Hash(Hash { algorithm, salt: salt.to_owned(), plain, length: None });
        Some(algorithm.map(hash))
    }

    /// Of several masks of one column, the lowest counts.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Truncate(_) | Self::TruncateBytes(_) => 0,
            Self::Asterisks(_) => 1,
            Self::Hash(Hash { plain: false, .. }) => 2,
            Self::Hash(_) => 3,
        }
    }

    /// The mask for a column of this type; none if the type is not masked. Debezium hashes and replaces characters
    /// only, and cuts off whatever is a string or a row of bytes to it.
    pub(super) fn on(&self, kind: &ColumnType, modes: Modes) -> Option<Self> {
        match (self, kind) {
            (Self::Truncate(count), ColumnType::Chars(Some(length))) if length <= count => None,
            (Self::Truncate(count), ColumnType::Bytea) if modes.binary == BinaryMode::Bytes => {
                Some(Self::TruncateBytes(*count))
            }
            (Self::Truncate(_), _) => is_string(kind, modes).then(|| self.clone()),
            (Self::Hash(hash), ColumnType::Chars(length)) => Some(Self::Hash(Hash { length: *length, ..hash.clone() })),
            (Self::Hash(hash), ColumnType::Enum(_)) => Some(Self::Hash(hash.clone())),
            (Self::Asterisks(_), ColumnType::Chars(_) | ColumnType::Enum(_)) => Some(self.clone()),
            _ => None,
        }
    }

    /// What stands among the parameters of the schema of a column that the mask names, whether it is masked or not. A value
    /// that is shorter than the cut by its type is not marked.
    pub(super) fn mark(&self, kind: &ColumnType) -> Option<(&'static str, String)> {
        match self {
            Self::Truncate(count) | Self::TruncateBytes(count) => {
                let cut = length(kind).is_none_or(|length| length > *count);
                cut.then(|| ("truncateLength", count.to_string()))
            }
            Self::Asterisks(_) | Self::Hash(_) => Some(("masked", "true".to_owned())),
        }
    }

    /// Masks the value that was written to `out` from `from` on.
    pub(crate) fn apply(&self, from: usize, out: &mut Vec<u8>) {
        match self {
            Self::Truncate(count) => truncate(*count, from, out),
            Self::TruncateBytes(count) => truncate_bytes(*count, from, out),
            Self::Asterisks(count) => {
                out.truncate(from);
                out.push(b'"');
                out.resize(out.len() + *count as usize, b'*');
                out.push(b'"');
            }
            Self::Hash(hash) => {
                let Ok(text) = serde_json::from_slice::<String>(&out[from..]) else { return };
                out.truncate(from);
                let hash = hash.of(&text);
                write_string(hash.as_bytes(), out).unwrap_or_else(|_| out.extend_from_slice(b"null"));
            }
        }
    }
}

/// Cuts a JSON string, which counts each `\uXXXX`, each short escape, and each other character as one: those that Java
/// counts as two are written as two escapes.
fn truncate(count: u32, from: usize, out: &mut Vec<u8>) {
    if out.get(from) != Some(&b'"') {
        return;
    }
    let mut at = from + 1;
    for _ in 0..count {
        at += match out.get(at) {
            None | Some(b'"') => return,
            Some(b'\\') if out.get(at + 1) == Some(&b'u') => 6,
            Some(b'\\') => 2,
            Some(0..0x80) => 1,
            Some(0..0xE0) => 2,
            Some(0..0xF0) => 3,
            Some(_) => 4,
        };
    }
    if at < out.len() {
        out.truncate(at);
        out.push(b'"');
    }
}

fn truncate_bytes(count: u32, from: usize, out: &mut Vec<u8>) {
    let Ok(text) = serde_json::from_slice::<&str>(&out[from..]) else { return };
    let Ok(mut bytes) = BASE64_STANDARD.decode(text) else { return };
    bytes.truncate(count as usize);
    out.truncate(from);
    out.push(b'"');
    out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// The length of a type's values as PostgreSQL's JDBC driver tells it; none without a bound.
fn length(kind: &ColumnType) -> Option<u32> {
    let fraction = |digits: u8| match digits {
        0 => 0,
        1 => 3,
        digits => u32::from(digits) + 1,
    };
    Some(match kind {
        ColumnType::Bool | ColumnType::Bit => 1,
        ColumnType::Int2 => 5,
        ColumnType::Int4 | ColumnType::Oid => 10,
        ColumnType::Int8 => 19,
        ColumnType::Float4 => 8,
        ColumnType::Float8 => 17,
        ColumnType::Numeric(Some(digits)) => u32::from(digits.precision),
        ColumnType::Numeric(None) => 131_089,
        ColumnType::Chars(length) | ColumnType::Bits(length) => return *length,
        ColumnType::Date => 13,
        ColumnType::Time(digits) => 8 + fraction(*digits),
        ColumnType::TimeTz => 21,
        ColumnType::Timestamp(digits) => 22 + fraction(*digits),
        ColumnType::TimestampTz(digits) => 28 + fraction(*digits),
        ColumnType::Interval => 49,
        ColumnType::Array(element) => return length(element),
        _ => return None,
    })
}

/// Whether Debezium holds values of the type as strings, however they are written.
fn is_string(kind: &ColumnType, modes: Modes) -> bool {
    match kind {
        ColumnType::Chars(_)
        | ColumnType::Enum(_)
        | ColumnType::Text
        | ColumnType::Xml
        | ColumnType::Tsvector
        | ColumnType::Ltree
        | ColumnType::Uuid
        | ColumnType::Json
        | ColumnType::TimeTz
        | ColumnType::TimestampTz(_) => true,
        ColumnType::Numeric(_) | ColumnType::Money => modes.decimal == DecimalMode::String,
        ColumnType::Date | ColumnType::Time(_) | ColumnType::Timestamp(_) => modes.time == TimeMode::Isostring,
        ColumnType::Interval => modes.interval == IntervalMode::String,
        ColumnType::Hstore => modes.hstore == HstoreMode::Json,
        ColumnType::Bytea => modes.binary != BinaryMode::Bytes,
        _ => false,
    }
}

impl Hash {
    fn of(&self, text: &str) -> String {
        let mut bytes = self.salt.as_bytes().to_vec();
        bytes.extend(if self.plain { text.as_bytes().to_vec() } else { serialized(text) });
        let mut hash = self.algorithm.digest(&bytes);
        if let Some(length) = self.length {
            hash.truncate(length as usize);
        }
        hash
    }
}

/// A string as Java's `ObjectOutputStream` writes it: a header, its length, and its modified UTF-8.
fn serialized(text: &str) -> Vec<u8> {
    let mut modified = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        let byte = |value: u16| value.to_le_bytes()[0];
        let low = |shift: u16| 0x80 | byte((unit >> shift) & 0x3f);
        match unit {
            1..0x80 => modified.push(byte(unit)),
            0 | 0x80..0x800 => modified.extend([0xC0 | byte(unit >> 6), low(0)]),
            _ => modified.extend([0xE0 | byte(unit >> 12), low(6), low(0)]),
        }
    }
    let mut out = vec![0xAC, 0xED, 0x00, 0x05];
    if let Ok(length) = u16::try_from(modified.len()) {
        out.push(0x74);
        out.extend(length.to_be_bytes());
    } else {
        out.push(0x7C);
        out.extend((modified.len() as u64).to_be_bytes());
    }
    out.extend(modified);
    out
}
