//! Streaming: events into log transactions, each ended with the progress that it makes.

use datapipe_core::change::Event;
use datapipe_core::port::PortError;
use datapipe_core::progress::Progress;
use tokio::time::Duration;

use super::cursor::Cursor;
use super::{Capture, WAIT, to_send};

/// How often an idle position is stored at most when the server waits for it.
const URGENT: Duration = Duration::from_secs(1);

impl Capture<'_> {
    /// Streams until told to stop.
    pub(super) async fn stream(&mut self, progress: Progress) -> Result<(), PortError> {
        self.start(&progress).await?;
        let mut cursor = Cursor::new(progress);
        let mut events = Vec::new();
        // The first heartbeat comes at once: only a commit shows that rows could flow.
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
            let stopping = self.stop.is_cancelled();
            let open = self.writer.output.has_records();
            let idle_due = cursor.idle().is_some_and(|idle| {
                let pause = if idle.urgent { URGENT.min(self.settings.heartbeat) } else { self.settings.heartbeat };
                stopping || self.writer.committed_at.elapsed() >= pause
            });
            let rows_due = open && (stopping || !self.source.ready());
            if idle_due && !open {
                cursor.settle_idle();
            }
            if idle_due || rows_due || self.is_due(&cursor) {
                self.commit_at(&mut cursor).await?;
            }
            if stopping {
                return self.source.stop().await;
            }
        }
    }

    async fn take(&mut self, cursor: &mut Cursor, event: &Event) -> Result<(), PortError> {
        match event {
            Event::Begin(begin) => {
                cursor.begin(*begin)?;
                self.encoder.begin_transaction();
            }
            Event::Change(change) => match to_send(cursor.change(change.lsn)?, change) {
                Some((part, position)) => self.send(part, change, cursor, position).await?,
                None => self.encoder.pass_over(change),
            },
            Event::Commit { end } => {
                if cursor.ends_new() {
                    let (transaction, output) = (cursor.transaction(), &mut self.writer.output);
                    self.encoder.end_transaction(*end, &transaction, &mut |record| output.push_note(record));
                    output.flush().await?;
                }
                cursor.commit(*end)?;
                self.gauges.received_lsn.set(end.0.cast_signed());
            }
            Event::Keepalive { position, urgent } => {
                cursor.keepalive(*position, *urgent);
                self.gauges.received_lsn.set(position.0.cast_signed());
            }
        }
        Ok(())
    }
}
