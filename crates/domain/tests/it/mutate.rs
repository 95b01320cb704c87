//! Damaged plans: whatever comes in, an answer comes out, and always the same.

use domain::plan::{FAULTS_MAX, Format, read};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::plan_read::{DESIGN, EVERY_KEY};

const JSON: &str = r#"{"name": "j", "defaults": {"env": {"A": 1}}, "tasks": {"a": "x",
 "b": {"run": ["e", "\uD83D\uDE00"], "after": [{"task": "a", "when": "failure"}], "inputs": {"n": [1e3, null]}},
 "c": {"prompt": "p", "agent": "g", "retry": {"attempts": 3}, "locks": [{"name": "path:x", "shared": true}]}}}"#;

const TOML: &str = "name = 't'\n[defaults]\nenv.A = '1'\n[tasks.a]\nrun = ['x', \"\\u00e4\"]\n\
    deadline = 2030-01-01T00:00:00Z\n[[tasks.b.after]]\ntask = 'a'\n[tasks.b]\nrun = \"\"\"y\nz\"\"\"\n";

const MERGED: &str = "base: &b { run: x, env: &e { A: 1 } }\ndefaults: { env: { <<: *e } }\n\
    tasks:\n- { <<: *b, key: a }\n- <<: [*b]\n  key: b\n  after: a\n? c\n: |\n  text\n";

const FRAGMENTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "\t",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "'",
    "\"",
    "\\u",
    "#",
    "---\n",
    "...",
    "|",
    ">",
    "%",
    "null",
    "~",
    "-1",
    "1e999",
    ".nan",
    "0x",
    "a: ",
    "after: [a]",
    "after: b",
    "tasks:",
    "retry: ",
    "\u{feff}",
    "\u{0}",
    "\u{1F600}",
    "= ",
    "[[tasks]]",
    "\"\"\"",
    "2030-01-01",
];

#[derive(Clone, Debug)]
enum Damage {
    Cut(Index, Index),
    Insert(Index, usize),
    Copy(Index, Index, Index),
    Byte(Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Cut(a, b)),
        (any::<Index>(), 0..FRAGMENTS.len()).prop_map(|(at, i)| Damage::Insert(at, i)),
        (any::<Index>(), any::<Index>(), any::<Index>()).prop_map(|(a, b, to)| Damage::Copy(a, b, to)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
    ]
}

fn apply(text: &mut Vec<u8>, damage: &Damage) {
    // Short pieces: cutting half a plan away finds little.
    let range = |a: &Index, b: &Index, len: usize| {
        let start = a.index(len);
        start..(start + b.index(24)).min(len)
    };
    if text.is_empty() {
        return;
    }
    match damage {
        Damage::Cut(a, b) => drop(text.drain(range(a, b, text.len()))),
        Damage::Insert(at, i) => {
            let at = at.index(text.len());
            text.splice(at..at, FRAGMENTS[*i].bytes());
        }
        Damage::Copy(a, b, to) => {
            let piece = text[range(a, b, text.len())].to_vec();
            let to = to.index(text.len());
            text.splice(to..to, piece);
        }
        Damage::Byte(at, byte) => {
            let at = at.index(text.len());
            text[at] = *byte;
        }
    }
}

/// Reads twice, and checks what holds of every answer.
fn check(bytes: &[u8], format: Format) -> Result<bool, TestCaseError> {
    let (first, second) = (read(bytes, format, "p"), read(bytes, format, "p"));
    let lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).count() as u32;
    match (first, second) {
        (Ok(a), Ok(b)) => {
            prop_assert_eq!(a.digest, b.digest);
            prop_assert_eq!(a.dag.len() as usize, a.tasks.len());
            prop_assert_eq!(
                a.dag.edges(),
                a.tasks.iter().map(|task| task.after.len()).sum::<usize>()
            );
            Ok(true)
        }
        (Err(a), Err(b)) => {
            prop_assert!(!a.is_empty() && a.faults.len() <= FAULTS_MAX);
            for fault in &a.faults {
                prop_assert!(
                    fault
                        .place
                        .is_none_or(|place| place.line <= lines + 1 && place.column >= 1)
                );
                prop_assert!(
                    !fault.detail.is_empty() && !fault.to_string().contains('\n'),
                    "{}",
                    fault
                );
            }
            prop_assert_eq!(a, b);
            Ok(false)
        }
        _ => Err(TestCaseError::fail("one reading fails, the other does not")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_damaged_plan_is_answered(sample in 0usize..5, damages in prop::collection::vec(damage(), 1..4)) {
        let (text, format) = [
            (DESIGN, Format::Yaml),
            (EVERY_KEY, Format::Yaml),
            (MERGED, Format::Yaml),
            (JSON, Format::Json),
            (TOML, Format::Toml),
        ][sample];
        let mut bytes = text.as_bytes().to_vec();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        check(&bytes, format)?;
    }

    // proves: DESIGN 15
    #[test]
    fn noise_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Yaml, Format::Json, Format::Toml] {
            check(&bytes, format)?;
        }
    }

    #[test]
    fn words_of_the_three_languages_are_answered(words in prop::collection::vec(0..FRAGMENTS.len(), 0..30)) {
        let text: String = words.iter().map(|&i| FRAGMENTS[i]).collect();
        for format in [Format::Yaml, Format::Json, Format::Toml] {
            check(text.as_bytes(), format)?;
        }
    }
}

#[test]
fn the_samples_are_whole_before_they_are_damaged() {
    for (text, format) in [
        (DESIGN, Format::Yaml),
        (EVERY_KEY, Format::Yaml),
        (JSON, Format::Json),
        (TOML, Format::Toml),
    ] {
        assert!(check(text.as_bytes(), format).unwrap(), "{text}");
    }
}
