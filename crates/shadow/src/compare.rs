//! Two accounts of the same changes, record by record. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

/// A record as one side has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) key: Vec<u8>,
    /// None is a tombstone.
    pub(crate) value: Option<Vec<u8>>,
}

/// What the comparison came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that both have, alike.
    pub alike: u64,
    /// Records of transactions that one side had not come to.
    pub beyond: u64,
    /// How many differ.
    pub differing: u64,
    /// Some of those that differ.
    pub examples: Vec<Difference>,
}

impl Verdict {
    /// Whether something was compared, and nothing differs.
    pub const fn sound(&self) -> bool {
        self.differing == 0 && self.alike > 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alike, beyond, differing, examples } = self;
        writeln!(
            f,
            "{alike} records alike, {differing} differing; {beyond} of transactions that only one side has seen"
        )?;
        examples.iter().try_for_each(|example| writeln!(f, "{example}"))?;
        if *alike == 0 {
            writeln!(f, "nothing was compared: change rows of the table meanwhile, and see that its worker runs")?;
        }
        Ok(())
    }
}

/// One record that is not the same on both sides.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The record's key.
    pub key: String,
    /// What is in the topic.
    pub topic: Option<String>,
    /// What the native capture made.
    pub native: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "key {}\n  topic : {}\n  native: {}", self.key, text(&self.topic), text(&self.native))
    }
}

const EXAMPLES_MAX: usize = 10;

/// Compares what lies in the topic with what the native capture made of the same log. Only transactions that both have
/// come to count: the first one that both know, up to the last one that both know.
pub(crate) fn compare(topic: &[Taken], native: &[Taken]) -> Verdict {
    let (topic_xids, native_xids) = (xids(topic), xids(native));
    let known = |side: &[Option<u64>]| side.iter().flatten().copied().collect::<BTreeSet<_>>();
    let both: BTreeSet<u64> = known(&topic_xids).intersection(&known(&native_xids)).copied().collect();
    let window = |side: &[Option<u64>]| {
        let within = |xid: &Option<u64>| xid.is_some_and(|xid| both.contains(&xid));
        let first = side.iter().position(within).unwrap_or(side.len());
        let last = side.iter().rposition(within).map_or(first, |last| last + 1);
        first..last
    };
    let (topic_window, native_window) = (window(&topic_xids), window(&native_xids));
    let beyond = topic.len() - topic_window.len() + native.len() - native_window.len();
    let mut verdict = Verdict { beyond: beyond as u64, ..Verdict::default() };
    let (topic, native) = (by_key(&topic[topic_window]), by_key(&native[native_window]));
    let keys: BTreeSet<_> = topic.keys().chain(native.keys()).collect();
    let none = Vec::new();
    for key in keys {
        let (theirs, ours) = (topic.get(*key).unwrap_or(&none), native.get(*key).unwrap_or(&none));
        for at in 0..theirs.len().max(ours.len()) {
            let (their, our) = (theirs.get(at).map(|one| plain(one)), ours.get(at).map(|one| plain(one)));
            if their == our {
                verdict.alike += 1;
                continue;
            }
            verdict.differing += 1;
            if verdict.examples.len() < EXAMPLES_MAX {
                let key = String::from_utf8_lossy(key).into_owned();
                verdict.examples.push(Difference { key, topic: their, native: our });
            }
        }
    }
    verdict
}

/// Each record's transaction; a tombstone belongs to the delete before it.
fn xids(side: &[Taken]) -> Vec<Option<u64>> {
    /// With the schema beside it, or alone.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Whole {
        Typed { payload: Envelope },
        Bare(Envelope),
    }
    #[derive(Deserialize)]
    struct Envelope {
        source: Source,
    }
    #[derive(Deserialize)]
    struct Source {
        #[serde(rename = "txId")]
        xid: Option<u64>,
    }
    let mut last = None;
    let xid = |taken: &Taken| {
        if let Some(value) = &taken.value {
            last = serde_json::from_slice(value).ok().and_then(|whole| match whole {
                Whole::Typed { payload: envelope } | Whole::Bare(envelope) => envelope.source.xid,
            });
        }
        last
    };
    side.iter().map(xid).collect()
}

