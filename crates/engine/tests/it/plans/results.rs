//! What tasks leave for those that wait for them.

use super::*;

// proves: SPEC 1.2, SPEC 2.2, DESIGN 8
#[tokio::test]
async fn a_diamond_runs_in_order_and_passes_results_on() {
    let bundle = Bundle::new();
    let ended = bundle
        .run(
            r#"
name: diamond
tasks:
  top: { run: "echo top >> log; echo 20 > $BELL_RESULT" }
  left: { run: "echo left >> log; echo $((BELL_RESULT_TOP + 1)) > $BELL_RESULT", after: [top] }
  right: { run: "echo right >> log; echo '\"deux mots\"' > $BELL_RESULT", after: [top] }
  end:
    run: |
      echo "$BELL_RESULT_LEFT/$BELL_RESULT_RIGHT" >> log
      grep -q '"left":{"' "$BELL_INPUT"
    after: [left, right]
"#,
        )
        .await;
    assert_eq!(finished(&ended), RunState::Succeeded);
    let log = lines(&bundle.path("log"));
    assert_eq!((log[0].as_str(), log[3].as_str()), ("top", "21/deux mots"));
    assert_eq!(
        bundle.task("left").await.outcome.unwrap().result,
        Some(Json::parse("21").unwrap())
    );
    assert_eq!(
        bundle.engine.store.check(&bundle.engine.project).await.unwrap(),
        Vec::<String>::new()
    );
}

// proves: DESIGN 8
#[tokio::test]
async fn a_result_is_told_as_it_was_given() {
    let bundle = Bundle::new();
    let ended = bundle
        .run(
            r#"
tasks:
  long: { run: 'printf "{\"n\": 12345678901234567890123,\n\"x\": 1.10}\n" > $BELL_RESULT' }
  end: { run: 'cp "$BELL_INPUT" seen', after: long }
"#,
        )
        .await;
    assert_eq!(finished(&ended), RunState::Succeeded);
    let seen = std::fs::read_to_string(bundle.path("seen")).unwrap();
    assert!(
        seen.contains(r#""result":{"n": 12345678901234567890123, "x": 1.10}"#),
        "{seen}"
    );
}
