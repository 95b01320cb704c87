//! Points, the curves between them, and how to measure and move them.

use super::{Drawing, Leg, Path, Plan, Point};

const CORNER_RADIUS: f32 = 9.0;

impl Path {
    pub(super) fn end(&self) -> Point {
        self.legs.last().map_or(self.start, Leg::end)
    }

    pub(super) fn line(&mut self, to: Point) {
        self.legs.push(Leg::Line(to));
    }

    /// Goes to a point on the right, level at both ends.
    pub(super) fn ease(&mut self, to: Point) {
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
    pub(super) fn turn(&mut self, [right, between, left]: [f32; 3], to: Point) {
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

    pub(super) fn reversed(self) -> Self {
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
    pub(super) fn middle_of_last_leg(&self, fraction: f32) -> Point {
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

impl Drawing {
    /// Moves everything so that it starts at the origin, and measures it.
    pub(super) fn shrink_to_fit(&mut self, plan: &Plan) {
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
