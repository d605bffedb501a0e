//! What others could have altered is read or refused, and never ends the process.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use datapipe_core::lsn::{Lsn, Position};
use datapipe_core::object::ObjectMeta;
use datapipe_core::port::source::Fingerprint;
use datapipe_core::progress::{LastChange, Progress};
use datapipe_core::signal::Signals;
use proptest::prelude::*;

fn offset_value() -> Vec<u8> {
    let text = |text: &str| text.to_owned();
    let progress = Progress {
        fingerprint: Fingerprint {
            system_id: text("7391"),
            database: text("shop"),
            slot: text("debezium_slot_users"),
            publication: text("dbz_publication_users"),
        },
        timeline: 1,
        position: Position { commit: Lsn(1000), index: 3 },
        confirmable: Lsn(900),
        snapshot: None,
        last: LastChange { lsn: Lsn(990), lsn_commit: Lsn(900), xid: 7, time_us: 5 },
        handover: None,
        signals: Signals::default(),
    };
    progress.to_offset_value()
}

fn metadata() -> BTreeMap<String, String> {
    let meta = ObjectMeta {
        cluster_id: "c".to_owned(),
        topic: "cdc.public.users".to_owned(),
        partition: 0,
        first_digest: "d".to_owned(),
        covers_from: 1,
        first: 2,
        last: 5,
        next: 7,
        written: 3,
        skipped: 1,
        dead_lettered: 0,
        time_min_ms: 1,
        time_max_ms: 2,
        lsn_range: None,
        sha256: "s".to_owned(),
    };
    meta.to_map()
}

proptest! {
    #[test]
    fn stored_progress(
        any in proptest::collection::vec(any::<u8>(), 0..200),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let _ = Progress::from_offset_value(&any);
        let mut altered = offset_value();
        for (at, byte) in edits {
            let at = at.index(altered.len());
            altered[at] = byte;
        }
        if let Ok(progress) = Progress::from_offset_value(&altered) {
            prop_assert_eq!(Progress::from_offset_value(&progress.to_offset_value()).unwrap(), progress);
        }
    }

    #[test]
    fn metadata_of_objects(key in any::<proptest::sample::Index>(), value in ".{0,30}", removed in any::<bool>()) {
        let mut map = metadata();
        let key = key.get(&map.keys().cloned().collect::<Vec<_>>()).clone();
        if removed {
            map.remove(&key);
        } else {
            map.insert(key, value);
        }
        if let Ok(meta) = ObjectMeta::from_map(&map) {
            prop_assert_eq!(ObjectMeta::from_map(&meta.to_map()).unwrap(), meta);
        }
    }
}
