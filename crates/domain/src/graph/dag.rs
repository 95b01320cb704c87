//! A graph that is known to have no cycles.

use std::ops::Deref;

use super::{Cycle, Graph};

/// A [`Graph`] with an order in which every task comes after its prerequisites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dag {
    graph: Graph,
    /// `None` when ascending ids are such an order.
    order: Option<Vec<u32>>,
}

impl Deref for Dag {
    type Target = Graph;
    fn deref(&self) -> &Graph {
        &self.graph
    }
}

impl Dag {
    /// Proves the absence of cycles, or names them.
    pub fn new(graph: Graph) -> Result<Dag, Vec<Cycle>> {
        if graph.ascends() {
            return Ok(Dag { graph, order: None });
        }
        let order = graph.order();
        if order.len() < graph.len() as usize {
            return Err(graph.cycles());
        }
        Ok(Dag {
            graph,
            order: Some(order),
        })
    }

    /// Every task once, prerequisites first.
    pub fn order(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        let order = self.order.as_deref();
        (0..self.len()).map(move |i| order.map_or(i, |order| order[i as usize]))
    }

    /// For each task the number of edges on the longest way to it; 0 for tasks that wait for nothing.
    pub fn depths(&self) -> Vec<u32> {
        let mut depths = vec![0; self.len() as usize];
        for v in self.order() {
            let above = self.prerequisites(v).iter().map(|&p| depths[p as usize] + 1);
            depths[v as usize] = above.max().unwrap_or(0);
        }
        depths
    }

    /// All tasks in batches that may run side by side, each batch after the one before.
    ///
    /// The largest batch is what we call the plan's parallelism (SPEC 5.1). The true maximum, a largest set of
    /// tasks of which none waits for another, needs a matching over all ways and is not linear.
    pub fn levels(&self) -> Vec<Vec<u32>> {
        let depths = self.depths();
        batches((0..self.len()).map(|v| (depths[v as usize], v)))
    }

    /// The tasks of `subset` in batches, none of them empty; duplicates collapse.
    ///
    /// A task is batched after another of the subset also when it waits for it through tasks outside: two
    /// tasks of one batch are independent.
    pub fn levels_of(&self, subset: &[u32]) -> Vec<Vec<u32>> {
        let mut asked = vec![false; self.len() as usize];
        for &v in subset {
            asked[v as usize] = true;
        }
        // How many tasks of the subset the longest way to a task has, the task included.
        let mut counts = vec![0u32; self.len() as usize];
        for v in self.order() {
            let above = self.prerequisites(v).iter().map(|&p| counts[p as usize]).max();
            counts[v as usize] = above.unwrap_or(0) + u32::from(asked[v as usize]);
        }
        let members = (0..self.len()).filter(|&v| asked[v as usize]);
        batches(members.map(|v| (counts[v as usize] - 1, v)))
    }
}

fn batches(levels: impl Iterator<Item = (u32, u32)>) -> Vec<Vec<u32>> {
    let mut batches: Vec<Vec<u32>> = Vec::new();
    for (level, v) in levels {
        if batches.len() <= level as usize {
            batches.resize_with(level as usize + 1, Vec::new);
        }
        batches[level as usize].push(v);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dag(len: u32, edges: &[(u32, u32)]) -> Dag {
        Dag::new(Graph::build(len, edges.iter().copied())).unwrap()
    }

    /// SPEC 1.9: the resolver's depths and the service's plans.
    // proves: SPEC 1.4
    #[test]
    fn lines_branches_and_diamonds_have_their_levels() {
        for (len, edges, depths, levels) in [
            (0, &[][..], &[][..], &[][..]),
            (1, &[], &[0], &[&[0][..]][..]),
            (3, &[(0, 1), (1, 2)], &[0, 1, 2], &[&[0], &[1], &[2]]),
            (3, &[(0, 1), (0, 2)], &[0, 1, 1], &[&[0], &[1, 2]]),
            (3, &[], &[0, 0, 0], &[&[0, 1, 2]]),
            (
                4,
                &[(0, 1), (0, 2), (1, 3), (2, 3)],
                &[0, 1, 1, 2],
                &[&[0], &[1, 2], &[3]],
            ),
            (
                4,
                &[(3, 2), (3, 1), (2, 0), (1, 0)],
                &[2, 1, 1, 0],
                &[&[3], &[1, 2], &[0]],
            ),
        ] {
            let dag = dag(len, edges);
            assert_eq!(dag.depths(), depths);
            assert_eq!(dag.levels(), levels);
        }
    }

    // proves: SPEC 1.4
    #[test]
    fn a_subset_has_no_empty_batches_and_keeps_its_order() {
        let line = dag(5, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
        assert_eq!(line.levels_of(&[4, 1, 1]), [[1], [4]]);
        assert_eq!(line.levels_of(&[3]), [[3]]);
        assert!(line.levels_of(&[]).is_empty());
    }

    // proves: SPEC 1.4
    #[test]
    fn a_cycle_has_no_order() {
        let cycles = Dag::new(Graph::build(3, [(0, 1), (1, 2), (2, 1)])).unwrap_err();
        assert_eq!(cycles[0].path, [1, 2]);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_is_deep_and_fine() {
        let chain = dag(100_000, &(1..100_000).map(|v| (v, v - 1)).collect::<Vec<_>>());
        assert_eq!(chain.depths()[0], 99_999);
        assert_eq!(chain.order().next(), Some(99_999));
    }
}
