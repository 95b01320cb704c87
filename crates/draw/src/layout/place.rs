//! How high every item stands: as straight as its links can be without anything touching.

use super::Plan;
use super::bend::{CRITICAL_PULL, Link, Strands};

/// Enough for chains to settle; the picture does not change visibly after that.
const SWEEPS: usize = 12;
/// An obstacle moves a line of bends a part of the way each time.
const LEVELLINGS: usize = 32;
/// So many of them also draw lines of bends towards what they lead to, before all end up straight.
const GATHERINGS: usize = 12;
/// Pull of an item towards the line it belongs to.
const LEVEL_PULL: f32 = 1_024.0;
/// Links that pull at least this much alone decide where their item wants to be.
const STRONG: f32 = 8.0;
/// Pull of an item without links towards where it is.
const STAY_PULL: f32 = 0.05;

const FRAME_TOP: f32 = 30.0;
const FRAME_BOTTOM: f32 = 12.0;
const FRAME_GAP: f32 = 14.0;

#[derive(Debug)]
pub(super) struct Rows {
    /// The middle of each item.
    pub(super) heights: Vec<f32>,
    /// Top and bottom of each lane's frame.
    pub(super) frames: Vec<(f32, f32)>,
}

/// Returns the height of every item. `lanes` is the place of each lane from the top.
pub(super) fn rows(plan: &Plan, strands: &Strands, lanes: &[usize]) -> Rows {
    let mut stacks = Stacks::new(plan, strands, lanes);
    for sweep in 0..SWEEPS {
        let depth = stacks.runs.len();
        if sweep % 2 == 0 {
            (0..depth).for_each(|layer| stacks.settle(layer, &strands.left));
        } else {
            (0..depth)
                .rev()
                .for_each(|layer| stacks.settle(layer, &strands.right));
        }
    }
    for round in 0..LEVELLINGS {
        stacks.level(strands, if round < GATHERINGS { 0.5 } else { 0.0 });
    }
    let heights = stacks.heights.iter().map(|height| height.round()).collect();
    Rows {
        heights,
        frames: stacks.frames,
    }
}

/// Items of one layer and one lane, from top to bottom.
#[derive(Debug)]
struct Run {
    items: Vec<u32>,
    /// How far each item's middle is below the top of the run, packed tightly.
    offsets: Vec<f32>,
    /// Where the top of the tightly packed run may be.
    top_min: f32,
    top_max: f32,
}

struct Stacks {
    runs: Vec<Vec<Run>>,
    heights: Vec<f32>,
    frames: Vec<(f32, f32)>,
}

impl Stacks {
    fn new(plan: &Plan, strands: &Strands, lanes: &[usize]) -> Self {
        let mut tallest = vec![0.0_f32; lanes.len()];
        let mut runs = Vec::with_capacity(strands.layers.len());
        for layer in &strands.layers {
            let mut layer_runs = Vec::new();
            for items in layer.chunk_by(|&a, &b| strands.lane_of[a as usize] == strands.lane_of[b as usize]) {
                let (offsets, length) = pack(plan, strands, items);
                let lane = strands.lane_of[items[0] as usize];
                tallest[lane] = tallest[lane].max(length);
                layer_runs.push((
                    lane,
                    length,
                    Run {
                        items: items.to_vec(),
                        offsets,
                        top_min: f32::MIN,
                        top_max: f32::MAX,
                    },
                ));
            }
            runs.push(layer_runs);
        }
        let frames = frames(&tallest, lanes);
        let bound = |(lane, length, run): (usize, f32, Run)| match plan.framed {
            true => {
                let top_min = frames[lane].0 + FRAME_TOP;
                Run {
                    top_min,
                    top_max: top_min + tallest[lane] - length,
                    ..run
                }
            }
            false => run,
        };
        let runs: Vec<Vec<Run>> = runs
            .into_iter()
            .map(|runs| runs.into_iter().map(bound).collect())
            .collect();
        let mut heights = vec![0.0; strands.layer_of.len()];
        for run in runs.iter().flatten() {
            // Without lanes every layer starts out centred on zero.
            let length = run.offsets.last().map_or(0.0, |last| *last);
            let top = if plan.framed {
                run.top_min.midpoint(run.top_max)
            } else {
                -length / 2.0
            };
            for (&item, offset) in run.items.iter().zip(&run.offsets) {
                heights[item as usize] = top + offset;
            }
        }
        Self {
            runs,
            heights,
            frames,
        }
    }

    /// Moves the items of a layer towards their neighbours on one side.
    fn settle(&mut self, layer: usize, side: &[Vec<Link>]) {
        self.fulfil(layer, |heights, item| wish(heights, side[item as usize].iter()));
    }

    /// Moves every line of bends, and the critical path, towards one height, and all else to where
    /// its neighbours are. Lines of bends go a share of the way to what they lead to.
    fn level(&mut self, strands: &Strands, share: f32) {
        let levels = self.levels(strands, share);
        for layer in 0..self.runs.len() {
            self.fulfil(layer, |heights, item| {
                let pull = if strands.is_bend(item) {
                    LEVEL_PULL
                } else {
                    CRITICAL_PULL
                };
                match levels[strands.level_of[item as usize] as usize] {
                    Some(at) => Some(Wish { at, pull }),
                    None => wish(heights, strands.links(item)),
                }
            });
        }
    }

