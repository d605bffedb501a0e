//! Which steps a state allows, and what each does.

use super::state::{Flight, Instance, Leftover, Phase, State};
use super::wal::{self, Position};
use super::{Action, CHANGES, Capture, INSTANCES, Mutation, TRANSACTIONS};

impl Capture {
    /// Lists the steps that `state` allows, in a fixed order.
    pub(super) fn enabled(self, state: &State, actions: &mut Vec<Action>) {
        if state.committed < TRANSACTIONS {
            actions.push(Action::DatabaseCommits);
        }
        if state.kafka.open.as_ref().is_some_and(|open| open.end_requested) {
            actions.push(Action::Decide);
        }
        if state.kafka.stored != state.kafka.decided && !self.is_broken(Mutation::ProgressOutside) {
            actions.push(Action::WriteMarkers);
        }
        if state.faults.pauses > 0 && state.kafka.open.is_some() {
            actions.push(Action::TransactionTimesOut);
        }
        if state.faults.slot_changes > 0
            && state.slot.holder.is_none()
            && state.slot.confirmed < wal::quiet_lsn(state.committed)
        {
            actions.push(Action::SlotMoved);
        }
        for (id, instance) in (0u8..).zip(&state.instances) {
            self.enabled_starting(state, id, instance, actions);
            if instance.phase == Phase::Running {
                self.enabled_running(state, id, instance, actions);
            }
        }
    }

    fn enabled_starting(self, state: &State, id: u8, instance: &Instance, actions: &mut Vec<Action>) {
        match instance.phase {
            Phase::Initialising => {
                actions.push(Action::InitTransactions(id));
                if state.faults.lost_replies > 0 {
                    actions.push(Action::LoseInitReply(id));
                }
            }
            Phase::Reading if self.may_read(state) => actions.push(Action::ReadProgress(id)),
            Phase::Connecting if state.slot.holder.is_none() => actions.push(Action::StartReplication(id)),
            Phase::Fenced if state.faults.restarts > 0 => actions.push(Action::Restart(id)),
            _ => {}
        }
        // A process that holds nothing loses nothing by dying.
        if state.faults.crashes > 0 && *instance != self.fresh() {
            actions.push(Action::Crash(id));
        }
    }

    fn enabled_running(self, state: &State, id: u8, instance: &Instance, actions: &mut Vec<Action>) {
        let connected = state.slot.holder == Some(id);
        let owner = state.kafka.owner == Some(id);
        if connected {
            if self.confirmable(state, instance) > state.slot.confirmed {
                actions.push(Action::Confirm(id));
            }
            if state.faults.pauses > 0 {
                let most = if owner { self.available(state, id, instance) } else { 0 };
                actions.extend((0..=most).map(|received| Action::SessionTimesOut(id, received)));
            }
        } else {
            actions.push(Action::LearnDisconnected(id));
        }
        match instance.flight {
            // One transactional id has one transaction at a time: the coordinator answers `CONCURRENT_TRANSACTIONS` until
            // the markers of the one before are written.
            Flight::None if owner && !self.is_unstable(&state.kafka) => {
                let most = self.available(state, id, instance);
                let batches = (1..=most).filter(|messages| self.batch(state, id, instance, *messages).is_some());
                actions.extend(batches.map(|messages| Action::Send(id, messages)));
            }
            Flight::Sent if owner => actions.push(Action::EndTransaction(id)),
            Flight::Acknowledged => actions.push(Action::ReceiveReply(id)),
            _ => {}
        }
        if !owner && instance.flight != Flight::Acknowledged {
            actions.push(Action::LearnFenced(id));
        }
        if state.faults.lost_replies > 0 && matches!(instance.flight, Flight::Ending | Flight::Acknowledged) {
            actions.push(Action::LoseReply(id));
        }
    }

    /// Takes one step.
    pub(super) fn apply(self, state: &mut State, action: Action) {
        match action {
            Action::DatabaseCommits => state.committed += 1,
            Action::InitTransactions(id) => {
                fence(state, Some(id));
                state.instances[usize::from(id)].phase = self.after_init();
            }
            Action::ReadProgress(id) => self.read_progress(state, id),
            Action::StartReplication(id) => self.start_replication(state, id),
            Action::Send(id, messages) => self.send(state, id, messages),
            Action::EndTransaction(id) => {
                state.instances[usize::from(id)].flight = Flight::Ending;
                if let Some(open) = &mut state.kafka.open {
                    open.end_requested = true;
                }
            }
            Action::Decide => decide(state),
            Action::WriteMarkers => state.kafka.stored = state.kafka.decided,
            Action::ReceiveReply(id) => self.receive_reply(state, id),
            Action::Confirm(id) => {
                state.slot.confirmed = self.confirmable(state, &state.instances[usize::from(id)]);
            }
            Action::LearnFenced(id) => {
                self.stop(state, id);
                state.instances[usize::from(id)].phase = Phase::Fenced;
            }
            Action::LearnDisconnected(id) => self.stop(state, id),
            Action::Restart(id) => {
                state.faults.restarts -= 1;
                self.stop(state, id);
            }
            Action::Crash(_)
            | Action::SessionTimesOut(..)
            | Action::TransactionTimesOut
            | Action::LoseReply(_)
            | Action::LoseInitReply(_)
            | Action::SlotMoved => self.fail(state, action),
        }
    }

