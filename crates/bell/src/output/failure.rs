//! What people read of a failure.

use domain::task::state::Reason;

use super::table::one_line;

/// The error; where there is none, the reason in words. An error of a task that was lost is that of a try before.
pub(crate) fn text(error: Option<&str>, reason: Option<Reason>) -> &str {
    error
        .filter(|error| !error.trim().is_empty() && reason != Some(Reason::Lost))
        .unwrap_or_else(|| reason.map_or("nobody has said why", words))
}

/// The same in one line.
pub(crate) fn line(error: Option<&str>, reason: Option<Reason>) -> String {
    last_line(text(error, reason))
}

fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::Lost => "lost with its worker too often",
        // An attempt that has timed out has an error, an answer that has not come has none.
        Reason::Timeout => "nobody answered in time",
        Reason::Rejected => "rejected",
        Reason::Exhausted => "all its tries have failed",
        Reason::NotRetryable => "it was not worth another try",
        reason => reason.as_str(),
    }
}

/// Where an error usually says what it was.
pub(crate) fn last_line(text: &str) -> String {
    one_line(
        text.lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or_default(),
    )
}
