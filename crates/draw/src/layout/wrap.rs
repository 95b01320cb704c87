//! Where the columns stand, and how a long strip of them is broken into rows like a line of text.

use std::collections::HashMap;

use super::Plan;
use super::bend::Strands;

/// How much wider than tall a strip may be before it is broken, and how wide at the least.
const RATIO_MAX: f32 = 3.0;
const WIDTH_MIN: f32 = 2_400.0;
/// More wires than this through one break are worse than a long strip.
const TURNS_MAX: usize = 6;
const TRACK: f32 = 7.0;
const MARGIN: f32 = 18.0;

#[derive(Debug)]
pub(super) struct Grid {
    /// One column for each layer.
    pub(super) columns: Vec<Column>,
    /// How the links between the last column of a row and the first of the next one run.
    pub(super) turns: HashMap<(u32, u32), Turn>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) x: f32,
    /// How far below its place its row has moved.
    pub(super) drop: f32,
}

/// Down on the right of the upper row, back between the rows, down on the left of the lower one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) right: f32,
    pub(super) between: f32,
    pub(super) left: f32,
}

pub(super) fn grid(plan: &Plan, strands: &Strands, heights: &[f32]) -> Grid {
    let gaps = gaps(plan, strands, heights);
    let mut columns = Vec::with_capacity(gaps.len());
    let mut x = 0.0;
    for gap in &gaps {
        columns.push(Column { x, drop: 0.0 });
        x += plan.sizing.card_width + gap;
    }
    let mut grid = Grid {
        columns,
        turns: HashMap::new(),
    };
    if !plan.framed {
        let breaks = breaks(plan, strands, heights, &grid.columns);
        grid.wrap(plan, strands, heights, &breaks);
    }
    grid
}

/// Returns the gap after each layer: wider where wires climb far or carry labels.
fn gaps(plan: &Plan, strands: &Strands, heights: &[f32]) -> Vec<f32> {
    let mut gaps = vec![plan.sizing.column_gap; strands.layers.len()];
    for (item, links) in strands.right.iter().enumerate() {
        let climb = links
            .iter()
            .map(|link| (heights[link.item as usize] - heights[item]).abs())
            .fold(0.0, f32::max);
        let gap = &mut gaps[strands.layer_of[item] as usize];
        *gap = gap
            .max((plan.sizing.column_gap + climb * 0.08).min(plan.sizing.column_gap * 2.5))
            .round();
    }
    for wire in plan.wires.iter().filter(|wire| wire.label_width > 0.0) {
        let [from, to] = [wire.from, wire.to].map(|card| strands.layer_of[card] as usize);
        let gap = &mut gaps[if from < to { to - 1 } else { to }];
        *gap = gap.max((wire.label_width * 1.3 + 34.0).round());
    }
    gaps
}

/// Returns the first layer of each row but the first: near evenly spaced, moved to where the fewest
/// links are cut; none at all when the strip is short or some cut would be too busy.
fn breaks(plan: &Plan, strands: &Strands, heights: &[f32], columns: &[Column]) -> Vec<usize> {
    let width = columns.last().map_or(0.0, |last| last.x + plan.sizing.card_width);
    let (top, bottom) = extent(plan, strands, heights, 0..columns.len());
    let height = bottom - top;
    if width < WIDTH_MIN || width < RATIO_MAX * height {
        return Vec::new();
    }
    // Rows of this width together make a sheet with the proportions of a screen.
    let row_width = (width * (height + 3.0 * MARGIN) * 1.7)
        .sqrt()
        .max(WIDTH_MIN / 2.0);
    let cut = |layer: usize| -> usize {
        strands.layers[layer - 1]
            .iter()
            .map(|&item| strands.right[item as usize].len())
            .sum()
    };
    let mut breaks = Vec::new();
    let mut first = 0;
    loop {
        let full = columns
            .partition_point(|column| column.x + plan.sizing.card_width - columns[first].x <= row_width);
        if full >= columns.len() {
            return breaks;
        }
        let earliest = first + ((full - first) * 3 / 4).max(1);
        let best = (earliest..=full.max(earliest))
            .rev()
            .min_by_key(|&layer| cut(layer));
        match best {
            Some(best) if cut(best) <= TURNS_MAX => breaks.push(best),
            _ => return Vec::new(),
        }
        first = breaks[breaks.len() - 1];
    }
}

/// Returns the top of the highest and the bottom of the lowest item of some layers.
fn extent(plan: &Plan, strands: &Strands, heights: &[f32], layers: std::ops::Range<usize>) -> (f32, f32) {
    let half = plan.sizing.card_height / 2.0;
    strands.layers[layers]
        .iter()
        .flatten()
        .fold((f32::MAX, f32::MIN), |(top, bottom), &item| {
            let height = heights[item as usize];
            (top.min(height - half), bottom.max(height + half))
        })
}

impl Grid {
    fn wrap(&mut self, plan: &Plan, strands: &Strands, heights: &[f32], breaks: &[usize]) {
        let mut ends = breaks.to_vec();
        ends.push(self.columns.len());
        let (mut start, mut free_top) = (0, 0.0);
        for end in ends {
            let (top, bottom) = extent(plan, strands, heights, start..end);
            let left = self.columns[start].x;
            for column in &mut self.columns[start..end] {
                *column = Column {
                    x: column.x - left,
                    drop: if breaks.is_empty() { 0.0 } else { free_top - top },
                };
            }
            let links = if end < self.columns.len() {
                cut_links(strands, heights, end)
            } else {
                Vec::new()
            };
            let right = self.columns[end - 1].x + plan.sizing.card_width + MARGIN;
            let between = free_top + (bottom - top) + MARGIN;
            // The upper link takes the outer way around on the right and the inner one on the left,
            // so that links which do not cross at the break do not cross in it.
            for (index, &link) in links.iter().enumerate() {
                let outside = (links.len() - 1 - index) as f32 * TRACK;
                let left = -MARGIN - index as f32 * TRACK;
                self.turns.insert(
                    link,
                    Turn {
                        right: right + outside,
                        between: between + outside,
                        left,
                    },
                );
            }
            free_top = between + links.len().saturating_sub(1) as f32 * TRACK + MARGIN;
            start = end;
        }
    }
}

/// Returns the links into a layer, from top to bottom.
fn cut_links(strands: &Strands, heights: &[f32], layer: usize) -> Vec<(u32, u32)> {
    let mut links: Vec<(u32, u32)> = strands.layers[layer - 1]
        .iter()
        .flat_map(|&item| {
            strands.right[item as usize]
                .iter()
                .map(move |link| (item, link.item))
        })
        .collect();
    let key = |&(a, b): &(u32, u32)| (heights[a as usize], heights[b as usize]);
    links.sort_by(|a, b| key(a).0.total_cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)));
    links
}
