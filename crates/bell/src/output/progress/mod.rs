//! A run while it happens: a live view on terminals, a line per change elsewhere, or events for programs.
//!
//! What to show is made by pure functions over the engine's [`Snapshot`] and events; the rest only puts it where it
//! belongs: what is on its way goes to stderr, JSON lines are data and go to stdout.

mod lines;
mod live;

use std::io::IsTerminal;

use domain::event::Kind;
use domain::store::Seen;
use domain::time::Timestamp;
use engine::follow::Snapshot;

use self::lines::Lines;
pub(crate) use self::lines::last_line;
use self::live::Live;
use super::Ui;
use crate::error::Result;

#[derive(Debug)]
pub(crate) enum Progress {
    Live(Live),
    Lines(Ui, Lines),
    Json(Ui),
}

impl Progress {
    /// `jobs` bounds how many tasks are shown as running.
    pub(crate) fn new(ui: Ui, jobs: usize) -> Progress {
        match (ui.json, std::io::stderr().is_terminal()) {
            (true, _) => Progress::Json(ui),
            (false, true) => Progress::Live(Live::new(jobs, ui.colours_stderr())),
            (false, false) => Progress::Lines(ui, Lines::default()),
        }
    }

    pub(crate) fn update(&mut self, events: &[Seen], snapshot: &Snapshot, now: Timestamp) -> Result<()> {
        match self {
            Progress::Live(live) => live.update(events, snapshot, now),
            Progress::Lines(ui, lines) => {
                let text: String = events.iter().filter_map(|seen| lines.line(seen)).collect();
                if text.is_empty() {
                    return Ok(());
                }
                return ui.note(&text);
            }
            Progress::Json(ui) => {
                // The last line tells of the end, with the counts of the whole run.
                for seen in events
                    .iter()
                    .filter(|seen| seen.event.fact.kind != Kind::RunFinished)
                {
                    ui.json_line(&api::event::Event::from(seen.clone()))?;
                }
            }
        }
        Ok(())
    }

    /// Leaves the terminal as if nothing had been there.
    pub(crate) fn clear(&mut self) {
        if let Progress::Live(live) = self {
            live.clear();
        }
    }
}