    /// Returns the height that each line of two or more items should be drawn at.
    fn levels(&self, strands: &Strands, share: f32) -> Vec<Option<f32>> {
        let mut own = vec![Mean::default(); self.heights.len()];
        let mut others = own.clone();
        for (item, &level) in strands.level_of.iter().enumerate() {
            own[level as usize].add(self.heights[item]);
            if strands.is_bend(item as u32) {
                let outside = |link: &&Link| strands.level_of[link.item as usize] != level;
                strands
                    .links(item as u32)
                    .filter(outside)
                    .for_each(|link| others[level as usize].add(self.heights[link.item as usize]));
            }
        }
        let level = |(own, others): (&Mean, &Mean)| {
            let here = own.value()?;
            let there = others.value().unwrap_or(here);
            (own.count > 1.0).then_some(here + (there - here) * share)
        };
        own.iter().zip(&others).map(level).collect()
    }

    /// Moves the items of a layer to where they wish to be, as far as their order allows.
    fn fulfil(&mut self, layer: usize, wish: impl Fn(&[f32], u32) -> Option<Wish>) {
        for run in &self.runs[layer] {
            let wishes: Vec<Wish> = run
                .items
                .iter()
                .zip(&run.offsets)
                .map(|(&item, offset)| {
                    let stay = Wish {
                        at: self.heights[item as usize],
                        pull: STAY_PULL,
                    };
                    let wish = wish(&self.heights, item).unwrap_or(stay);
                    Wish {
                        at: wish.at - offset,
                        ..wish
                    }
                })
                .collect();
            let tops = ascending(&wishes);
            for ((&item, offset), top) in run.items.iter().zip(&run.offsets).zip(tops) {
                self.heights[item as usize] = top.min(run.top_max).max(run.top_min) + offset;
            }
        }
    }
}

/// Returns how far below the first edge each item's middle is, and the length of the whole.
fn pack(plan: &Plan, strands: &Strands, items: &[u32]) -> (Vec<f32>, f32) {
    let sizing = &plan.sizing;
    let half = |item: u32| {
        if strands.is_bend(item) {
            0.0
        } else {
            sizing.card_height / 2.0
        }
    };
    let mut offsets = Vec::with_capacity(items.len());
    let mut bottom = 0.0;
    for (index, &item) in items.iter().enumerate() {
        if index > 0 {
            bottom += match (strands.is_bend(items[index - 1]), strands.is_bend(item)) {
                (false, false) => sizing.row_gap,
                (true, true) => sizing.bend_gap,
                _ => sizing.row_gap * 0.8,
            };
        }
        offsets.push(bottom + half(item));
        bottom += 2.0 * half(item);
    }
    (offsets, bottom)
}

/// Stacks frames of the given inner heights; returns top and bottom of each.
fn frames(tallest: &[f32], lanes: &[usize]) -> Vec<(f32, f32)> {
    let mut frames = vec![(0.0, 0.0); tallest.len()];
    let mut by_place: Vec<usize> = (0..tallest.len()).collect();
    by_place.sort_by_key(|&lane| lanes[lane]);
    let mut top = 0.0;
    for lane in by_place {
        let bottom = top + FRAME_TOP + tallest[lane] + FRAME_BOTTOM;
        frames[lane] = (top, bottom);
        top = bottom + FRAME_GAP;
    }
    frames
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f32,
    count: f32,
}

impl Mean {
    fn add(&mut self, value: f32) {
        self.sum += value;
        self.count += 1.0;
    }

    fn value(&self) -> Option<f32> {
        (self.count > 0.0).then_some(self.sum / self.count)
    }
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    at: f32,
    pull: f32,
}

/// Returns where an item wants to be: level with its strongest neighbours if they are strong, else
/// in the middle of all.
fn wish<'a>(heights: &[f32], links: impl Iterator<Item = &'a Link>) -> Option<Wish> {
    let mut links: Vec<Wish> = links
        .map(|link| Wish {
            at: heights[link.item as usize],
            pull: link.pull,
        })
        .collect();
    let strongest = links.iter().map(|link| link.pull).fold(0.0, f32::max);
    if strongest >= STRONG {
        links.retain(|link| link.pull == strongest);
    }
    links.sort_by(|a, b| a.at.total_cmp(&b.at));
    let middle = links.get(links.len() / 2)?.at + links[(links.len() - 1) / 2].at;
    Some(Wish {
        at: middle / 2.0,
        pull: links.iter().map(|link| link.pull).sum(),
    })
}

/// Returns the ascending positions closest to the wishes, by the sum of weighted squares: pooling
/// of adjacent violators, linear in the number of wishes.
fn ascending(wishes: &[Wish]) -> Vec<f32> {
    let mut pools: Vec<(f32, f32, usize)> = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let (mut moment, mut weight, mut count) = (wish.at * wish.pull, wish.pull, 1);
        while let Some(&(before_moment, before_weight, before_count)) = pools.last() {
            if before_moment / before_weight <= moment / weight {
                break;
            }
            moment += before_moment;
            weight += before_weight;
            count += before_count;
            pools.pop();
        }
        pools.push((moment, weight, count));
    }
    pools
        .iter()
        .flat_map(|&(moment, weight, count)| std::iter::repeat_n(moment / weight, count))
        .collect()
}
