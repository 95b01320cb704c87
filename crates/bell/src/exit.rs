//! Exit statuses: part of the contract with scripts, never renumbered.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    /// Done.
    pub(crate) const DONE: Exit = Exit(0);
    /// A task failed, or the answer is no.
    pub(crate) const NO: Exit = Exit(1);
    /// Bad usage or bad input, an unknown id too.
    pub(crate) const USAGE: Exit = Exit(2);
    /// Only a person or an agent can go on.
    pub(crate) const WAITS: Exit = Exit(3);
    /// Interrupted; state is kept.
    pub(crate) const INTERRUPTED: Exit = Exit(130);
    // 4 (store or server out of reach) comes from `Code::kind`.

    pub(crate) fn of(answer: bool) -> Exit {
        if answer { Exit::DONE } else { Exit::NO }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.0)
    }
}
