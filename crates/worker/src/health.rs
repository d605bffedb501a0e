//! RUNNING means flowing: what a task's state is, judged from what it has shown. Pure.

use std::time::Duration;

use datapipe_core::port::connect::State;

/// What is known of a task at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What its runs have come to.
    pub phase: Phase,
    /// When the current run started, in microseconds since 1970-01-01 UTC.
    pub started_at_us: i64,
    /// When it last got somewhere: a committed log transaction for a source, a successful poll for a sink.
    pub alive_at_us: i64,
    /// When the oldest record that is not written yet was read; 0 without one. Sinks only.
    pub waiting_since_us: i64,
}

/// What a task's runs have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started: another worker owns the group.
    Standby,
    /// A run goes on.
    Running,
    /// The last run failed, and the next one has not got anywhere yet.
    Failed(String),
}

/// How old a sign of life may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The heartbeat interval.
    pub heartbeat: Duration,
    /// The greatest age of an object; none for a source.
    pub object_age_max: Option<Duration>,
}

/// A task's state, and the reason if it is not good.
pub fn judge(observed: &Observed, limits: &Limits, now_us: i64) -> (State, Option<String>) {
    match &observed.phase {
        Phase::Standby => return (State::Unassigned, None),
        Phase::Failed(why) => return (State::Failed, Some(why.clone())),
        Phase::Running => {}
    }
    let two_heartbeats = micros(limits.heartbeat) * 2;
    let alive_at_us = observed.alive_at_us.max(observed.started_at_us);
    if now_us - alive_at_us > two_heartbeats {
        let hop = if limits.object_age_max.is_some() { "no answer of the log" } else { "nothing committed to the log" };
        return (State::Failed, Some(format!("stalled: {hop} for {} s", seconds(now_us - alive_at_us))));
    }
    if let Some(age_max) = limits.object_age_max
        && observed.waiting_since_us > 0
        && now_us - observed.waiting_since_us > micros(age_max) + two_heartbeats
    {
        let waited = seconds(now_us - observed.waiting_since_us);
        return (State::Failed, Some(format!("stalled: a record has waited {waited} s for its object")));
    }
    (State::Running, None)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

fn seconds(us: i64) -> i64 {
    us / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;
    const SOURCE: Limits = Limits { heartbeat: Duration::from_secs(10), object_age_max: None };
    const SINK: Limits = Limits { heartbeat: Duration::from_secs(10), object_age_max: Some(Duration::from_secs(60)) };

    fn running(alive_at_us: i64, waiting_since_us: i64) -> Observed {
        Observed { phase: Phase::Running, started_at_us: S, alive_at_us, waiting_since_us }
    }

    #[test]
    fn a_source_runs_while_it_commits() {
        assert_eq!(judge(&running(100 * S, 0), &SOURCE, 120 * S).0, State::Running);
        let (state, why) = judge(&running(100 * S, 0), &SOURCE, 121 * S);
        assert_eq!((state, why.as_deref()), (State::Failed, Some("stalled: nothing committed to the log for 21 s")));
    }

    #[test]
    fn a_fresh_start_has_two_heartbeats_to_get_somewhere() {
        assert_eq!(judge(&running(0, 0), &SOURCE, 20 * S).0, State::Running);
        assert_eq!(judge(&running(0, 0), &SOURCE, 22 * S).0, State::Failed);
    }

    #[test]
    fn a_sink_runs_while_its_oldest_record_is_young() {
        assert_eq!(judge(&running(100 * S, 20 * S), &SINK, 100 * S).0, State::Running);
        let (state, why) = judge(&running(101 * S, 20 * S), &SINK, 101 * S);
        assert_eq!((state, why.as_deref()), (State::Failed, Some("stalled: a record has waited 81 s for its object")));
    }

    #[test]
    fn a_failure_keeps_its_reason() {
        let failed = Observed { phase: Phase::Failed("no slot".to_owned()), ..running(0, 0) };
        assert_eq!(judge(&failed, &SOURCE, 0), (State::Failed, Some("no slot".to_owned())));
    }
}
