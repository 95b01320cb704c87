//! What stores do, seen from outside.

mod conformance;
mod model;
mod postgres;
mod redis;
mod sqlite;
