//! Geometric types: numbers, and the well-known binary form (WKB) of OGC's "Simple Feature Access", little endian, in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ValueError;
use super::float::write_float8;

const FORM: ValueError = ValueError::Form("coordinates as (1,2), in the type's own brackets");

/// A geometric type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `point`
    Point,
    /// `line`, as the coefficients of Ax + By + C = 0.
    Line,
    /// `lseg`
    Segment,
    /// `box`
    Box,
    /// `path`
    Path,
    /// `polygon`
    Polygon,
    /// `circle`
    Circle,
}

/// WKB's numbers of its types.
const POINT: u32 = 1;
const LINE_STRING: u32 = 2;
const POLYGON: u32 = 3;

impl Shape {
    /// PostgreSQL's name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Line => "line",
            Self::Segment => "lseg",
            Self::Box => "box",
            Self::Path => "path",
            Self::Polygon => "polygon",
            Self::Circle => "circle",
        }
    }

    /// The type of a name in `pg_catalog`.
    pub(super) fn of(name: &str) -> Option<Self> {
        let all = [Self::Point, Self::Line, Self::Segment, Self::Box, Self::Path, Self::Polygon, Self::Circle];
        all.into_iter().find(|shape| shape.name() == name)
    }

    /// What stands for a value that a row image lacks: the type's own zero.
    pub(super) const fn zero(self) -> &'static str {
        match self {
            Self::Point => "(0,0)",
            Self::Line => "{0,1,0}",
            Self::Segment => "[(0,0),(1,0)]",
            Self::Box => "(0,0),(1,1)",
            // A path of no brackets is neither open nor closed.
            Self::Path => "0,0,1,0",
            Self::Polygon => "((0,0),(1,0),(0,1))",
            Self::Circle => "<(0,0),0>",
        }
    }
}

/// Writes a value.
pub(super) fn write_shape(shape: Shape, text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let text = str::from_utf8(text).map_err(|_| ValueError::Encoding)?;
    let numbers: Vec<&str> =
        text.split([',', '(', ')', '[', ']', '{', '}', '<', '>']).filter(|part| !part.is_empty()).collect();
    let plane = || numbers.chunks_exact(2).map(|pair| Ok([number(pair[0])?, number(pair[1])?]));
    match (shape, numbers.as_slice()) {
        (Shape::Point, [x, y]) => write_point(x, y, out),
        (Shape::Line, [a, b, c]) => write_members(&[("a", a), ("b", b), ("c", c)], out),
        (Shape::Circle, [x, y, radius]) => {
            out.extend_from_slice(b"{\"center\":");
            write_point(x, y, out)?;
            out.extend_from_slice(b",\"radius\":");
            write_float8(radius.as_bytes(), out)?;
            out.push(b'}');
            Ok(())
        }
        (Shape::Segment | Shape::Box, [_, _, _, _]) | (Shape::Path | Shape::Polygon, [_, _, ..])
            if numbers.len().is_multiple_of(2) =>
        {
            let mut points = plane().collect::<Result<Vec<_>, ValueError>>()?;
            if let (Shape::Box, [one, other]) = (shape, points.as_slice()) {
                let ([x, y], [other_x, other_y]) = (*one, *other);
                points = vec![[x, y], [x, other_y], [other_x, other_y], [other_x, y]];
            }
            let ring = matches!(shape, Shape::Box | Shape::Polygon);
            if ring {
                points.extend(points.first().copied());
            }
            let bracketed = shape == Shape::Path && text.starts_with(['(', '[']);
            write_geometry(shape, ring, &points, bracketed.then(|| text.starts_with('(')), out);
            Ok(())
        }
        _ => Err(FORM),
    }
}

fn number(text: &str) -> Result<f64, ValueError> {
    text.parse().map_err(|_| FORM)
}

fn write_members(members: &[(&str, &str)], out: &mut Vec<u8>) -> Result<(), ValueError> {
    for (place, (name, text)) in members.iter().enumerate() {
        out.push(if place == 0 { b'{' } else { b',' });
        out.extend_from_slice(format!("\"{name}\":").as_bytes());
        write_float8(text.as_bytes(), out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_point(x: &str, y: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wkb = well_known(POINT, &[], &[[number(x)?, number(y)?]]);
    write_members(&[("x", x), ("y", y)], out)?;
    out.pop();
    out.extend_from_slice(format!(",\"wkb\":\"{}\",\"srid\":null}}", STANDARD.encode(wkb)).as_bytes());
    Ok(())
}

fn write_geometry(shape: Shape, ring: bool, points: &[[f64; 2]], closed: Option<bool>, out: &mut Vec<u8>) {
    let count = u32::try_from(points.len()).unwrap_or(u32::MAX);
    let wkb = if ring { well_known(POLYGON, &[1, count], points) } else { well_known(LINE_STRING, &[count], points) };
    let closed = closed.map(|closed| format!(",\"closed\":\"{closed}\"")).unwrap_or_default();
    let (wkb, name) = (STANDARD.encode(wkb), shape.name());
    out.extend_from_slice(
        format!("{{\"wkb\":\"{wkb}\",\"srid\":null,\"extensions\":{{\"type\":\"{name}\"{closed}}}}}").as_bytes(),
    );
}

fn well_known(kind: u32, counts: &[u32], points: &[[f64; 2]]) -> Vec<u8> {
    let mut wkb = vec![1];
    for number in std::iter::once(&kind).chain(counts) {
        wkb.extend_from_slice(&number.to_le_bytes());
    }
    for coordinate in points.iter().flatten() {
        wkb.extend_from_slice(&coordinate.to_le_bytes());
    }
    wkb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_shape_is_refused() {
        for (shape, text) in [
            (Shape::Point, "(1)"),
            (Shape::Point, "(1,x)"),
            (Shape::Line, "{1,2}"),
            (Shape::Segment, "[(1,2)]"),
            (Shape::Box, "(1,2)"),
            (Shape::Path, ""),
            (Shape::Polygon, "((1,2),(3))"),
            (Shape::Circle, "<(1,2)>"),
        ] {
            assert!(write_shape(shape, text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
    }
}
