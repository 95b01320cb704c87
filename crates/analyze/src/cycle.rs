//! Circles, and where to cut them so that there is an order.

use std::collections::BTreeSet;

use domain::graph::Graph;
use rustc_hash::FxHashMap;

use crate::facts::Kind;

/// A dependency between any two things that are numbered: `from` needs `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub from: u32,
    pub to: u32,
    pub kind: Kind,
    /// How long the two names are together: the last word among equals, as it was before.
    pub length: u32,
}

/// Things that all need each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knot {
    /// Ascending.
    pub members: Vec<u32>,
    /// The dependencies that are left out of the order.
    pub cuts: Vec<Cut>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub from: u32,
    pub to: u32,
    pub kind: Kind,
    /// A shortest circle that it closes: each needs the next, the last the first.
    pub circle: Vec<u32>,
}

/// Links of one knot beyond which cuts are not tried for being needless.
const RETRY_MAX: usize = 50_000;

/// Every knot of the links, with cuts after which nothing needs itself. The weakest links are cut, and no
/// cut can be taken back without closing a circle again.
pub fn knots(len: u32, links: &[Link]) -> Vec<Knot> {
    let graph = Graph::build(len, links.iter().map(|link| (link.to, link.from)));
    let groups = graph.knots();
    let mut group_of: FxHashMap<u32, usize> = FxHashMap::default();
    for (number, group) in groups.iter().enumerate() {
        group_of.extend(group.iter().map(|member| (*member, number)));
    }
    let mut inner: Vec<Vec<Link>> = vec![Vec::new(); groups.len()];
    for link in links {
        if let (Some(a), Some(b)) = (group_of.get(&link.from), group_of.get(&link.to))
            && a == b
            && link.from != link.to
        {
            inner[*a].push(*link);
        }
    }
    let both = groups.into_iter().zip(inner);
    both.map(|(members, links)| knot(members, &links)).collect()
}

fn knot(members: Vec<u32>, links: &[Link]) -> Knot {
    let place: FxHashMap<u32, u32> = members.iter().copied().zip(0..).collect();
    let local: Vec<Link> = links
        .iter()
        .map(|link| Link {
            from: place[&link.from],
            to: place[&link.to],
            ..*link
        })
        .collect();
    let line = line(members.len(), &local);
    let mut kept: Vec<Vec<u32>> = vec![Vec::new(); members.len()];
    let mut open: Vec<Link> = Vec::new();
    for link in local {
        // What is needed stands earlier in the line.
        match line[link.to as usize] < line[link.from as usize] {
            true => kept[link.from as usize].push(link.to),
            false => open.push(link),
        }
    }
    // The strongest are taken back first; among equals those with the longer names, so that short ones are cut.
    open.sort_by_key(|link| (std::cmp::Reverse((link.kind, link.length)), link.from, link.to));
    let tries = kept.iter().map(Vec::len).sum::<usize>() + open.len() <= RETRY_MAX;
    let mut cuts = Vec::new();
    for link in open {
        let way = way(&kept, link.to, link.from);
        match way {
            None if tries => kept[link.from as usize].push(link.to),
            None => cuts.push((link, vec![link.from, link.to])),
            Some(way) => cuts.push((link, way)),
        }
    }
    let name = |at: u32| members[at as usize];
    let mut cuts: Vec<Cut> = cuts
        .into_iter()
        .map(|(link, way)| Cut {
            from: name(link.from),
            to: name(link.to),
            kind: link.kind,
            // From `from` to `to`, and along the way back towards `from`.
            circle: circle(name(link.from), way.into_iter().map(name)),
        })
        .collect();
    cuts.sort_by_key(|cut| (cut.from, cut.to));
    Knot { members, cuts }
}

fn circle(from: u32, way: impl Iterator<Item = u32>) -> Vec<u32> {
    std::iter::once(from)
        .chain(way.filter(|at| *at != from))
        .collect()
}

/// How much it costs to cut a link.
fn weight(kind: Kind) -> i64 {
    match kind {
        Kind::Part => 1,
        Kind::Types => 2,
        Kind::Deferred => 4,
        Kind::Conditional => 16,
        Kind::Load => 64,
    }
}

/// A place in line for each member such that few and weak links point forward, after the heuristic of Eades, Lin
/// and Smyth (1993), with weights: next comes whoever needs nothing more, else who is needed most and needs least.
fn line(len: usize, links: &[Link]) -> Vec<u32> {
    let mut sums = vec![Sums::default(); len];
    let mut ends: Vec<Vec<(u32, i64)>> = vec![Vec::new(); len];
    for link in links {
        let weight = weight(link.kind);
        sums[link.from as usize].needs += weight;
        sums[link.to as usize].needed += weight;
        // Negative for who needs this one, positive for whom it needs.
        ends[link.to as usize].push((link.from, -weight));
        ends[link.from as usize].push((link.to, weight));
    }
    let mut open: BTreeSet<(bool, i64, u32)> = (0..).zip(&sums).map(|(v, sums)| sums.rank(v)).collect();
    let mut place = vec![u32::MAX; len];
    for next in 0.. {
        let Some((.., v)) = open.pop_first() else { break };
        place[v as usize] = next;
        for &(other, weight) in &ends[v as usize] {
            if place[other as usize] == u32::MAX {
                let sums = &mut sums[other as usize];
                open.remove(&sums.rank(other));
                sums.needs += weight.min(0);
                sums.needed -= weight.max(0);
                open.insert(sums.rank(other));
            }
        }
    }
    place
}

