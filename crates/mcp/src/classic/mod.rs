//! The eighteen `orchestration_*` tools, with the names, parameters and results that their users know.
//!
//! What they call pending is everything that has not been handed out; failed is what failed or was cancelled.

mod agents;
mod health;
mod routing;
mod tasks;
mod view;

use crate::tool::Tool;

pub(crate) use view::{duration, tasks};

pub(crate) const TOOLS: &[Tool] = &[
    tasks::CREATE,
    tasks::POLL,
    tasks::ASSIGN,
    tasks::START,
    tasks::COMPLETE,
    tasks::FAIL,
    tasks::STATUS,
    tasks::QUERY,
    agents::REGISTER,
    agents::UPDATE,
    agents::HEALTH,
    agents::FIND,
    agents::DEREGISTER,
    routing::ROUTE,
    routing::STATS,
    health::METRICS,
    health::HEALTH,
    health::RECOMMENDATIONS,
];
