//! Tasks that leave others behind, and what becomes of both when the run goes on.

use super::*;

#[tokio::test]
async fn subtasks_are_joined_with_their_results() {
    let bundle = Bundle::new();
    let ended = bundle
        .run(
            r#"
tasks:
  split:
    run: |
      if [ -n "$BELL_JOINED" ]; then cp "$BELL_INPUT" joined.json; exit 0; fi
      for i in 1 2 3; do
        echo "{\"key\": \"part$i\", \"run\": \"echo $i > \$BELL_RESULT\"}" >> "$BELL_SUBTASKS"
      done
      echo '{"key": "sum", "run": "true", "after": ["part1", "part2", "part3"]}' >> "$BELL_SUBTASKS"
      echo '{"join": "continue"}' >> "$BELL_SUBTASKS"
  collect:
    run: |
      echo '{"key": "a", "run": "echo 7 > $BELL_RESULT"}' >> "$BELL_SUBTASKS"
      echo '{"join": "complete"}' >> "$BELL_SUBTASKS"
  report: { run: "echo $BELL_RESULT_COLLECT > report", after: [split, collect] }
"#,
        )
        .await;
    assert_eq!(
        finished(&ended),
        RunState::Succeeded,
        "{:?}",
        bundle.states(&ended).await
    );
    let joined: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bundle.path("joined.json")).unwrap()).unwrap();
    assert_eq!(joined["children"]["part2"]["result"], 2);
    assert_eq!(lines(&bundle.path("report")), [r#"{"a":7}"#]);
    assert_eq!(bundle.task("split").await.task.attempts, 2);
    assert_eq!(
        bundle.engine.store.check(&bundle.engine.project).await.unwrap(),
        Vec::<String>::new()
    );
}

/// A plan whose parent goes on after its subtasks, and fails with them.
const PARTS: &str = r#"
name: parts
tasks:
  split:
    run: |
      echo split >> log
      if [ -n "$BELL_JOINED" ]; then ! grep -q '"state":"failed"' "$BELL_INPUT"; exit; fi
      echo '{"key": "part", "run": "echo part >> log; test -e fixed"}' >> "$BELL_SUBTASKS"
      echo '{"key": "rest", "run": "touch begun; test -e go || sleep 60", "after": [{"task": "part", "when": "finished"}]}' \
        >> "$BELL_SUBTASKS"
      echo '{"join": "continue"}' >> "$BELL_SUBTASKS"
  report: { run: "echo report >> log", after: [split] }
"#;

#[tokio::test]
async fn failed_subtasks_are_tried_again_before_their_parent() {
    let bundle = Bundle::new();
    std::fs::write(bundle.path("go"), "").unwrap();
    let first = bundle.run(PARTS).await;
    assert_eq!(finished(&first), RunState::Failed);
    assert_eq!(lines(&bundle.path("log")), ["split", "part", "split"]);
    let second = bundle.run(PARTS).await;
    assert_eq!(finished(&second), RunState::Failed);
    assert_eq!(lines(&bundle.path("log"))[3..], ["part", "split"]);
    std::fs::write(bundle.path("fixed"), "").unwrap();
    let third = bundle.run(PARTS).await;
    assert_eq!(finished(&third), RunState::Succeeded);
    assert_eq!(third.run.id, first.run.id);
    assert_eq!(lines(&bundle.path("log"))[5..], ["part", "split", "report"]);
    assert_eq!(
        bundle.engine.store.check(&bundle.engine.project).await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_parent_that_still_waits_sees_what_was_tried_again() {
    let bundle = Arc::new(Bundle::new());
    let other = Arc::clone(&bundle);
    let run = tokio::spawn(async move { other.run(PARTS).await });
    bundle.sees("begun").await;
    bundle.pace.send_replace(Pace::Stop);
    assert!(matches!(run.await.unwrap().how, How::Interrupted));
    for name in ["go", "fixed"] {
        std::fs::write(bundle.path(name), "").unwrap();
    }
    bundle.pace.send_replace(Pace::Work);
    let again = bundle.run(PARTS).await;
    assert_eq!(finished(&again), RunState::Succeeded);
    let log = lines(&bundle.path("log"));
    assert_eq!(log, ["split", "part", "part", "split", "report"]);
}
