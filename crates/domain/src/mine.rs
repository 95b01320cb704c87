//! Steps that come again in what went well: from runs, as sequences of steps, to patterns that many of them share.
//!
//! Within a run each step counts once, so what two runs have in common is a longest increasing subsequence, and patterns
//! are what is left of intersecting runs with each other until nothing new comes out. Repeated runs of one plan are one
//! sequence, whatever their number, so the work goes with the variety and not with the count; and it is bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Sequences that have it, at the least.
    pub support: usize,
    /// Steps of a pattern, at the least.
    pub steps: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub steps: Vec<u32>,
    /// The sequences that have all of its steps in this order.
    pub seen: Vec<usize>,
}

/// Patterns that are looked at; more are cut.
const PATTERNS: usize = 2_000;
/// Steps that are compared in all; beyond them what was found so far is told.
const WORK: usize = 50_000_000;

/// What the sequences have in common, what was seen most often and is longest first. Patterns are maximal: one that is
/// part of a longer one is told only if it was seen twice as often at the least. Each step stands in a sequence once. Says
/// also whether something was cut.
pub fn patterns(sequences: &[Vec<u32>], wanted: Wanted) -> (Vec<Pattern>, bool) {
    let mut kinds: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
    for (at, sequence) in sequences.iter().enumerate() {
        if sequence.len() >= wanted.steps {
            kinds.entry(sequence).or_default().push(at);
        }
    }
    let mut work = WORK;
    let (common, mut cut) = intersections(&kinds, wanted.steps, &mut work);
    let mut found: Vec<Pattern> = Vec::new();
    for steps in common {
        let mut seen = Vec::new();
        for (sequence, runs) in &kinds {
            work = work.saturating_sub(sequence.len());
            if holds(sequence, &steps) {
                seen.extend(runs);
            }
        }
        if work == 0 {
            cut = true;
            break;
        }
        if seen.len() >= wanted.support {
            seen.sort_unstable();
            found.push(Pattern { steps, seen });
        }
    }
    found.sort_by(|a, b| {
        b.steps
            .len()
            .cmp(&a.steps.len())
            .then_with(|| a.steps.cmp(&b.steps))
    });
    let mut kept: Vec<Pattern> = Vec::new();
    for pattern in found {
        let longer = kept.iter().filter(|longer| holds(&longer.steps, &pattern.steps));
        let most = longer.map(|longer| longer.seen.len()).max();
        if most.is_none_or(|most| pattern.seen.len() >= 2 * most) {
            kept.push(pattern);
        }
    }
    kept.sort_by(|a, b| {
        let by_count = b.seen.len().cmp(&a.seen.len());
        by_count
            .then_with(|| b.steps.len().cmp(&a.steps.len()))
            .then_with(|| a.steps.cmp(&b.steps))
    });
    (kept, cut)
}

/// Every sequence, and whatever is common to several of them.
fn intersections(
    kinds: &BTreeMap<&[u32], Vec<usize>>,
    least: usize,
    work: &mut usize,
) -> (BTreeSet<Vec<u32>>, bool) {
    let mut known: BTreeSet<Vec<u32>> = kinds.keys().map(|kind| kind.to_vec()).collect();
    let mut open: VecDeque<Vec<u32>> = known.iter().cloned().collect();
    while let Some(one) = open.pop_front() {
        let place: BTreeMap<u32, usize> = one.iter().copied().zip(0..).collect();
        for other in kinds.keys() {
            let cost = one.len() + other.len();
            if known.len() >= PATTERNS || *work < cost {
                return (known, true);
            }
            *work -= cost;
            let both = common(&one, &place, other);
            if both.len() >= least && !known.contains(&both) {
                known.insert(both.clone());
                open.push_back(both);
            }
        }
    }
    (known, false)
}

