//! Secrets of tasks: there when the work is done, and nowhere else.

use std::path::Path;

use crate::bench::{Bench, Said};

const TOKEN: &str = "s3cr3t-t0ken\"quoted";

fn holds(folder: &Path, needle: &[u8]) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = match path.is_dir() {
            true => holds(&path, needle),
            false => std::fs::read(&path)
                .unwrap_or_default()
                .windows(needle.len())
                .any(|piece| piece == needle)
                .then_some(path),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

// proves: DESIGN 15
#[test]
fn a_secret_reaches_the_program_and_nothing_that_is_kept() {
    let bench = Bench::new();
    bench.write("kept/token.txt", &format!("{TOKEN}\n"));
    bench.write(
        "bell.toml",
        "[secrets]\nAPI_TOKEN = \"file:kept/token.txt\"\nOTHER = \"env:HIDDEN_OTHER\"\n",
    );
    bench.write(
        "plan.yaml",
        r#"tasks:
  use:
    secrets: [API_TOKEN]
    retry: 1
    run: |
      test "$(printf %s "$API_TOKEN" | wc -c)" = 19
      echo "it is $API_TOKEN, really"
      printf 's3cr3t-'; sleep 0.2; printf 't0ken"quoted\n'
      printf '{"token": "%s"}' "$(printf %s "$API_TOKEN" | sed 's/"/\\"/g')" > $BELL_RESULT
  fail: { secrets: [API_TOKEN], retry: 1, run: "echo $API_TOKEN >&2; exit 3" }
  other: { run: 'test -z "$HIDDEN_OTHER$OTHER$API_TOKEN"' }
  both: { secrets: [OTHER], run: 'test ${#OTHER} = 15' }
"#,
    );
    let said = Said::of(
        bench
            .command(&["run", "plan.yaml"])
            .env("HIDDEN_OTHER", "from-the-worker"),
    );
    assert_eq!(said.exit, 1, "only `fail` fails: {said:?}");
    let show = |key: &str| bench.json(&["task", "show", key]);
    assert_eq!(show("use")["result"]["token"], "***");
    assert_eq!(
        [show("other"), show("both")].map(|task| task["state"].clone()),
        ["completed"; 2]
    );
    let failed = show("fail");
    assert!(failed["error"].as_str().unwrap().ends_with("***"), "{failed}");
    let logs = bench.bell(&["task", "logs", "use"]);
    assert!(logs.out.contains("it is ***, really\n***\n"), "{logs:?}");
    assert!(!format!("{said:?}{logs:?}").contains("s3cr3t"));
    for needle in [&TOKEN.as_bytes()[..12], b"from-the-worker"] {
        assert_eq!(holds(&bench.path().join(".bellwether"), needle), None);
    }
    let config = bench.bell(&["config", "show"]);
    assert!(
        config.out.contains("secrets.API_TOKEN") && !config.out.contains("s3cr3t"),
        "{config:?}"
    );
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks:\n  a: { secrets: [BELL_NO_SUCH], run: 'true', retry: 5 }\n",
    );
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 1);
    let task = bench.json(&["task", "show", "a"]);
    let why = task["error"].as_str().unwrap();
    assert!(
        why.contains("`BELL_NO_SUCH`") && why.contains("[secrets]"),
        "{why}"
    );
    assert_eq!(
        task["attempts"].as_array().unwrap().len(),
        1,
        "trying again would not help"
    );
    bench.write("bad.yaml", "tasks:\n  a: { secrets: ['no name'], run: 'true' }\n");
    let said = bench.bell(&["plan", "check", "bad.yaml"]);
    assert!(said.exit == 2 && said.err.contains("API_TOKEN"), "{said:?}");
    bench.write("bell.toml", "[secrets]\nA = \"hunter22\"\n");
    let said = bench.bell(&["task", "list"]);
    assert_eq!(said.exit, 2, "{said:?}");
    assert!(
        said.err.contains("`A` says neither") && !said.err.contains("hunter22"),
        "{}",
        said.err
    );
}
