//! Lines with arrow heads, and the labels on them.

use std::fmt::Write;

use super::{Number, text_width};
use crate::layout::{Drawing, Leg, Path};
use crate::scene::{Line, Scene};
use crate::text::{fit, xml};

const LABEL_SIZE: f32 = 11.0;
const LABEL_CELLS_MAX: f32 = 18.0;

/// Returns how much room a label takes on its wire.
pub(super) fn label_width(label: &str) -> f32 {
    text_width(&fit(label, LABEL_CELLS_MAX), LABEL_SIZE) + 8.0
}

/// Writes all lines, critical ones on top.
pub(super) fn write(out: &mut String, scene: &Scene, drawing: &Drawing) {
    for critical in [false, true] {
        for path in &drawing.paths {
            let line = &scene.wires[path.wire];
            if line.critical == critical {
                write_path(out, path, line);
            }
        }
    }
}

pub(super) fn closes_cycle(path: &Path, line: &Line) -> bool {
    line.back || path.leftwards
}

fn write_path(out: &mut String, path: &Path, line: &Line) {
    let (class, head) = match (line.critical, closes_cycle(path, line), line.dashed) {
        (_, true, _) => ("wire cycle", "cycle"),
        (true, _, true) => ("wire critical dashed", "critical"),
        (true, _, false) => ("wire critical", "critical"),
        (false, _, true) => ("wire dashed", "plain"),
        (false, _, false) => ("wire", "plain"),
    };
    let _ = write!(out, "<path class=\"{class}\" d=\"");
    write_legs(out, path);
    out.push('"');
    if path.has_head {
        let _ = write!(out, " marker-end=\"url(#bell-head-{head})\"");
    }
    match &line.tooltip {
        Some(tooltip) => drop(writeln!(
            out,
            "><title>{}</title></path>",
            xml(&fit(tooltip, 200.0))
        )),
        None => out.push_str("/>\n"),
    }
}

fn write_legs(out: &mut String, path: &Path) {
    let mut at = path.start;
    let _ = write!(out, "M{} {}", Number(at.x), Number(at.y));
    for leg in &path.legs {
        let _ = match *leg {
            Leg::Line(to) if to.y == at.y => write!(out, "H{}", Number(to.x)),
            Leg::Line(to) => write!(out, "L{} {}", Number(to.x), Number(to.y)),
            Leg::Curve(a, b, to) => {
                let [ax, ay, bx, by, x, y] = [a.x, a.y, b.x, b.y, to.x, to.y].map(Number);
                write!(out, "C{ax} {ay} {bx} {by} {x} {y}")
            }
        };
        at = leg.end();
    }
}

pub(super) fn write_labels(out: &mut String, scene: &Scene, drawing: &Drawing) {
    for path in &drawing.paths {
        let (Some(at), Some(label)) = (path.label, &scene.wires[path.wire].label) else {
            continue;
        };
        let width = label_width(label);
        let [x, y, width_, text_y] = [at.x - width / 2.0, at.y - 8.0, width, at.y + 3.8].map(Number);
        let text = xml(&fit(label, LABEL_CELLS_MAX));
        let _ = writeln!(
            out,
            "<rect class=\"tag-back\" x=\"{x}\" y=\"{y}\" width=\"{width_}\" height=\"16\" rx=\"4\"/>\
             <text class=\"tag\" x=\"{}\" y=\"{text_y}\" text-anchor=\"middle\">{text}</text>",
            Number(at.x)
        );
    }
}
