//! Where tasks are kept: memory and SQLite behind one kernel.
//!
//! In reading order: the transaction that a driver offers and the verbs over it ([`kernel`]), what makes a back
//! end ([`driver`]).

pub mod driver;
pub mod kernel;
pub mod sqlite;
