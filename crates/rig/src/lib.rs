//! Real servers for tests. Each has a free port on the loopback and a folder of its own, and ends with whoever has
//! started it, however that ends.

pub mod chaos;
mod machine;
pub mod postgres;
pub mod rabbit;
pub mod redis;
pub mod tls;
mod watched;
