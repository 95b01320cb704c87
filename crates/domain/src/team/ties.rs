//! Who works with whom: a graph of agents whose edges weigh how often both did well in the same run, and the groups
//! that hang together in it.

use std::collections::{BTreeMap, HashMap};

use crate::agent::Agent;
use crate::id::AgentName;
use crate::time::Timestamp;

/// Weaker ties join nobody: one run together is chance, two of late are not.
const STRONG: f64 = 1.5;
/// Rounds in which agents change groups; a handful is enough.
const ROUNDS: usize = 32;
/// A gain below this is rounding.
const GAIN: f64 = 1e-9;

/// The strong ties of a project's agents, in order of their names.
#[derive(Clone, Debug, Default)]
pub struct Ties<'a> {
    names: Vec<&'a AgentName>,
    /// The other end and its weight; each tie stands at both of its ends.
    of: Vec<Vec<(usize, f64)>>,
    degree: Vec<f64>,
}

impl<'a> Ties<'a> {
    /// Each half of a tie is counted by the agent that came second into a run.
    pub fn new(agents: &'a [Agent], now: Timestamp) -> Ties<'a> {
        let mut names: Vec<&AgentName> = agents.iter().map(|agent| &agent.name).collect();
        names.sort_unstable();
        let index: HashMap<&AgentName, usize> = names.iter().copied().zip(0..).collect();
        let mut sums: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for agent in agents {
            let here = index[&agent.name];
            for (other, tie) in &agent.record.with {
                if let Some(&there) = index.get(other).filter(|there| **there != here) {
                    *sums.entry((here.min(there), here.max(there))).or_default() += tie.strength(now);
                }
            }
        }
        let mut of = vec![Vec::new(); names.len()];
        let mut degree = vec![0.0; names.len()];
        for ((a, b), weight) in sums.into_iter().filter(|(_, weight)| *weight >= STRONG) {
            of[a].push((b, weight));
            of[b].push((a, weight));
            degree[a] += weight;
            degree[b] += weight;
        }
        Ties { names, of, degree }
    }

    /// Groups of two and more, each in order of names. Agents move, one after the other, to the group of a neighbour that
    /// raises the modularity of the whole the most, until nobody does: ties go to the group that was there first, so
    /// that the same ties give the same groups.
    pub fn groups(&self) -> Vec<Vec<&'a AgentName>> {
        let total: f64 = self.degree.iter().sum();
        let mut group: Vec<usize> = (0..self.of.len()).collect();
        let mut sums = self.degree.clone();
        for _ in 0..ROUNDS {
            let mut moved = false;
            for v in (0..self.of.len()).filter(|v| !self.of[*v].is_empty()) {
                let mut near: BTreeMap<usize, f64> = BTreeMap::new();
                for (other, weight) in &self.of[v] {
                    *near.entry(group[*other]).or_default() += weight;
                }
                let was = group[v];
                sums[was] -= self.degree[v];
                let worth = |group: usize, weight: f64| weight - sums[group] * self.degree[v] / total;
                let stays = worth(was, near.get(&was).copied().unwrap_or(0.0));
                let mut best = (was, stays);
                for (group, weight) in near {
                    let worth = worth(group, weight);
                    if worth > best.1 + GAIN {
                        best = (group, worth);
                    }
                }
                group[v] = best.0;
                sums[best.0] += self.degree[v];
                moved |= best.0 != was;
            }
            if !moved {
                break;
            }
        }
        let mut groups: BTreeMap<usize, Vec<&AgentName>> = BTreeMap::new();
        for (v, group) in group.into_iter().enumerate() {
            if !self.of[v].is_empty() {
                groups.entry(group).or_default().push(self.names[v]);
            }
        }
        let mut groups: Vec<Vec<&AgentName>> = groups.into_values().filter(|group| group.len() > 1).collect();
        groups.sort_unstable();
        groups
    }

    /// How strongly an agent is tied to all others together.
    pub fn weight(&self, name: &AgentName) -> f64 {
        let found = self.names.binary_search(&name);
        found.map_or(0.0, |at| self.degree[at])
    }

    /// Agents with a strong tie, and such ties.
    pub fn count(&self) -> (usize, usize) {
        let tied = self.of.iter().filter(|of| !of.is_empty()).count();
        (tied, self.of.iter().map(Vec::len).sum::<usize>() / 2)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agent::{Load, Profile, Record};

    pub(in crate::team) const NOW: Timestamp = Timestamp(1_000_000);

    /// Agents named by letters, with so many runs together.
    pub(in crate::team) fn agents(names: &str, together: &[(char, char, usize)]) -> Vec<Agent> {
        let named = |letter: char| AgentName::new(&letter.to_string()).unwrap();
        let agent = |letter: char| {
            let mut record = Record::default();
            for (a, b, runs) in together.iter().filter(|(a, ..)| *a == letter) {
                assert!(a != b);
                (0..*runs).for_each(|_| record.worked_with(&[named(*b)], NOW));
            }
            Agent {
                name: named(letter),
                profile: Profile::default(),
                record,
                load: Load::default(),
            }
        };
        names.chars().map(agent).collect()
    }

    fn found(agents: &[Agent]) -> Vec<String> {
        let groups = Ties::new(agents, NOW).groups();
        groups
            .iter()
            .map(|group| group.iter().map(|name| name.as_str()).collect())
            .collect()
    }

    // proves: SPEC 3.6
    #[test]
    fn who_often_works_together_is_a_group() {
        let triangle = |a, b, c| [(a, b, 3), (b, c, 3), (a, c, 3)];
        let mut ties = [triangle('a', 'b', 'c'), triangle('d', 'e', 'f')].concat();
        assert_eq!(found(&agents("abcdefg", &ties)), ["abc", "def"]);
        ties.push(('c', 'd', 2));
        assert_eq!(
            found(&agents("abcdef", &ties)),
            ["abc", "def"],
            "a bridge joins none"
        );
        let pairs = "abcde"
            .chars()
            .flat_map(|a| "abcde".chars().map(move |b| (a, b, 4)));
        let all: Vec<_> = pairs.filter(|(a, b, _)| a < b).collect();
        assert_eq!(found(&agents("abcde", &all)), ["abcde"]);
    }

    #[test]
    fn one_run_together_is_chance() {
        assert_eq!(found(&agents("ab", &[('a', 'b', 1)])), Vec::<String>::new());
        assert_eq!(found(&agents("ab", &[('a', 'b', 1), ('b', 'a', 1)])), ["ab"]);
    }

    proptest! {
        /// Everybody is in one group at the most, and the order in which agents are told changes nothing.
        #[test]
        fn groups_are_apart_and_the_same_in_any_order(
            ties in prop::collection::vec((0u8..12, 0u8..12, 1usize..5), 0..60),
            turn in 0usize..12,
        ) {
            let letter = |n: u8| char::from(b'a' + n);
            let ties: Vec<_> = ties.into_iter().filter(|(a, b, _)| a != b)
                .map(|(a, b, runs)| (letter(a), letter(b), runs)).collect();
            let mut all = agents("abcdefghijkl", &ties);
            let first = found(&all);
            let mut seen: Vec<char> = first.iter().flat_map(|group| group.chars()).collect();
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), count);
            all.rotate_left(turn);
            prop_assert_eq!(found(&all), first);
        }
    }
}
