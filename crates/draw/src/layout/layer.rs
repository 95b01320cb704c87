//! Which column a card stands in.

use super::{Plan, Sizing};

/// The neighbours of each node in one direction, in compressed rows.
#[derive(Debug)]
pub(crate) struct Neighbours {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Neighbours {
    /// Builds rows from pairs by counting: the pairs are walked twice, never sorted.
    pub(crate) fn new(nodes: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0_u32; nodes + 1];
        for (from, _) in pairs.clone() {
            starts[from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut free = starts.clone();
        let mut targets = vec![0; starts[nodes] as usize];
        for (from, to) in pairs {
            targets[free[from as usize] as usize] = to;
            free[from as usize] += 1;
        }
        Self { starts, targets }
    }

    pub(crate) fn of(&self, node: usize) -> &[u32] {
        &self.targets[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

/// Returns the layer of each node: the length of the longest path to it. Edges that close a cycle,
/// and flagged ones, count the other way around. Linear in nodes and edges, without recursion.
pub(crate) fn longest_path(nodes: usize, edges: impl Iterator<Item = Arrow> + Clone) -> Vec<u32> {
    let next = Neighbours::new(
        nodes,
        edges.filter(|edge| edge.from != edge.to).map(Arrow::oriented),
    );
    let order = forward_order(nodes, &next);
    let mut place_of = vec![0_u32; nodes];
    for (place, &node) in order.iter().enumerate() {
        place_of[node as usize] = place as u32;
    }
    let mut layers = vec![0; nodes];
    for &node in &order {
        for &target in next.of(node as usize) {
            if place_of[target as usize] > place_of[node as usize] {
                layers[target as usize] = layers[target as usize].max(layers[node as usize] + 1);
            }
        }
    }
    layers
}

/// An edge as the layering sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrow {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) back: bool,
}

impl Arrow {
    fn oriented(self) -> (u32, u32) {
        let pair = (self.from as u32, self.to as u32);
        if self.back { (pair.1, pair.0) } else { pair }
    }
}

/// Returns the nodes in reverse postorder of a depth-first walk from the sources: every edge points
/// forward in it, except those that close a cycle.
fn forward_order(nodes: usize, next: &Neighbours) -> Vec<u32> {
    let mut is_target = vec![false; nodes];
    for &target in &next.targets {
        is_target[target as usize] = true;
    }
    let sources = (0..nodes).filter(|&node| !is_target[node]);
    let mut seen = vec![false; nodes];
    let mut order = Vec::with_capacity(nodes);
    let mut stack: Vec<(u32, u32)> = Vec::new();
    for root in sources.chain(0..nodes) {
        if std::mem::replace(&mut seen[root], true) {
            continue;
        }
        stack.push((root as u32, next.starts[root]));
        while let Some((node, cursor)) = stack.last_mut() {
            if *cursor == next.starts[*node as usize + 1] {
                order.push(*node);
                stack.pop();
                continue;
            }
            let target = next.targets[*cursor as usize];
            *cursor += 1;
            if !std::mem::replace(&mut seen[target as usize], true) {
                stack.push((target, next.starts[target as usize]));
            }
        }
    }
    order.reverse();
    order
}

/// Returns the layer of each card such that no layer is much taller than the whole is wide: a card
/// that finds its layer full goes to the next one with room. Then cards that lead to more than they
/// wait for are pulled towards what they lead to, which shortens wires.
pub(super) fn assign(plan: &Plan) -> Vec<u32> {
    let arrows = plan.wires.iter().map(|wire| Arrow {
        from: wire.from,
        to: wire.to,
        back: wire.back,
    });
    let mut layers = longest_path(plan.cards, arrows);
    let mut cards: Vec<usize> = (0..plan.cards).collect();
    cards.sort_by_key(|&card| layers[card]);

    // Every pair now points to a later layer; what closes a cycle was turned around.
    let pairs: Vec<(u32, u32)> = plan
        .wires
        .iter()
        .filter(|wire| wire.from != wire.to)
        .map(|wire| (wire.from as u32, wire.to as u32))
        .map(|(a, b)| {
            if layers[a as usize] < layers[b as usize] {
                (a, b)
            } else {
                (b, a)
            }
        })
        .collect();
    let previous = Neighbours::new(plan.cards, pairs.iter().map(|&(a, b)| (b, a)));
    let next = Neighbours::new(plan.cards, pairs.iter().copied());

    let mut rooms = Rooms::new(plan, &layers);
    for &card in &cards {
        let earliest = previous
            .of(card)
            .iter()
            .map(|&it| layers[it as usize] + 1)
            .max()
            .unwrap_or(0);
        layers[card] = rooms.take(plan.lanes[card], earliest);
    }
    cards.sort_by_key(|&card| std::cmp::Reverse(layers[card]));
    for &card in &cards {
        if previous.of(card).len() < next.of(card).len() {
            let latest = next
                .of(card)
                .iter()
                .map(|&it| layers[it as usize] - 1)
                .min()
                .unwrap_or(layers[card]);
            layers[card] = rooms.pull(plan.lanes[card], layers[card], latest);
        }
    }
    layers
}

/// How many cards each lane has in each layer, and may have.
struct Rooms {
    taken: Vec<Vec<usize>>,
    limits: Vec<usize>,
}

impl Rooms {
    fn new(plan: &Plan, layers: &[u32]) -> Self {
        let mut taken: Vec<Vec<usize>> = vec![Vec::new(); plan.lanes.iter().max().map_or(1, |last| last + 1)];
        for (&lane, &layer) in plan.lanes.iter().zip(layers) {
            *slot(&mut taken[lane], layer) += 1;
        }
        let rows = rows_max(plan.cards, &plan.sizing);
        let limit = |counts: &Vec<usize>| {
            let (cards, tallest) = (
                counts.iter().sum::<usize>(),
                counts.iter().max().map_or(0, |count| *count),
            );
            let limit = if plan.framed {
                (cards * rows).div_ceil(plan.cards).max(3)
            } else {
                rows
            };
            // Even columns look better than full ones and a rest.
            tallest.div_ceil(tallest.div_ceil(limit).max(1)).max(1)
        };
        let limits = taken.iter().map(limit).collect();
        taken.iter_mut().for_each(|counts| counts.fill(0));
        Self { taken, limits }
    }

    fn take(&mut self, lane: usize, earliest: u32) -> u32 {
        let taken = &mut self.taken[lane];
        let mut layer = earliest;
        while *slot(taken, layer) >= self.limits[lane] {
            layer += 1;
        }
        *slot(taken, layer) += 1;
        layer
    }

    /// Moves a card from one layer to the last one with room up to another.
    fn pull(&mut self, lane: usize, from: u32, latest: u32) -> u32 {
        let taken = &mut self.taken[lane];
        let to = (from + 1..=latest)
            .rev()
            .find(|&layer| *slot(taken, layer) < self.limits[lane])
            .unwrap_or(from);
        *slot(taken, from) -= 1;
        *slot(taken, to) += 1;
        to
    }
}

fn slot(counts: &mut Vec<usize>, layer: u32) -> &mut usize {
    let layer = layer as usize;
    if counts.len() <= layer {
        counts.resize(layer + 1, 0);
    }
    &mut counts[layer]
}

/// Returns how many cards make a column about as tall as this many cards, spread evenly over a
/// sheet half again as wide as tall, would; and a third more, so that real layers stay whole.
fn rows_max(cards: usize, sizing: &Sizing) -> usize {
    let row = sizing.card_height + sizing.row_gap;
    let column = sizing.card_width + sizing.column_gap;
    let height = (cards as f32 * row * column / 1.5).sqrt();
    ((height / row * 1.33) as usize).max(12)
}
