//! What a person asks of a running stream, and the sign of life that others wait for.

use datapipe_core::envelope::heartbeat;
use datapipe_core::port::PortError;
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::progress::Progress;
use tokio::time::Instant;

use super::Capture;
use super::cursor::Cursor;
use super::incremental::Pursuit;

/// The signaling topic, and when it is looked at next.
pub(super) struct Channel<'a> {
    pub(super) channel: &'a mut dyn SignalChannel,
    pub(super) due_at: Instant,
}

impl Capture<'_> {
    /// A source that has never looked at the signaling topic follows what comes from now on.
    pub(super) async fn open_signals(&mut self, progress: &mut Progress) -> Result<(), PortError> {
        if let Some(Channel { channel, .. }) = &mut self.channel
            && progress.signals.next_record.is_none()
        {
            progress.signals.next_record = Some(channel.end().await?);
        }
        Ok(())
    }

    /// Follows what has come through the signaling topic. How far it was read is part of the progress.
    pub(super) async fn read_signals(&mut self, cursor: &mut Cursor) -> Result<(), PortError> {
        let Some(Channel { channel, due_at }) = &mut self.channel else { return Ok(()) };
        if *due_at > Instant::now() {
            return Ok(());
        }
        *due_at = Instant::now() + self.settings.signal_poll;
        let from = cursor.signals().next_record.unwrap_or(0);
        let (signals, next) = channel.poll(from).await?;
        if next == from {
            return Ok(());
        }
        cursor.signals_mut().next_record = Some(next);
        self.follow(cursor, &signals);
        Ok(())
    }

    /// Follows the signals of the transaction that has just ended.
    pub(super) fn follow_signals(&mut self, cursor: &mut Cursor) {
        let signals = cursor.take_signals();
        if !signals.is_empty() {
            self.follow(cursor, &signals);
        }
    }

    fn follow(&mut self, cursor: &mut Cursor, signals: &[datapipe_core::signal::Signal]) {
        let under_way = cursor.signals().current().cloned();
        for signal in signals {
            cursor.follow(signal, &self.table);
        }
        // What was asked for a snapshot that is no more is of no use to the next one.
        if cursor.signals().current() != under_way.as_ref() {
            self.pursuit = Pursuit::default();
        }
    }

    /// Once per heartbeat: a record that says so, and the source's own statement. True if it was time.
    pub(super) async fn beat(&mut self) -> Result<bool, PortError> {
        let Some(topic) = &self.settings.heartbeat_topic else { return Ok(false) };
        if self.beat_at > Instant::now() {
            return Ok(false);
        }
        self.beat_at = Instant::now() + self.settings.heartbeat;
        self.source.beat();
        let (output, envelope, now_us) = (&mut self.writer.output, &self.settings.envelope, self.clock.now_us());
        heartbeat::encode(envelope, topic, now_us, &mut |record| output.push_note(record));
        output.flush().await?;
        Ok(true)
    }
}
