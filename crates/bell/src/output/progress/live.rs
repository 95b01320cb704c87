//! A run as a view that is drawn anew: a bar, the counts, and what is running.

use std::time::Duration;

use domain::event::Kind;
use domain::run::Run;
use domain::store::Seen;
use domain::task::state::State;
use domain::time::{Timestamp, show_duration};
use engine::follow::{Running, Snapshot};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lines::Lines;
use crate::output::table::{cut, one_line};
use crate::output::theme::{self, paint};

/// What is done sooner needs no view.
const PATIENCE: Duration = Duration::from_millis(250);
/// Draws in a second, at the most.
const RATE: u8 = 10;
/// Of a terminal that does not say how wide it is.
const WIDTH: usize = 80;
/// Running tasks shown: more do not fit a terminal.
const SHOWN: usize = 12;

#[derive(Debug)]
pub(crate) struct Live {
    bar: ProgressBar,
    lines: Lines,
    jobs: usize,
    colours: bool,
}

impl Live {
    pub(super) fn new(jobs: usize, colours: bool) -> Live {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(RATE));
        bar.set_style(
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        Live {
            bar,
            lines: Lines::default(),
            jobs: jobs.min(SHOWN),
            colours,
        }
    }

    pub(super) fn update(&mut self, events: &[Seen], snapshot: &Snapshot, now: Timestamp) {
        for seen in events {
            let line = self.lines.line(seen);
            // What went well is in the counts; what did not stays readable above them.
            let went_well = matches!(seen.event.fact.kind, Kind::TaskEntered(State::Completed));
            if let Some(line) = line.filter(|_| !went_well) {
                self.say(&line);
            }
        }
        if snapshot.elapsed < PATIENCE || snapshot.run.finished_at.is_some() {
            return;
        }
        let width = crate::output::width(std::io::stderr()).unwrap_or(WIDTH);
        let text = view(snapshot, now, self.jobs, width);
        self.bar.set_message(self.painted(&text));
        self.bar.tick();
    }

    /// Puts text above the view.
    pub(super) fn say(&self, text: &str) {
        self.bar.println(self.painted(text.trim_end()));
    }

    /// The text, with colours where they are wanted.
    fn painted(&self, text: &str) -> String {
        match self.colours {
            true => text.to_owned(),
            false => anstream::adapter::strip_str(text).to_string(),
        }
    }

    /// A handle on what is drawn.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// The whole view for one moment.
fn view(snapshot: &Snapshot, now: Timestamp, jobs: usize, width: usize) -> String {
    let mut text = format!("{}\n{}", bar(&snapshot.run, width), figures(snapshot));
    for running in snapshot.running.iter().take(jobs) {
        text += &format!("\n{}", one(running, now, width));
    }
    match snapshot.running.len().saturating_sub(jobs) {
        0 => text,
        more => format!("{text}\n  and {more} more"),
    }
}

/// Columns of the bar itself.
const BAR: usize = 40;

fn bar(run: &Run, width: usize) -> String {
    let total = run.counts.total();
    let done = total - run.counts.open();
    let columns = BAR.min(width / 2).max(1);
    let filled = (done * columns as u64).checked_div(total).unwrap_or(0) as usize;
    let full = paint(theme::GOOD, &"━".repeat(filled));
    let rest = paint(theme::DIM, &"─".repeat(columns - filled));
    format!("{full}{rest} {done}/{total}")
}

fn figures(snapshot: &Snapshot) -> String {
    let shown = [
        State::Running,
        State::Ready,
        State::Blocked,
        State::Retrying,
        State::Awaiting,
        State::Suspended,
        State::Failed,
    ];
    let counts = &snapshot.run.counts;
    let mut parts: Vec<String> = shown
        .into_iter()
        .filter(|state| counts.of(*state) > 0)
        .map(|state| format!("{} {} {state}", theme::state_sign(state), counts.of(state)))
        .collect();
    parts.push(show_duration(snapshot.elapsed));
    if snapshot.critical_path_left > Duration::ZERO {
        parts.push(format!(
            "critical path {}",
            show_duration(snapshot.critical_path_left)
        ));
    }
    if let Some(eta) = snapshot.eta {
        parts.push(format!("ETA {}", show_duration(eta)));
    }
    parts.join("  ")
}

fn one(running: &Running, now: Timestamp, width: usize) -> String {
    let again = match running.attempt {
        1 => String::new(),
        attempt => format!("  attempt {attempt}"),
    };
    let took = show_duration(now.since(running.since));
    let name = cut(&one_line(&running.name), width.saturating_sub(26).max(8));
    format!("  {} {name}  {took}{again}", theme::state_sign(State::Running))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::{RunId, TaskId};
    use domain::run::{Counts, RunNo, RunState};

    #[test]
    fn the_view_has_a_bar_the_counts_and_what_is_running() {
        let mut counts = Counts::default();
        for state in [
            State::Completed,
            State::Completed,
            State::Running,
            State::Failed,
            State::Blocked,
        ] {
            counts.add(state);
        }
        let running = |name: &str, attempt, since| Running {
            id: TaskId::new(name).unwrap(),
            name: name.to_owned(),
            attempt,
            since: Timestamp(since),
        };
        let snapshot = Snapshot {
            run: Run {
                no: RunNo(1),
                id: RunId(uuid::Uuid::nil()),
                plan: "release".into(),
                digest: [0; 32],
                state: RunState::Active,
                counts,
                skipped: 0,
                submitted_at: Timestamp(0),
                finished_at: None,
            },
            running: vec![
                running("test", 2, 48_000),
                running(&"long".repeat(20), 1, 0),
                running("third", 1, 0),
            ],
            elapsed: Duration::from_secs(62),
            critical_path_left: Duration::from_secs(30),
            eta: Some(Duration::from_secs(95)),
        };
        let text = view(&snapshot, Timestamp(60_500), 2, 60);
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        ━━━━━━━━━━━━━━━━━━──────────── 3/5
        ● 1 running  ◌ 1 blocked  ✗ 1 failed  1m02s  critical path 30.0s  ETA 1m35s
          ● test  12.5s  attempt 2
          ● longlonglonglonglonglonglonglongl…  1m00s
          and 1 more
        ");
    }
}
