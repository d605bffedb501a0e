//! What tests do to the world by hand.

use std::collections::BTreeSet;

use datapipe_core::port::log::GroupOffset;

use super::kafka::{Kafka, State};
use super::objects::Objects;
use super::postgres::{Logged, Postgres, RowChange, Slot};

impl Postgres {
    /// Drops the slot.
    pub fn drop_slot(&mut self) {
        self.slot = None;
    }

    /// Whether the slot exists.
    pub fn has_slot(&self) -> bool {
        self.slot.is_some()
    }

    /// The versions of all rows.
    pub fn versions(&self) -> BTreeSet<String> {
        self.rows.values().map(|row| row.version.to_string()).collect()
    }

    /// Creates the slot at the log's end, as a person would.
    pub fn recreate_slot(&mut self) {
        self.slot = Some(Slot { confirmed: self.wal, active: None, lost: false });
    }

    /// Removes log that the slot still needed.
    pub fn lose_slot(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.lost = true;
        }
    }

    /// Rows are changed and the slot is moved past them by hand, after the next look at it and before it is held.
    pub fn move_slot_after_the_next_look(&mut self) {
        self.meddled = true;
    }

    pub(crate) fn meddle(&mut self) {
        if std::mem::take(&mut self.meddled) {
            self.insert_rows(3);
            self.recreate_slot();
        }
    }

    /// The end of the log.
    pub fn end(&self) -> u64 {
        self.wal
    }

    /// Inserts rows with new keys in one transaction.
    pub fn insert_rows(&mut self, count: i64) {
        let mut changes = Vec::new();
        for number in 0..count {
            let key = self.key(1_000_000 + i64::from(self.next_xid) * 1_000 + number);
            let row = self.new_row(key, 0);
            let lsn = self.log(30);
            changes.push(Logged { lsn, change: RowChange::Insert(row) });
        }
        let xid = self.begin();
        self.commit(xid, changes, Vec::new(), 1_795_395_600_000_000);
    }
}

impl Kafka {
    /// Sets the group's offset of a partition.
    pub fn set_group_offset(&mut self, partition: i32, offset: i64, note: &str) {
        self.groups.insert(partition, GroupOffset { offset, note: note.to_owned() });
    }

    /// Deletes the group's offsets.
    pub fn forget_group_offsets(&mut self) {
        self.groups.clear();
    }

    /// Deletes the data topic and creates it anew, empty.
    pub fn recreate_data_topic(&mut self) {
        self.topics.remove(&self.settings.data_topic);
    }

    /// The values of the source's dead letters.
    pub fn dead_letters(&self) -> Vec<Vec<u8>> {
        self.committed_of(&self.settings.dead_letter_topic).filter_map(|entry| entry.value.clone()).collect()
    }

    /// How many records the data topic has, tombstones included.
    pub fn data_records(&self) -> usize {
        let partitions = self.topics.get(&self.settings.data_topic);
        let entries = partitions.into_iter().flatten().flatten();
        entries.filter(|entry| entry.state == State::Committed).count()
    }

    /// The values of the data topic's only partition, tombstones left out.
    pub fn data_values(&self) -> Vec<Vec<u8>> {
        self.committed_of(&self.settings.data_topic).filter_map(|entry| entry.value.clone()).collect()
    }

    /// Whether a transaction is open.
    pub fn is_open(&self) -> bool {
        self.has_open()
    }
}

impl Objects {
    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }
}
