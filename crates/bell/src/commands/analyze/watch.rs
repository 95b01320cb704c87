//! Looking again whenever something changes.

use std::time::Duration;

use analyze::cache::Cache;

use super::Args;
use crate::context::Context;
use crate::error::Result;

/// How often the tree is looked at. What is unchanged costs a look at its content and no parsing.
const EVERY: Duration = Duration::from_millis(500);

pub(super) fn watch(args: &Args, context: &Context, cache: &mut Cache) -> Result {
    if cache.is_none() {
        *cache = Cache::in_memory();
    }
    let mut last = None;
    loop {
        let tree = args.read(cache)?;
        let state: Vec<(String, [u8; 32])> = tree
            .files
            .into_iter()
            .map(|file| (file.path, file.digest))
            .collect();
        if last.as_ref() != Some(&state) {
            args.answer(context, cache)?;
            last = Some(state);
        }
        std::thread::sleep(EVERY);
    }
}
