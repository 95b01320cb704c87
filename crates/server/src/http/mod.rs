//! Every operation.

mod agent;
mod control;
mod health;
mod lease;
mod look;
mod observe;
mod plan;
mod project;
mod rule;
mod run;
mod store;
mod task;
mod team;
mod token;

use crate::op::Op;

pub(crate) fn ops() -> Vec<Op> {
    let rooms = [
        task::ops(),
        lease::ops(),
        run::ops(),
        plan::ops(),
        look::ops(),
        control::ops(),
        rule::ops(),
        agent::ops(),
        team::ops(),
        project::ops(),
        token::ops(),
        store::ops(),
        observe::ops(),
        health::ops(),
    ];
    rooms.into_iter().flatten().collect()
}

/// The names of all operations, as the description has them.
pub fn operations() -> Vec<&'static str> {
    ops().iter().map(|op| op.id).collect()
}
