//! Streaming: events into log transactions, each ended with the progress that it makes.

use datapipe_core::change::Event;
use datapipe_core::lsn::Lsn;
use datapipe_core::port::PortError;
use datapipe_core::progress::Progress;
use tokio::time::Duration;

use super::cursor::Cursor;
use super::incremental::Pursuit;
use super::{Capture, WAIT, to_send};

/// How often an idle position is stored at most when the server waits for it.
const URGENT: Duration = Duration::from_secs(1);

impl Capture<'_> {
    /// Streams until told to stop, or until a signal asks for all rows; then it returns where it stands.
    pub(super) async fn stream(&mut self, mut progress: Progress) -> Result<Option<Progress>, PortError> {
        self.open_signals(&mut progress).await?;
        self.start(&progress).await?;
        // Another stream before this one may have asked for rows whose answer nobody gives any more.
        self.pursuit = Pursuit::default();
        let mut cursor = Cursor::new(progress);
        let mut events = Vec::new();
        // The first heartbeat comes at once: only a commit shows that rows could flow.
        self.beat().await?;
        self.commit_at(&mut cursor).await?;
        loop {
            events.clear();
            self.source.next(WAIT.min(self.settings.heartbeat), &mut events).await?;
            for event in &events {
                self.take(&mut cursor, event).await?;
                if self.writer.output.is_full() {
                    self.commit_at(&mut cursor).await?;
                }
            }
            self.read_signals(&mut cursor).await?;
            self.pursue(&cursor);
            let stopping = self.stop.is_cancelled();
            let beats = self.beat().await?;
            let open = self.writer.output.has_records();
            let idle_due = cursor.idle().is_some_and(|idle| {
                let pause = if idle.urgent { URGENT.min(self.settings.heartbeat) } else { self.settings.heartbeat };
                stopping || self.writer.committed_at.elapsed() >= pause
            });
            let rows_due = open && (stopping || !self.source.ready());
            if idle_due || beats {
                cursor.settle_idle();
            }
            if idle_due || rows_due || cursor.rereads() || self.is_due(&cursor) {
                self.commit_at(&mut cursor).await?;
            }
            if stopping || cursor.rereads() {
                self.source.stop().await?;
                return Ok(cursor.rereads().then(|| cursor.into_progress()));
            }
        }
    }

    /// Tells the end of the open transaction, if it is told of and the log does not have it.
    pub(super) async fn tell_end(&mut self, cursor: &Cursor, end: Lsn) -> Result<(), PortError> {
        if cursor.ends_new() {
            let (transaction, output) = (cursor.transaction(), &mut self.writer.output);
            self.encoder.end_transaction(end, &transaction, &mut |record| output.push_note(record));
            output.flush().await?;
        }
        Ok(())
    }

    async fn take(&mut self, cursor: &mut Cursor, event: &Event) -> Result<(), PortError> {
        match event {
            Event::Begin(begin) => {
                self.settle_chunk(cursor, begin.commit).await?;
                cursor.begin(*begin)?;
                self.encoder.begin_transaction();
            }
            Event::Change(change) => {
                self.pursuit.change(cursor.transaction().xid, change);
                match to_send(cursor.change(change.lsn)?, change) {
                    Some((part, position)) => self.send(part, change, cursor, position).await?,
                    None => self.encoder.pass_over(change),
                }
            }
            Event::Commit { end } => {
                self.tell_end(cursor, *end).await?;
                cursor.commit(*end)?;
                self.gauges.received_lsn.set(end.0.cast_signed());
                self.follow_signals(cursor);
                self.settle_chunk(cursor, *end).await?;
            }
            Event::Keepalive { position, urgent } => {
                cursor.keepalive(*position, *urgent);
                self.gauges.received_lsn.set(position.0.cast_signed());
                self.settle_chunk(cursor, *position).await?;
            }
            Event::Signal(signal) => cursor.signal(signal),
            Event::Bounds(bounds) => self.bound(cursor, bounds),
            Event::Chunk(chunk) => self.chunk(chunk),
            Event::Refused(why) => self.give_up(cursor, why),
        }
        Ok(())
    }
}
