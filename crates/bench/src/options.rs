//! What a caller may choose.

use std::path::PathBuf;

use domain::store::Durability;

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `memory:`, or `sqlite:PATH` to measure on the disk of PATH. Stores are made fresh in a folder of their own
    /// beside it and removed afterwards; PATH itself is never opened. By default a folder on a real disk.
    /// `postgres://…` and `redis://…` are measured in schemas and under prefixes of their own, removed afterwards.
    pub store: Option<String>,
    pub durability: Durability,
    /// A server that keeps less than `durability` promises is measured all the same, and the report says so.
    pub accept_volatile: bool,
    /// Only rows of these names, or whose name contains one that is no row's; all when empty.
    pub only: Vec<String>,
    /// Smaller sizes: less than a minute instead of several.
    pub quick: bool,
    /// Samples of each latency, instead of those that the specification or the workload names.
    pub samples: Option<usize>,
    /// No workload stores more tasks than this; the rows tell the number that was used.
    pub at_most: Option<usize>,
    /// The binary that can serve as guard of commands (`bell`); without one they run unguarded.
    pub guard: Option<PathBuf>,
}
