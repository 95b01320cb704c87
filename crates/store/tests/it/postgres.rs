//! The PostgreSQL driver where it differs from memory: servers that go away, other processes, what is refused.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod crowd;
mod faults;
mod opening;

use std::sync::Arc;

use domain::store::{Durability, Store};
use store::conformance::Lab;
use store::local::Local;
use store::postgres::{Clock, Options, PgDriver};

fn options() -> Options {
    Options {
        durability: Durability::Relaxed,
        create: true,
        clock: Clock::Caller,
        ..Options::default()
    }
}

fn open(url: &str) -> Arc<dyn Store> {
    Arc::new(Local::open(PgDriver::open(url, &options()).unwrap()).unwrap())
}

/// A store of its own on what others may use too, with the same clock.
fn lab(url: &str) -> Lab {
    Lab::new(open(url))
}

/// A part of a server that only one test uses; its tables go with it.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) url: String,
}

impl Space {
    pub(crate) fn shared() -> Space {
        Space::of(&rig::postgres::shared())
    }

    pub(crate) fn of(server: &str) -> Space {
        Space {
            url: rig::postgres::fresh(server),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        rig::postgres::sweep(&self.url);
    }
}
