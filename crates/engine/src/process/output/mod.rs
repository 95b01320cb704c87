//! What a command prints, kept within a bound and readable at any time by any process.
//!
//! A record is one file. Up to [`HEAD`]` + `[`TAIL`] bytes it simply is the output. What comes after
//! goes round in the last [`TAIL`] bytes of that space, and a `frame` behind it says which part of
//! the output the ring holds, so a reader can tell what was overwritten while it was reading, or when
//! the writer died. A silent command leaves no file.

mod append;
mod frame;
mod mask;
mod pump;
mod read;
mod record;

pub use append::append;
pub use mask::Mask;
pub use pump::Captured;
pub use read::{Output, read, read_from};

pub(super) use pump::Pump;

/// Bytes kept from the start of the output: how it began explains most failures of set-up.
pub const HEAD: u64 = 256 * 1024;
/// Bytes kept from its end: where it stopped explains most others.
pub const TAIL: u64 = 768 * 1024;

const ROOM: u64 = HEAD + TAIL;
