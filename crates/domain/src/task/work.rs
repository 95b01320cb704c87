//! What a task does.

use serde::{Deserialize, Serialize};

use super::each::{Each, NAME};
use super::spec::Json;
use crate::id::Kind;

/// How the work is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// One line for `sh -c`.
    Shell(String),
    /// A program and its arguments, without a shell.
    Argv(Vec<String>),
    /// Text for an agent, or for whoever claims the task.
    Prompt(String),
    /// A function registered with the engine that runs in the caller's own process.
    Handler(String),
    /// A stop for a person; the text names what is asked.
    Breakpoint(String),
    /// A call of an HTTP endpoint.
    Http(Json),
    /// A wait for a file, an endpoint or a signal.
    Wait(Json),
    /// One subtask for each item of a list: an [`Each`] as JSON.
    Each(Json),
}

impl Work {
    pub const NAMES: [&str; 7] = ["command", "agent", "handler", "breakpoint", "http", "wait", NAME];
    /// What takes no slot of real work: it waits, or is done within a moment.
    pub const BESIDE: [&str; 2] = ["wait", NAME];

    pub fn name(&self) -> &'static str {
        match self {
            Work::Shell(_) | Work::Argv(_) => "command",
            Work::Prompt(_) => "agent",
            Work::Handler(_) => "handler",
            Work::Breakpoint(_) => "breakpoint",
            Work::Http(_) => "http",
            Work::Wait(_) => "wait",
            Work::Each(_) => NAME,
        }
    }

    /// What there is to do, in words.
    pub fn text(&self) -> String {
        match self {
            Work::Shell(text) | Work::Prompt(text) | Work::Breakpoint(text) | Work::Handler(text) => {
                text.clone()
            }
            Work::Argv(argv) => argv.join(" "),
            Work::Http(json) | Work::Wait(json) => json.get().to_owned(),
            Work::Each(json) => match serde_json::from_str::<Each>(json.get()) {
                Ok(each) => format!("{} (for each of {})", each.task.work.text(), each.over),
                Err(_) => json.get().to_owned(),
            },
        }
    }

    pub(super) fn default_kind(&self) -> Kind {
        Kind::new(self.name()).expect("executor names are kinds")
    }
}
