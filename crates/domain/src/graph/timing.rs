//! The critical path method (Kelley and Walker 1959) over whole milliseconds.

use super::Dag;

/// When each task can start, and how much of the plan hangs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing<'a> {
    dag: &'a Dag,
    durations: &'a [u64],
    /// The earliest start of each task.
    pub earliest: Vec<u64>,
    /// For each task the longest way from its start to the end of the plan.
    pub remaining: Vec<u64>,
    /// The length of the critical path: how long the plan takes with workers enough.
    pub total: u64,
}

impl Dag {
    /// Times every task for durations given by id; sums saturate.
    ///
    /// # Panics
    /// When there are not as many durations as tasks.
    pub fn timing<'a>(&'a self, durations: &'a [u64]) -> Timing<'a> {
        assert_eq!(durations.len(), self.len() as usize, "one duration a task");
        let mut earliest = vec![0u64; durations.len()];
        let mut total = 0;
        for v in self.order() {
            let ends = self.prerequisites(v).iter();
            let ends = ends.map(|&p| earliest[p as usize].saturating_add(durations[p as usize]));
            let start = ends.max().unwrap_or(0);
            earliest[v as usize] = start;
            total = total.max(start.saturating_add(durations[v as usize]));
        }
        let mut remaining = vec![0u64; durations.len()];
        for v in self.order().rev() {
            let after = self.dependents(v).iter().map(|&d| remaining[d as usize]).max();
            remaining[v as usize] = after.unwrap_or(0).saturating_add(durations[v as usize]);
        }
        Timing {
            dag: self,
            durations,
            earliest,
            remaining,
            total,
        }
    }
}

impl Timing<'_> {
    /// The latest start that does not delay the end of the plan.
    pub fn latest(&self, v: u32) -> u64 {
        self.total.saturating_sub(self.remaining[v as usize])
    }

    /// How long the start of `v` may be delayed without delaying the end; 0 on the critical path.
    pub fn slack(&self, v: u32) -> u64 {
        self.latest(v).saturating_sub(self.earliest[v as usize])
    }

    /// The longest way through the plan, prerequisites first; of several the one with the smallest ids.
    pub fn critical_path(&self) -> Vec<u32> {
        let roots = (0..self.dag.len()).filter(|&v| self.dag.prerequisites(v).is_empty());
        let first = { roots }.find(|&v| self.remaining[v as usize] == self.total);
        let next = |&v: &u32| {
            let left = self.remaining[v as usize].saturating_sub(self.durations[v as usize]);
            let mut dependents = self.dag.dependents(v).iter().copied();
            dependents.find(|&d| self.remaining[d as usize] == left)
        };
        std::iter::successors(first, next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;

    #[test]
    fn the_longest_way_is_critical_and_the_rest_has_slack() {
        let dag = Dag::new(Graph::build(5, [(0, 1), (0, 2), (1, 3), (2, 3)])).unwrap();
        let durations = [10, 5, 20, 1, 3];
        let timing = dag.timing(&durations);
        assert_eq!(timing.critical_path(), [0, 2, 3]);
        assert_eq!(timing.total, 31);
        assert_eq!(timing.earliest, [0, 10, 10, 30, 0]);
        assert_eq!(timing.remaining, [31, 6, 21, 1, 3]);
        let slack: Vec<_> = (0..5).map(|v| timing.slack(v)).collect();
        assert_eq!(slack, [0, 15, 0, 0, 28]);
        assert_eq!(timing.latest(1), 25);
    }

    #[test]
    fn nothing_and_no_time_are_fine() {
        let none = Dag::new(Graph::build(0, [])).unwrap();
        assert_eq!(none.timing(&[]).critical_path(), [0u32; 0]);
        let dag = Dag::new(Graph::build(3, [(0, 1)])).unwrap();
        assert_eq!(dag.timing(&[0, 0, 0]).critical_path(), [0, 1]);
        assert_eq!(dag.timing(&[u64::MAX, u64::MAX, 1]).total, u64::MAX);
    }
}
