//! `bell store prune`, as people meet it, and what is proven of the log afterwards.

use serde_json::{Value, json};

use crate::bench::Bench;

const PLAN: &str = "tasks: { a: 'echo out', b: { run: 'true', after: a } }";

fn prune(bench: &Bench, more: &[&str]) -> Value {
    bench.json(&[&["store", "prune", "--older", "1ms"], more].concat())
}

fn outputs(bench: &Bench) -> usize {
    let folder = bench.path().join(".bellwether/output/default/0");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Three runs and a task that is still open.
fn filled() -> Bench {
    let bench = Bench::new();
    bench.write("plan.yaml", PLAN);
    for _ in 0..3 {
        assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 0);
    }
    bench.json(&["task", "add", "open", "--id", "open"]);
    bench
}

// proves: SPEC 5.4, DESIGN 7, DESIGN 10
#[test]
fn what_is_old_goes_and_the_rest_is_proven() {
    let bench = filled();
    let before = bench.bell(&["audit", "anchor"]).out;
    bench.json(&["task", "add", "late", "--id", "late"]);
    let outputs_before = outputs(&bench);
    let counted = prune(&bench, &["--dry-run"]);
    assert_eq!(
        (&counted["tasks"], &counted["runs"], &counted["dry_run"]),
        (&json!(4), &json!(2), &json!(true)),
        "the newest run stays"
    );
    assert_eq!(bench.json(&["task", "list"])["count"], 8);
    let (code, exit) = bench.problem(&["store", "prune", "--older", "1ms"]);
    assert_eq!(
        (code.as_str(), exit),
        ("invalid-argument", 2),
        "nobody can be asked"
    );
    let gone = prune(&bench, &["--yes"]);
    assert_eq!((&gone["tasks"], &gone["runs"]), (&json!(4), &json!(2)));
    assert!(gone["events"].as_u64().unwrap() > 10);
    assert_eq!(bench.json(&["task", "list"])["count"], 4);
    assert!(outputs(&bench) < outputs_before);
    assert_eq!(bench.json(&["store", "check"])["sound"], json!(true));
    let after = bench.bell(&["audit", "anchor"]).out;
    bench.write("kept", &format!("{before}{after}"));
    let proof = &bench.json(&["audit", "verify", "--anchor", "kept"])["projects"][0];
    assert_eq!(proof["intact"], json!(true));
    assert!(proof["begins_with"].as_u64().unwrap() > 10);
    for anchors in ["anchors", "anchors_before"] {
        assert_eq!(proof[anchors].as_array().unwrap().len(), 1, "{anchors}: {proof}");
    }
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 0, "and it goes on");
}

// proves: DESIGN 10
#[test]
fn a_log_whose_beginning_was_taken_by_hand_is_found_out() {
    let bench = filled();
    prune(&bench, &["--yes"]);
    let file = rusqlite::Connection::open(bench.path().join(".bellwether/bell.db")).unwrap();
    let key = "book = 7 AND key = 'beginning'";
    let kept: String = file
        .query_row(&format!("SELECT value FROM entry WHERE {key}"), [], |row| {
            row.get(0)
        })
        .unwrap();
    // Another event goes, and the document is made to fit: digests follow each other from there.
    let mut forged: Value = serde_json::from_str(&kept).unwrap();
    let next = forged["after"]["last"].as_u64().unwrap() + 1;
    let digest: Vec<u8> = file
        .query_row(&format!("SELECT digest FROM event WHERE n = {next}"), [], |row| {
            row.get(0)
        })
        .unwrap();
    forged["after"] = json!({ "last": next, "digest": digest });
    file.execute(&format!("DELETE FROM event WHERE n = {next}"), [])
        .unwrap();
    file.execute(
        &format!("UPDATE entry SET value = ?1 WHERE {key}"),
        [forged.to_string()],
    )
    .unwrap();
    let said = bench.bell(&["audit", "verify", "--json"]);
    assert_eq!(said.exit, 1, "{said:?}");
    let proof: Value = serde_json::from_str(&said.out).unwrap();
    let detail = proof["projects"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("nothing in it tells of a cut"), "{detail}");
}

#[test]
fn a_file_gives_its_room_back() {
    let bench = Bench::new();
    let prompt = "x".repeat(20_000);
    for id in 0..30 {
        let id = id.to_string();
        bench.json(&["task", "add", "a", "--id", &id, "--prompt", &prompt]);
        bench.json(&["task", "cancel", &id]);
    }
    let freed = prune(&bench, &["--yes", "--compact"])["freed_bytes"]
        .as_u64()
        .unwrap();
    assert!(freed > 400_000, "{freed}");
    assert_eq!(bench.json(&["store", "check"])["sound"], json!(true));
    assert_eq!(bench.json(&["task", "list"])["count"], 1);
}

#[test]
fn how_long_things_are_kept_is_a_setting() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a"]);
    let shown = |bench: &Bench| {
        let shown = bench.json(&["config", "show"]);
        let all = shown["settings"].as_array().unwrap().clone();
        all.iter().find(|line| line["name"] == "retention").unwrap()["value"].clone()
    };
    assert_eq!(shown(&bench), "30d");
    bench.json(&["config", "set", "retention=12h"]);
    assert_eq!(shown(&bench), "12h");
    bench.json(&["config", "set", "retention=never"]);
    assert_eq!(shown(&bench), "never");
    for bad in ["retention=1s", "retention=soon", "retention=1000000d"] {
        assert_eq!(
            bench.problem(&["config", "set", bad]),
            ("invalid-argument".to_owned(), 2)
        );
    }
    bench.json(&["config", "set", "retention="]);
    assert_eq!(shown(&bench), "30d");
}
