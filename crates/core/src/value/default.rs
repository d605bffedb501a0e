//! Defaults of columns, as far as Debezium evaluates them: constants, and a zero for what a function computes.

use super::{ColumnType, DecimalMode, Modes, PgType, TimeMode, Unit, number, write_value};

/// What the server calls by a name of its own: a function without parentheses.
const MOMENTS: [&str; 5] = ["current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"];

/// The value that a default's expression (`pg_get_expr`) comes to, as PostgreSQL's text; none if it has none that is known, or
/// if columns of the type have no default in a schema: those of domains, arrays, and types that are rarely given one.
///
/// The first text between quotes is taken for the constant, so that `'a' || 'b'` comes to `a`; a call comes to the type's
/// zero, `nextval(..)` to 0 and `now()` to 1970. `tests/schemas.json` holds what became of each kind of expression.
pub fn constant_default(pg: &PgType, expression: &str) -> Option<Box<str>> {
    if pg.kind == 'e' {
        // The label is what stands before the cast; quotes in it stay doubled.
        let (literal, _) = expression.rsplit_once("::")?;
        return Some(literal.strip_prefix('\'')?.strip_suffix('\'')?.into());
    }
    if pg.kind != 'b' || pg.schema != "pg_catalog" {
        return None;
    }
    let zero = zero(&pg.name)?;
    let is_text = matches!(pg.name.as_str(), "text" | "varchar" | "bpchar" | "json" | "jsonb" | "xml");
    let expression = if is_text { expression } else { expression.trim() };
    let text = if is_call(expression) { zero.to_owned() } else { literal(expression)? };
    let text = match pg.name.as_str() {
        // Anything but this word is false.
        "bool" => if text.eq_ignore_ascii_case("true") { "t" } else { "f" }.to_owned(),
        "int2" => text.parse::<i16>().ok()?.to_string(),
        "int4" => text.parse::<i32>().ok()?.to_string(),
        "int8" => text.parse::<i64>().ok()?.to_string(),
        "float4" | "float8" => text.parse::<f64>().ok().map(|_| text)?,
        // The session's style writes all of it; a constant of another type may lack its end.
        "timestamp" if is_date(&text) => text + " 00:00:00",
        "timestamptz" if is_date(&text) => text + " 00:00:00+00",
        "timestamptz" if text.get(19..).is_some_and(|end| !end.is_empty() && !end.contains(['+', '-'])) => text + "+00",
        _ => text,
    };
    Some(text.into())
}

/// What a call comes to; none if the type's defaults are not looked at.
fn zero(name: &str) -> Option<&'static str> {
    Some(match name {
        "text" | "varchar" | "bpchar" | "xml" => "",
        "json" | "jsonb" => "{}",
        "bool" => "false",
        "int2" | "int4" | "int8" | "varbit" => "0",
        "float4" | "float8" | "numeric" => "0.0",
        "bit" => "00",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        "date" | "timestamp" | "timestamptz" => "1970-01-01",
        "time" | "interval" => "00:00:00",
        _ => return None,
    })
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether an expression begins with a call, perhaps in parentheses.
fn is_call(expression: &str) -> bool {
    if MOMENTS.iter().any(|moment| expression.eq_ignore_ascii_case(moment)) {
        return true;
    }
    let start = expression.strip_prefix('(').unwrap_or(expression);
    let name = start.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let Some(rest) = name.strip_prefix('(').filter(|_| name.len() < start.len()) else { return false };
    let line = rest.split(['\n', '\r']).next().unwrap_or_default();
    line.contains(')')
}

/// The first text between quotes, or the whole expression if there are none; none for NULL.
fn literal(expression: &str) -> Option<String> {
    let Some((_, quoted)) = expression.split_once('\'') else {
        return (!expression.starts_with("NULL::")).then(|| expression.to_owned());
    };
    let mut text = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('\'')?;
        text.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                text.push('\'');
                rest = after;
            }
            None => return Some(text),
        }
    }
}

/// Writes a default in its column's form; false, and nothing, if it has none.
pub fn write_default(kind: &ColumnType, modes: Modes, text: &str, out: &mut Vec<u8>) -> bool {
    let from = out.len();
    let written = match (kind, text) {
        (ColumnType::Date | ColumnType::Timestamp(_) | ColumnType::TimestampTz(_), "infinity" | "-infinity") => {
            let end = end_of_time(kind, modes, text == "infinity");
            out.extend_from_slice(end.unwrap_or_default().as_bytes());
            end.is_some()
        }
        // A number without digits of its own is a struct under this mode, and such cannot be a default.
        (ColumnType::Numeric(None), _) if modes.decimal == DecimalMode::Precise => false,
        (ColumnType::Numeric(_), _) if !number::is_decimal(text.as_bytes()) => false,
        (ColumnType::Numeric(Some(digits)), _) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let scale = usize::from(digits.scale);
            // Zeros beyond the scale say nothing; other digits there make it no value of the column.
            let fraction = if fraction.len() > scale { fraction.trim_end_matches('0') } else { fraction };
            let point = if scale > 0 { "." } else { "" };
            fraction.len() <= scale && {
                let text = format!("{whole}{point}{fraction:0<scale$}");
                write_value(kind, modes, text.as_bytes(), out).is_ok()
            }
        }
        _ => write_value(kind, modes, text.as_bytes(), out).is_ok(),
    };
    if !written {
        out.truncate(from);
    }
    written
}

/// The ends of time of Java's dates, overflown as its numbers are; none where they have no form.
fn end_of_time(kind: &ColumnType, modes: Modes, positive: bool) -> Option<&'static str> {
    let isostring = modes.time == TimeMode::Isostring;
    match (kind, positive) {
        (ColumnType::Date, true) if isostring => Some("\"+999999999-12-31Z\""),
        (ColumnType::Date, false) if isostring => Some("\"-999999999-01-01Z\""),
        (ColumnType::Date, true) => Some("169560311"),
        (ColumnType::Date, false) => Some("-170999002"),
        (ColumnType::Timestamp(_), true) if isostring => Some("\"+999999999-12-31T23:59:59.999999999Z\""),
        (ColumnType::Timestamp(_), false) if isostring => Some("\"-999999999-01-01T00:00:00Z\""),
        (ColumnType::Timestamp(digits), _) if Unit::of(modes.time, *digits, false) == Some(Unit::Micros) => {
            Some(if positive { "-9223372036853775810" } else { "-9223372036854775808" })
        }
        _ => None,
    }
}
