//! Sequences that once failed, as they were shrunk.

use domain::task::spec::{OnUpstreamFailure, When};

use super::play;
use super::step::{Into, Sketch, Step};
use crate::conformance::{memory, sqlite};

fn plain() -> Sketch {
    Sketch {
        after: Vec::new(),
        upstream: OnUpstreamFailure::Cancel,
        lock: None,
        limited: false,
        priority: 5,
        attempts: 1,
        run_at: None,
        deadline: false,
        asks: false,
        replan: false,
        kind: 0,
    }
}

/// After the one that stands `back` before it.
fn after(back: usize) -> Sketch {
    Sketch {
        after: vec![(back - 1, When::Success)],
        ..plain()
    }
}

const CLAIM: Step = Step::Claim {
    worker: 0,
    max: 3,
    start: false,
    kind: None,
    run: false,
};

fn check(steps: &[Step]) {
    play(steps, memory::fresh, sqlite::fresh);
}

#[test]
fn a_newcomer_waits_for_what_it_replaces() {
    check(&[
        Step::Add(vec![plain()], Into::NewRun),
        Step::Add(vec![plain(), after(2)], Into::OldRun { run: 0, instead: 0 }),
    ]);
}

#[test]
fn a_newcomer_waits_for_what_falls_with_the_replaced() {
    check(&[
        Step::Add(vec![plain()], Into::NewRun),
        Step::Add(vec![after(1)], Into::Nothing),
        Step::Add(vec![after(1)], Into::OldRun { run: 0, instead: 0 }),
    ]);
}

#[test]
fn locks_are_freed_though_nothing_else_is_left_to_write() {
    let locked = Sketch {
        lock: Some((0, false)),
        ..plain()
    };
    check(&[
        Step::Add(vec![plain(), locked.clone(), locked, plain()], Into::Nothing),
        CLAIM,
        Step::Leave(1, vec![plain(), after(1)], None),
    ]);
}

#[test]
fn the_oldest_is_the_first_though_the_clock_was_set_back() {
    let later = Sketch {
        run_at: Some(true),
        ..plain()
    };
    check(&[
        Step::Add(vec![plain(), after(1)], Into::Nothing),
        Step::Jump(-1),
        Step::Add(vec![later], Into::Nothing),
    ]);
}

#[test]
fn a_rejected_question_is_asked_again_later() {
    let question = Sketch {
        asks: true,
        ..plain()
    };
    for again in [Step::Retry(0), Step::RetryLater(0)] {
        check(&[
            Step::Add(vec![question.clone()], Into::Nothing),
            Step::Resolve(0, false),
            again,
        ]);
    }
}

#[test]
fn a_time_that_has_come_stays_come() {
    let now = Sketch {
        run_at: Some(false),
        ..after(1)
    };
    check(&[
        Step::Add(vec![plain(), now], Into::Nothing),
        Step::Jump(-60),
        CLAIM,
        Step::Complete(0),
    ]);
}

#[test]
fn the_deadline_of_a_breakpoint_answers_only_if_the_breakpoint_says_how() {
    let asks = Sketch {
        limited: true,
        deadline: true,
        asks: true,
        ..plain()
    };
    check(&[
        Step::Add(vec![asks], Into::Nothing),
        Step::Jump(1_600),
        Step::Jump(5_600),
    ]);
}

#[test]
fn a_question_is_asked_again_though_what_it_waited_for_was_cancelled() {
    for upstream in [OnUpstreamFailure::Continue, OnUpstreamFailure::Block] {
        let question = Sketch {
            upstream,
            asks: true,
            ..after(1)
        };
        check(&[
            Step::Add(vec![plain(), after(1)], Into::Nothing),
            CLAIM,
            Step::Fail {
                lease: 0,
                no_retry: false,
            },
            Step::Add(vec![question], Into::Nothing),
            Step::Resolve(2, false),
            Step::RetryLater(0),
            Step::Cancel(1),
            Step::Retry(2),
        ]);
    }
}
