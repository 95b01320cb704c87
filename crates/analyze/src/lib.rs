//! Reads source trees: which file needs which, and what follows from it.
//!
//! In reading order: [`ground`] says what is looked at, `walk` finds the files, `lang` takes out of each what it asks for
//! ([`facts`]), `resolve` turns that into files, [`tree`] puts it together; [`glance`] spares the next look what has not changed. From the finished [`Tree`] come
//! its [`order`], its circles ([`cycle`]), what a change touches ([`affected`]), the [`report`], and
//! a [`plan`] of tasks over its [`units`]. [`conflict`] looks at plans of any
//! kind.
//!
//! Files are read and nothing else: no clock, no network, no process; the same files give the same answer.

pub mod affected;
pub mod cache;
pub mod conflict;
pub mod cycle;
pub mod facts;
pub mod glance;
pub mod ground;
mod lang;
pub mod order;
pub mod plan;
pub mod priority;
pub mod report;
mod resolve;
pub mod tree;
pub mod units;
mod walk;

pub use glance::Glance;
pub use ground::Ground;
pub use tree::{Options, Tree, analyse, look};
