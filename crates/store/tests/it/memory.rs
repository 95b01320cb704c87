//! The store in memory passes the whole table.

use std::sync::Arc;

use store::conformance::Fresh;
use store::local::Local;
use store::memory::MemoryDriver;

pub(crate) fn fresh() -> Fresh {
    Fresh {
        store: Arc::new(Local::open(MemoryDriver::default()).expect("threads start")),
        keep: Box::new(()),
    }
}

store::conformance!(crate::memory::fresh);
