//! The graph against an independent implementation.

use std::collections::BTreeSet;

use domain::graph::{Dag, Graph};
use petgraph::algo::{is_cyclic_directed, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, Reversed};
use proptest::prelude::*;

type Edges = Vec<(u32, u32)>;

fn any_edges() -> impl Strategy<Value = (u32, Edges)> {
    (1u32..24).prop_flat_map(|n| (Just(n), prop::collection::vec((0..n, 0..n), 0..60)))
}

/// Edges that cannot make a circle: they go up in a random numbering.
fn acyclic() -> impl Strategy<Value = (u32, Edges)> {
    any_edges().prop_flat_map(|(n, edges)| {
        (Just((0..n).collect::<Vec<_>>()).prop_shuffle(), Just(edges)).prop_map(move |(rank, edges)| {
            let up = |(a, b): (u32, u32)| (rank[a.min(b) as usize], rank[a.max(b) as usize]);
            (n, edges.into_iter().filter(|(a, b)| a != b).map(up).collect())
        })
    })
}

fn oracle(n: u32, edges: &Edges) -> DiGraph<(), (), u32> {
    let mut graph = DiGraph::with_capacity(n as usize, edges.len());
    (0..n).for_each(|_| {
        graph.add_node(());
    });
    for &(a, b) in edges {
        graph.update_edge(NodeIndex::new(a as usize), NodeIndex::new(b as usize), ());
    }
    graph
}

fn reach(n: u32, edges: &Edges, from: u32, back: bool) -> BTreeSet<u32> {
    let graph = oracle(n, edges);
    let mut met = BTreeSet::new();
    let ids: Vec<_> = match back {
        false => graph.neighbors(NodeIndex::new(from as usize)).collect(),
        true => graph
            .neighbors_directed(NodeIndex::new(from as usize), petgraph::Incoming)
            .collect(),
    };
    for start in ids {
        let mut dfs = Dfs::new(&graph, start);
        match back {
            false => {
                while let Some(v) = dfs.next(&graph) {
                    met.insert(v.index() as u32);
                }
            }
            true => {
                while let Some(v) = dfs.next(Reversed(&graph)) {
                    met.insert(v.index() as u32);
                }
            }
        }
    }
    met
}

/// Every way from a root to its end, by brute force.
fn longest(dag: &Dag, durations: &[u64], v: u32) -> u64 {
    let rest = dag
        .dependents(v)
        .iter()
        .map(|&d| longest(dag, durations, d))
        .max();
    durations[v as usize] + rest.unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // proves: SPEC 1.4
    #[test]
    fn circles_are_found_exactly_where_there_are_some((n, edges) in any_edges()) {
        let graph = Graph::build(n, edges.iter().copied());
        let cycles = graph.cycles();
        let oracle = oracle(n, &edges);
        prop_assert_eq!(cycles.is_empty(), !is_cyclic_directed(&oracle));
        prop_assert_eq!(Dag::new(graph.clone()).is_ok(), cycles.is_empty());
        let groups = tarjan_scc(&oracle).into_iter().filter(|group| group.len() > 1).count();
        let loops = edges.iter().filter(|(a, b)| a == b).collect::<BTreeSet<_>>().len();
        prop_assert_eq!(cycles.len(), groups + loops);
        for cycle in cycles {
            let next = cycle.path.iter().cycle().skip(1);
            for (v, p) in cycle.path.iter().zip(next) {
                prop_assert!(graph.prerequisites(*v).contains(p), "{:?}", cycle);
            }
            let unique: BTreeSet<_> = cycle.path.iter().collect();
            prop_assert_eq!(unique.len(), cycle.path.len());
        }
    }

    // proves: SPEC 1.4
    #[test]
    fn orders_and_levels_put_prerequisites_first((n, edges) in acyclic()) {
        let dag = Dag::new(Graph::build(n, edges.iter().copied())).unwrap();
        let mut place = vec![usize::MAX; n as usize];
        for (i, v) in dag.order().enumerate() {
            place[v as usize] = i;
        }
        let depths = dag.depths();
        for &(a, b) in &edges {
            prop_assert!(place[a as usize] < place[b as usize]);
            prop_assert!(depths[a as usize] < depths[b as usize]);
        }
        for v in 0..n {
            let above = dag.prerequisites(v).iter().map(|&p| depths[p as usize] + 1).max();
            prop_assert_eq!(depths[v as usize], above.unwrap_or(0));
        }
        prop_assert_eq!(dag.levels(), dag.levels_of(&(0..n).collect::<Vec<_>>()));
    }

    #[test]
    fn levels_of_a_subset_are_independent_and_tight((n, edges) in acyclic(), mask: u32) {
        let dag = Dag::new(Graph::build(n, edges.iter().copied())).unwrap();
        let subset: Vec<u32> = (0..n).filter(|v| mask & (1 << v) != 0).collect();
        let levels = dag.levels_of(&subset);
        let mut all: Vec<u32> = levels.concat();
        all.sort_unstable();
        prop_assert_eq!(&all, &subset);
        for (i, level) in levels.iter().enumerate() {
            prop_assert!(!level.is_empty());
            for &v in level {
                let above = reach(n, &edges, v, true);
                prop_assert!(level.iter().all(|w| !above.contains(w)));
                prop_assert!(i == 0 || levels[i - 1].iter().any(|w| above.contains(w)));
            }
        }
    }

    #[test]
    fn the_critical_path_is_the_longest_way((n, edges) in acyclic(), seeds in prop::collection::vec(0u64..20, 24)) {
        let dag = Dag::new(Graph::build(n, edges.iter().copied())).unwrap();
        let durations = &seeds[..n as usize];
        let timing = dag.timing(durations);
        let best = (0..n).map(|v| longest(&dag, durations, v)).max().unwrap_or(0);
        prop_assert_eq!(timing.total, best);
        let path = timing.critical_path();
        prop_assert_eq!(path.iter().map(|&v| durations[v as usize]).sum::<u64>(), best);
        for pair in path.windows(2) {
            prop_assert!(dag.dependents(pair[0]).contains(&pair[1]));
        }
        for &v in &path {
            prop_assert_eq!(timing.slack(v), 0);
        }
        for v in 0..n {
            prop_assert_eq!(timing.remaining[v as usize], longest(&dag, durations, v));
            // Starting late by its slack, and no more, leaves the end where it is.
            let end = timing.latest(v) + timing.remaining[v as usize];
            prop_assert_eq!(end, timing.total);
        }
    }

    #[test]
    fn walks_reach_what_can_be_reached((n, edges) in any_edges(), from: u32, to: u32) {
        let (from, to) = (from % n, to % n);
        let graph = Graph::build(n, edges.iter().copied());
        let down: Vec<u32> = graph.all_dependents(from).collect();
        let met: BTreeSet<u32> = down.iter().copied().collect();
        prop_assert_eq!(met.len(), down.len());
        prop_assert_eq!(&met, &reach(n, &edges, from, false));
        let up: BTreeSet<u32> = graph.all_prerequisites(from).collect();
        prop_assert_eq!(up, reach(n, &edges, from, true));
        match graph.path(from, to) {
            None => prop_assert!(from != to && !met.contains(&to)),
            Some(path) => {
                prop_assert_eq!((path[0], path[path.len() - 1]), (from, to));
                for pair in path.windows(2) {
                    prop_assert!(graph.dependents(pair[0]).contains(&pair[1]));
                }
            }
        }
    }
}
