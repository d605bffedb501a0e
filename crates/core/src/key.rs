//! A row's key as text, and the order in which a snapshot reads keys.
//!
//! The order must be the same in PostgreSQL and here, because a resumed snapshot tells by it which changes touch rows
//! that were read already. So it is no collation's order: integer columns compare as numbers, every other column by
//! the bytes of its text. (A uuid's own order is that of its text, which is all lower-case hexadecimal digits.)

use std::cmp::Ordering;

use crate::change::{Cell, Relation, Tuple};
use crate::port::source::KeyBound;
use crate::value::ColumnType;

/// How one key column is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrder {
    /// As a signed number of 64 bits.
    Number,
    /// By the bytes of its text.
    Bytes,
}

impl KeyOrder {
    /// The order of a column of this type.
    pub const fn of(kind: &ColumnType) -> Self {
        match kind {
            ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => Self::Number,
            _ => Self::Bytes,
        }
    }

    /// Compares two values' texts. Under [`KeyOrder::Number`] a text that is no number comes before every number,
    /// so that the order stays total.
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        let number = |text: &str| text.parse::<i64>().ok();
        match self {
            Self::Number => number(a).cmp(&number(b)).then_with(|| match number(a) {
                Some(_) => Ordering::Equal,
                None => a.as_bytes().cmp(b.as_bytes()),
            }),
            Self::Bytes => a.as_bytes().cmp(b.as_bytes()),
        }
    }
}

/// The key of a row, in the order of the key's columns; empty for a table without a key.
///
/// A cell without text counts as the empty text: a source reports no row whose key cells are null or unchanged.
pub fn key_of(relation: &Relation, tuple: &Tuple) -> KeyBound {
    let Some(last) = relation.key.iter().max() else { return KeyBound(Vec::new()) };
    let mut key = vec![String::new(); relation.key.len()];
    for (index, cell) in tuple.cells().take(last + 1).enumerate() {
        if let (Some(place), Cell::Text(text)) = (relation.key.iter().position(|column| *column == index), cell) {
            key[place] = String::from_utf8_lossy(text).into_owned();
        }
    }
    KeyBound(key)
}

/// Compares two keys of the relation, column by column. A key that lacks columns comes before those it begins.
pub fn compare(relation: &Relation, a: &KeyBound, b: &KeyBound) -> Ordering {
    let orders = relation.key.iter().map(|column| KeyOrder::of(&relation.columns[*column].kind));
    orders
        .zip(a.0.iter().zip(&b.0))
        .map(|(order, (a, b))| order.compare(a, b))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.0.len().cmp(&b.0.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::change::{Column, ReplicaIdentity};

    fn relation(kinds: &[ColumnType], key: &[usize]) -> Relation {
        let column = |(index, kind): (usize, &ColumnType)| Column::new(&format!("c{index}"), kind.clone(), false);
        Relation {
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: kinds.iter().enumerate().map(column).collect(),
            key: key.to_vec(),
            identity: ReplicaIdentity::Default,
        }
    }

    fn bound(parts: &[&str]) -> KeyBound {
        KeyBound(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    #[test]
    fn a_key_is_in_the_keys_order_not_the_columns() {
        let relation = relation(&[ColumnType::Int4, ColumnType::Text, ColumnType::Text], &[2, 0]);
        let tuple = Tuple::from_cells([Cell::Text(b"7"), Cell::Null, Cell::Text("ü".as_bytes())]);
        assert_eq!(key_of(&relation, &tuple), bound(&["ü", "7"]));
    }

    #[test]
    fn a_table_without_a_key_has_the_empty_one() {
        let relation = relation(&[ColumnType::Int4], &[]);
        assert_eq!(key_of(&relation, &Tuple::from_cells([Cell::Text(b"7")])), bound(&[]));
        assert_eq!(compare(&relation, &bound(&[]), &bound(&[])), Ordering::Equal);
    }

    #[test]
    fn texts_compare_by_bytes_whatever_their_case() {
        let relation = relation(&[ColumnType::Text, ColumnType::Int8], &[0, 1]);
        let sorted = [["", "1"], ["10", "1"], ["9", "-5"], ["9", "10"], ["B", "0"], ["a", "0"], ["é", "0"]];
        for pair in sorted.windows(2) {
            assert_eq!(compare(&relation, &bound(&pair[0]), &bound(&pair[1])), Ordering::Less, "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn integers_compare_as_numbers(a: i64, b: i64) {
            let relation = relation(&[ColumnType::Int8], &[0]);
            let order = compare(&relation, &bound(&[&a.to_string()]), &bound(&[&b.to_string()]));
            prop_assert_eq!(order, a.cmp(&b));
        }

        #[test]
        fn uuids_compare_as_their_bits(a: u128, b: u128) {
            let text = |bits: u128| {
                let hex = format!("{bits:032x}");
                [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
            };
            let relation = relation(&[ColumnType::Uuid], &[0]);
            prop_assert_eq!(compare(&relation, &bound(&[&text(a)]), &bound(&[&text(b)])), a.cmp(&b));
        }

        #[test]
        fn the_order_is_total(a in "[0-9a]{0,2}", b in "[0-9a]{0,2}", c in "[0-9a]{0,2}") {
            for order in [KeyOrder::Number, KeyOrder::Bytes] {
                prop_assert_eq!(order.compare(&a, &b), order.compare(&b, &a).reverse());
                if order.compare(&a, &b).is_le() && order.compare(&b, &c).is_le() {
                    prop_assert!(order.compare(&a, &c).is_le());
                }
            }
        }
    }
}