fn by_key(side: &[Taken]) -> BTreeMap<&[u8], Vec<&Taken>> {
    let mut keys: BTreeMap<&[u8], Vec<&Taken>> = BTreeMap::new();
    for taken in side {
        keys.entry(&taken.key).or_default().push(taken);
    }
    keys
}

/// A record's text without what is of one run alone: when the connector handled it, and where the transaction before it
/// ended as that connector has seen it.
fn plain(taken: &Taken) -> String {
    let Some(value) = &taken.value else { return "tombstone".to_owned() };
    let text = String::from_utf8_lossy(value);
    let (head, tail) = text.rsplit_once(",\"op\":").unwrap_or((&text, ""));
    let head = head.split_once("\"sequence\":\"[").map_or_else(
        || head.to_owned(),
        |(before, after)| {
            let rest = after.split_once(',').map_or("", |(_, rest)| rest);
            format!("{before}\"sequence\":\"[..,{rest}")
        },
    );
    let mut digits = false;
    let tail: String = tail
        .chars()
        .filter(|c| {
            let kept = !c.is_ascii_digit() || !digits;
            digits = c.is_ascii_digit();
            kept
        })
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    format!("{head},\"op\":{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, xid: u64, name: &str, ts: u64) -> Taken {
        let value = format!(
            r#"{{"after":{{"name":"{name}"}},"source":{{"sequence":"[\"{ts}\",\"9\"]","txId":{xid},"lsn":9}},"op":"c","ts_ms":{ts}}}"#
        );
        Taken { key: key.as_bytes().to_vec(), value: Some(value.into_bytes()) }
    }

    fn tombstone(key: &str) -> Taken {
        Taken { key: key.as_bytes().to_vec(), value: None }
    }

    #[test]
    fn what_is_of_one_run_alone_is_no_difference() {
        let topic = [change("k", 7, "a", 100), tombstone("k"), change("l", 8, "b", 2000)];
        let native = [change("k", 7, "a", 5), change("l", 8, "b", 7), tombstone("k")];
        let verdict = compare(&topic, &native);
        assert_eq!((verdict.alike, verdict.differing, verdict.beyond), (3, 0, 0), "{verdict:?}");
    }

    #[test]
    fn records_with_their_schemas_are_compared_too() {
        let typed = |taken: Taken| {
            let payload = String::from_utf8(taken.value.unwrap()).unwrap();
            let schema = r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"op"}]}"#;
            let value = format!(r#"{{"schema":{schema},"payload":{payload}}}"#).into_bytes();
            Taken { key: taken.key, value: Some(value) }
        };
        let topic = [typed(change("k", 7, "a", 100)), typed(change("l", 8, "b", 2000))];
        let native = [typed(change("k", 7, "a", 5)), typed(change("l", 8, "B", 7))];
        let verdict = compare(&topic, &native);
        assert_eq!((verdict.alike, verdict.differing, verdict.beyond), (1, 1, 0), "{verdict:?}");
    }

    #[test]
    fn only_what_both_have_come_to_counts() {
        let topic = [change("k", 6, "before", 1), change("k", 7, "a", 1), change("k", 8, "b", 1)];
        let native = [change("k", 7, "a", 1), change("k", 8, "b", 1), change("k", 9, "after", 1)];
        let verdict = compare(&topic, &native);
        assert_eq!((verdict.alike, verdict.differing, verdict.beyond), (2, 0, 2));
    }

    #[test]
    fn a_changed_a_missing_and_an_additional_record_are_found() {
        let topic = [change("k", 7, "a", 1), change("l", 7, "b", 1), change("k", 9, "z", 1)];
        for (native, differing) in [
            (vec![change("k", 7, "a", 1), change("l", 7, "B", 1), change("k", 9, "z", 1)], 1),
            (vec![change("k", 7, "a", 1), change("k", 9, "z", 1)], 1),
            (vec![change("k", 7, "a", 1), change("l", 7, "b", 1), tombstone("l"), change("k", 9, "z", 1)], 1),
        ] {
            let verdict = compare(&topic, &native);
            assert_eq!(verdict.differing, differing, "{verdict:?}");
            assert!(verdict.examples[0].to_string().contains("key l"), "{verdict:?}");
        }
    }
}
