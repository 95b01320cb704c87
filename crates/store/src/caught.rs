//! Panics that are caught in here.
//!
//! A driver may read rows while somebody else changes them, and throws away what it has made of them when the commit
//! is refused: what looked like a defect was none. A true one is answered as an error, and nothing is written.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether a panic of this thread, now, is caught. A panic hook that ends the process asks this first.
pub fn is_caught() -> bool {
    DEPTH.get() > 0
}

/// What was written is rolled back by whoever catches, so nothing half done is seen.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    DEPTH.set(DEPTH.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_known_to_be_caught_only_inside() {
        let inner = catch(|| catch(|| panic!("played")).is_err() && is_caught());
        assert!(inner.unwrap());
        assert!(!is_caught());
    }
}
