//! The graph as a picture that needs nothing but itself.

mod card;
mod header;
mod style;
mod wire;

use std::fmt::Write;

use crate::fold::fold;
use crate::graph::Graph;
use crate::layout::{BENDS_MAX, Drawing, Plan, Sizing, Wire, layout};
use crate::scene::{Scale, Scene};
use crate::text::{cells, fit, xml};
use card::Face;

const MARGIN: f32 = 28.0;

/// Returns the graph as an SVG document below 3 MB, whatever the size of the graph.
///
/// Up to 150 nodes are drawn as full cards, up to 2,000 (and 8,000 edges) as compact ones. Larger or
/// hopelessly tangled graphs are folded: a box for each cluster or, without clusters, for each layer
/// or run of layers, 60 at most. No scripts, no external resources; follows the reader's light or
/// dark preference.
pub fn svg(graph: &Graph) -> String {
    let (scene, face, drawing) = arrange(graph);
    let header = header::Header::new(&scene, &drawing);
    let width = header.width.max(drawing.width) + 2.0 * MARGIN;
    let height = header.height + drawing.height + 2.0 * MARGIN;
    let name = xml(&fit(scene.title.as_deref().unwrap_or("graph"), 120.0));
    let subtitle = xml(&scene.subtitle);

    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"bell-graph\" role=\"img\" aria-label=\"{name}: {subtitle}\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">",
        width = width.ceil(),
        height = height.ceil(),
    );
    let _ = writeln!(out, "<title>{name}: {subtitle}</title>");
    style::write(&mut out, &scene);
    let _ = writeln!(out, "<rect class=\"page\" width=\"100%\" height=\"100%\"/>");
    let _ = writeln!(out, "<g transform=\"translate({MARGIN} {MARGIN})\">");
    header.write(&mut out, &scene);
    let _ = writeln!(out, "</g>");
    let _ = writeln!(
        out,
        "<g transform=\"translate({MARGIN} {})\">",
        Number(MARGIN + header.height)
    );
    write_frames(&mut out, &scene, &drawing);
    wire::write(&mut out, &scene, &drawing);
    for (card, &corner) in scene.cards.iter().zip(&drawing.corners) {
        face.write(&mut out, card, corner);
    }
    wire::write_labels(&mut out, &scene, &drawing);
    out.push_str("</g>\n</svg>\n");
    out
}

fn arrange(graph: &Graph) -> (Scene, Face, Drawing) {
    if let Some(scene) = Scene::of(graph) {
        let face = Face::of(&scene);
        if let Some(drawing) = layout(&plan(&scene, &face, &wires(&scene)), BENDS_MAX) {
            return (scene, face, drawing);
        }
    }
    let scene = fold(graph);
    let face = Face::of(&scene);
    let drawing = layout(&plan(&scene, &face, &wires(&scene)), usize::MAX).expect("bends are not limited");
    (scene, face, drawing)
}

fn plan<'a>(scene: &'a Scene, face: &Face, wires: &'a [Wire]) -> Plan<'a> {
    let (row_gap, bend_gap, column_gap) = match scene.scale {
        Scale::Full => (18.0, 12.0, 56.0),
        Scale::Compact => (9.0, 7.0, 48.0),
        Scale::Summary => (20.0, 10.0, 56.0),
    };
    let sizing = Sizing {
        card_width: face.width,
        card_height: face.height,
        row_gap,
        bend_gap,
        column_gap,
    };
    Plan {
        cards: scene.cards.len(),
        wires,
        lanes: &scene.lanes,
        framed: scene.is_framed(),
        sizing,
    }
}

fn wires(scene: &Scene) -> Vec<Wire> {
    let wire = |line: &crate::scene::Line| Wire {
        from: line.from,
        to: line.to,
        critical: line.critical,
        alone: line.dashed || line.back || line.label.is_some(),
        back: line.back,
        label_width: line.label.as_deref().map_or(0.0, wire::label_width),
    };
    scene.wires.iter().map(wire).collect()
}

fn write_frames(out: &mut String, scene: &Scene, drawing: &Drawing) {
    for (frame, label) in drawing.frames.iter().zip(&scene.lane_labels) {
        let Some(label) = label else { continue };
        let [x, y, width, height] = [frame.corner.x, frame.corner.y, frame.width, frame.height].map(Number);
        let _ = write!(out, "<g><title>{}</title>", xml(&crate::text::head(label, 200)));
        let _ = write!(
            out,
            "<rect class=\"frame\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>"
        );
        let label = xml(&fit(label, (frame.width - 26.0) / (11.0 * CELL)));
        let (x, y) = (Number(frame.corner.x + 14.0), Number(frame.corner.y + 18.0));
        let _ = writeln!(
            out,
            "<text class=\"frame-label\" x=\"{x}\" y=\"{y}\">{label}</text></g>"
        );
    }
}

/// How wide a cell of text is, as a part of the font size.
const CELL: f32 = 0.61;

/// Returns the estimated width of a text in pixels.
fn text_width(text: &str, font_size: f32) -> f32 {
    cells(text) * font_size * CELL
}

/// A coordinate with at most one decimal.
#[derive(Debug, Clone, Copy)]
struct Number(f32);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole}"),
            (0, tenth) if tenth < 0 => write!(f, "-.{}", -tenth),
            (0, tenth) => write!(f, ".{tenth}"),
            (whole, tenth) => write!(f, "{whole}.{}", tenth.abs()),
        }
    }
}
