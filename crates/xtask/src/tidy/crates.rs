//! Who may see whom.

use toml::Table;

use super::Finding;
use crate::repo::Repo;

/// What a crate may depend on, and what only its tests may see beside that (and beside itself, with other features).
struct Arrows {
    room: &'static str,
    sees: &'static [&'static str],
    tests_see: &'static [&'static str],
}

/// `store` and `engine` are siblings that meet in `domain`; only the binary knows every room.
const ROOMS: &[Arrows] = &[
    room("domain", &[]),
    room("analyze", &["domain"]),
    room("draw", &[]),
    room("api", &["domain"]),
    Arrows {
        tests_see: &["rig"],
        ..room("store", &["domain"])
    },
    Arrows {
        tests_see: &["store"],
        ..room("engine", &["domain"])
    },
    Arrows {
        tests_see: &["rig"],
        ..room(
            "bell",
            &[
                "analyze", "api", "bench", "client", "desk", "domain", "draw", "engine", "mcp", "server",
                "store",
            ],
        )
    },
    room("client", &["api", "domain"]),
    room("desk", &["api", "domain", "draw", "engine"]),
    Arrows {
        tests_see: &["client", "store"],
        ..room("server", &["api", "desk", "domain", "draw", "engine"])
    },
    Arrows {
        tests_see: &["store"],
        ..room("mcp", &["api", "desk", "domain", "engine"])
    },
    Arrows {
        tests_see: &["rig"],
        ..room("bench", &["domain", "engine", "store"])
    },
    room("rig", &[]),
    room("xtask", &["domain", "rig"]),
];

const fn room(room: &'static str, sees: &'static [&'static str]) -> Arrows {
    Arrows {
        room,
        sees,
        tests_see: &[],
    }
}

pub(super) fn arrows(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.ending("/Cargo.toml") {
        let Some(name) = file
            .path
            .strip_prefix("crates/")
            .and_then(|rest| rest.strip_suffix("/Cargo.toml"))
        else {
            continue;
        };
        let Some(room) = ROOMS.iter().find(|room| room.room == name) else {
            let what = "this crate has no arrows yet: say in xtask's `tidy/crates.rs` what it may see";
            findings.push(Finding::new(&file.path, 0, what));
            continue;
        };
        let manifest: Table = match toml::from_str(&file.text) {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.push(Finding::new(&file.path, 0, error.message()));
                continue;
            }
        };
        for (section, tests) in [
            ("dependencies", false),
            ("build-dependencies", false),
            ("dev-dependencies", true),
        ] {
            let names = manifest
                .get(section)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flat_map(Table::keys);
            for seen in names.filter(|seen| ROOMS.iter().any(|room| room.room == seen.as_str())) {
                let allowed = room.sees.contains(&seen.as_str())
                    || tests && (seen == name || room.tests_see.contains(&seen.as_str()));
                if !allowed {
                    let what = format!("`{name}` must not see `{seen}` ({section})");
                    findings.push(Finding::new(&file.path, 0, what));
                }
            }
        }
    }
    findings
}

/// What reads clocks, disks, sockets or randomness.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "SystemTime",
    "Instant::now",
    "Zoned::now",
    "now_v7",
    "new_v4",
];

/// Rules are functions over plain data: in the domain, time, seeds and texts are arguments. Tests may do as they like.
pub(super) fn purity(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo
        .ending(".rs")
        .filter(|file| file.path.starts_with("crates/domain/src/"))
    {
        let lines = file.text.lines().zip(1..);
        for (line, no) in lines.take_while(|(line, _)| line.trim() != "#[cfg(test)]") {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = IMPURE.iter().find(|word| code.contains(**word)) {
                let what = format!("`{word}` in the domain: pass in what it would read");
                findings.push(Finding::new(&file.path, no, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::repo;

    #[test]
    fn siblings_do_not_see_each_other_except_in_tests() {
        let engine = "[dependencies]\ndomain.workspace = true\nserde = \"1\"\n[dev-dependencies]\nstore.workspace = true\n";
        let store = "[dependencies]\nengine.workspace = true\n";
        let repo = repo(&[
            ("crates/engine/Cargo.toml", engine),
            ("crates/store/Cargo.toml", store),
        ]);
        let findings = arrows(&repo);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].what, "`store` must not see `engine` (dependencies)");
    }

    #[test]
    fn the_domain_reads_no_clock() {
        let text = "// SystemTime is named here.\nlet now = SystemTime::now();\n#[cfg(test)]\nmod t { use std::fs; }\n";
        let findings = purity(&repo(&[("crates/domain/src/a.rs", text)]));
        assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [2]);
    }
}
