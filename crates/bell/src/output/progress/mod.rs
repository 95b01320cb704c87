//! A run while it happens: a live view on terminals, a line per change elsewhere, or events for programs.
//!
//! What to show is made by pure functions over the engine's [`Snapshot`] and events; the rest only puts it where it
//! belongs: what is on its way goes to stderr, JSON lines are data and go to stdout.

mod lines;
mod live;

use std::io::IsTerminal;

use domain::event::Kind;
use domain::store::{Seen, View};
use domain::time::Timestamp;
use engine::follow::Snapshot;
use indicatif::ProgressBar;

use self::lines::Lines;
use self::live::Live;
use super::Ui;
use crate::error::Result;

/// Waiting tasks told of when a run goes on; the rest is a command away.
const STANDING: usize = 20;

#[derive(Debug)]
pub(crate) enum Progress {
    Live(Live),
    Lines(Ui, Lines),
    Json(Ui),
    Silent,
}

/// Says a line without disturbing what is drawn.
#[derive(Clone, Debug)]
pub(crate) enum Teller {
    /// Above the view.
    Live(ProgressBar),
    Plain(Ui),
    Silent,
}

impl Teller {
    /// Where nothing is drawn.
    pub(crate) fn new(ui: &Ui, quiet: bool) -> Teller {
        match quiet || ui.json {
            true => Teller::Silent,
            false => Teller::Plain(ui.clone()),
        }
    }

    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Teller::Silent)
    }

    pub(crate) fn say(&self, line: &str) {
        match self {
            Teller::Live(bar) => bar.println(line),
            // Nobody is left to be told that telling failed.
            Teller::Plain(ui) => drop(ui.note(&format!("{line}\n"))),
            Teller::Silent => {}
        }
    }
}

impl Progress {
    /// `jobs` bounds how many tasks are shown as running.
    pub(crate) fn new(ui: Ui, jobs: usize, quiet: bool) -> Progress {
        match (ui.json, std::io::stderr().is_terminal()) {
            (true, _) => Progress::Json(ui),
            _ if quiet => Progress::Silent,
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
            Progress::Silent => {}
        }
        Ok(())
    }

    /// Tells what waits for somebody already, so that no event will tell of it.
    pub(crate) fn standing(&self, views: &[View], now: Timestamp) -> Result<()> {
        let mut text: String = views
            .iter()
            .take(STANDING)
            .map(|view| lines::standing(view, now))
            .collect();
        if views.len() > STANDING {
            text += &format!(
                "and {} more; `bell breakpoint list` shows what asks\n",
                views.len() - STANDING
            );
        }
        match self {
            _ if text.is_empty() => Ok(()),
            Progress::Live(live) => {
                live.say(&text);
                Ok(())
            }
            Progress::Lines(ui, _) => ui.note(&text),
            Progress::Json(_) | Progress::Silent => Ok(()),
        }
    }

    /// Whether people are told anything before the end.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self, Progress::Live(_) | Progress::Lines(..))
    }

    /// What lets others say something in between; silent where nothing but data is wanted.
    pub(crate) fn teller(&self) -> Teller {
        match self {
            Progress::Live(live) => Teller::Live(live.bar()),
            Progress::Lines(ui, _) => Teller::Plain(ui.clone()),
            Progress::Json(_) | Progress::Silent => Teller::Silent,
        }
    }

    /// Leaves the terminal as if nothing had been there.
    pub(crate) fn clear(&mut self) {
        if let Progress::Live(live) = self {
            live.clear();
        }
    }
}
