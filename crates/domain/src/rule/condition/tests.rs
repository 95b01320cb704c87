use proptest::prelude::*;
use serde_json::json;

use super::*;

fn facts() -> Value {
    json!({
        "event": { "type": "task.failed", "number": 7, "data": { "exit": 2, "share": 0.5, "deep": { "list": [1, "b"] } } },
        "task": { "kind": "dev", "attempts": 3, "priority": 8, "env": { "COMPONENT": "core-io" }, "dead_letter": true },
        "queue": { "ready": 120 },
    })
}

#[track_caller]
fn check(text: &str, expected: bool) {
    let condition: Condition = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(condition.holds(&facts()), expected, "{text}");
    let stored = serde_json::to_string(&condition).unwrap();
    assert_eq!(serde_json::from_str::<Condition>(&stored).unwrap(), condition);
}

#[test]
fn conditions_are_answered() {
    for (text, expected) in [
        ("task.kind == 'dev'", true),
        ("task.kind == \"dev\" and queue.ready > 100", true),
        ("task.kind == 'qa' or queue.ready >= 120", true),
        ("task.kind == 'qa' or queue.ready > 120 and true", false),
        ("not task.kind == 'qa'", true),
        ("!(task.kind == 'dev' && task.attempts < 3)", true),
        ("task.dead_letter", true),
        ("task.attempts", false),
        ("event.data.exit in [1, 2]", true),
        ("event.data.exit in []", false),
        ("event.data.share < 1 and event.data.share >= 0.5", true),
        ("event.data.deep.list.1 == 'b'", true),
        ("event.data.deep.list.9 == null", true),
        ("task.env.COMPONENT matches 'core-*'", true),
        ("task.env.COMPONENT matches '*-net'", false),
        ("task.attempts matches '3'", false),
        // What is not there equals nothing but itself, and is neither more nor less than anything.
        ("task.result.x == null", true),
        ("task.result.x > 0 or task.result.x <= 0", false),
        ("task.kind > 3 or task.kind < 3", false),
        ("task.kind != 3", true),
        ("event.number == 7.0", true),
        ("event.type == 'it\\'s'", false),
    ] {
        check(text, expected);
    }
}

#[test]
fn faults_are_shown_at_their_place() {
    for (text, detail) in [
        ("", "the condition at column 1: a value is missing"),
        (
            "task.kind = 'dev'",
            "the condition at column 11: \"=\" means nothing here",
        ),
        (
            "task.kind == 'dev",
            "the condition at column 14: the text has no end",
        ),
        ("task.kind == ", "the condition at column 14: a value is missing"),
        ("(true", "the condition at column 6: `)` is missing"),
        ("true true", "the condition at column 6: `true` is one too many"),
        (
            "task.kind in 'dev'",
            "the condition at column 14: a list in [ ] is needed",
        ),
        (
            "task.kind in [a]",
            "the condition at column 15: only fixed values may stand in a list",
        ),
        (
            "task.kind in [1 2]",
            "the condition at column 17: `,` or `]` is missing",
        ),
        (
            "1e999999 > 1",
            "the condition at column 1: `1e999999` is no number",
        ),
        (
            "tsk.kind == 1",
            "the condition at column 1: there are no facts `tsk`",
        ),
        (
            "true and queue.redy > 1",
            "the condition at column 10: `queue` has no `redy`",
        ),
    ] {
        assert_eq!(text.parse::<Condition>().unwrap_err().detail, detail, "{text}");
    }
    let refusal = "queue.redy > 1".parse::<Condition>().unwrap_err();
    assert_eq!(refusal.help.as_deref(), Some("did you mean `queue.ready`?"));
}

#[test]
fn size_and_depth_are_bounded() {
    assert!(
        format!("true{}", " and true".repeat(200))
            .parse::<Condition>()
            .is_ok()
    );
    assert!("!".repeat(40).parse::<Condition>().is_err());
    assert!("(".repeat(4_000).parse::<Condition>().is_err());
    assert!(
        format!("true{}", " ".repeat(TEXT_MAX))
            .parse::<Condition>()
            .is_err()
    );
}

#[test]
fn it_is_known_what_a_condition_looks_at() {
    let condition: Condition = "not (task.kind == 'x' or 3 < queue.ready)".parse().unwrap();
    assert!(condition.asks("queue") && condition.asks("task") && !condition.asks("run"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z.'\"0-9 ()!<>=&|,\\[\\]\\\\é-]{0,60}") {
        if let Ok(condition) = text.parse::<Condition>() {
            condition.holds(&facts());
        }
    }
}
