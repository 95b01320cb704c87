//! What must hold for every drawing, checked on many graphs.

use super::*;

const SIZING: Sizing = Sizing {
    card_width: 140.0,
    card_height: 50.0,
    row_gap: 18.0,
    bend_gap: 12.0,
    column_gap: 56.0,
};

struct Case {
    cards: usize,
    wires: Vec<Wire>,
    lanes: Vec<usize>,
    framed: bool,
}

impl Case {
    fn new(cards: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let wires = pairs
            .into_iter()
            .map(|(from, to)| Wire {
                from,
                to,
                ..Wire::default()
            })
            .collect();
        Self {
            cards,
            wires,
            lanes: vec![0; cards],
            framed: false,
        }
    }

    /// A graph whose edges mostly, but not only, lead from lower to higher indices.
    fn random(seed: u64) -> Self {
        let mut random = Random(seed);
        let cards = 1 + random.below(60);
        let pairs: Vec<(usize, usize)> = (0..random.below(2 * cards))
            .map(
                |_| match (random.below(cards), random.below(cards), random.below(8)) {
                    (a, b, 0) => (a, b),
                    (a, b, _) => (a.min(b), a.max(b)),
                },
            )
            .collect();
        let mut case = Self::new(cards, pairs);
        for wire in &mut case.wires {
            wire.critical = random.below(6) == 0;
            wire.alone = random.below(6) == 0;
            wire.back = random.below(20) == 0;
            wire.label_width = if random.below(9) == 0 { 50.0 } else { 0.0 };
        }
        if random.below(3) == 0 {
            case.framed = true;
            case.lanes = (0..cards)
                .map(|card| if card < 4 { card } else { random.below(4) })
                .collect();
        }
        case
    }

    fn draw(&self) -> Drawing {
        let plan = Plan {
            cards: self.cards,
            wires: &self.wires,
            lanes: &self.lanes,
            framed: self.framed,
            sizing: SIZING,
        };
        layout(&plan, BENDS_MAX).expect("few bends")
    }

    fn check(&self, name: &str) {
        let drawing = self.draw();
        assert_eq!(drawing.corners.len(), self.cards, "{name}");
        for (index, a) in drawing.corners.iter().enumerate() {
            assert!(
                a.x >= 0.0 && a.x + SIZING.card_width <= drawing.width + 0.1,
                "{name}: {index} outside"
            );
            assert!(
                a.y >= 0.0 && a.y + SIZING.card_height <= drawing.height + 0.1,
                "{name}: {index} outside"
            );
            for (other, b) in drawing.corners.iter().enumerate().skip(index + 1) {
                let apart = (a.x - b.x).abs() >= SIZING.card_width || (a.y - b.y).abs() >= SIZING.card_height;
                assert!(apart, "{name}: {index} overlaps {other}: {a:?} {b:?}");
            }
        }
        for path in &drawing.paths {
            self.check_path(name, &drawing, path);
        }
        self.check_heads(name, &drawing);
        self.check_frames(name, &drawing);
    }

    /// No line runs through a card.
    fn check_path(&self, name: &str, drawing: &Drawing, path: &Path) {
        let wire = self.wires[path.wire];
        let mut from = path.start;
        for leg in &path.legs {
            for step in 0..=20 {
                let at = leg.at(from, step as f32 / 20.0);
                for (card, corner) in drawing.corners.iter().enumerate() {
                    let inside = at.x > corner.x + 1.0
                        && at.x < corner.x + SIZING.card_width - 1.0
                        && at.y > corner.y
                        && at.y < corner.y + SIZING.card_height;
                    assert!(!inside, "{name}: {wire:?} crosses {card} at {at:?}, {corner:?}");
                }
            }
            from = leg.end();
        }
    }

