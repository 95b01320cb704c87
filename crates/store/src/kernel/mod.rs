//! The verbs of the store, once, over a driver's transaction ([`tx`]).

pub mod tx;
