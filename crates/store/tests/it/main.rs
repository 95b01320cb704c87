//! What stores do, seen from outside.

mod conformance;
mod model;
mod redis;
mod sqlite;
