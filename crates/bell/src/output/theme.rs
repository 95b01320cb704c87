//! Colours and signs. Everything can be read without colour.

use anstyle::{AnsiColor, Style};
use domain::run::RunState;
use domain::task::state::{Reason, State};

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
pub(crate) const BUSY: Style = AnsiColor::Blue.on_default().bold();
pub(crate) const ASKS: Style = AnsiColor::Magenta.on_default().bold();

pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The sign and style of a state.
fn sign(state: State) -> (&'static str, Style) {
    match state {
        State::Pending => ("◷", DIM),
        State::Blocked => ("◌", DIM),
        State::Ready => ("○", PLAIN),
        State::Assigned => ("◔", BUSY),
        State::Running => ("●", BUSY),
        State::Suspended => ("‖", WARN),
        State::Awaiting => ("?", ASKS),
        State::Retrying => ("↻", WARN),
        State::Completed => ("✓", GOOD),
        State::Failed => ("✗", BAD),
        State::Cancelled => ("⊘", DIM),
    }
}

/// What people read of a task that was not needed.
pub(crate) const SKIPPED: &str = "skipped";

/// The state in words; a task that was not needed is shown as skipped.
pub(crate) fn word(state: State, reason: Option<Reason>) -> &'static str {
    match state.is_skipped(reason) {
        true => SKIPPED,
        false => state.as_str(),
    }
}

/// Sign and word, and the style for both.
pub(crate) fn state(state: State, reason: Option<Reason>) -> (String, Style) {
    let (sign, style) = sign(state);
    (format!("{sign} {}", word(state, reason)), style)
}

/// The sign alone.
pub(crate) fn state_sign(state: State) -> String {
    let (sign, style) = sign(state);
    paint(style, sign)
}

pub(crate) fn state_text(is: State, reason: Option<Reason>) -> String {
    let (text, style) = state(is, reason);
    paint(style, &text)
}

pub(crate) fn run_state(state: RunState) -> (String, Style) {
    let (sign, style) = match state {
        RunState::Active => ("●", BUSY),
        RunState::Succeeded => ("✓", GOOD),
        RunState::Failed => ("✗", BAD),
        RunState::Cancelled => ("⊘", DIM),
    };
    (format!("{sign} {}", state.as_str()), style)
}
