use std::fs;

use super::*;

fn resolve(
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Result<Settings, Refusal> {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("bell.toml");
    fs::write(&path, file).unwrap();
    Settings::resolve(&Sources {
        files: vec![path],
        variables: variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        flags: flags
            .iter()
            .map(|(name, flag, value)| (*name, *flag, (*value).to_owned()))
            .collect(),
    })
}

#[test]
fn the_embedded_defaults_are_complete_and_valid() {
    let settings = Settings::resolve(&Sources::default()).unwrap();
    assert_eq!(settings.project(), Project::default());
    assert_eq!(settings.claim_ttl(), Duration::from_secs(1_800));
    assert_eq!(settings.store(), None);
    for (name, _) in settings.iter() {
        let line = DEFAULTS
            .lines()
            .find(|line| line.starts_with(name.rsplit('.').next().unwrap()));
        assert!(line.is_some(), "{name}");
    }
}

#[test]
fn the_strongest_layer_wins_and_is_named() {
    let file = "project = \"file\"\ndurability = \"relaxed\"\n[run]\njobs = 3\n";
    let settings = resolve(
        file,
        &[("BELLWETHER_PROJECT", "variable"), ("BELLWETHER_RUN_JOBS", "4")],
        &[("project", "--project", "flag")],
    )
    .unwrap();
    let origin = |name: &str| settings.values[name].origin.to_string();
    assert_eq!(
        (settings.text("project"), origin("project").as_str()),
        ("flag", "--project")
    );
    assert_eq!(settings.number("run.jobs"), 4);
    assert_eq!(origin("run.jobs"), "BELLWETHER_RUN_JOBS");
    assert!(origin("durability").ends_with("bell.toml"));
    assert_eq!(origin("claim.ttl"), "default");
}

#[test]
fn a_named_environment_counts_when_it_is_chosen() {
    let file = "project = \"a\"\n[env.staging]\nproject = \"b\"\n";
    assert_eq!(resolve(file, &[], &[]).unwrap().text("project"), "a");
    let staging = resolve(file, &[("BELLWETHER_ENV", "staging")], &[]).unwrap();
    assert_eq!(staging.text("project"), "b");
    let unknown = resolve(file, &[("BELLWETHER_ENV", "stagign")], &[]).unwrap_err();
    assert!(unknown.detail.contains("[env.stagign]"), "{unknown}");
}

#[test]
fn mistakes_are_found_at_the_start_with_their_place() {
    let wrong = |file: &str, variables: &[(&str, &str)]| {
        let refusal = resolve(file, variables, &[]).unwrap_err();
        assert_eq!(refusal.code, Code::ConfigInvalid);
        format!("{} / {}", refusal.detail, refusal.help.unwrap_or_default())
    };
    assert!(wrong("projekt = \"a\"", &[]).ends_with("no option `projekt` / did you mean `project`?"));
    assert!(wrong("\nproject = ", &[]).contains("bell.toml: line 2"));
    assert!(wrong("run.jobs = \"many\"", &[]).contains("`run.jobs` takes a value of type integer, not many"));
    assert!(wrong("", &[("BELLWETHER_RUN_JOBS", "0")]).contains("(BELLWETHER_RUN_JOBS): out of range"));
    assert!(wrong("color = \"blue\"", &[]).contains("auto, always or never"));
}

#[test]
fn passwords_are_not_shown() {
    for (url, shown) in [
        ("postgres://bell:secret@db/x", "postgres://bell:***@db/x"),
        ("postgres://bell@db/x", "postgres://bell@db/x"),
        ("redis://:p@ss@host", "redis://:***@host"),
        ("sqlite:/a/b.db", "sqlite:/a/b.db"),
    ] {
        assert_eq!(without_password(url), shown);
    }
}
