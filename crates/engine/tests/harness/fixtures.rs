//! What captures on scripted ports are made of.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datapipe_core::change::{Action, Begin, Cell, Change, Column, Event, Relation, ReplicaIdentity, Tuple, push_cell};
use datapipe_core::envelope::{Columns, EnvelopeSettings, Nulls};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::source::Fingerprint;
use datapipe_core::table::SnapshotMode;
use datapipe_core::transform::Transforms;
use datapipe_core::value::{ColumnType, Modes};
use datapipe_engine::capture::CaptureSettings;

pub(crate) const DATA_TOPIC: &str = "cdc.public.users";

pub(crate) fn fingerprint() -> Fingerprint {
    let text = || "x".to_owned();
    Fingerprint { system_id: text(), database: text(), slot: text(), publication: text() }
}

pub(crate) fn relation() -> Arc<Relation> {
    Arc::new(Relation {
        schema: "public".to_owned(),
        name: "users".to_owned(),
        columns: vec![Column::new("id", ColumnType::Int4, false)],
        key: vec![0],
        identity: ReplicaIdentity::Default,
    })
}

/// A transaction of one new row; its commit record starts at `commit` and ends 10 bytes later.
pub(crate) fn insert(id: u64, commit: u64, commit_time_us: i64) -> [Event; 3] {
    let mut bytes = 1u16.to_be_bytes().to_vec();
    push_cell(&mut bytes, Cell::Text(id.to_string().as_bytes()));
    let action = Action::Insert(Tuple::parse(&Bytes::from(bytes)).unwrap().0);
    [
        Event::Begin(Begin { commit: Lsn(commit), xid: 7, commit_time_us }),
        Event::Change(Change { relation: relation(), lsn: Lsn(commit - 10), action }),
        Event::Commit { end: Lsn(commit + 10) },
    ]
}

/// Settings with limits that no test reaches, and no snapshot.
pub(crate) fn settings() -> CaptureSettings {
    CaptureSettings {
        envelope: EnvelopeSettings {
            version: "test".to_owned(),
            server_name: "cdc".to_owned(),
            database: "shop".to_owned(),
            data_topic: DATA_TOPIC.to_owned(),
            tombstones_on_delete: true,
            key_schemas: false,
            schemas: false,
            schemas_for_defaults: false,
            formless_null: false,
            losses_too: false,
            nulls: Nulls::KEPT,
            modes: Modes::PLAN,
            columns: Columns::default(),
            transaction_topic: None,
        },
        transforms: Transforms::default(),
        dead_letter_topic: None,
        offsets_topic: "connect-offsets-users".to_owned(),
        offsets_key: b"key".to_vec(),
        truncates: true,
        snapshot: SnapshotMode::NoData,
        keyless_snapshot: false,
        heartbeat: Duration::from_secs(10),
        heartbeat_topic: None,
        signal_poll: Duration::from_secs(5),
        chunk_rows: 1024,
        transaction_age_max: Duration::from_secs(2),
        transaction_bytes_max: usize::MAX,
        transaction_records_max: usize::MAX,
    }
}
