//! The task that owns a stream's socket: it reads in large pieces, cuts them at message boundaries without copying,
//! and answers the server by itself, so that a consumer that is slow or stuck never lets the server wait for a reply.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::inbox::{CHUNK_BYTES, Inbox};
use super::message::{cut, server_error};
use super::pace::Pace;
use super::socket::Socket;
use super::status::{Keepalive, push_status};
use crate::error::Error;

/// What may wait for the consumer.
const QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// The most pieces that may wait; each takes at least `CHUNK_BYTES` of the queue's room.
const QUEUE_CHUNKS: usize = QUEUE_BYTES / CHUNK_BYTES;
/// How often the server hears from us, and is asked where it stands. Far below any sensible `wal_sender_timeout`.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);
/// A confirmed position is passed on no more often than this, because the server may write its slot to disk for each.
const CONFIRM_INTERVAL: Duration = Duration::from_millis(50);
/// How often it is asked while the consumer waits for a position.
const HURRY_INTERVAL: Duration = Duration::from_millis(10);
/// A server that is asked every `STATUS_INTERVAL` and silent for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long an orderly end may take; a server in the middle of a large transaction first sends the rest of it.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Whole messages in the order of arrival.
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// What both sides of the transport see.
#[derive(Default)]
struct Shared {
    confirmed: AtomicU64,
    stopping: AtomicBool,
    /// The consumer waits for the stream to get here.
    awaited: AtomicU64,
    changed: Notify,
}

