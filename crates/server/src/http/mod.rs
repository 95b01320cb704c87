//! Every operation.

mod control;
mod health;
mod lease;
mod look;
mod observe;
mod run;
mod store;
mod task;
mod token;

use crate::op::Op;

pub(crate) fn ops() -> Vec<Op> {
    let rooms = [
        task::ops(),
        lease::ops(),
        run::ops(),
        look::ops(),
        control::ops(),
        token::ops(),
        store::ops(),
        observe::ops(),
        health::ops(),
    ];
    rooms.into_iter().flatten().collect()
}
