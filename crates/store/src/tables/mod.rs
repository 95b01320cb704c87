//! What stores with tables have in common: how a task is split into rows ([`split`]), how a row is read ([`cells`]), and what
//! its columns mean ([`records`]).

pub(crate) mod cells;
pub(crate) mod records;
pub(crate) mod split;
