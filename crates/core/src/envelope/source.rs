//! The envelope's `source` block and what follows it.

use super::transaction::write_block;
use super::{EnvelopeSettings, SnapshotMarker, TransactionInfo};
use crate::lsn::Lsn;
use crate::value::json::{write_number, write_string};

/// `source.connector`.
pub(super) const CONNECTOR: &str = "postgresql";

/// What is the same in all records of a capture.
pub(super) struct Source {
    /// From `"source":{` up to the first time.
    head: Vec<u8>,
    /// From the snapshot marker up to the sequence.
    database: Vec<u8>,
    streamed: &'static [u8],
    snapshot: Option<(i64, Option<u32>)>,
}

/// What differs between records.
struct Place<'a> {
    time_us: i64,
    marker: &'a [u8],
    last_commit: Lsn,
    lsn: Lsn,
    xid: Option<u32>,
    /// The event's number in its transaction, if that is told.
    order: Option<u64>,
    op: u8,
}

impl Source {
    pub(super) fn new(settings: &EnvelopeSettings) -> Self {
        let quoted = |text: &str, out: &mut Vec<u8>| {
            write_string(text.as_bytes(), out).expect("a setting is a string, so it is UTF-8");
        };
        let mut head = b"\"source\":{\"version\":".to_vec();
        quoted(&settings.version, &mut head);
        head.extend_from_slice(b",\"connector\":");
        quoted(CONNECTOR, &mut head);
        head.extend_from_slice(b",\"name\":");
        quoted(&settings.server_name, &mut head);
        head.extend_from_slice(b",\"ts_ms\":");
        let mut database = b",\"db\":".to_vec();
        quoted(&settings.database, &mut database);
        database.extend_from_slice(b",\"sequence\":\"[");
        // Such a change has no marker: `false` is its default.
        let streamed: &[u8] = if settings.nulls.default_in_values { b"\"false\"" } else { b"null" };
        Self { head, database, streamed, snapshot: None }
    }

    pub(super) fn snapshot_taken(&mut self, time_us: i64, xid: Option<u32>) {
        self.snapshot = Some((time_us, xid));
    }

    /// Ends the envelope of a streamed change.
    pub(super) fn write_streamed(
        &self,
        table: &[u8],
        lsn: Lsn,
        transaction: &TransactionInfo,
        (op, order): (u8, Option<u64>),
        now_us: i64,
        out: &mut Vec<u8>,
    ) {
        let TransactionInfo { xid, commit_time_us: time_us, last_commit, .. } = *transaction;
        let place = Place { time_us, marker: self.streamed, last_commit, lsn, xid: Some(xid), order, op };
        self.write(table, &place, now_us, out);
    }

    /// Ends the envelope of a snapshot's row, or of one that it found missing.
    pub(super) fn write_snapshot(
        &self,
        table: &[u8],
        lsn: Lsn,
        (marker, op): (SnapshotMarker, u8),
        now_us: i64,
        out: &mut Vec<u8>,
    ) {
        let ((time_us, xid), last_commit) = match marker {
            SnapshotMarker::Incremental { last_commit } => ((now_us, None), last_commit),
            _ => (self.snapshot.unwrap_or((now_us, None)), Lsn::ZERO),
        };
        let marker: &[u8] = match marker {
            SnapshotMarker::First => b"\"first\"",
            SnapshotMarker::FirstInTable => b"\"first_in_data_collection\"",
            SnapshotMarker::True => b"\"true\"",
            SnapshotMarker::LastInTable => b"\"last_in_data_collection\"",
            SnapshotMarker::Last => b"\"last\"",
            SnapshotMarker::Incremental { .. } => INCREMENTAL,
        };
        let place = Place { time_us, marker, last_commit, lsn, xid, order: None, op };
        self.write(table, &place, now_us, out);
    }

    fn write(&self, table: &[u8], place: &Place<'_>, now_us: i64, out: &mut Vec<u8>) {
        let time = Time::of(place.time_us);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(time.millis());
        out.extend_from_slice(b",\"snapshot\":");
        out.extend_from_slice(place.marker);
        out.extend_from_slice(&self.database);
        if place.last_commit == Lsn::ZERO {
            out.extend_from_slice(b"null");
        } else {
            out.extend_from_slice(b"\\\"");
            write_lsn(place.last_commit, out);
            out.extend_from_slice(b"\\\"");
        }
        out.extend_from_slice(b",\\\"");
        let from = out.len();
        write_lsn(place.lsn, out);
        let lsn = from..out.len();
        out.extend_from_slice(b"\\\"]\",\"ts_us\":");
        out.extend_from_slice(time.micros());
        out.extend_from_slice(b",\"ts_ns\":");
        out.extend_from_slice(time.nanos());
        out.push(b',');
        out.extend_from_slice(table);
        out.extend_from_slice(b",\"txId\":");
        match place.xid {
            Some(xid) => write_number(i64::from(xid), out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"lsn\":");
        if place.marker == INCREMENTAL {
            out.extend_from_slice(b"null");
        } else {
            out.extend_from_within(lsn);
        }
        out.extend_from_slice(b",\"xmin\":null,\"origin\":null,\"origin_lsn\":null},\"transaction\":");
        match (place.order, place.xid) {
            (Some(order), Some(xid)) => write_block(xid, place.lsn, order, out),
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"op\":\"");
        out.push(place.op);
        let time = Time::of(now_us);
        out.extend_from_slice(b"\",\"ts_ms\":");
        out.extend_from_slice(time.millis());
        out.extend_from_slice(b",\"ts_us\":");
        out.extend_from_slice(time.micros());
        out.extend_from_slice(b",\"ts_ns\":");
        out.extend_from_slice(time.nanos());
        out.push(b'}');
    }
}

const INCREMENTAL: &[u8] = b"\"incremental\"";

/// Java's longs are signed; a position beyond them does not exist in practice.
fn write_lsn(lsn: Lsn, out: &mut Vec<u8>) {
    write_number(lsn.0.cast_signed(), out);
}

/// One moment in three units, its digits computed once: microseconds, one cut and one extended by three digits.
struct Time {
    digits: [u8; 24],
    length: usize,
}

impl Time {
    /// No clock shows a time before 1970: such a one counts as 1970.
    fn of(time_us: i64) -> Self {
        let mut digits = [b'0'; 24];
        let mut number = time_us.max(0).unsigned_abs();
        let mut at = 20;
        while number > 0 || at == 20 {
            at -= 1;
            digits[at] = b'0' + u8::try_from(number % 10).expect("a digit is below 10");
            number /= 10;
        }
        let length = 20 - at;
        digits.copy_within(at..20, 0);
        digits[length..length + 3].fill(b'0');
        Self { digits, length }
    }

    fn millis(&self) -> &[u8] {
        if self.length > 3 { &self.digits[..self.length - 3] } else { b"0" }
    }

    fn micros(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    fn nanos(&self) -> &[u8] {
        if self.digits[0] == b'0' { b"0" } else { &self.digits[..self.length + 3] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_and_extended() {
        for (micros, [ms, us, ns]) in [
            (1_795_425_151_229_754, ["1795425151229", "1795425151229754", "1795425151229754000"]),
            (1_000, ["1", "1000", "1000000"]),
            (999, ["0", "999", "999000"]),
            (0, ["0", "0", "0"]),
            (-1, ["0", "0", "0"]),
        ] {
            let time = Time::of(micros);
            let text = |digits: &[u8]| String::from_utf8(digits.to_vec()).unwrap();
            assert_eq!([text(time.millis()), text(time.micros()), text(time.nanos())], [ms, us, ns].map(str::to_owned));
        }
    }
}
