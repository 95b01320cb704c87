//! What stores do, seen from outside.

mod conformance;
mod crowd;
mod load;
mod model;
mod postgres;
mod redis;
mod sqlite;
