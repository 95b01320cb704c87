//! The graph of who waits for whom, as flat arrays over dense ids in creation order.
//!
//! Everything is iterative and linear in tasks and edges. [`Graph`] may have cycles and finds them; a [`Dag`]
//! has none, so nothing on it can fail. Names and places stay outside: callers map their own ids.

mod csr;
mod cycle;
mod dag;
mod timing;
mod walk;

pub use csr::Graph;
pub use cycle::Cycle;
pub use dag::Dag;
pub use timing::Timing;
