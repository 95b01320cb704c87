//! Walks along the edges.

use super::Graph;

impl Graph {
    /// Everything that waits for `v`, directly or through others, nearest first; not `v` itself unless it is
    /// on a circle.
    pub fn all_dependents(&self, v: u32) -> impl Iterator<Item = u32> + '_ {
        Walk::new(self, v, Graph::dependents)
    }

    /// Everything that `v` waits for, directly or through others, nearest first.
    pub fn all_prerequisites(&self, v: u32) -> impl Iterator<Item = u32> + '_ {
        Walk::new(self, v, Graph::prerequisites)
    }

    /// A shortest way from `from` along dependents to `to`, both included; of several the one with the
    /// smallest ids. A task is a way to itself.
    pub fn path(&self, from: u32, to: u32) -> Option<Vec<u32>> {
        let mut towards = vec![u32::MAX; self.len() as usize];
        towards[to as usize] = to;
        let mut queue = vec![to];
        let mut at = 0;
        while towards[from as usize] == u32::MAX {
            let v = *queue.get(at)?;
            at += 1;
            for &p in self.prerequisites(v) {
                if towards[p as usize] == u32::MAX {
                    towards[p as usize] = v;
                    queue.push(p);
                }
            }
        }
        let next = |&v: &u32| (v != to).then(|| towards[v as usize]);
        Some(std::iter::successors(Some(from), next).collect())
    }
}

/// Breadth first, each task once. The memory is one bit a task of the graph and the tasks met.
struct Walk<'a> {
    graph: &'a Graph,
    edges: fn(&'a Graph, u32) -> &'a [u32],
    seen: Vec<u64>,
    queue: Vec<u32>,
    given: usize,
    expanded: usize,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, start: u32, edges: fn(&'a Graph, u32) -> &'a [u32]) -> Walk<'a> {
        let mut walk = Walk {
            graph,
            edges,
            seen: vec![0; (graph.len() as usize).div_ceil(64)],
            queue: Vec::new(),
            given: 0,
            expanded: 0,
        };
        walk.expand(start);
        walk
    }

    fn expand(&mut self, v: u32) {
        for &next in (self.edges)(self.graph, v) {
            let (word, bit) = (next as usize / 64, 1 << (next % 64));
            if self.seen[word] & bit == 0 {
                self.seen[word] |= bit;
                self.queue.push(next);
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.given == self.queue.len() && self.expanded < self.queue.len() {
            self.expanded += 1;
            self.expand(self.queue[self.expanded - 1]);
        }
        let v = self.queue.get(self.given).copied();
        self.given += usize::from(v.is_some());
        v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_meet_everything_once_and_nearest_first() {
        let graph = Graph::build(6, [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]);
        assert_eq!(graph.all_dependents(0).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(graph.all_prerequisites(4).collect::<Vec<_>>(), [3, 1, 2, 0]);
        assert_eq!(graph.all_dependents(5).count(), 0);
        let circle = Graph::build(2, [(0, 1), (1, 0)]);
        assert_eq!(circle.all_dependents(0).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn a_path_is_a_shortest_one() {
        let graph = Graph::build(5, [(0, 1), (1, 2), (0, 3), (3, 2), (2, 4), (0, 4)]);
        assert_eq!(graph.path(0, 2), Some(vec![0, 1, 2]));
        assert_eq!(graph.path(0, 4), Some(vec![0, 4]));
        assert_eq!(graph.path(4, 4), Some(vec![4]));
        assert_eq!(graph.path(4, 0), None);
    }
}
