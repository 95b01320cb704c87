//! `docs/states.md`: the states of a task, every move between them, and what other systems call them.

use std::fmt::Write as _;

use domain::task::state::{FIRST, MOVES, State, diagram};

use State::{
    Assigned, Awaiting, Blocked, Cancelled, Completed, Failed, Pending, Ready, Retrying, Running, Suspended,
};

fn meaning(state: State) -> &'static str {
    match state {
        Pending => "Not before its `run_at`.",
        Blocked => "Waits for other tasks: for its edges, or as a parent for its children.",
        Ready => "Could be handed out now, unless it is parked under a lock or a limit.",
        Assigned => "Leased, not started.",
        Running => "Leased and started.",
        Suspended => "Stopped by a user. An attempt under way keeps its lease, its slot and its locks.",
        Awaiting => "Waits for a person.",
        Retrying => "An attempt failed; waits until its back-off is over.",
        Completed => "Done.",
        Failed => "No attempt is left, or none would help. May stand in the dead letters.",
        Cancelled => "Will not be done; the reason tells why.",
    }
}

/// What an earlier system's word covers.
struct Word {
    system: &'static str,
    word: &'static str,
    states: &'static [State],
    note: &'static str,
}

const fn word(system: &'static str, word: &'static str, states: &'static [State]) -> Word {
    noted(system, word, states, "")
}

const fn noted(
    system: &'static str,
    word: &'static str,
    states: &'static [State],
    note: &'static str,
) -> Word {
    Word {
        system,
        word,
        states,
        note,
    }
}

/// Words that differ from ours, or cover more than one state.
const WORDS: &[Word] = &[
    word("B", "queued", &[Ready]),
    noted(
        "C",
        "pending",
        &[Pending, Blocked, Ready, Retrying, Suspended, Awaiting],
        "polling offers only ready ones",
    ),
    word("C", "failed", &[Failed, Cancelled]),
    word("D", "pending", &[Pending, Blocked]),
    word("D", "blocked", &[Awaiting]),
    word(
        "E",
        "pending",
        &[Pending, Blocked, Ready, Retrying, Suspended, Awaiting],
    ),
    word("E", "processing", &[Assigned, Running]),
    noted("E", "dead_letter", &[Failed], "with the dead-letter flag"),
];

pub(super) fn page() -> String {
    let mut page = super::head("States of a task", "`crates/domain/src/task/state.rs`");
    page += "\nOne table allows every move; all else (the picture below, the refusal that names what is allowed, \
             the events) is derived from it. A refused move changes nothing.\n\n";
    page += "| state | what it means | may become |\n|---|---|---|\n";
    for state in State::ALL {
        let next = names(state.next());
        let next = if next.is_empty() { "–" } else { &next };
        let _ = writeln!(page, "| `{state}` | {} | {next} |", meaning(state));
    }
    let _ = writeln!(
        page,
        "\nA new task is stored as {}. Entering a state is an event named `task.STATE`.",
        names(FIRST.iter().copied())
    );
    let _ = write!(page, "\n```mermaid\n{}```\n", diagram());
    page += "\n## Every move\n\n| from | to | when |\n|---|---|---|\n";
    for (from, to, when) in MOVES {
        let _ = writeln!(page, "| {from} | {to} | {when} |");
    }
    page += "\n## What others call them\n\nFive earlier systems, here A to E, are covered by this table. Where \
             one of them uses a word differently, this is what it stands for; words that are missing here mean \
             the same.\n\n| system | word | states |\n|---|---|---|\n";
    for word in WORDS {
        let states = names(word.states.iter().copied());
        let note = if word.note.is_empty() {
            String::new()
        } else {
            format!(" ({})", word.note)
        };
        let _ = writeln!(page, "| {} | {} | {states}{note} |", word.system, word.word);
    }
    page
}

fn names(states: impl Iterator<Item = State>) -> String {
    states.map(State::as_str).collect::<Vec<_>>().join(", ")
}
