//! Which of two items in a layer stands above the other.

use super::Plan;
use super::bend::{Link, Strands};

const SWEEPS_MAX: usize = 24;
/// Sweeps without a better order after which to stop.
const PATIENCE: usize = 4;
/// Exchanging neighbours costs the product of their links; beyond this many items sweeps must do.
const EXCHANGE_ITEMS_MAX: usize = 3_000;

/// Returns the place of each lane, such that lanes with wires between them are close.
pub(super) fn lanes(plan: &Plan) -> Vec<usize> {
    let count = plan.lanes.iter().max().map_or(1, |last| last + 1);
    let mut place_of: Vec<usize> = (0..count).collect();
    if !plan.framed {
        return place_of;
    }
    let pairs: Vec<(usize, usize)> = plan
        .wires
        .iter()
        .map(|wire| (plan.lanes[wire.from], plan.lanes[wire.to]))
        .collect();
    let length = |place_of: &[usize]| -> usize {
        pairs
            .iter()
            .map(|&(a, b)| place_of[a].abs_diff(place_of[b]))
            .sum()
    };
    let mut best = (length(&place_of), place_of.clone());
    for _ in 0..SWEEPS_MAX {
        let mut sums: Vec<(f32, f32)> = place_of.iter().map(|&place| (place as f32, 1.0)).collect();
        for &(a, b) in &pairs {
            for (lane, other) in [(a, b), (b, a)] {
                sums[lane].0 += place_of[other] as f32;
                sums[lane].1 += 1.0;
            }
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| (sums[a].0 / sums[a].1).total_cmp(&(sums[b].0 / sums[b].1)));
        for (place, lane) in order.into_iter().enumerate() {
            place_of[lane] = place;
        }
        let length = length(&place_of);
        if length < best.0 {
            best = (length, place_of.clone());
        }
    }
    best.1
}

/// Sorts every layer so that few links cross. Items never leave their lane.
pub(super) fn reduce_crossings(strands: &mut Strands, lanes: &[usize]) {
    let mut order = Order::new(strands, lanes);
    let mut best = (order.crossings(), order.layers.clone());
    let mut waited = 0;
    for sweep in 0..SWEEPS_MAX {
        if best.0 == 0 || waited == PATIENCE {
            break;
        }
        order.sweep(sweep);
        if order.place_of.len() <= EXCHANGE_ITEMS_MAX {
            order.exchange_neighbours();
        }
        let crossings = order.crossings();
        waited += 1;
        if crossings < best.0 {
            best = (crossings, order.layers.clone());
            waited = 0;
        }
    }
    strands.layers = best.1;
}

struct Order<'a> {
    layers: Vec<Vec<u32>>,
    place_of: Vec<u32>,
    lane_place_of: Vec<usize>,
    strands: &'a Strands,
}

impl<'a> Order<'a> {
    fn new(strands: &'a Strands, lanes: &[usize]) -> Self {
        let lane_place_of = strands.lane_of.iter().map(|&lane| lanes[lane]).collect();
        let layers = strands.layers.clone();
        let mut order = Self {
            layers,
            place_of: vec![0; strands.layer_of.len()],
            lane_place_of,
            strands,
        };
        for layer in 0..order.layers.len() {
            order.sort_by(layer, |_, _| 0.0);
        }
        order
    }

    fn sort_by(&mut self, layer: usize, wish: impl Fn(&Self, u32) -> f32) {
        let items = std::mem::take(&mut self.layers[layer]);
        let mut wishes: Vec<(usize, f32, u32)> = items
            .into_iter()
            .map(|item| (self.lane_place_of[item as usize], wish(self, item), item))
            .collect();
        wishes.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        self.layers[layer] = wishes.into_iter().map(|(_, _, item)| item).collect();
        self.note_places(layer);
    }

    fn note_places(&mut self, layer: usize) {
        for (place, &item) in self.layers[layer].iter().enumerate() {
            self.place_of[item as usize] = place as u32;
        }
    }

    /// Walks all layers once, each sorted by the middle of its neighbours in the one before; even
    /// sweeps walk to the right, odd ones to the left.
    fn sweep(&mut self, number: usize) {
        let strands = self.strands;
        let depth = self.layers.len();
        if number.is_multiple_of(2) {
            (1..depth).for_each(|layer| self.sort_by(layer, |order, item| order.middle(&strands.left, item)));
        } else {
            (0..depth.saturating_sub(1))
                .rev()
                .for_each(|layer| self.sort_by(layer, |order, item| order.middle(&strands.right, item)));
        }
    }

    /// Returns the mean place of the neighbours; an item without any wants to stay.
    fn middle(&self, links: &[Vec<Link>], item: u32) -> f32 {
        let links = &links[item as usize];
        if links.is_empty() {
            return self.place_of[item as usize] as f32;
        }
        let sum: u32 = links.iter().map(|link| self.place_of[link.item as usize]).sum();
        sum as f32 / links.len() as f32
    }

    /// Exchanges items with the one below wherever that saves a crossing, in one pass.
    fn exchange_neighbours(&mut self) {
        let strands = self.strands;
        for layer in 0..self.layers.len() {
            for place in 1..self.layers[layer].len() {
                let [above, below] = [self.layers[layer][place - 1], self.layers[layer][place]];
                if self.lane_place_of[above as usize] != self.lane_place_of[below as usize] {
                    continue;
                }
                let cost = |a, b| self.crossed(&strands.left, a, b) + self.crossed(&strands.right, a, b);
                if cost(below, above) < cost(above, below) {
                    self.layers[layer].swap(place - 1, place);
                    self.place_of[below as usize] = place as u32 - 1;
                    self.place_of[above as usize] = place as u32;
                }
            }
        }
    }

    /// Returns how many links of two items cross while the first stands above the second.
    fn crossed(&self, links: &[Vec<Link>], above: u32, below: u32) -> usize {
        let place = |link: &Link| self.place_of[link.item as usize];
        let crossing = |upper: &Link| {
            links[below as usize]
                .iter()
                .filter(|lower| place(lower) < place(upper))
                .count()
        };
        links[above as usize].iter().map(crossing).sum()
    }

    fn crossings(&self) -> usize {
        (1..self.layers.len())
            .map(|layer| self.crossings_before(layer))
            .sum()
    }

    /// Counts crossings between a layer and the one before as inversions, with an accumulator tree:
    /// Barth, Mutzel, Jünger, "Simple and Efficient Bilayer Cross Counting" (2004), O(links · log).
    fn crossings_before(&self, layer: usize) -> usize {
        let width = self.layers[layer - 1].len();
        let mut tree = vec![0_usize; width + 1];
        let (mut crossings, mut seen) = (0, 0);
        for &item in &self.layers[layer] {
            let links = &self.strands.left[item as usize];
            for link in links {
                let mut index = self.place_of[link.item as usize] as usize + 1;
                let mut not_below = 0;
                while index > 0 {
                    not_below += tree[index];
                    index &= index - 1;
                }
                crossings += seen - not_below;
            }
            for link in links {
                let mut index = self.place_of[link.item as usize] as usize + 1;
                while index <= width {
                    tree[index] += 1;
                    index += index & index.wrapping_neg();
                }
            }
            seen += links.len();
        }
        crossings
    }
}
