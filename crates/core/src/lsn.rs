//! Places in PostgreSQL's write-ahead log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A log sequence number: a byte position in the write-ahead log, printed as PostgreSQL prints `pg_lsn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position that PostgreSQL uses for "none".
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// A text that is not two hexadecimal numbers of at most 32 bits with a slash between them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no log sequence number: expected two hexadecimal numbers as in 16/B374D848")]
pub struct LsnError(String);

impl FromStr for Lsn {
    type Err = LsnError;

    fn from_str(text: &str) -> Result<Self, LsnError> {
        let refuse = || LsnError(text.to_owned());
        let (high, low) = text.split_once('/').ok_or_else(refuse)?;
        let high = u32::from_str_radix(high, 16).map_err(|_| refuse())?;
        let low = u32::from_str_radix(low, 16).map_err(|_| refuse())?;
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

/// The identity of a change, and its order: the LSN of its transaction's commit record, and its index among the
/// changes that the publication sends of that transaction.
///
/// A change's own LSN is no identity: rows of one COPY that share a heap page share it, and a commit's end is the
/// next transaction's begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Where the commit record of the transaction starts (`final_lsn` of a Begin message).
    pub commit: Lsn,
    /// The change's index in its transaction, from 0.
    pub index: u64,
}

impl Position {
    /// The position before every change of transactions whose commit record starts at or after `lsn`.
    pub const fn at(lsn: Lsn) -> Self {
        Self { commit: lsn, index: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.commit, self.index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_as_postgresql_does() {
        assert_eq!(Lsn(0x16_B374_D848).to_string(), "16/B374D848");
        assert_eq!("16/B374D848".parse(), Ok(Lsn(0x16_B374_D848)));
    }

    #[test]
    fn refuses_what_is_no_lsn() {
        for text in ["", "/", "1", "1/", "/1", "G/0", "1/100000000", "1/2/3", "-1/0"] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_and_number_agree(number: u64) {
            prop_assert_eq!(Lsn(number).to_string().parse(), Ok(Lsn(number)));
        }

        #[test]
        fn order_is_commit_then_index(a: (u64, u64), b: (u64, u64)) {
            let place = |(commit, index)| Position { commit: Lsn(commit), index };
            prop_assert_eq!(place(a).cmp(&place(b)), a.cmp(&b));
        }
    }
}
