//! Parts of a graph that nothing connects, laid out one by one and set on shelves.

use super::{Drawing, Plan, Point, Wire};

const SHELF_GAP: f32 = 26.0;

/// A connected part.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Index of each card and wire in the whole.
    cards: Vec<usize>,
    wires: Vec<usize>,
    local_wires: Vec<Wire>,
    lanes: Vec<usize>,
}

impl Part {
    pub(super) fn plan<'a>(&'a self, whole: &Plan) -> Plan<'a> {
        Plan {
            cards: self.cards.len(),
            wires: &self.local_wires,
            lanes: &self.lanes,
            framed: whole.framed,
            sizing: whole.sizing,
        }
    }
}

/// Returns the connected parts in the order of their first cards.
pub(super) fn parts(plan: &Plan) -> Vec<Part> {
    let mut parent: Vec<usize> = (0..plan.cards).collect();
    for wire in plan.wires {
        let [a, b] = [wire.from, wire.to].map(|card| root(&mut parent, card));
        parent[a.max(b)] = a.min(b);
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut part_of = vec![0; plan.cards];
    let mut local = vec![0; plan.cards];
    for card in 0..plan.cards {
        // The root is the first card of its part.
        let root = root(&mut parent, card);
        if root == card {
            part_of[card] = parts.len();
            parts.push(Part::default());
        }
        part_of[card] = part_of[root];
        let part = &mut parts[part_of[root]];
        local[card] = part.cards.len();
        part.cards.push(card);
        part.lanes.push(0);
    }
    for (index, wire) in plan.wires.iter().enumerate() {
        let part = &mut parts[part_of[wire.from]];
        part.wires.push(index);
        part.local_wires.push(Wire {
            from: local[wire.from],
            to: local[wire.to],
            ..*wire
        });
    }
    parts
}

fn root(parent: &mut [usize], mut card: usize) -> usize {
    while parent[card] != card {
        parent[card] = parent[parent[card]];
        card = parent[card];
    }
    card
}

/// Joins the drawings of parts: the tallest first, from left to right, on shelves about half again
/// as wide as they are tall together.
pub(super) fn shelve(plan: &Plan, mut parts: Vec<(Part, Drawing)>) -> Drawing {
    let sizing = &plan.sizing;
    let (gap, shelf_gap) = if plan.wires.is_empty() {
        (sizing.row_gap, sizing.row_gap)
    } else {
        (sizing.column_gap, SHELF_GAP)
    };
    let area: f32 = parts
        .iter()
        .map(|(_, it)| (it.width + gap) * (it.height + shelf_gap))
        .sum();
    let widest = parts.iter().map(|(_, it)| it.width).fold(0.0, f32::max);
    let shelf_width = (area * 1.6).sqrt().max(widest);
    parts.sort_by(|(_, a), (_, b)| b.height.total_cmp(&a.height));

    let mut whole = Drawing {
        corners: vec![Point { x: 0.0, y: 0.0 }; plan.cards],
        ..Drawing::default()
    };
    let (mut x, mut y, mut shelf_height) = (0.0, 0.0, 0.0_f32);
    for (part, mut drawing) in parts {
        let is_dwarfed = drawing.height * 2.0 < shelf_height;
        if x > 0.0 && (is_dwarfed || x + drawing.width > shelf_width) {
            (x, y, shelf_height) = (0.0, y + shelf_height + shelf_gap, 0.0);
        }
        drawing.shift(x, y);
        x += drawing.width + gap;
        shelf_height = shelf_height.max(drawing.height);
        whole.width = whole.width.max(x - gap);
        whole.height = y + shelf_height;
        for (&card, corner) in part.cards.iter().zip(drawing.corners) {
            whole.corners[card] = corner;
        }
        for mut path in drawing.paths {
            path.wire = part.wires[path.wire];
            whole.paths.push(path);
        }
    }
    whole
}
