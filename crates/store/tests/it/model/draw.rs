//! From sketches to tasks.

use domain::id::Kind;
use domain::task::spec::Work;
use domain::time::Timestamp;
use store::conformance::lab::HOUR;
use store::conformance::new::{New, steady, task};

use super::step::Sketch;

/// Paths and a plain name, so that some overlap.
const LOCKS: [&str; 5] = ["path:a", "path:a/b", "path:a/c", "path:.", "db"];

pub(super) fn kind_of(number: u8) -> Kind {
    Kind::new(&format!("k{number}")).expect("a kind")
}

/// The task that a sketch stands for, behind those that are known.
pub(super) fn draw(sketch: &Sketch, id: &str, known: &[String], now: Timestamp) -> New {
    let mut new = task(id)
        .kind(&format!("k{}", sketch.kind))
        .priority(sketch.priority)
        .retry(steady(sketch.attempts))
        .upstream(sketch.upstream);
    for (back, when) in &sketch.after {
        if let Some(on) = known.iter().rev().nth(*back) {
            new = new.when(on, *when);
        }
    }
    if let Some((name, shared)) = sketch.lock {
        let name = LOCKS[usize::from(name)];
        new = if shared { new.share(name) } else { new.lock(name) };
    }
    if sketch.limited {
        new = new.limit("few", 1);
    }
    if let Some(later) = sketch.run_at {
        new = new.run_at(if later { now.after(HOUR / 2) } else { now });
    }
    if sketch.deadline {
        new = new.deadline(2 * HOUR);
    }
    if sketch.replan {
        new = new.replan();
    }
    if sketch.asks {
        new = new.work(Work::Breakpoint("sure?".to_owned()));
    }
    new
}
