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

/// How long a run may take to get somewhere, however short the heartbeat: the slot's last reader may have to go first.
const START_MAX_LEAST: Duration = Duration::from_secs(20);

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
    // A sink reads and writes by turns, so with a record in hand it may be either that keeps it.
    let hop = match (limits.object_age_max, observed.waiting_since_us > 0) {
        (None, _) => "nothing committed to the log",
        (Some(_), false) => "no answer of the log",
        (Some(_), true) => "no answer of the log or of the store",
    };
    if observed.alive_at_us < observed.started_at_us {
        let since_us = now_us - observed.started_at_us;
        if since_us > two_heartbeats.max(micros(START_MAX_LEAST)) {
            return (State::Failed, Some(format!("stalled: {hop} for {} s since the start", seconds(since_us))));
        }
        return (State::Unassigned, Some(format!("starting: {hop} yet")));
    }
    let since_us = now_us - observed.alive_at_us;
    if since_us > two_heartbeats {
        return (State::Failed, Some(format!("stalled: {hop} for {} s", seconds(since_us))));
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
    fn a_start_is_not_running_before_it_has_got_somewhere() {
        let (state, why) = judge(&running(0, 0), &SOURCE, S);
        assert_eq!(state, State::Unassigned);
        assert_eq!(why.as_deref(), Some("starting: nothing committed to the log yet"));
        let (state, why) = judge(&running(0, 0), &SINK, S);
        assert_eq!((state, why.as_deref()), (State::Unassigned, Some("starting: no answer of the log yet")));
        assert_eq!(judge(&running(S, 0), &SOURCE, S), (State::Running, None));
        // What an earlier run committed says nothing about this one.
        assert_eq!(judge(&running(S - 1, 0), &SOURCE, S).0, State::Unassigned);
    }

    #[test]
    fn a_start_that_gets_nowhere_is_stalled_after_two_heartbeats_and_20_s_at_least() {
        assert_eq!(judge(&running(0, 0), &SOURCE, 21 * S).0, State::Unassigned);
        let (state, why) = judge(&running(0, 0), &SOURCE, 22 * S);
        let expected = "stalled: nothing committed to the log for 21 s since the start";
        assert_eq!((state, why.as_deref()), (State::Failed, Some(expected)));
        let limits = |seconds| Limits { heartbeat: Duration::from_secs(seconds), ..SOURCE };
        assert_eq!(judge(&running(0, 0), &limits(1), 21 * S).0, State::Unassigned);
        assert_eq!(judge(&running(0, 0), &limits(60), 121 * S).0, State::Unassigned);
        assert_eq!(judge(&running(0, 0), &limits(60), 122 * S).0, State::Failed);
    }

    #[test]
    fn a_sink_runs_while_its_oldest_record_is_young() {
        assert_eq!(judge(&running(100 * S, 20 * S), &SINK, 100 * S).0, State::Running);
        let (state, why) = judge(&running(101 * S, 20 * S), &SINK, 101 * S);
        assert_eq!((state, why.as_deref()), (State::Failed, Some("stalled: a record has waited 81 s for its object")));
    }

    #[test]
    fn a_sink_with_a_record_in_hand_may_wait_for_the_store() {
        let why = |waiting_since_us| judge(&running(100 * S, waiting_since_us), &SINK, 130 * S).1.unwrap();
        assert_eq!(why(0), "stalled: no answer of the log for 30 s");
        assert_eq!(why(95 * S), "stalled: no answer of the log or of the store for 30 s");
    }

    #[test]
    fn a_failure_keeps_its_reason() {
        let failed = Observed { phase: Phase::Failed("no slot".to_owned()), ..running(0, 0) };
        assert_eq!(judge(&failed, &SOURCE, 0), (State::Failed, Some("no slot".to_owned())));
    }
}