    fn fail(self, state: &mut State, fault: Action) {
        match fault {
            Action::Crash(id) => {
                state.faults.crashes -= 1;
                self.stop(state, id);
            }
            Action::SessionTimesOut(id, received) => {
                state.faults.pauses -= 1;
                let instance = &state.instances[usize::from(id)];
                let leftover = self.leftover(state, id, instance, received);
                state.instances[usize::from(id)].leftover = leftover;
                state.slot.holder = None;
            }
            Action::TransactionTimesOut => {
                state.faults.pauses -= 1;
                // Its producer is fenced by nobody who could go on: somebody must start it again.
                state.faults.restarts += 1;
                fence(state, None);
            }
            Action::LoseReply(id) => {
                state.faults.lost_replies -= 1;
                self.lose_reply(state, id);
            }
            Action::LoseInitReply(_) => {
                state.faults.lost_replies -= 1;
                fence(state, None);
            }
            Action::SlotMoved => {
                state.faults.slot_changes -= 1;
                state.slot.confirmed = wal::quiet_lsn(state.committed);
                state.gap = state.slot.confirmed > state.kafka.decided.end_lsn;
            }
            _ => {}
        }
    }

    /// Forgets all that the instance has in memory and closes its connections. What it has sent stays sent.
    fn stop(self, state: &mut State, id: u8) {
        if state.slot.holder == Some(id) {
            state.slot.holder = None;
        }
        if state.kafka.owner == Some(id) {
            state.kafka.owner = None;
        }
        state.instances[usize::from(id)] = self.fresh();
    }

    fn read_progress(self, state: &mut State, id: u8) {
        let position = self.position_read(state);
        let slot_is_ahead = state.slot.confirmed > position.end_lsn && !self.is_broken(Mutation::NoGapCheck);
        let phase = if slot_is_ahead { Phase::Refused } else { self.after_read() };
        let instance = &mut state.instances[usize::from(id)];
        instance.phase = phase;
        instance.durable = position;
        if self.takes_lsn_alone() {
            instance.start = position;
        }
        if phase == Phase::Refused && state.kafka.owner == Some(id) {
            state.kafka.owner = None;
        }
    }

    fn start_replication(self, state: &mut State, id: u8) {
        let confirmed = state.slot.confirmed;
        let checked = !self.is_broken(Mutation::NoGapCheckOnceHeld) && !self.is_broken(Mutation::NoGapCheck);
        let slot_is_ahead = checked && confirmed > state.instances[usize::from(id)].durable.end_lsn;
        if slot_is_ahead {
            // Either rows are gone, or this instance is an old one and a newer has gone on: a fresh read tells.
            let seen = confirmed;
            self.stop(state, id);
            let instance = &mut state.instances[usize::from(id)];
            instance.seen = seen;
            if self.is_broken(Mutation::RefuseOnStalePosition) {
                instance.phase = Phase::Refused;
            }
            return;
        }
        state.slot.holder = Some(id);
        let instance = &mut state.instances[usize::from(id)];
        instance.phase = Phase::Running;
        instance.cursor = wal::session_start(confirmed);
        instance.seen = 0;
    }

    fn send(self, state: &mut State, id: u8, messages: u8) {
        let instance = &state.instances[usize::from(id)];
        let (end, _) = self.received(state, id, instance);
        let Some(transaction) = self.batch(state, id, instance, messages) else { return };
        let instance = &mut state.instances[usize::from(id)];
        instance.flight = Flight::Sent;
        instance.sent = transaction.position;
        if self.is_broken(Mutation::RetryWithoutReading) {
            instance.sent_messages = end.min(instance.cursor + messages) - instance.cursor;
        }
        if self.is_broken(Mutation::ReadUncommitted) {
            state.kafka.written = transaction.position;
        }
        instance.cursor = end.min(instance.cursor + messages);
        state.kafka.open = Some(transaction);
    }

    fn receive_reply(self, state: &mut State, id: u8) {
        let instance = &mut state.instances[usize::from(id)];
        instance.flight = Flight::None;
        instance.durable = instance.sent;
        instance.sent = Position::default();
        instance.sent_messages = 0;
        if self.is_broken(Mutation::ProgressOutside) {
            state.kafka.stored = instance.durable;
        }
    }

    fn lose_reply(self, state: &mut State, id: u8) {
        if !self.is_broken(Mutation::RetryWithoutReading) {
            self.stop(state, id);
            return;
        }
        let owner = state.kafka.owner == Some(id);
        let instance = &mut state.instances[usize::from(id)];
        if owner {
            instance.cursor -= instance.sent_messages;
            if instance.flight == Flight::Ending {
                state.kafka.open = None;
            }
        }
        instance.flight = Flight::None;
        instance.sent_messages = 0;
        instance.sent = Position::default();
    }
}

/// Gives the newest epoch to `owner`, and aborts what the older producer left open. A commit that is already decided
/// stands.
fn fence(state: &mut State, owner: Option<u8>) {
    let fenced = state.kafka.owner.map_or(INSTANCES, usize::from);
    state.kafka.owner = owner;
    state.kafka.open = None;
    let Some(instance) = state.instances.get_mut(fenced) else { return };
    // What it could still send will be refused, so it is as good as forgotten.
    instance.leftover = Leftover::default();
    instance.cursor = 0;
    if instance.flight != Flight::Acknowledged {
        instance.flight = Flight::None;
        instance.sent = Position::default();
        instance.sent_messages = 0;
    }
}

/// The coordinator writes down that the open transaction commits: from here on it can't be undone.
fn decide(state: &mut State) {
    let Some(open) = state.kafka.open.take() else { return };
    state.kafka.delivered.extend((0..CHANGES).filter(|change| open.changes & (1 << change) != 0));
    state.kafka.decided = open.position;
    let owner = state.kafka.owner.map_or(INSTANCES, usize::from);
    if let Some(instance) = state.instances.get_mut(owner) {
        instance.flight = Flight::Acknowledged;
    }
}
