//! Where tasks are kept: memory, SQLite, PostgreSQL and Redis behind one kernel.
//!
//! In reading order: the transaction that a driver offers and the verbs over it ([`kernel`]), what makes a back
//! end ([`driver`]), the store over a driver ([`local`]), the back ends ([`memory`], [`sqlite`], [`postgres`], [`redis`]; what two of them share in `tables`), how a
//! project moves from one to another ([`transfer`]), and what each of
//! them must do (`conformance`, a feature for tests).

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod driver;
mod findings;
mod kept;
pub mod kernel;
pub mod local;
pub mod memory;
mod open;
mod patience;
pub mod postgres;
pub mod redis;
pub mod sqlite;
mod tables;
pub mod transfer;
mod uses;

pub use open::{Options, SCHEMES, Scheme, open, scheme};
