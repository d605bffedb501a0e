//! Which partitions of a topic a sink's task takes. Pure.

use std::num::NonZeroU32;

/// One task's part of a topic: of `tasks` tasks, task k takes the partitions whose number leaves k when divided by
/// `tasks`. It follows from the numbers alone, so tasks agree on it without asking each other; with fewer partitions
/// than tasks the last ones take none.
///
/// ```
/// use std::num::NonZeroU32;
/// use datapipe_core::assignment::Assignment;
///
/// let second = Assignment::new(1, NonZeroU32::new(3).unwrap());
/// assert_eq!(second.partitions(6).collect::<Vec<_>>(), [1, 4]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    task: u32,
    tasks: NonZeroU32,
}

impl Assignment {
    /// All partitions: the part of an only task.
    pub const ALL: Self = Self { task: 0, tasks: NonZeroU32::MIN };

    /// The part of a task, counted from 0, of so many.
    pub const fn new(task: u32, tasks: NonZeroU32) -> Self {
        Self { task, tasks }
    }

    /// The task.
    pub const fn task(self) -> u32 {
        self.task
    }

    /// The task's partitions of a topic that has so many.
    pub fn partitions(self, count: i32) -> impl Iterator<Item = i32> {
        (0..count).filter(move |partition| self.place(*partition).is_some())
    }

    /// Where a partition stands among the task's, from 0; none if it is another task's.
    pub fn place(self, partition: i32) -> Option<usize> {
        let partition = u32::try_from(partition).ok()?;
        let place = partition / self.tasks;
        (partition % self.tasks == self.task).then_some(usize::try_from(place).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_one_task_and_a_place_of_its_own() {
        for tasks in 1..=5 {
            for count in 0..12 {
                let all = NonZeroU32::new(tasks).unwrap();
                let mut taken: Vec<_> = (0..tasks)
                    .flat_map(|task| {
                        let part = Assignment::new(task, all);
                        let own: Vec<_> = part.partitions(count).collect();
                        let places: Vec<_> = own.iter().map(|partition| part.place(*partition)).collect();
                        assert_eq!(places, (0..own.len()).map(Some).collect::<Vec<_>>(), "{task} of {tasks}");
                        own
                    })
                    .collect();
                taken.sort_unstable();
                assert_eq!(taken, (0..count).collect::<Vec<_>>(), "{tasks} tasks");
            }
        }
        assert_eq!(Assignment::ALL.place(-1), None);
    }
}
