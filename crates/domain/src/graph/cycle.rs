//! Finding circles.

use super::Graph;

/// One circle for each group of tasks that all wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// A shortest circle through the group's first task: each waits for the next, the last for the first.
    pub path: Vec<u32>,
    /// How many tasks the group has; the circle may leave some of them out.
    pub group: usize,
}

impl Graph {
    /// A circle of every strongly connected group and every self-edge, by the group's first task.
    ///
    /// Listing every elementary circle would be exponential; breaking the ones shown and asking again ends.
    pub fn cycles(&self) -> Vec<Cycle> {
        let ordered = self.order();
        if ordered.len() == self.len() as usize {
            return Vec::new();
        }
        let groups = self.groups(&ordered);
        let mut cycles: Vec<Cycle> = Vec::new();
        let mut group_of = vec![u32::MAX; self.len() as usize];
        for (number, group) in groups.iter().enumerate() {
            for &v in group {
                group_of[v as usize] = number as u32;
            }
        }
        let mut from = vec![u32::MAX; self.len() as usize];
        for group in &groups {
            let first = group.iter().copied().min().unwrap_or_default();
            if group.len() > 1 {
                let path = self.circle(first, &group_of, &mut from);
                cycles.push(Cycle {
                    path,
                    group: group.len(),
                });
            }
            let loops = group
                .iter()
                .filter(|&&v| self.prerequisites(v).binary_search(&v).is_ok());
            cycles.extend(loops.map(|&v| Cycle {
                path: vec![v],
                group: 1,
            }));
        }
        cycles.sort_by_key(|cycle| (cycle.path[0], cycle.path.len()));
        cycles
    }

    /// The tasks that all wait for each other, two or more together, ascending; the groups by their first task.
    pub fn knots(&self) -> Vec<Vec<u32>> {
        let mut knots = self.groups(&self.order());
        knots.retain(|group| group.len() > 1);
        knots.iter_mut().for_each(|group| group.sort_unstable());
        knots.sort();
        knots
    }

    /// Strongly connected groups among the tasks that have no place in the order (Tarjan 1972), with a stack
    /// of our own instead of recursion.
    fn groups(&self, ordered: &[u32]) -> Vec<Vec<u32>> {
        const UNSEEN: u32 = u32::MAX;
        const DONE: u32 = u32::MAX - 1;
        let len = self.len() as usize;
        let mut number = vec![UNSEEN; len];
        for &v in ordered {
            number[v as usize] = DONE;
        }
        let mut low = vec![0u32; len];
        let (mut groups, mut open, mut walk) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = 0;
        for root in 0..self.len() {
            if number[root as usize] != UNSEEN {
                continue;
            }
            walk.push((root, 0));
            while let Some((v, at)) = walk.last_mut() {
                let (v, edge) = (*v, *at);
                if edge == 0 {
                    number[v as usize] = next;
                    low[v as usize] = next;
                    next += 1;
                    open.push(v);
                }
                *at += 1;
                match self.prerequisites(v).get(edge) {
                    Some(&p) if number[p as usize] == UNSEEN => walk.push((p, 0)),
                    Some(&p) if number[p as usize] != DONE => {
                        low[v as usize] = low[v as usize].min(number[p as usize]);
                    }
                    Some(_) => {}
                    None => {
                        walk.pop();
                        if let Some(&(parent, _)) = walk.last() {
                            low[parent as usize] = low[parent as usize].min(low[v as usize]);
                        }
                        if low[v as usize] == number[v as usize] {
                            let start = open.iter().rposition(|&w| w == v).unwrap_or_default();
                            let group = open.split_off(start);
                            for &w in &group {
                                number[w as usize] = DONE;
                            }
                            groups.push(group);
                        }
                    }
                }
            }
        }
        groups
    }

    /// A shortest way from `first` along prerequisites of its group back to it, breadth first.
    fn circle(&self, first: u32, group_of: &[u32], from: &mut [u32]) -> Vec<u32> {
        let group = group_of[first as usize];
        let mut queue = vec![first];
        let mut at = 0;
        while let Some(&v) = queue.get(at) {
            at += 1;
            for &p in self.prerequisites(v) {
                if p == first && v != first {
                    let back = |&v: &u32| (v != first).then(|| from[v as usize]);
                    let mut path: Vec<u32> = std::iter::successors(Some(v), back).collect();
                    path.reverse();
                    return path;
                }
                if group_of[p as usize] == group && p != first && from[p as usize] == u32::MAX {
                    from[p as usize] = v;
                    queue.push(p);
                }
            }
        }
        unreachable!("every task of a group of two or more lies on a circle")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(len: u32, edges: &[(u32, u32)]) -> Vec<(Vec<u32>, usize)> {
        let graph = Graph::build(len, edges.iter().copied());
        graph.cycles().into_iter().map(|c| (c.path, c.group)).collect()
    }

    // proves: SPEC 1.4
    #[test]
    fn circles_are_found_with_their_path() {
        assert_eq!(paths(3, &[(0, 1), (1, 2)]), []);
        assert_eq!(paths(2, &[(0, 1), (1, 0)]), [(vec![0, 1], 2)]);
        assert_eq!(paths(1, &[(0, 0)]), [(vec![0], 1)]);
        // 0 waits for 1, 1 for 2, 2 for 0.
        assert_eq!(paths(4, &[(1, 0), (2, 1), (0, 2), (0, 3)]), [(vec![0, 1, 2], 3)]);
        // A diamond that is closed at its end, and an apart pair.
        let diamond = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 0), (4, 5), (5, 4)];
        assert_eq!(paths(6, &diamond), [(vec![0, 3, 1], 4), (vec![4, 5], 2)]);
        // A self-edge inside a larger circle is a circle of its own.
        assert_eq!(
            paths(2, &[(0, 1), (1, 0), (1, 1)]),
            [(vec![0, 1], 2), (vec![1], 1)]
        );
    }

    #[test]
    fn knots_hold_every_task_of_a_circle() {
        let graph = Graph::build(6, [(5, 1), (1, 5), (0, 1), (4, 2), (2, 3), (3, 4), (0, 0)]);
        assert_eq!(graph.knots(), [vec![1, 5], vec![2, 3, 4]]);
        assert!(Graph::build(2, [(0, 1)]).knots().is_empty());
    }

    #[test]
    fn a_long_circle_needs_no_stack() {
        let len = 200_000;
        let cycles = paths(len, &(0..len).map(|v| (v, (v + 1) % len)).collect::<Vec<_>>());
        assert_eq!(cycles.len(), 1);
        assert_eq!(cycles[0].0.len(), len as usize);
    }
}
