//! In which order things can be worked on: circles cut, then batches and the critical path.

use domain::graph::{Dag, Graph};
use rustc_hash::FxHashSet;

use crate::cycle::{Knot, Link, knots};
use crate::tree::Tree;

#[derive(Clone, Debug)]
pub struct Order {
    pub knots: Vec<Knot>,
    /// From what is needed to what needs it.
    pub dag: Dag,
}

impl Order {
    pub fn new(len: u32, links: &[Link]) -> Order {
        let links: Vec<Link> = links.iter().copied().filter(|link| link.kind.orders()).collect();
        let knots = knots(len, &links);
        let cuts = knots.iter().flat_map(|knot| &knot.cuts);
        let cuts: FxHashSet<(u32, u32)> = cuts.map(|cut| (cut.from, cut.to)).collect();
        let kept = links.iter().filter(|link| !cuts.contains(&(link.from, link.to)));
        let graph = Graph::build(len, kept.map(|link| (link.to, link.from)));
        let dag = Dag::new(graph).expect("every circle has been cut");
        Order { knots, dag }
    }

    /// The longest way, what is needed first.
    pub fn critical_path(&self) -> Vec<u32> {
        longest(&self.dag)
    }

    /// The knot that each member of one is in.
    pub fn knot_of(&self, len: usize) -> Vec<Option<u32>> {
        let mut knot_of = vec![None; len];
        for (number, knot) in (0..).zip(&self.knots) {
            for member in &knot.members {
                knot_of[*member as usize] = Some(number);
            }
        }
        knot_of
    }
}

/// The longest way through a graph, each step as long as any other.
pub(crate) fn longest(dag: &Dag) -> Vec<u32> {
    match dag.is_empty() {
        true => Vec::new(),
        false => dag.timing(&vec![1; dag.len() as usize]).critical_path(),
    }
}

impl Tree {
    /// The order of files.
    pub fn order(&self) -> Order {
        let links: Vec<Link> = self
            .edges
            .iter()
            .map(|edge| Link {
                from: edge.from,
                to: edge.to,
                kind: edge.kind,
                length: (self.files[edge.from as usize].path.len() + self.files[edge.to as usize].path.len())
                    as u32,
            })
            .collect();
        Order::new(self.files.len() as u32, &links)
    }
}