/// The weights of what one member needs, and of what needs it, among those not yet placed.
#[derive(Clone, Copy, Default)]
struct Sums {
    needs: i64,
    needed: i64,
}

impl Sums {
    fn rank(self, member: u32) -> (bool, i64, u32) {
        (self.needs > 0, self.needs - self.needed, member)
    }
}

/// A shortest way along kept links.
fn way(kept: &[Vec<u32>], from: u32, to: u32) -> Option<Vec<u32>> {
    let mut before = vec![u32::MAX; kept.len()];
    before[from as usize] = from;
    let mut queue = vec![from];
    let mut at = 0;
    while let Some(&v) = queue.get(at) {
        if v == to {
            let back = |v: &u32| (*v != from).then(|| before[*v as usize]);
            let mut way: Vec<u32> = std::iter::successors(Some(v), back).collect();
            way.reverse();
            return Some(way);
        }
        at += 1;
        for &next in &kept[v as usize] {
            if before[next as usize] == u32::MAX {
                before[next as usize] = v;
                queue.push(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of a circle, and the edges that are cut.
    type Opened = (Vec<u32>, Vec<(u32, u32)>);

    fn cuts(len: u32, links: &[(u32, u32, Kind)]) -> Vec<Opened> {
        let links: Vec<Link> = links
            .iter()
            .map(|&(from, to, kind)| Link {
                from,
                to,
                kind,
                length: 1,
            })
            .collect();
        let cut = |cut: &Cut| (cut.from, cut.to);
        knots(len, &links)
            .into_iter()
            .map(|knot| (knot.members, knot.cuts.iter().map(cut).collect()))
            .collect()
    }

    // proves: SPEC 5.1
    #[test]
    fn the_weakest_link_of_a_circle_is_cut() {
        use Kind::{Deferred, Load, Types};
        assert_eq!(cuts(2, &[(0, 1, Load)]), []);
        assert_eq!(
            cuts(2, &[(0, 1, Load), (1, 0, Types)]),
            [(vec![0, 1], vec![(1, 0)])]
        );
        assert_eq!(
            cuts(4, &[(0, 1, Load), (1, 2, Deferred), (2, 0, Load), (0, 3, Load)]),
            [(vec![0, 1, 2], vec![(1, 2)])]
        );
        // Two circles through one link: one cut is enough.
        let eight = [
            (0, 1, Load),
            (1, 2, Load),
            (2, 0, Load),
            (1, 3, Load),
            (3, 0, Load),
        ];
        assert_eq!(cuts(4, &eight), [(vec![0, 1, 2, 3], vec![(0, 1)])]);
    }

    #[test]
    fn of_equals_the_one_with_the_shorter_names_is_cut() {
        let link = |from, to, length| Link {
            from,
            to,
            kind: Kind::Load,
            length,
        };
        let knots = knots(2, &[link(0, 1, 5), link(1, 0, 9)]);
        assert_eq!(knots[0].cuts.len(), 1);
        assert_eq!(knots[0].cuts[0].circle.len(), 2);
    }

    #[test]
    fn what_is_left_has_an_order_and_no_cut_is_needless() {
        let mut seed = 7u64;
        let mut random = |below: u32| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u32 % below
        };
        for _ in 0..50 {
            let kinds = [Kind::Types, Kind::Deferred, Kind::Conditional, Kind::Load];
            let links: Vec<Link> = (0..60)
                .map(|_| Link {
                    from: random(20),
                    to: random(20),
                    kind: kinds[random(4) as usize],
                    length: random(9),
                })
                .filter(|link| link.from != link.to)
                .collect();
            let cuts: Vec<Cut> = knots(20, &links).into_iter().flat_map(|knot| knot.cuts).collect();
            let cut = |link: &Link| cuts.iter().any(|cut| (cut.from, cut.to) == (link.from, link.to));
            let kept: Vec<(u32, u32)> = links.iter().filter(|l| !cut(l)).map(|l| (l.to, l.from)).collect();
            assert!(Graph::build(20, kept.iter().copied()).cycles().is_empty());
            for cut in &cuts {
                let with = kept.iter().copied().chain([(cut.to, cut.from)]);
                assert!(!Graph::build(20, with).cycles().is_empty(), "{cut:?} is needless");
                let closes = |pair: (u32, u32)| links.iter().any(|l| (l.from, l.to) == pair);
                assert!(cut.circle.windows(2).all(|pair| closes((pair[0], pair[1]))));
                assert!(closes((*cut.circle.last().unwrap(), cut.circle[0])));
            }
        }
    }
}
