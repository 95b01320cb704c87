//! Wires that cross several columns, cut into pieces that each join neighbouring ones.

use std::collections::HashMap;

use super::Plan;

/// Cards and bends ordered in layers. Items below [`Strands::cards`] are cards, the others bends.
#[derive(Debug)]
pub(super) struct Strands {
    pub(super) cards: usize,
    pub(super) layer_of: Vec<u32>,
    pub(super) lane_of: Vec<usize>,
    /// Items that should be level with each other have the same number: the bends of a bundle, the
    /// cards along the critical path.
    pub(super) level_of: Vec<u32>,
    /// The items of each layer from top to bottom.
    pub(super) layers: Vec<Vec<u32>>,
    pub(super) left: Vec<Vec<Link>>,
    pub(super) right: Vec<Vec<Link>>,
    /// The items each wire runs through, from its leftmost; empty for a wire from a card to itself.
    pub(super) chains: Vec<Vec<u32>>,
}

/// Pulls harder than all other links of a column together.
pub(super) const CRITICAL_PULL: f32 = 65_536.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) item: u32,
    /// How much the link wants to be straight.
    pub(super) pull: f32,
}

impl Strands {
    pub(super) fn bend_count(&self) -> usize {
        self.layer_of.len() - self.cards
    }

    pub(super) fn links(&self, item: u32) -> impl Iterator<Item = &Link> {
        self.left[item as usize].iter().chain(&self.right[item as usize])
    }

    pub(super) fn is_bend(&self, item: u32) -> bool {
        item as usize >= self.cards
    }
}

/// Long wires that look the same and leave one card, or reach one card, share their bends: they are
/// drawn as one line that forks or joins.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum Bundle {
    From(usize),
    To(usize),
    Alone(usize),
}

/// Threads every wire through the layers, unless that takes more than `bends_max` bends.
pub(super) fn thread(plan: &Plan, layers: &[u32], bends_max: usize) -> Option<Strands> {
    let depth = layers.iter().max().map_or(0, |last| *last as usize + 1);
    let mut strands = Strands {
        cards: plan.cards,
        layer_of: layers.to_vec(),
        lane_of: plan.lanes.to_vec(),
        level_of: (0..plan.cards as u32).collect(),
        layers: vec![Vec::new(); depth],
        left: Vec::new(),
        right: Vec::new(),
        chains: Vec::with_capacity(plan.wires.len()),
    };
    let bundles = bundles(plan, layers);
    let mut bend_of: HashMap<(Bundle, u32), u32> = HashMap::new();
    let mut level_of: HashMap<Bundle, u32> = HashMap::new();
    for (wire, bundle) in plan.wires.iter().zip(bundles) {
        let [start, end] = ends(layers, wire.from, wire.to);
        let mut chain = vec![start as u32];
        for layer in layers[start] + 1..layers[end] {
            let next = strands.layer_of.len() as u32;
            let bend = *bend_of.entry((bundle, layer)).or_insert(next);
            if bend == next {
                if strands.bend_count() == bends_max {
                    return None;
                }
                let owner = if let Bundle::To(card) = bundle {
                    card
                } else {
                    wire.from
                };
                strands.layer_of.push(layer);
                strands.level_of.push(*level_of.entry(bundle).or_insert(next));
                strands.lane_of.push(plan.lanes[owner]);
            }
            chain.push(bend);
        }
        chain.push(end as u32);
        strands.chains.push(if start == end { Vec::new() } else { chain });
    }
    link(plan, &mut strands);
    for (item, &layer) in strands.layer_of.iter().enumerate() {
        strands.layers[layer as usize].push(item as u32);
    }
    level_critical_path(&mut strands);
    Some(strands)
}

/// Returns both ends of a wire, the left one first.
fn ends(layers: &[u32], from: usize, to: usize) -> [usize; 2] {
    if layers[from] <= layers[to] {
        [from, to]
    } else {
        [to, from]
    }
}

fn bundles(plan: &Plan, layers: &[u32]) -> Vec<Bundle> {
    let mut leaving = vec![0_u32; plan.cards];
    let mut reaching = vec![0_u32; plan.cards];
    let shares =
        |wire: &super::Wire| !wire.alone && !wire.critical && layers[wire.from] + 1 < layers[wire.to];
    for wire in plan.wires.iter().filter(|wire| shares(wire)) {
        leaving[wire.from] += 1;
        reaching[wire.to] += 1;
    }
    let bundle = |(index, wire): (usize, &super::Wire)| match shares(wire) {
        false => Bundle::Alone(index),
        true if leaving[wire.from] >= reaching[wire.to] => Bundle::From(wire.from),
        true => Bundle::To(wire.to),
    };
    plan.wires.iter().enumerate().map(bundle).collect()
}

/// Links neighbours. Bends pull their wires straight, the critical path pulls hardest.
fn link(plan: &Plan, strands: &mut Strands) {
    let mut pulls: HashMap<(u32, u32), f32> = HashMap::new();
    let mut pairs = Vec::new();
    for (wire, chain) in plan.wires.iter().zip(&strands.chains) {
        for (&a, &b) in chain.iter().zip(chain.iter().skip(1)) {
            let pull = match (wire.critical, strands.is_bend(a), strands.is_bend(b)) {
                (true, ..) => CRITICAL_PULL,
                (false, true, true) => 8.0,
                (false, false, false) => 1.0,
                (false, ..) => 2.0,
            };
            let strongest = pulls.entry((a, b)).or_insert_with(|| {
                pairs.push((a, b));
                0.0
            });
            *strongest = strongest.max(pull);
        }
    }
    strands.left = vec![Vec::new(); strands.layer_of.len()];
    strands.right = vec![Vec::new(); strands.layer_of.len()];
    for (a, b) in pairs {
        let pull = pulls[&(a, b)];
        strands.left[b as usize].push(Link { item: a, pull });
        strands.right[a as usize].push(Link { item: b, pull });
    }
}

/// Gives the items along critical wires one level; where such wires fork, the first goes on level.
fn level_critical_path(strands: &mut Strands) {
    let mut goes_on = vec![false; strands.layer_of.len()];
    for &item in strands.layers.iter().flatten() {
        let mut critical = strands.left[item as usize]
            .iter()
            .filter(|link| link.pull == CRITICAL_PULL);
        if let Some(link) = critical.find(|link| !goes_on[link.item as usize]) {
            goes_on[link.item as usize] = true;
            strands.level_of[item as usize] = strands.level_of[link.item as usize];
        }
    }
}