/// The longest sequence that is part of both; of several, one that is the same in each call. `place` tells where each step
/// stands in `a`.
fn common(a: &[u32], place: &BTreeMap<u32, usize>, b: &[u32]) -> Vec<u32> {
    let places: Vec<usize> = b.iter().filter_map(|step| place.get(step).copied()).collect();
    // The index of the smallest end of an increasing sequence of each length, and who came before whom.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(places.len());
    for (at, place) in places.iter().enumerate() {
        let length = ends.partition_point(|end| places[*end] < *place);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut steps = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(here) = at {
        steps.push(a[places[here]]);
        at = before[here];
    }
    steps.reverse();
    steps
}

/// Whether all of `steps` stand in `sequence` in their order.
fn holds(sequence: &[u32], steps: &[u32]) -> bool {
    let mut rest = sequence.iter();
    steps.iter().all(|step| rest.any(|other| other == step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mined(texts: &[&str], support: usize) -> Vec<String> {
        let sequences: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| text.chars().map(u32::from).collect())
            .collect();
        let (patterns, cut) = patterns(&sequences, Wanted { support, steps: 2 });
        assert!(!cut);
        let text = |pattern: &Pattern| {
            let letters: String = pattern
                .steps
                .iter()
                .filter_map(|step| char::from_u32(*step))
                .collect();
            format!("{letters} {}", pattern.seen.len())
        };
        patterns.iter().map(text).collect()
    }

    // proves: SPEC 3.6
    #[test]
    fn what_comes_again_is_a_pattern() {
        assert_eq!(mined(&["wtr", "wtr", "wtr"], 3), ["wtr 3"]);
        assert_eq!(mined(&["awtr", "wbtr", "wtrc"], 3), ["wtr 3"]);
        assert_eq!(mined(&["awtr", "wbtr"], 3), Vec::<String>::new());
        assert_eq!(mined(&["ab", "ba", "ab"], 2), ["ab 2"]);
    }

    #[test]
    fn patterns_are_maximal_unless_a_part_is_seen_much_more_often() {
        let mut runs = vec!["wtrd", "wtrd", "wtrx", "wtry"];
        assert_eq!(mined(&runs, 2), ["wtr 4", "wtrd 2"]);
        runs.truncate(3);
        assert_eq!(mined(&runs, 2), ["wtrd 2"], "three are not twice as many as two");
    }

    #[test]
    fn much_of_the_same_costs_little_and_variety_is_bounded() {
        let same: Vec<Vec<u32>> = vec![(0..200).collect(); 5_000];
        let wanted = Wanted { support: 3, steps: 2 };
        let (found, cut) = patterns(&same, wanted);
        assert_eq!((found.len(), found[0].steps.len(), cut), (1, 200, false));
        let mixed = |seed: u64| {
            let mut steps: Vec<u32> = (0..40).collect();
            steps.sort_by_key(|step| crate::task::retry::mix(seed << 32 | u64::from(*step)));
            steps
        };
        let mixed: Vec<Vec<u32>> = (0..40).map(mixed).collect();
        assert!(patterns(&mixed, wanted).1, "it says that something was cut");
    }

    proptest! {
        /// Every pattern is in as many sequences as it says, and in order.
        #[test]
        fn patterns_are_where_they_are_said_to_be(
            rows in prop::collection::vec(prop::collection::vec(0u32..8, 0..8), 0..12),
        ) {
            let rows: Vec<Vec<u32>> = rows.into_iter().map(|row| {
                let mut seen = BTreeSet::new();
                row.into_iter().filter(|step| seen.insert(*step)).collect()
            }).collect();
            let (found, _) = patterns(&rows, Wanted { support: 2, steps: 2 });
            for pattern in &found {
                let seen: Vec<usize> = (0..rows.len()).filter(|at| holds(&rows[*at], &pattern.steps)).collect();
                prop_assert_eq!(&seen, &pattern.seen);
                prop_assert!(seen.len() >= 2 && pattern.steps.len() >= 2);
            }
            // Any two that share something are told of, by that or by more.
            for (i, a) in rows.iter().enumerate() {
                for b in &rows[i + 1..] {
                    let place = a.iter().copied().zip(0..).collect();
                    let both = common(a, &place, b);
                    prop_assert!(both.len() < 2 || found.iter().any(|pattern| holds(&pattern.steps, &both)));
                }
            }
        }
    }
}
