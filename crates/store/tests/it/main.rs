//! What stores do, seen from outside.

mod conformance;
mod sqlite;
