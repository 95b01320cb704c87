//! How urgent a unit is by what it is called.

use domain::task::spec::Priority;

const CRITICAL: [&str; 8] = [
    "main", "config", "init", "setup", "core", "app.py", "__init__", "settings",
];
const HIGH: [&str; 8] = [
    "model",
    "schema",
    "database",
    "db",
    "auth",
    "user",
    "connection",
    "middleware",
];
const LOW: [&str; 7] = ["test", "doc", "readme", "example", "demo", "sample", "tutorial"];

/// The priority of the first list with a keyword that begins a word of the text; normal, if none has.
///
/// Words, not any letters in a row: `domain` is not `main`.
pub fn by_keyword(text: &str) -> Priority {
    let text = text.to_lowercase();
    let begins = |keyword: &&str| {
        text.match_indices(*keyword).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric())
        })
    };
    let has = |list: &[&str]| list.iter().any(&begins);
    match () {
        () if has(&CRITICAL) => Priority::CRITICAL,
        () if has(&HIGH) => Priority::HIGH,
        () if has(&LOW) => Priority::LOW,
        () => Priority::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: SPEC 5.3
    #[test]
    fn the_first_list_that_knows_a_word_decides() {
        for (text, priority) in [
            ("src/main.py", Priority::CRITICAL),
            ("pkg/__init__.py", Priority::CRITICAL),
            ("app/models/user.ts", Priority::HIGH),
            ("tests/test_config.py", Priority::CRITICAL),
            ("tests/test_views.py", Priority::LOW),
            ("Docs/intro.md", Priority::LOW),
            ("src/domain.py", Priority::default()),
            ("src/views.py", Priority::default()),
        ] {
            assert_eq!(by_keyword(text), priority, "{text}");
        }
    }
}
