//! The verbs of the store, once, over a driver's transaction ([`tx`]).
//!
//! Each verb opens a `step::Step`: it loads the rows it needs, asks `domain::decide`, follows the consequences
//! (`settle` for edges, `locks` for what waits in line), and writes everything as one set.

mod admit;
mod agents;
mod book;
mod change;
mod claim;
mod curb;
mod due;
mod lanes;
mod letters;
mod locks;
mod names;
mod prune;
mod replan;
mod reserve;
mod setting;
mod settle;
mod step;
mod transfer;
pub mod tx;

pub use admit::admit;
pub(crate) use admit::exists;
pub use book::{edit, lead};
pub use change::change;
pub use claim::claim;
pub use due::{lose, tick};
pub use prune::prune;
pub use settle::settle_rest;
pub use transfer::{close, dump, load, totals};
