//! Compressed rows in both directions.

/// Directed edges from prerequisites to dependents over the ids `0..len`.
///
/// Both directions are kept as compressed rows (offsets and one flat array, Saad 2003, 3.4), rows sorted and
/// without duplicates: 8 bytes a task and 8 an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    prerequisites: Rows,
    dependents: Rows,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rows {
    /// Row `v` is `items[starts[v]..starts[v + 1]]`.
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Rows {
    fn row(&self, v: u32) -> &[u32] {
        &self.items[self.starts[v as usize] as usize..self.starts[v as usize + 1] as usize]
    }

    /// Distributes `(row, item)` pairs by counting; items keep their order within a row.
    fn build(len: u32, count: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Rows {
        let mut starts = vec![0u32; len as usize + 1];
        for (row, _) in pairs.clone() {
            starts[row as usize + 1] += 1;
        }
        for v in 1..starts.len() {
            starts[v] += starts[v - 1];
        }
        let mut items = vec![0u32; count];
        let mut next = starts.clone();
        for (row, item) in pairs {
            let slot = &mut next[row as usize];
            items[*slot as usize] = item;
            *slot += 1;
        }
        Rows { starts, items }
    }

    /// Sorts each row and drops its duplicates, in place.
    fn normalise(&mut self) {
        let mut kept = 0;
        let mut start = 0;
        for v in 0..self.starts.len() - 1 {
            let end = self.starts[v + 1] as usize;
            self.items[start..end].sort_unstable();
            let begin = kept;
            for at in start..end {
                let item = self.items[at];
                if kept == begin || self.items[kept - 1] != item {
                    self.items[kept] = item;
                    kept += 1;
                }
            }
            start = end;
            self.starts[v + 1] = kept as u32;
        }
        self.items.truncate(kept);
    }
}

impl Graph {
    /// A graph of `len` tasks with edges `(prerequisite, dependent)`; duplicates collapse, self-edges stay.
    ///
    /// # Panics
    /// When an id is not below `len`, or there are 2³² edges or more.
    pub fn build(len: u32, edges: impl IntoIterator<Item = (u32, u32)>) -> Graph {
        let edges: Vec<(u32, u32)> = edges.into_iter().collect();
        assert!(u32::try_from(edges.len()).is_ok(), "fewer than 2^32 edges");
        let swapped = edges.iter().map(|&(prerequisite, dependent)| {
            assert!(prerequisite < len && dependent < len, "ids are dense");
            (dependent, prerequisite)
        });
        let mut prerequisites = Rows::build(len, edges.len(), swapped);
        drop(edges);
        prerequisites.normalise();
        // Dependents are visited in ascending order, so their rows come out sorted.
        let pairs = (0..len).flat_map(|v| prerequisites.row(v).iter().map(move |&p| (p, v)));
        let dependents = Rows::build(len, prerequisites.items.len(), pairs);
        Graph {
            prerequisites,
            dependents,
        }
    }

    /// The number of tasks.
    pub fn len(&self) -> u32 {
        self.prerequisites.starts.len() as u32 - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of different edges.
    pub fn edges(&self) -> usize {
        self.prerequisites.items.len()
    }

    /// What `v` waits for directly, ascending.
    pub fn prerequisites(&self, v: u32) -> &[u32] {
        self.prerequisites.row(v)
    }

    /// What waits for `v` directly, ascending.
    pub fn dependents(&self, v: u32) -> &[u32] {
        self.dependents.row(v)
    }

    /// Tasks in an order in which prerequisites come first, by Kahn's method (1962); tasks on a cycle, and
    /// those behind one, are missing.
    pub(super) fn order(&self) -> Vec<u32> {
        let mut open: Vec<u32> = (0..self.len())
            .map(|v| self.prerequisites(v).len() as u32)
            .collect();
        let mut order = Vec::with_capacity(open.len());
        order.extend((0..self.len()).filter(|&v| open[v as usize] == 0));
        let mut at = 0;
        while let Some(&v) = order.get(at) {
            at += 1;
            for &d in self.dependents(v) {
                open[d as usize] -= 1;
                if open[d as usize] == 0 {
                    order.push(d);
                }
            }
        }
        order
    }

    /// Whether every prerequisite has a smaller id than its dependent, as in plans written top down.
    pub(super) fn ascends(&self) -> bool {
        (0..self.len()).all(|v| self.prerequisites(v).last().is_none_or(|&p| p < v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_unique_in_both_directions() {
        let graph = Graph::build(4, [(2, 3), (0, 3), (2, 3), (0, 1), (0, 3)]);
        assert_eq!(graph.edges(), 3);
        assert_eq!(graph.prerequisites(3), [0, 2]);
        assert_eq!(graph.dependents(0), [1, 3]);
        assert!(graph.dependents(3).is_empty());
        assert!(graph.ascends());
        assert!(Graph::build(0, []).is_empty());
    }
}
