//! The lines between cards: level at both ends of every gap, straight through every column.

use std::collections::{HashMap, HashSet};

use super::bend::Strands;
use super::place::Rows;
use super::wrap::Grid;
use super::{Drawing, Frame, Leg, Path, Plan, Point, Wire};

/// A line ends this far before its card; the head of the arrow fills the rest.
const HEAD: f32 = 6.0;
/// Between lines that join the same two cards.
const PORT_GAP: f32 = 9.0;
const FRAME_MARGIN: f32 = 14.0;

pub(super) fn draw(plan: &Plan, strands: &Strands, rows: &Rows, grid: &Grid) -> Drawing {
    let mut pen = Pen {
        plan,
        strands,
        rows,
        grid,
        joined: HashSet::new(),
        labelled: HashSet::new(),
    };
    let ports = ports(plan, strands);
    let mut paths = Vec::with_capacity(plan.wires.len());
    for (wire, &port) in ports.iter().enumerate() {
        match strands.chains[wire].as_slice() {
            [] => paths.push(pen.around(wire, port)),
            _ => paths.extend(pen.along(wire, port)),
        }
    }
    let corner = |card: u32| Point {
        x: pen.left(card),
        y: pen.height(card) - plan.sizing.card_height / 2.0,
    };
    let corners = (0..plan.cards as u32).map(corner).collect();
    let frames = if plan.framed {
        frames(plan, strands, rows, grid)
    } else {
        Vec::new()
    };
    let mut drawing = Drawing {
        corners,
        paths,
        frames,
        width: 0.0,
        height: 0.0,
    };
    drawing.shrink_to_fit(plan);
    drawing
}

/// Returns how far from the middle of its cards each wire ends, so that wires between the same two
/// cards stay apart, and wires that close a cycle keep away from those that leave the same card.
fn ports(plan: &Plan, strands: &Strands) -> Vec<f32> {
    let mut counts: HashMap<(usize, usize), usize> = HashMap::new();
    let reach = plan.sizing.card_height / 2.0 - 5.0;
    let port = |wire: &Wire| {
        let count = counts
            .entry((wire.from.min(wire.to), wire.from.max(wire.to)))
            .or_default();
        let side = if count.is_multiple_of(2) { -1.0 } else { 1.0 };
        let port = side * count.div_ceil(2) as f32 * PORT_GAP;
        *count += 1;
        let is_leftwards = strands.layer_of[wire.from] > strands.layer_of[wire.to];
        let shift = if is_leftwards && port == 0.0 {
            reach * 0.55
        } else {
            port
        };
        shift.clamp(-reach, reach)
    };
    plan.wires.iter().map(port).collect()
}

struct Pen<'a> {
    plan: &'a Plan<'a>,
    strands: &'a Strands,
    rows: &'a Rows,
    grid: &'a Grid,
    /// Links already drawn by a wire of the same bundle.
    joined: HashSet<(u32, u32)>,
    /// Cards that have a label before them.
    labelled: HashSet<usize>,
}

impl Pen<'_> {
    fn left(&self, item: u32) -> f32 {
        self.grid.columns[self.strands.layer_of[item as usize] as usize].x
    }

    fn height(&self, item: u32) -> f32 {
        self.rows.heights[item as usize]
            + self.grid.columns[self.strands.layer_of[item as usize] as usize].drop
    }

    /// Draws a wire from a card to itself, over its upper right corner.
    fn around(&self, wire: usize, port: f32) -> Path {
        let card = self.plan.wires[wire].from as u32;
        let right = self.left(card) + self.plan.sizing.card_width;
        let top = self.height(card) - self.plan.sizing.card_height / 2.0;
        let rise = (self.plan.sizing.row_gap - 3.0).min(15.0);
        let shift = port.abs() * 2.0;
        let at = |x: f32, y: f32| Point {
            x: right - x - shift,
            y,
        };
        let curve = Leg::Curve(
            at(38.0, top - rise * 1.3),
            at(16.0, top - rise * 1.3),
            at(17.0, top - HEAD),
        );
        Path {
            wire,
            start: at(37.0, top),
            legs: vec![curve],
            has_head: true,
            leftwards: true,
            label: None,
        }
    }

    /// Draws what no wire of its bundle has drawn yet.
    fn along(&mut self, wire: usize, port: f32) -> Vec<Path> {
        let chain = &self.strands.chains[wire];
        let is_bundled = |item: u32| self.strands.is_bend(item);
        let mut pieces: Vec<Vec<u32>> = Vec::new();
        for (index, pair) in chain.windows(2).enumerate() {
            let link = (pair[0], pair[1]);
            let is_new = self.joined.insert(link) || !(is_bundled(link.0) || is_bundled(link.1));
            match pieces.last_mut() {
                Some(piece) if is_new && piece.last() == Some(&link.0) && index > 0 => piece.push(link.1),
                _ if is_new => pieces.push(vec![link.0, link.1]),
                _ => {}
            }
        }
        pieces
            .into_iter()
            .map(|piece| self.piece(wire, port, &piece))
            .collect()
    }

    fn piece(&mut self, index: usize, port: f32, items: &[u32]) -> Path {
        let wire = self.plan.wires[index];
        let leftwards = wire.to as u32 == self.strands.chains[index][0];
        let has_head = items.contains(&(wire.to as u32));
        let end = |item: u32| {
            let is_card = !self.strands.is_bend(item);
            let inset = if is_card && has_head && item as usize == wire.to {
                HEAD
            } else {
                0.0
            };
            (self.height(item) + if is_card { port } else { 0.0 }, inset)
        };
        let width = self.plan.sizing.card_width;
        let (start_y, start_inset) = end(items[0]);
        let start = Point {
            x: self.left(items[0]) + width + start_inset,
            y: start_y,
        };
        let mut path = Path {
            wire: index,
            start,
            legs: Vec::new(),
            has_head,
            leftwards,
            label: None,
        };
        for (place, pair) in items.windows(2).enumerate() {
            let (y, inset) = end(pair[1]);
            let x = self.left(pair[1]);
            match self.grid.turns.get(&(pair[0], pair[1])) {
                None => path.ease(Point { x: x - inset, y }),
                Some(turn) => path.turn([turn.right, turn.between, turn.left], Point { x: x - inset, y }),
            }
            if place + 2 < items.len() {
                path.line(Point { x: x + width, y });
            }
        }
        if leftwards {
            path = path.reversed();
        }
        if wire.label_width > 0.0 && has_head {
            let is_first = self.labelled.insert(wire.to);
            path.label = Some(path.middle_of_last_leg(if is_first { 0.5 } else { 0.36 }));
        }
        path
    }
}

fn frames(plan: &Plan, strands: &Strands, rows: &Rows, grid: &Grid) -> Vec<Frame> {
    let mut sides = vec![(f32::MAX, f32::MIN); rows.frames.len()];
    for (card, &lane) in plan.lanes.iter().enumerate() {
        let x = grid.columns[strands.layer_of[card] as usize].x;
        let (left, right) = &mut sides[lane];
        *left = left.min(x - FRAME_MARGIN);
        *right = right.max(x + plan.sizing.card_width + FRAME_MARGIN);
    }
    let frame = |(&(left, right), &(top, bottom)): (&(f32, f32), &(f32, f32))| Frame {
        corner: Point { x: left, y: top },
        width: right - left,
        height: bottom - top,
    };
    sides.iter().zip(&rows.frames).map(frame).collect()
}
