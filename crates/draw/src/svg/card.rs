//! A card: stripe and dot in the colour of its status, label, sublabel, and for boxes of many nodes
//! a bar with the share of each status.

use std::fmt::Write;

use super::{CELL, Number, text_width};
use crate::graph::Status;
use crate::layout::Point;
use crate::scene::{Card, Scale, Scene};
use crate::text::{fit, xml};

const LABEL_SIZE: f32 = 13.0;
const LABEL_SIZE_COMPACT: f32 = 11.5;
const SUBLABEL_SIZE: f32 = 11.0;
/// Boxes of many nodes have a bar in place of a dot.
const GROUP_TEXT_X: f32 = 14.0;
/// A share never gets thinner than this, so one failure in a million is seen.
const SHARE_MIN: f32 = 3.0;

/// The measures all cards of a picture have in common.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) width: f32,
    pub(super) height: f32,
    scale: Scale,
    text_x: f32,
    shows_status: bool,
}

impl Face {
    pub(super) fn of(scene: &Scene) -> Self {
        let shows_status = scene.tally.has_statuses();
        let has_sublabels = scene.cards.iter().any(|card| card.sublabel.is_some());
        let (height, text_x, width_min, width_max) = match scene.scale {
            Scale::Compact => (26.0, if shows_status { 30.0 } else { 10.0 }, 84.0, 190.0),
            Scale::Summary if shows_status => (62.0, 36.0, 150.0, 240.0),
            _ => (
                if has_sublabels { 50.0 } else { 36.0 },
                if shows_status { 36.0 } else { 14.0 },
                100.0,
                240.0,
            ),
        };
        let mut face = Self {
            width: width_max,
            height,
            scale: scene.scale,
            text_x,
            shows_status,
        };
        let content = |card: &Card| {
            let sublabel = card.sublabel.as_deref().filter(|_| scene.scale != Scale::Compact);
            let sublabel_width = sublabel.map_or(0.0, |text| text_width(text, SUBLABEL_SIZE));
            text_width(&fit(&card.label, 60.0), face.label_size()).max(sublabel_width) + face.text_x + 14.0
        };
        let widest = scene.cards.iter().map(content).fold(width_min, f32::max);
        face.width = widest.min(width_max).ceil();
        face
    }

    fn label_size(&self) -> f32 {
        if self.scale == Scale::Compact {
            LABEL_SIZE_COMPACT
        } else {
            LABEL_SIZE
        }
    }

    pub(super) fn write(&self, out: &mut String, card: &Card, corner: Point) {
        let status = card.status();
        let mut class = status.unwrap_or_default().word().to_owned();
        for (word, applies) in [
            ("critical", card.critical),
            ("small", self.scale == Scale::Compact),
        ] {
            if applies {
                class.push(' ');
                class.push_str(word);
            }
        }
        let (x, y) = (Number(corner.x), Number(corner.y));
        let tooltip: Vec<String> = card.tooltip.split('\n').map(xml).collect();
        let _ = write!(
            out,
            "<g class=\"{class}\" transform=\"translate({x} {y})\"><title>{}</title>",
            tooltip.join("\n")
        );
        let (width, height) = (Number(self.width), Number(self.height));
        let _ = write!(
            out,
            "<rect class=\"card\" width=\"{width}\" height=\"{height}\" rx=\"{}\"/>",
            self.radius()
        );
        if self.shows_status {
            self.write_status(out, card, status);
        }
        self.write_text(out, card);
        out.push_str("</g>\n");
    }

    fn radius(&self) -> f32 {
        if self.scale == Scale::Compact { 6.0 } else { 9.0 }
    }

    fn write_status(&self, out: &mut String, card: &Card, status: Option<Status>) {
        if let Some(status) = status {
            let inset = if self.scale == Scale::Compact { 5.0 } else { 9.0 };
            let height = Number(self.height - 2.0 * inset);
            let _ = write!(
                out,
                "<rect class=\"stripe\" x=\"4\" y=\"{inset}\" width=\"3.5\" height=\"{height}\" rx=\"1.7\"/>"
            );
            let x = if self.scale == Scale::Compact { 18.0 } else { 22.0 };
            let y = if self.scale == Scale::Summary {
                25.0
            } else {
                self.height / 2.0
            };
            if status != Status::None {
                let _ = write!(
                    out,
                    "<use href=\"#bell-{}\" x=\"{x}\" y=\"{}\"/>",
                    status.word(),
                    Number(y)
                );
            }
        }
        if status.is_none() {
            self.write_shares(out, card);
        }
    }

    fn write_shares(&self, out: &mut String, card: &Card) {
        let room = self.width - 2.0 * GROUP_TEXT_X;
        let shares: Vec<(Status, f32)> = card
            .tally
            .present()
            .map(|(status, count)| {
                (
                    status,
                    (room * count as f32 / card.tally.total() as f32).max(SHARE_MIN),
                )
            })
            .collect();
        let shrink = room / shares.iter().map(|(_, width)| width).sum::<f32>();
        let mut x = GROUP_TEXT_X;
        for (status, width) in shares {
            let width = width * shrink;
            let (from, size) = (Number(x), Number((width - 1.0).max(1.0)));
            let word = status.word();
            let _ = write!(
                out,
                "<rect class=\"share {word}\" x=\"{from}\" y=\"46\" width=\"{size}\" height=\"6\" rx=\"1\"/>"
            );
            x += width;
        }
    }

    fn write_text(&self, out: &mut String, card: &Card) {
        let x = if card.status().is_some() {
            self.text_x
        } else {
            GROUP_TEXT_X
        };
        let room = self.width - x - 12.0;
        let size = self.label_size();
        let label = xml(&fit(&card.label, room / (size * CELL)));
        let sublabel = card.sublabel.as_ref().filter(|_| self.scale != Scale::Compact);
        let y = if sublabel.is_some() {
            21.0
        } else {
            self.height / 2.0 + size * 0.35
        };
        let _ = write!(
            out,
            "<text class=\"label\" x=\"{x}\" y=\"{}\">{label}</text>",
            Number(y)
        );
        if let Some(sublabel) = sublabel {
            let sublabel = xml(&fit(sublabel, room / (SUBLABEL_SIZE * CELL)));
            let _ = write!(out, "<text class=\"sub\" x=\"{x}\" y=\"38\">{sublabel}</text>");
        }
    }
}
