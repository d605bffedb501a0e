//! Which steps a state allows, and what each does.

use super::state::{Object, Phase, Records, Sink, State};
use super::{Action, Chain, Leaves, Mutation};
use crate::contract::Kind;

impl Chain {
    /// Offset of the first record at or after `offset` that becomes a line of an object.
    pub(super) fn first_record(&self, log: usize, offset: u8) -> Option<u8> {
        let mut kinds = (0u8..).zip(&self.logs[log]).skip(usize::from(offset));
        kinds.find(|(_, kind)| **kind == Kind::Record).map(|(at, _)| at)
    }

    /// The records in `[from, end)` that become lines.
    pub(super) fn records(&self, log: usize, from: u8, end: u8) -> Records {
        let kinds = (0u8..).zip(&self.logs[log]);
        kinds
            .filter(|(at, kind)| (from..end).contains(at) && **kind == Kind::Record)
            .fold(0, |records, (at, _)| records | 1 << at)
    }

    /// The object that the sink's buffer makes; none while it holds no record.
    fn object(&self, log: usize, sink: &Sink) -> Option<Object> {
        let first = self.first_record(log, sink.from).filter(|first| *first < sink.end)?;
        let suffix = if self.is_broken(Mutation::NameCarriesEnd) { sink.end } else { 0 };
        let next = sink.end;
        Some(Object { first, suffix, next, records: self.records(log, sink.from, next) })
    }

    /// Lists the steps that `state` allows, in a fixed order.
    pub(super) fn enabled(&self, state: &State, actions: &mut Vec<Action>) {
        for (id, sink) in state.sinks.iter().enumerate() {
            self.enabled_for(state, id, sink, actions);
            if state.faults.crashes > 0 && sink.phase != Phase::Down {
                actions.push(Action::Crash(id, Leaves::Nothing));
                if sink.phase == Phase::Putting {
                    actions.push(Action::Crash(id, Leaves::Put));
                }
            }
        }
        actions.extend((0..state.strays.len()).map(Action::StrayArrives));
        if state.faults.offsets_moved_back > 0 {
            let ends = std::iter::once(0).chain(state.objects.iter().map(|object| object.next));
            actions.extend(ends.filter(|end| *end < state.group).map(Action::MoveOffsetBack));
        }
    }

    fn enabled_for(&self, state: &State, id: usize, sink: &Sink, actions: &mut Vec<Action>) {
        match sink.phase {
            Phase::Down => actions.push(Action::Start(id)),
            Phase::Recovering => actions.push(Action::Head(id)),
            Phase::Filling => {
                if let Some(first) = self.first_record(state.log, sink.from) {
                    let ends = (0u8..).zip(&self.logs[state.log]).skip(usize::from(first));
                    let ends = ends.filter(|(_, kind)| **kind != Kind::Invisible);
                    actions.extend(ends.map(|(offset, _)| Action::Close(id, offset + 1)));
                }
            }
            Phase::Putting => {
                actions.push(Action::Apply(id));
                if state.faults.lost_replies > 0 {
                    actions.push(Action::LoseReply(id, Leaves::Nothing));
                    actions.push(Action::LoseReply(id, Leaves::Put));
                }
            }
            Phase::Writing => actions.push(Action::Write(id)),
            Phase::Created | Phase::Exists => {
                actions.push(Action::Adopt(id));
                if state.faults.lost_replies > 0 {
                    actions.push(Action::LoseReply(id, Leaves::Nothing));
                }
            }
        }
        if sink.uncommitted {
            actions.push(Action::CommitOffset(id));
        }
    }

    /// Takes one step.
    pub(super) fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::Start(id) => {
                let from = state.group;
                state.sinks[id] = Sink { phase: Phase::Recovering, from, ..Sink::default() };
            }
            Action::Head(id) => self.head(state, id),
            Action::Close(id, end) => {
                let sink = &mut state.sinks[id];
                (sink.phase, sink.end) = (Phase::Putting, end);
                if self.is_broken(Mutation::CommitBeforePut) {
                    state.group = end;
                }
            }
            Action::Apply(id) => {
                if let Some(object) = self.object(state.log, &state.sinks[id]) {
                    state.sinks[id].phase = self.put(state, object);
                }
            }
            Action::Write(id) => {
                if let Some(object) = self.object(state.log, &state.sinks[id]) {
                    state.write(object);
                    state.sinks[id].phase = Phase::Created;
                }
            }
            Action::Adopt(id) => self.adopt(state, id),
            Action::CommitOffset(id) => {
                state.group = state.sinks[id].from;
                state.sinks[id].uncommitted = false;
            }
            Action::Crash(id, leaves) => {
                state.faults.crashes -= 1;
                self.leave(state, id, leaves);
                state.sinks[id] = Sink::default();
            }
            Action::LoseReply(id, leaves) => {
                state.faults.lost_replies -= 1;
                self.leave(state, id, leaves);
                state.sinks[id].phase = Phase::Putting;
            }
            Action::StrayArrives(at) => {
                let object = state.strays.remove(at);
                self.put(state, object);
            }
            Action::MoveOffsetBack(offset) => {
                state.faults.offsets_moved_back -= 1;
                state.group = offset;
            }
        }
    }

    fn head(&self, state: &mut State, id: usize) {
        let first = self.first_record(state.log, state.sinks[id].from);
        let stored = first.and_then(|first| state.objects.iter().find(|object| object.first == first)).copied();
        let sink = &mut state.sinks[id];
        match stored {
            Some(stored) => sink.from = stored.next,
            None => sink.phase = Phase::Filling,
        }
    }

    /// What the store does with a PUT, and what it answers.
    fn put(&self, state: &mut State, object: Object) -> Phase {
        let exists = state.object(object.first, object.suffix).is_some();
        if exists && !self.is_broken(Mutation::Overwrite) {
            return Phase::Exists;
        }
        if self.is_broken(Mutation::CheckThenPut) {
            return Phase::Writing;
        }
        state.write(object);
        Phase::Created
    }

    fn adopt(&self, state: &mut State, id: usize) {
        let Some(own) = self.object(state.log, &state.sinks[id]) else { return };
        let mut next = own.next;
        if state.sinks[id].phase == Phase::Exists {
            let stored = state.object(own.first, own.suffix).map_or(own.next, |stored| stored.next);
            match self.mutation {
                Some(Mutation::NextFromMemory) => {}
                Some(Mutation::AnotherNameIfExists) => state.write(Object { suffix: own.next, ..own }),
                _ => next = stored,
            }
        }
        let sink = &mut state.sinks[id];
        sink.phase = Phase::Filling;
        sink.from = next;
        sink.end = 0;
        sink.uncommitted = true;
    }

    fn leave(&self, state: &mut State, id: usize, leaves: Leaves) {
        if leaves == Leaves::Put {
            state.strays.extend(self.object(state.log, &state.sinks[id]));
        }
    }

    /// Drops the requests that the store will refuse whenever they arrive: objects do not go away.
    pub(super) fn drop_refused(&self, state: &mut State) {
        if !self.is_broken(Mutation::Overwrite) {
            let objects = &state.objects;
            let is_taken =
                |put: &Object| objects.iter().any(|object| (object.first, object.suffix) == (put.first, put.suffix));
            state.strays.retain(|put| !is_taken(put));
        }
    }
}