    /// Every wire can be followed to where it ends: with its own head, or in a line that has one.
    fn check_heads(&self, name: &str, drawing: &Drawing) {
        for wire in &self.wires {
            let corner = drawing.corners[wire.to];
            let reaches = |path: &&Path| {
                let end = path.legs.last().map_or(path.start, Leg::end);
                path.has_head
                    && end.y > corner.y - 8.0
                    && end.y < corner.y + SIZING.card_height
                    && end.x > corner.x - 8.0
                    && end.x < corner.x + SIZING.card_width + 8.0
            };
            assert!(
                drawing.paths.iter().any(|path| reaches(&path)),
                "{name}: nothing reaches {}",
                wire.to
            );
        }
    }

    fn check_frames(&self, name: &str, drawing: &Drawing) {
        for (card, corner) in drawing.corners.iter().enumerate().filter(|_| self.framed) {
            let frame = drawing.frames[self.lanes[card]];
            let inside = corner.x >= frame.corner.x
                && corner.y >= frame.corner.y
                && corner.x + SIZING.card_width <= frame.corner.x + frame.width
                && corner.y + SIZING.card_height <= frame.corner.y + frame.height;
            assert!(inside, "{name}: {card} outside its frame");
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

#[test]
fn random_graphs_are_drawn_without_overlaps() {
    for seed in 0..400 {
        let case = Case::random(seed);
        case.check(&format!("seed {seed}"));
    }
}

#[test]
fn plain_shapes_are_drawn_without_overlaps() {
    Case::new(0, []).check("empty");
    Case::new(1, []).check("single");
    Case::new(1, [(0, 0), (0, 0)]).check("self");
    Case::new(2, [(0, 1), (1, 0), (0, 1)]).check("two-cycle");
    Case::new(90, (1..90).map(|to| (to - 1, to))).check("chain");
    Case::new(122, (1..=120).flat_map(|it| [(0, it), (it, 121)])).check("fan");
    Case::new(
        40,
        (0..40).flat_map(|from| (from + 1..40).map(move |to| (from, to))),
    )
    .check("complete");
    Case::new(300, []).check("isolated");
}

#[test]
fn a_long_chain_is_wrapped() {
    let drawing = Case::new(90, (1..90).map(|to| (to - 1, to))).draw();
    assert!(
        drawing.width < 3.0 * drawing.height,
        "{} x {}",
        drawing.width,
        drawing.height
    );
}

#[test]
fn the_critical_path_is_straight() {
    let mut case = Case::new(
        9,
        [
            (0, 1),
            (0, 2),
            (0, 3),
            (1, 4),
            (2, 5),
            (3, 5),
            (4, 6),
            (5, 6),
            (6, 7),
            (0, 8),
            (8, 7),
        ],
    );
    for wire in &mut case.wires {
        wire.critical = matches!((wire.from, wire.to), (0, 3) | (3, 5) | (5, 6) | (6, 7));
    }
    let corners = case.draw().corners;
    assert!(
        [3, 5, 6, 7]
            .iter()
            .all(|&card: &usize| corners[card].y == corners[0].y),
        "{corners:?}"
    );
}

#[test]
fn too_many_bends_are_refused() {
    let case = Case::new(60, (0..59).flat_map(|from| [(from, from + 1), (from, 59)]));
    let plan = Plan {
        cards: case.cards,
        wires: &case.wires,
        lanes: &case.lanes,
        framed: false,
        sizing: SIZING,
    };
    assert!(layout(&plan, 10).is_none());
    assert!(layout(&plan, BENDS_MAX).is_some());
}

#[test]
fn layers_are_longest_paths_and_cycles_do_not_add_any() {
    let layers = |nodes, pairs: &[(usize, usize)]| {
        longest_path(
            nodes,
            pairs.iter().map(|&(from, to)| Arrow {
                from,
                to,
                back: false,
            }),
        )
    };
    assert_eq!(layers(4, &[(0, 1), (1, 2), (0, 2), (0, 3)]), [0, 1, 2, 1]);
    assert_eq!(layers(4, &[(0, 1), (1, 2), (2, 1), (2, 3)]), [0, 1, 2, 3]);
    assert_eq!(layers(3, &[(0, 1), (1, 2), (2, 0)]), [0, 1, 2]);
    assert_eq!(layers(2, &[(0, 0), (0, 1)]), [0, 1]);
}
