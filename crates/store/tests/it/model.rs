//! Random command sequences: two stores must give equal answers, and whatever happens, nothing is ever stuck.
//!
//! The store in memory is the specification. A failing sequence shrinks to a few steps that read like a story; what
//! was found that way is kept in [`found`].

mod draw;
mod found;
mod pair;
mod replayed;
mod step;

use proptest::prelude::*;
use proptest::test_runner::Config;
use store::conformance::Fresh;
use tokio::runtime::Runtime;

use crate::conformance::{memory, postgres, redis, sqlite};
use pair::Pair;
use step::{Step, steps};

fn config(cases: u32) -> Config {
    Config {
        // `PROPTEST_CASES` asks for more.
        cases: std::env::var("PROPTEST_CASES").map_or(cases, |more| more.parse().unwrap_or(cases)),
        // What is found becomes a test with a name.
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    }
}

/// Carries the steps out on both stores, compares everything on the way and at the end, then drives all tasks to
/// their ends.
fn play(steps: &[Step], one: fn() -> Fresh, other: fn() -> Fresh) {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (one, other) = (one(), other());
        let mut pair = Pair::new(&one, &other);
        for step in steps {
            pair.take(step).await;
        }
        pair.compare().await;
        pair.drain().await;
        pair.compare().await;
    });
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn memory_keeps_its_word(steps in steps(80)) {
        play(&steps, memory::fresh, memory::fresh);
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn sqlite_agrees_with_memory(steps in steps(60)) {
        play(&steps, memory::fresh, sqlite::fresh);
    }
}

proptest! {
    #![proptest_config(config(30))]

    #[test]
    fn postgres_agrees_with_memory(steps in steps(60)) {
        play(&steps, memory::fresh, postgres::fresh);
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn redis_agrees_with_memory(steps in steps(60)) {
        play(&steps, memory::fresh, redis::fresh);
    }
}
