//! A store that is behind a server: the contract of stores over HTTP.
//!
//! Whatever works on a store works on this one, so the command line and workers far away need no second way. In reading
//! order: whether the server answers (`reach`), a connection that gives up and tries again (`link`), and the contract over it (`remote`).

mod aside;
mod link;
mod reach;
mod remote;
mod ship;

pub use aside::Aside;
pub use link::{Link, Secret};
pub use remote::Remote;
pub use ship::{Printed, Reader};
