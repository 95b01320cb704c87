//! The lines between cards: level at both ends of every gap, straight through every column.

use std::collections::{HashMap, HashSet};

use super::bend::Strands;
use super::place::Rows;
use super::wrap::Grid;
use super::{Drawing, Frame, Leg, Path, Plan, Point};

/// A line ends this far before its card; the head of the arrow fills the rest.
const HEAD: f32 = 6.0;
/// Between lines that join the same two cards.
const PORT_GAP: f32 = 9.0;
const CORNER_RADIUS: f32 = 9.0;
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
    let ports = ports(plan);
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
/// cards stay apart.
fn ports(plan: &Plan) -> Vec<f32> {
    let mut counts: HashMap<(usize, usize), usize> = HashMap::new();
    let reach = plan.sizing.card_height / 2.0 - 5.0;
    let port = |wire: &super::Wire| {
        let count = counts
            .entry((wire.from.min(wire.to), wire.from.max(wire.to)))
            .or_default();
        let side = if count.is_multiple_of(2) { -1.0 } else { 1.0 };
        let port = side * count.div_ceil(2) as f32 * PORT_GAP;
        *count += 1;
        port.clamp(-reach, reach)
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
            path.label = Some(path.middle_of_last_leg(if is_first { 0.64 } else { 0.36 }));
        }
        path
    }
}

impl Path {
    fn end(&self) -> Point {
        self.legs.last().map_or(self.start, Leg::end)
    }

    fn line(&mut self, to: Point) {
        self.legs.push(Leg::Line(to));
    }

    /// Goes to a point on the right, level at both ends.
    fn ease(&mut self, to: Point) {
        let from = self.end();
        if from.y == to.y {
            return self.line(to);
        }
        let middle = from.x.midpoint(to.x);
        self.legs.push(Leg::Curve(
            Point { x: middle, y: from.y },
            Point { x: middle, y: to.y },
            to,
        ));
    }

    /// Goes around to the next row, with rounded corners.
    fn turn(&mut self, [right, between, left]: [f32; 3], to: Point) {
        let from = self.end();
        let corners =
            [(right, from.y), (right, between), (left, between), (left, to.y)].map(|(x, y)| Point { x, y });
        for (index, &corner) in corners.iter().enumerate() {
            let next = *corners.get(index + 1).unwrap_or(&to);
            let [before, after] = [self.end(), next].map(|other| corner.towards(other, CORNER_RADIUS));
            self.line(before);
            self.legs.push(Leg::Curve(
                before.towards(corner, CORNER_RADIUS * 0.55),
                after.towards(corner, CORNER_RADIUS * 0.55),
                after,
            ));
        }
        self.line(to);
    }

    fn reversed(self) -> Self {
        let mut points = vec![self.start];
        points.extend(self.legs.iter().map(Leg::end));
        let legs = self
            .legs
            .iter()
            .zip(&points)
            .rev()
            .map(|(leg, &from)| match *leg {
                Leg::Line(_) => Leg::Line(from),
                Leg::Curve(a, b, _) => Leg::Curve(b, a, from),
            });
        Self {
            start: self.end(),
            legs: legs.collect(),
            ..self
        }
    }

    /// Returns the point at a fraction of the last leg.
    fn middle_of_last_leg(&self, fraction: f32) -> Point {
        let from = self.legs.iter().rev().nth(1).map_or(self.start, Leg::end);
        self.legs.last().map_or(from, |leg| leg.at(from, fraction))
    }
}

impl Leg {
    pub(crate) fn end(&self) -> Point {
        match *self {
            Self::Line(end) | Self::Curve(_, _, end) => end,
        }
    }

    /// Returns the point at a fraction of the leg, given where it starts.
    pub(crate) fn at(&self, from: Point, fraction: f32) -> Point {
        let mix = |weights: [f32; 4], [a, b, c, d]: [Point; 4]| Point {
            x: weights[0] * a.x + weights[1] * b.x + weights[2] * c.x + weights[3] * d.x,
            y: weights[0] * a.y + weights[1] * b.y + weights[2] * c.y + weights[3] * d.y,
        };
        let (t, u) = (fraction, 1.0 - fraction);
        match *self {
            Self::Line(to) => mix([u, 0.0, 0.0, t], [from, from, to, to]),
            Self::Curve(a, b, to) => mix(
                [u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t],
                [from, a, b, to],
            ),
        }
    }
}

impl Point {
    /// Returns the point a little way from here to another, which is level with it or plumb.
    fn towards(self, other: Self, distance: f32) -> Self {
        let step = |from: f32, to: f32| from + (to - from).clamp(-distance, distance);
        Self {
            x: step(self.x, other.x),
            y: step(self.y, other.y),
        }
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

impl Drawing {
    /// Moves everything so that it starts at the origin, and measures it.
    fn shrink_to_fit(&mut self, plan: &Plan) {
        let (mut low, mut high) = (
            Point {
                x: f32::MAX,
                y: f32::MAX,
            },
            Point {
                x: f32::MIN,
                y: f32::MIN,
            },
        );
        let mut include = |point: Point, width: f32, height: f32| {
            low = Point {
                x: low.x.min(point.x),
                y: low.y.min(point.y),
            };
            high = Point {
                x: high.x.max(point.x + width),
                y: high.y.max(point.y + height),
            };
        };
        for &corner in &self.corners {
            include(corner, plan.sizing.card_width, plan.sizing.card_height);
        }
        for frame in &self.frames {
            include(frame.corner, frame.width, frame.height);
        }
        for path in &self.paths {
            include(path.start, 0.0, 0.0);
            for leg in &path.legs {
                include(leg.end(), 0.0, 0.0);
                if let Leg::Curve(a, b, _) = leg {
                    include(*a, 0.0, 0.0);
                    include(*b, 0.0, 0.0);
                }
            }
        }
        self.shift(-low.x, -low.y);
        (self.width, self.height) = (high.x - low.x, high.y - low.y);
    }

    pub(super) fn shift(&mut self, x: f32, y: f32) {
        let moved = |point: Point| Point {
            x: point.x + x,
            y: point.y + y,
        };
        self.corners
            .iter_mut()
            .for_each(|corner| *corner = moved(*corner));
        self.frames
            .iter_mut()
            .for_each(|frame| frame.corner = moved(frame.corner));
        for path in &mut self.paths {
            path.start = moved(path.start);
            path.label = path.label.map(moved);
            for leg in &mut path.legs {
                *leg = match *leg {
                    Leg::Line(to) => Leg::Line(moved(to)),
                    Leg::Curve(a, b, to) => Leg::Curve(moved(a), moved(b), moved(to)),
                };
            }
        }
    }
}
