//! What a JVM writes of its collections with `-Xlog:gc`. Pure.

use serde::{Deserialize, Serialize};

/// A collection, as its line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionSeen {
    /// When it ended, in milliseconds since the JVM began.
    pub at_ms: u64,
    /// Whether it was of the whole heap: what it leaves is in use.
    pub full: bool,
    /// Heap that was left, in bytes.
    pub left_bytes: u64,
    /// How long nothing else ran, in microseconds.
    pub pause_us: u64,
}

/// The collections that a log tells of. Every other line, and one that is no whole line, is passed over.
pub fn collections(log: &str) -> Vec<CollectionSeen> {
    log.lines().filter_map(collection).collect()
}

/// `[0.117s][info][gc] GC(7) Pause Full (Allocation Failure) 57M->39M(69M) 6.736ms`. In brackets is what the heap has of the
/// system by then, which is not what it may have.
fn collection(line: &str) -> Option<CollectionSeen> {
    let (decorations, said) = line.trim_end().split_once("] GC(")?;
    let uptime = decorations.strip_prefix('[')?.split(']').next()?;
    let (_, said) = said.split_once(") Pause ")?;
    let mut words = said.rsplit(' ');
    let pause = words.next()?.strip_suffix("ms")?;
    let (_, left) = words.next()?.split_once("->")?;
    let (left, _) = left.strip_suffix(')')?.split_once('(')?;
    Some(CollectionSeen {
        at_ms: thousandths(uptime.strip_suffix('s')?)?,
        full: said.starts_with("Full"),
        left_bytes: bytes(left)?,
        pause_us: thousandths(pause)?,
    })
}

/// `6.736` in thousandths. In some languages a JVM writes a comma.
fn thousandths(number: &str) -> Option<u64> {
    let (whole, part) = number.split_once(['.', ','])?;
    let part = part.parse().ok().filter(|_| part.len() == 3)?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part)
}

fn bytes(size: &str) -> Option<u64> {
    let unit = size.chars().last()?;
    let shift = [('B', 0), ('K', 10), ('M', 20), ('G', 30)].into_iter().find(|(letter, _)| *letter == unit)?.1;
    size.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_are_found_among_other_lines() {
        let log = "[0.003s][info][gc] Using Serial\n\
            [0.049s][info][gc] GC(0) Pause Young (Allocation Failure) 6M->5M(23M) 3.428ms\n\
            [2026-11-26 09:15:02,113] INFO Kafka version: 4.3.1 (org.apache.kafka.common.utils.AppInfoParser)\n\
            2026-11-26T09:15:02 INFO [s] GC(1) Pause Young (Allocation Failure) 6M->5M(23M) 3.428ms\n\
            [61.110s][info][gc] GC(6) Pause Full (Allocation Failure) 43M->38M(69M) 1006.820ms\r\n\
            [62.000s] GC(7) Pause Young (Normal) (G1 Evacuation Pause) 2G->900K(3G) 0.029ms\n\
            [62,100s][info][gc] GC(8) Pause Full (System.gc()) 53M->512B(69M) 2,628ms";
        let seen = |at_ms, full, left_bytes, pause_us| CollectionSeen { at_ms, full, left_bytes, pause_us };
        let expected = [
            seen(49, false, 5 << 20, 3428),
            seen(61_110, true, 38 << 20, 1_006_820),
            seen(62_000, false, 900 << 10, 29),
            seen(62_100, true, 512, 2628),
        ];
        assert_eq!(collections(log), expected);
    }

    #[test]
    fn what_is_no_whole_line_of_a_collection_is_passed_over() {
        let line = "[0.049s][info][gc] GC(0) Pause Young (Allocation Failure) 6M->5M(23M) 3.428ms";
        assert_eq!(collections(line).len(), 1);
        // Wherever it was cut off, but where all figures are there.
        for end in 0..line.len() {
            assert_eq!(collections(&line[..end]), [], "{}", &line[..end]);
        }
        for wrong in [
            "[0.049s][info][gc] GC(0) Concurrent Mark Cycle 3.428ms",
            "[0.049s][info][gc] GC(0) Pause Young (Allocation Failure) 6M->-5M(23M) 3.428ms",
            "[0.049s][info][gc] GC(0) Pause Young (Allocation Failure) 6M->5T(23M) 3.428ms",
            "[0.049s][info][gc] GC(0) Pause Young (Allocation Failure) 6M->99999999999999999999G(23M) 3.428ms",
            "[0.049s][info][gc] GC(0) Pause Young (Allocation Failure) 6M->99999999999999G(23M) 3.428ms",
            "[0.049s][info][gc] GC(0) Pause Young (Allocation Failure) 6M->5M(23M) 3.4ms",
            "[0.049s][info][gc] GC(0) Pause Young (Allocation Failure) 6M->5\u{b5}(23M) 3.428ms",
            "[2026-11-26T09:15:02.113+0000] GC(0) Pause Young (Allocation Failure) 6M->5M(23M) 3.428ms",
            "[] GC() Pause  -> ms",
            "",
        ] {
            assert_eq!(collections(wrong), [], "{wrong}");
        }
    }
}
