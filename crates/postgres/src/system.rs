//! What a replication connection tells of the server itself.

use std::time::Duration;

use datapipe_core::Lsn;

use crate::error::Error;
use crate::wire::Connection;

/// Which cluster of databases it is, and which turn its history took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct System {
    /// `systemid`, given by initdb.
    pub(crate) id: String,
    pub(crate) timeline: u32,
    /// Where the timeline forked off its predecessor; none on the first.
    pub(crate) forked_at: Option<Lsn>,
}

impl System {
    pub(crate) async fn read(connection: &mut Connection, limit: Duration) -> Result<Self, Error> {
        let rows = connection.query("IDENTIFY_SYSTEM", limit).await?;
        let field = |index: usize| rows.first().and_then(|row| row.get(index)).and_then(Option::as_deref);
        let (Some(system_id), Some(timeline)) = (field(0), field(1).and_then(|text| text.parse().ok())) else {
            return Err(Error::Protocol("IDENTIFY_SYSTEM without system id or timeline".to_owned()));
        };
        let forked_at = if timeline > 1 { Some(fork(connection, timeline, limit).await?) } else { None };
        Ok(Self { id: system_id.to_owned(), timeline, forked_at })
    }
}

/// A name that no other session of the server can choose.
pub(crate) async fn temporary_name(connection: &mut Connection, limit: Duration) -> Result<String, Error> {
    let rows = connection.query("SELECT pg_catalog.pg_backend_pid()", limit).await?;
    let pid = rows.into_iter().flatten().next().flatten();
    pid.map(|pid| format!("datapipe_snapshot_{pid}"))
        .ok_or_else(|| Error::Protocol("a session without a process id".to_owned()))
}

/// Where a timeline forked off its predecessor: the last line of its history file, `timeline, LSN, reason`.
async fn fork(connection: &mut Connection, timeline: u32, limit: Duration) -> Result<Lsn, Error> {
    let rows = connection.query(&format!("TIMELINE_HISTORY {timeline}"), limit).await?;
    let content = rows.first().and_then(|row| row.get(1)).and_then(Option::as_deref).unwrap_or_default();
    last_fork(content).ok_or_else(|| Error::Protocol(format!("a history of timeline {timeline} without a fork")))
}

fn last_fork(content: &str) -> Option<Lsn> {
    let mut lines = content.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.next_back()?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fork_counts() {
        let history = "1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tbefore 2026-11-23\n";
        assert_eq!(last_fork(history), Some(Lsn(0x500_0000)));
        assert_eq!(last_fork(""), None);
    }
}
