//! A log that was rewritten whole is only found out by what is kept elsewhere.

use serde_json::json;

use crate::bench::Bench;

fn add(bench: &Bench, ids: &[&str]) {
    for id in ids {
        bench.json(&["task", "add", id, "--id", id]);
    }
}

// proves: DESIGN 10
#[test]
fn a_log_leads_through_its_anchors() {
    let bench = Bench::new();
    add(&bench, &["a", "b"]);
    let first = bench.bell(&["audit", "anchor"]).out;
    bench.write("kept", &format!("# of Monday\n{first}\n"));
    bench.json(&["task", "add", "c", "--project", "web"]);
    add(&bench, &["d"]);
    let anchors = bench.json(&["audit", "anchor"]);
    assert_eq!(
        (
            &anchors["anchors"][0]["number"],
            &anchors["anchors"][1]["project"]
        ),
        (&json!(3), &json!("web"))
    );
    let second = anchors["anchors"][1]["anchor"].as_str().unwrap();
    let verdict = bench.json(&["audit", "verify", "--anchor", "kept", "--anchor", second]);
    assert_eq!(
        (
            &verdict["intact"],
            &verdict["projects"][0]["anchors"],
            &verdict["projects"][1]["anchors"]
        ),
        (&json!(true), &json!([2]), &json!([1]))
    );
}

// proves: DESIGN 10
#[test]
fn a_log_that_was_written_anew_does_not() {
    let bench = Bench::new();
    add(&bench, &["a", "b"]);
    let line = bench.bell(&["audit", "anchor"]).out;
    let anchor = line.trim();
    // Somebody puts another history in the place of the first: it follows in itself.
    std::fs::remove_dir_all(bench.path().join(".bellwether")).unwrap();
    add(&bench, &["x", "y", "z"]);
    assert_eq!(bench.bell(&["audit", "verify"]).exit, 0);
    insta::assert_snapshot!(bench.shown(&["audit", "verify", "--anchor", anchor]), @r"
    exit 1
    ✗ broken  default: the log up to event 2 is not the one that the anchor is of; proven up to event 1
    ");
    // Or a shorter one.
    std::fs::remove_dir_all(bench.path().join(".bellwether")).unwrap();
    add(&bench, &["x"]);
    insta::assert_snapshot!(bench.shown(&["audit", "verify", "--anchor", anchor]), @r"
    exit 1
    ✗ broken  default: the log ends with event 1, but 2 were written; proven up to event 0
    ");
    // Or none.
    let other = anchor.replace(":default:", ":gone:");
    assert_eq!(bench.bell(&["audit", "verify", "--anchor", &other]).exit, 1);
}

#[test]
fn what_is_no_anchor_is_refused() {
    let bench = Bench::new();
    add(&bench, &["a"]);
    bench.write("empty", "# nothing\n");
    bench.write("wrong", "bell-anchor:9:x\n");
    for bad in ["none", "empty", "wrong", "bell-anchor:1:default:1:abc"] {
        assert_eq!(
            bench.problem(&["audit", "verify", "--anchor", bad]),
            ("invalid-argument".to_owned(), 2),
            "{bad}"
        );
    }
}
