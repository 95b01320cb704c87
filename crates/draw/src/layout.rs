//! Where everything goes: a layered layout from left to right, after Sugiyama, Tagawa and Toda,
//! "Methods for Visual Understanding of Hierarchical System Structures" (1981).
//!
//! In goes a number of equally large cards with wires between them, out come corners and paths. The
//! steps are rooms of their own: `layer` gives each card a column, `bend` threads long wires through
//! the columns between, `order` reduces crossings, `place` finds heights, `wrap` breaks a long strip
//! into rows, `route` draws the wires with what `path` knows of curves, `pack` puts unconnected parts
//! side by side.
//!
//! Cards never overlap and wires never cross a card: in a column a passing wire has a slot of its own.

mod bend;
mod layer;
mod order;
mod pack;
mod path;
mod place;
mod route;
#[cfg(test)]
mod tests;
mod wrap;

pub(crate) use layer::{Arrow, longest_path};

/// More bends than this mean a picture nobody can read.
pub(crate) const BENDS_MAX: usize = 12_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f32,
    pub(crate) y: f32,
}

#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) cards: usize,
    pub(crate) wires: &'a [Wire],
    /// The horizontal lane each card stays in, from 0; all in one when `framed` is false.
    pub(crate) lanes: &'a [usize],
    /// Lanes are drawn with a frame, and have room for its label.
    pub(crate) framed: bool,
    pub(crate) sizing: Sizing,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wire {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) critical: bool,
    /// Looks different from its neighbours, so it never shares a line with them.
    pub(crate) alone: bool,
    /// Points backwards, as the caller says.
    pub(crate) back: bool,
    /// Room for the label; 0 without one.
    pub(crate) label_width: f32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizing {
    pub(crate) card_width: f32,
    pub(crate) card_height: f32,
    /// Between cards of a column.
    pub(crate) row_gap: f32,
    /// Between wires that pass a column.
    pub(crate) bend_gap: f32,
    /// Between columns, at the least.
    pub(crate) column_gap: f32,
}

#[derive(Debug, Default)]
pub(crate) struct Drawing {
    /// The upper left corner of each card.
    pub(crate) corners: Vec<Point>,
    pub(crate) paths: Vec<Path>,
    /// The frame of each lane, if they are framed.
    pub(crate) frames: Vec<Frame>,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) wire: usize,
    pub(crate) start: Point,
    pub(crate) legs: Vec<Leg>,
    /// Ends at a card; otherwise it flows into a line drawn before.
    pub(crate) has_head: bool,
    /// Runs against the layers, so it closes a cycle.
    pub(crate) leftwards: bool,
    /// The middle of the label.
    pub(crate) label: Option<Point>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Leg {
    Line(Point),
    /// A cubic Bézier curve.
    Curve(Point, Point, Point),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) corner: Point,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

/// Returns the drawing, or nothing when it would need more than `bends_max` bends.
pub(crate) fn layout(plan: &Plan, bends_max: usize) -> Option<Drawing> {
    let mut bends_left = bends_max;
    if plan.framed {
        return arrange(plan, &mut bends_left);
    }
    let mut parts = Vec::new();
    for part in pack::parts(plan) {
        let drawing = arrange(&part.plan(plan), &mut bends_left)?;
        parts.push((part, drawing));
    }
    Some(pack::shelve(plan, parts))
}

fn arrange(plan: &Plan, bends_left: &mut usize) -> Option<Drawing> {
    let layers = layer::assign(plan);
    let mut strands = bend::thread(plan, &layers, *bends_left)?;
    *bends_left -= strands.bend_count();
    let lanes = order::lanes(plan);
    order::reduce_crossings(&mut strands, &lanes);
    let rows = place::rows(plan, &strands, &lanes);
    let grid = wrap::grid(plan, &strands, &rows.heights);
    Some(route::draw(plan, &strands, &rows, &grid))
}
