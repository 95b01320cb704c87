//! Where tasks are kept: memory and SQLite behind one kernel.
//!
//! In reading order: the transaction that a driver offers and the verbs over it ([`kernel`]), what makes a back
//! end ([`driver`]), the store over a driver ([`local`]), and the back ends ([`memory`]).

pub mod driver;
pub mod kernel;
pub mod local;
pub mod memory;
mod open;

pub use open::{Options, open};