/// The consumer's side of a running stream. Dropping it closes the connection.
pub(crate) struct Stream {
    chunks: mpsc::Receiver<Result<Chunk, Error>>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Stream {
    /// Takes over a connection that has just entered copy-both mode; `buffer` is what was read of it already.
    pub(super) fn spawn(socket: TcpStream, buffer: BytesMut) -> Self {
        let (sender, chunks) = mpsc::channel(QUEUE_CHUNKS + 1);
        let shared = Arc::new(Shared::default());
        let transport = Transport {
            socket: Socket::Watched(socket),
            inbox: Inbox::new(buffer),
            out: BytesMut::new(),
            chunks: sender,
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            shared: Arc::clone(&shared),
            ending: None,
            received: 0,
            told: 0,
            asked: None,
            reply_due: true,
            told_at: Instant::now(),
            heard_at: Instant::now(),
            pace: Pace::new(Instant::now()),
        };
        let task = tokio::spawn(transport.run());
        Self { chunks, shared, task }
    }

    /// The next messages, or the error that ended the stream. A stream that has ended stays ended.
    pub(crate) async fn receive(&mut self) -> Result<Chunk, Error> {
        self.chunks.recv().await.unwrap_or(Err(Error::Closed))
    }

    /// True if [`Stream::receive`] would return at once.
    pub(crate) fn ready(&self) -> bool {
        !self.chunks.is_empty() || self.chunks.is_closed()
    }

    /// The only way to move the flush position.
    pub(crate) fn confirm(&self, lsn: u64) {
        if self.shared.confirmed.fetch_max(lsn, Ordering::AcqRel) < lsn {
            self.shared.changed.notify_one();
        }
    }

    /// Asks the server again and again where it stands, until it is here.
    pub(crate) fn hurry(&self, lsn: u64) {
        self.shared.awaited.fetch_max(lsn, Ordering::AcqRel);
        self.shared.changed.notify_one();
    }

    /// Tells the server the confirmed position and ends the stream; what is still queued is dropped.
    pub(crate) async fn stop(mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.changed.notify_one();
        // Twice the limit: the task bounds itself, this bounds the task.
        if timeout(2 * STOP_LIMIT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Transport {
    socket: Socket,
    inbox: Inbox,
    /// Answers that the socket has not taken yet.
    out: BytesMut,
    chunks: mpsc::Sender<Result<Chunk, Error>>,
    room: Arc<Semaphore>,
    shared: Arc<Shared>,
    /// Why the stream ends after the messages before.
    ending: Option<Error>,
    /// The end of what has been received.
    received: u64,
    /// The confirmed position that the server was told last.
    told: u64,
    /// The server waits for this position to be confirmed.
    asked: Option<u64>,
    /// The next status goes out at once.
    reply_due: bool,
    told_at: Instant,
    heard_at: Instant,
    pace: Pace,
}

impl Transport {
    async fn run(mut self) {
        let error = match self.serve().await {
            Ok(None) => return,
            Ok(Some(error)) | Err(error) => error,
        };
        // One place is kept free for this, and the consumer may be gone.
        let _ = self.chunks.try_send(Err(error));
    }

    /// Serves until the consumer wants no more (none) or the stream has ended.
    async fn serve(&mut self) -> Result<Option<Error>, Error> {
        loop {
            self.scan()?;
            let whole = self.inbox.whole();
            if whole == 0
                && let Some(error) = self.ending.take()
            {
                return Ok(Some(error));
            }
            self.answer();
            let now = Instant::now();
            let read = self.ending.is_none() && self.inbox.wanted() > 0;
            let pause = self.pace.pause_until();
            if read && pause.is_some_and(|until| until <= now) {
                // Under load nobody waits for the socket: it is simply read after each pause.
                self.read();
                continue;
            }
            if pause.is_some() {
                self.socket.unwatch()?;
            } else {
                self.socket.watch()?;
            }
            let cost = u32::try_from(whole.clamp(CHUNK_BYTES, QUEUE_BYTES)).unwrap_or(u32::MAX);
            tokio::select! {
                biased;
                () = self.shared.changed.notified() => {
                    if self.shared.stopping.load(Ordering::Acquire) {
                        return self.finish().await.map(|()| None);
                    }
                }
                () = self.chunks.closed() => return Ok(None),
                permit = Arc::clone(&self.room).acquire_many_owned(cost), if whole > 0 => {
                    let room = permit.expect("the semaphore is never closed");
                    let bytes = self.inbox.take();
                    // There is a place: a queue of `QUEUE_BYTES` holds at most `QUEUE_CHUNKS` pieces.
                    let _ = self.chunks.try_send(Ok(Chunk { bytes, _room: room }));
                }
                ready = self.socket.writable(), if !self.out.is_empty() => ready?,
                ready = self.socket.readable(), if read && pause.is_none() => {
                    ready?;
                    self.read();
                }
                () = sleep_until(pause.unwrap_or(now)), if read && pause.is_some() => {}
                () = sleep_until(self.status_due()) => self.check_silence(read)?,
            }
        }
    }

    /// Reads what there is, up to a piece. A read that fills less than it could has emptied the socket: to read on
    /// until nothing comes would keep step with a server that sends row by row.
    fn read(&mut self) {
        let mut emptied = false;
        while !emptied && self.ending.is_none() && self.inbox.wanted() > 0 {
            let space = self.inbox.space();
            let room = space.len();
            match self.socket.try_read(space) {
                Ok(0) => self.ending = Some(Error::Closed),
                Ok(count) => {
                    self.inbox.fill(count);
                    self.pace.received(count);
                    emptied = count < room;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => emptied = true,
                // What came before the break is still good.
                Err(error) => self.ending = Some(error.into()),
            }
        }
        self.heard_at = Instant::now();
        if emptied {
            self.pace.drained(self.heard_at);
        }
    }

    /// Walks over the messages that have become whole, and takes note of what concerns the transport.
    fn scan(&mut self) -> Result<(), Error> {
        while let Some((tag, body)) = self.inbox.peek()? {
            let ending = match tag {
                b'd' => {
                    if let Some([b'w', lsn @ ..]) = body.first_chunk::<9>() {
                        self.received = self.received.max(u64::from_be_bytes(*lsn));
                    } else if let Some(keepalive) = Keepalive::parse(body) {
                        self.received = self.received.max(keepalive.position);
                        if keepalive.reply {
                            self.asked = Some(keepalive.position);
                            self.reply_due = true;
                        }
                    }
                    None
                }
                b'E' => Some(server_error(body).into()),
                // The server ends the stream: CopyDone, CommandComplete.
                b'c' | b'C' => Some(Error::Closed),
                _ => None,
            };
            if let Some(error) = ending {
                // Whatever comes behind this is of no interest.
                self.ending.get_or_insert(error);
                self.inbox.cut_rest();
                return Ok(());
            }
            let size = body.len();
            self.inbox.step(size);
        }
        Ok(())
    }

    fn status_due(&self) -> Instant {
        let unsaid = self.shared.confirmed.load(Ordering::Acquire) > self.told;
        match unsaid {
            _ if self.reply_due => self.told_at,
            true if self.asked.is_some() => self.told_at,
            true => self.told_at + CONFIRM_INTERVAL,
            false if self.shared.awaited.load(Ordering::Acquire) > self.received => self.told_at + HURRY_INTERVAL,
            false => self.told_at + STATUS_INTERVAL,
        }
    }

    /// Sends a status update if it is time, as far as the socket takes it.
    fn answer(&mut self) {
        if self.out.is_empty() && self.status_due() <= Instant::now() {
            self.push_status(true);
        }
        while !self.out.is_empty() {
            match self.socket.try_write(&self.out) {
                Ok(count) => drop(self.out.split_to(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The server may have said why before it hung up: the reading side will find that, or the break.
                Err(_) => self.out.clear(),
            }
        }
    }

    fn push_status(&mut self, ask_reply: bool) {
        self.told = self.shared.confirmed.load(Ordering::Acquire);
        self.told_at = Instant::now();
        self.reply_due = false;
        self.asked = self.asked.filter(|asked| *asked > self.told);
        push_status(&mut self.out, self.received, self.told, ask_reply);
    }

    fn check_silence(&mut self, reading: bool) -> Result<(), Error> {
        if !reading {
            // We are the ones who do not listen.
            self.heard_at = Instant::now();
        }
        if self.heard_at.elapsed() > SILENCE_MAX { Err(Error::Timeout(SILENCE_MAX)) } else { Ok(()) }
    }

    /// Final status, `CopyDone`, and a bounded wait for the server to be ready again.
    async fn finish(&mut self) -> Result<(), Error> {
        self.push_status(false);
        self.out.put_slice(b"c\0\0\0\x04");
        let socket = self.socket.watch()?;
        let out = &self.out;
        let mut buffer = self.inbox.rest();
        let end = async {
            socket.write_all(out).await?;
            loop {
                while let Some((tag, _)) = cut(&mut buffer)? {
                    if matches!(tag, b'Z' | b'E') {
                        // Terminate
                        socket.write_all(b"X\0\0\0\x04").await?;
                        return Ok::<(), Error>(());
                    }
                }
                if socket.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
        };
        timeout(STOP_LIMIT, end).await.unwrap_or(Ok(()))
    }
}
