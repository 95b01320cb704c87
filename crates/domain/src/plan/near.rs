//! The nearest known name, at a bounded price: a plan may have a million names, or one of a megabyte.

use crate::code::nearest;
use crate::limits;

/// Pairs of bytes compared for one misspelt name; a few milliseconds.
const WORK: usize = 1_000_000;

/// The known name nearest to `given`, among as many of the first as can be looked at.
pub(super) fn near<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > limits::KEY_BYTES {
        return None;
    }
    let mut left = WORK;
    let affordable = known
        .into_iter()
        .filter(|name| name.len().abs_diff(given.len()) <= 1 + given.len() / 4);
    let affordable = affordable.take_while(|name| {
        let price = (name.len() + 1) * (given.len() + 1);
        left = left.saturating_sub(price);
        left > 0
    });
    nearest(given, affordable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_found_among_many_and_giants_are_left_alone() {
        let names: Vec<String> = (0..200_000)
            .map(|i| format!("task-{i}-{}", "x".repeat(i % 400)))
            .collect();
        let known = || names.iter().map(String::as_str).chain(["build"]);
        assert_eq!(near("biuld", known()), Some("build"));
        assert_eq!(near("tsak-0-", known()), Some("task-0-"));
        assert_eq!(near(&"x".repeat(1 << 26), known()), None);
        assert_eq!(near(&"x".repeat(400), known()), None);
    }
}
