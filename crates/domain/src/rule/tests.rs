use serde_json::json;

use super::*;

fn rule(text: &str) -> Rule {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_rule_comes_back_from_what_is_stored() {
    let stored = r#"{"on":["task.failed","run.*"],"if":"task.kind == 'dev'","pause":"kind=dev","depth":3}"#;
    let rule = rule(stored);
    assert_eq!(rule.action.name(), "pause");
    assert_eq!(serde_json::to_string(&rule).unwrap(), stored);
}

#[test]
fn a_rule_fires_for_its_events_and_its_condition() {
    let rule = rule(r#"{"on":["qa_failed","run.finished"],"if":"queue.ready < 5","resume":"all"}"#);
    assert_eq!(rule.depth, DEPTH_DEFAULT);
    assert!(rule.triggers("task.failed") && !rule.triggers("task.completed"));
    assert!(rule.asks("queue") && !rule.asks("task"));
    let facts = |kind: &str, of: &str, ready: u32| json!({ "event": { "type": kind }, "task": { "kind": of }, "queue": { "ready": ready } });
    assert!(rule.fires(&facts("task.failed", "qa", 0)));
    assert!(!rule.fires(&facts("task.failed", "dev", 0)));
    assert!(!rule.fires(&facts("task.failed", "qa", 5)));
    assert!(rule.fires(&facts("run.finished", "", 0)));
}

// proves: SPEC 5.5
#[test]
fn a_delivery_is_tried_three_times_with_growing_pauses() {
    let now = Timestamp(1_000);
    let mut delivery = Delivery {
        rule: RuleName::new("r").unwrap(),
        event: EventNo(7),
        since: now,
        depth: 2,
        tries: 0,
        error: None,
    };
    let mut pauses = Vec::new();
    while let (then, Some(due)) = delivery.failed("no".into(), false, now) {
        pauses.push(due.0 - now.0);
        delivery = then;
    }
    assert_eq!(pauses, [2_000, 4_000]);
    assert_eq!(
        delivery.failed("no".into(), true, now).1,
        None,
        "nothing is tried in vain"
    );
    assert_eq!(
        (delivery.actor().as_str(), depth_of(&delivery.actor())),
        ("rule:r@2", 2)
    );
    assert_eq!((depth_of("user:rule:x@9"), depth_of("rule:x")), (0, 0));
}

#[test]
fn letters_lie_before_all_deliveries() {
    for name in ["a", "0", "_", "-x", ".x"] {
        let Ok(rule) = RuleName::new(name) else { continue };
        let delivery = Delivery {
            rule,
            event: EventNo(u64::MAX),
            since: Timestamp(0),
            depth: 1,
            tries: 0,
            error: None,
        };
        assert!(
            *delivery.letter() < *AFTER_LETTERS && *delivery.key() > *AFTER_LETTERS,
            "{name}"
        );
    }
}

#[test]
fn addresses_are_checked() {
    for good in ["https://example.org/a?b=c", "http://127.0.0.1:8080"] {
        assert_eq!(action::check_url(good).unwrap(), good);
    }
    for bad in [
        "",
        "example.org",
        "ftp://x",
        "https://",
        "https:///x",
        "https://a b",
        "http://x\n",
    ] {
        assert!(action::check_url(bad).is_err(), "{bad}");
    }
    assert!("kind=dev to low".parse::<Prioritize>().is_ok());
    assert!("kind=dev".parse::<Prioritize>().is_err());
}
