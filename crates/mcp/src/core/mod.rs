//! The tools of an agent that works: take a task, say how it goes, end it, leave more work, ask.

mod add;
mod ask;
mod claim;
mod finish;
mod why;

use crate::tool::Tool;

pub(crate) use add::{admit, first_line, text_of};
pub(crate) use finish::document;

pub(crate) const TOOLS: &[Tool] = &[
    claim::TOOL,
    finish::START,
    finish::PROGRESS,
    finish::COMPLETE,
    finish::FAIL,
    finish::RELEASE,
    add::ADD,
    add::SUBTASKS,
    ask::TOOL,
    why::TOOL,
];
