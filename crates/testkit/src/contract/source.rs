//! The contract of [`ChangeSource`].

use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::change::{Event, Tuple};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::source::{ChangeSource, KeyBound};

/// How often a stream is asked before events count as missing.
const READS_MAX: usize = 300;

/// The server behind the source.
#[async_trait]
pub trait Server: Send {
    /// Inserts so many new rows in one transaction.
    async fn insert(&mut self, rows: u32);

    /// A source of its table, not connected yet.
    async fn source(&mut self) -> Box<dyn ChangeSource>;
}

/// Runs the suite on a table that holds nothing and has no slot.
pub async fn suite(server: &mut dyn Server) {
    server.insert(3).await;
    let mut source = server.source().await;
    let state = source.inspect().await.expect("a look");
    assert!(state.slot.is_none(), "a look makes no slot");
    let point = source.create_slot().await.expect("a slot");
    server.insert(2).await;
    assert_eq!(rows(source.as_mut(), None).await.len(), 3, "a snapshot holds what was there at its point");

    // A transaction comes whole and in order; its changes are after the point.
    let confirmed = source.start(point).await.expect("a stream");
    assert!(confirmed <= point, "{confirmed} is not ahead of {point}");
    let first = transactions(source.as_mut(), 1).await;
    assert_eq!(first[0].changes, 2);
    assert!(first[0].commit >= point && first[0].end > first[0].commit, "{first:?} after {point}");

    // Without a confirmation it comes again, the same.
    source.stop().await.expect("an end");
    drop(source);
    let mut source = server.source().await;
    let state = source.inspect().await.expect("a look");
    assert!(state.slot.is_some_and(|slot| slot.confirmed <= point), "nothing was confirmed");
    source.start(point).await.expect("a stream");
    assert_eq!(transactions(source.as_mut(), 1).await, first, "the same transaction, with the same positions");

    // What is confirmed in order is not sent again.
    source.confirm(first[0].end);
    source.stop().await.expect("an end");
    drop(source);
    server.insert(4).await;
    let mut source = server.source().await;
    let confirmed = source.start(first[0].end).await.expect("a stream");
    assert!(confirmed >= first[0].end, "the end tells the server: {confirmed}, {}", first[0].end);
    let second = transactions(source.as_mut(), 1).await;
    assert_eq!(second[0].changes, 4, "the next one follows: {second:?}");
    source.stop().await.expect("an end");

    // A later snapshot, read above a key.
    let later = source.open_snapshot().await.expect("a snapshot");
    assert!(later >= second[0].end, "{later}");
    let all = rows(source.as_mut(), None).await;
    assert_eq!(all.len(), 9);
    source.open_snapshot().await.expect("another snapshot");
    let bound = KeyBound(vec![all[5].clone()]);
    assert_eq!(rows(source.as_mut(), Some(&bound)).await, all[6..], "rows above the bound, in the key's order");
}

/// The keys of all rows of the open snapshot.
async fn rows(source: &mut dyn ChangeSource, after: Option<&KeyBound>) -> Vec<String> {
    let mut keys = Vec::new();
    loop {
        let mut rows: Vec<Tuple> = Vec::new();
        let relation = source.read_rows(after, &mut rows).await.expect("rows");
        if rows.is_empty() {
            return keys;
        }
        keys.extend(rows.iter().map(|row| datapipe_core::key::key_of(&relation, row).0[0].clone()));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transaction {
    commit: Lsn,
    end: Lsn,
    changes: usize,
}

async fn transactions(source: &mut dyn ChangeSource, count: usize) -> Vec<Transaction> {
    let (mut events, mut found, mut open) = (Vec::new(), Vec::new(), None);
    for _ in 0..READS_MAX {
        events.clear();
        source.next(Duration::from_millis(100), &mut events).await.expect("events");
        for event in &events {
            match event {
                Event::Begin(begin) => {
                    assert_eq!(open, None, "transactions are not interleaved");
                    open = Some((begin.commit, 0));
                }
                Event::Change(_) => open.as_mut().expect("a change is inside a transaction").1 += 1,
                Event::Commit { end } => {
                    let (commit, changes) = open.take().expect("a commit ends a transaction");
                    found.push(Transaction { commit, end: *end, changes });
                }
                Event::Keepalive { .. } | Event::Signal(_) | Event::Bounds(_) | Event::Chunk(_) | Event::Refused(_) => {
                }
            }
        }
        if found.len() >= count {
            break;
        }
    }
    assert!(found.len() >= count, "{count} transactions did not come: {found:?}");
    found
}
