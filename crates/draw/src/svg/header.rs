//! Title, counts and legend above the drawing.

use std::fmt::Write;

use super::wire::closes_cycle;
use super::{Number, text_width};
use crate::graph::Status;
use crate::layout::Drawing;
use crate::scene::Scene;
use crate::text::{fit, thousands, xml};

/// A legend wraps at the width of the drawing, but not below this.
const WIDTH_MIN: f32 = 420.0;
const ROW: f32 = 22.0;

#[derive(Debug)]
pub(super) struct Header {
    entries: Vec<Entry>,
    pub(super) width: f32,
    pub(super) height: f32,
}

#[derive(Debug)]
struct Entry {
    sign: Sign,
    text: String,
    x: f32,
    y: f32,
}

#[derive(Debug)]
enum Sign {
    Dot(Status),
    Line(&'static str),
}

impl Header {
    pub(super) fn new(scene: &Scene, drawing: &Drawing) -> Self {
        let subtitle_width = text_width(&scene.subtitle, 12.0);
        let width_max = drawing.width.max(WIDTH_MIN).max(subtitle_width);
        let mut y = if scene.title.is_some() { 50.0 } else { 24.0 };
        let (mut x, mut width) = (0.0_f32, subtitle_width.max(WIDTH_MIN.min(drawing.width)));
        let mut entries = Vec::new();
        for (sign, text) in signs(scene, drawing) {
            let entry_width =
                text_width(&text, 12.0) + if matches!(sign, Sign::Dot(_)) { 18.0 } else { 34.0 };
            if x > 0.0 && x + entry_width > width_max {
                (x, y) = (0.0, y + ROW);
            }
            entries.push(Entry {
                sign,
                text,
                x,
                y: y + 14.0,
            });
            x += entry_width + 18.0;
            width = width.max(x - 18.0);
        }
        let height = if entries.is_empty() {
            y + 8.0
        } else {
            y + ROW + 22.0
        };
        Self {
            entries,
            width,
            height,
        }
    }

    pub(super) fn write(&self, out: &mut String, scene: &Scene) {
        let mut y = 11.0;
        if let Some(title) = &scene.title {
            let title = xml(&fit(title, (self.width.max(WIDTH_MIN) / 11.5).max(40.0)));
            let _ = writeln!(out, "<text class=\"title\" y=\"15\">{title}</text>");
            y = 37.0;
        }
        let _ = writeln!(
            out,
            "<text class=\"legend\" y=\"{y}\">{}</text>",
            xml(&scene.subtitle)
        );
        for entry in &self.entries {
            let (x, y) = (Number(entry.x), Number(entry.y));
            let _ = write!(out, "<g transform=\"translate({x} {y})\">");
            let text_x = match entry.sign {
                Sign::Dot(status) => {
                    let word = status.word();
                    let _ = write!(out, "<use class=\"{word}\" href=\"#bell-{word}\" x=\"7\"/>");
                    18
                }
                Sign::Line(class) => {
                    let _ = write!(out, "<path class=\"wire {class}\" d=\"M0 0H28\"/>");
                    34
                }
            };
            let _ = writeln!(
                out,
                "<text class=\"legend\" x=\"{text_x}\" y=\"4.2\">{}</text></g>",
                xml(&entry.text)
            );
        }
    }
}

/// Returns what needs explaining: only what occurs.
fn signs(scene: &Scene, drawing: &Drawing) -> Vec<(Sign, String)> {
    let statuses = scene
        .tally
        .present()
        .filter(|(status, _)| *status != Status::None);
    let mut signs: Vec<(Sign, String)> = statuses
        .map(|(status, count)| {
            (
                Sign::Dot(status),
                format!("{} {}", status.word(), thousands(count)),
            )
        })
        .collect();
    let lines: Vec<_> = drawing
        .paths
        .iter()
        .map(|path| (path, &scene.wires[path.wire]))
        .collect();
    if scene.cards.iter().any(|card| card.critical) || lines.iter().any(|(_, line)| line.critical) {
        signs.push((Sign::Line("critical"), "critical path".to_owned()));
    }
    if lines
        .iter()
        .any(|(path, line)| line.dashed && !closes_cycle(path, line))
    {
        signs.push((Sign::Line("dashed"), "conditional".to_owned()));
    }
    if lines.iter().any(|(path, line)| closes_cycle(path, line)) {
        signs.push((Sign::Line("cycle"), "closes a cycle".to_owned()));
    }
    signs
}
