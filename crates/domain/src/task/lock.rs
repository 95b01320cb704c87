//! Locks: named reservations of tasks, exclusive or shared, some of them hierarchical.

use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal};
use crate::limits;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Exclusive,
    Shared,
}

/// A lock that a task asks for; the name is normalised.
///
/// Names that begin with `path:` form a tree: `path:src` conflicts with `path:src/auth`. All others conflict
/// only with themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lock {
    pub name: String,
    #[serde(default)]
    pub mode: Mode,
}

const PATH: &str = "path:";

/// Slots of a concurrency key are held under this prefix.
pub const LIMIT: &str = "limit:";

impl Lock {
    pub fn new(name: &str, mode: Mode) -> Result<Lock, Refusal> {
        let wrong = |why: String| Refusal::new(Code::InvalidArgument, why);
        let name = name.trim();
        if name.is_empty() || name.len() > limits::KEY_BYTES || name.chars().any(char::is_control) {
            return Err(wrong(format!("`{}` is no name for a lock", name.escape_debug()))
                .help(format!("use 1 to {} visible characters", limits::KEY_BYTES)));
        }
        if name.starts_with(LIMIT) {
            return Err(
                wrong(format!("the lock `{name}` has the prefix of concurrency keys"))
                    .help("use another prefix, or `concurrency` if a limit is meant"),
            );
        }
        match name.strip_prefix(PATH) {
            None => Ok(Lock {
                name: name.to_owned(),
                mode,
            }),
            Some(path) => match normalise(path) {
                Some(path) => Ok(Lock {
                    name: format!("{PATH}{path}"),
                    mode,
                }),
                None => Err(
                    wrong(format!("the lock `{}` leaves its root", name.escape_debug()))
                        .help("write a path inside the project, without `..` above its root"),
                ),
            },
        }
    }

    /// Whether two tasks holding these locks may not run at the same time.
    pub fn conflicts(&self, other: &Lock) -> bool {
        let both_shared = self.mode == Mode::Shared && other.mode == Mode::Shared;
        !both_shared && (self.covers(&other.name) || other.covers(&self.name))
    }

    fn covers(&self, name: &str) -> bool {
        if self.name == name {
            return true;
        }
        let (Some(mine), Some(theirs)) = (self.name.strip_prefix(PATH), name.strip_prefix(PATH)) else {
            return false;
        };
        mine == "."
            || theirs
                .strip_prefix(mine)
                .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Every name above this one in its tree, itself not included, nearest first. The whole tree is `path:.`.
    pub fn ancestors(&self) -> impl Iterator<Item = String> + '_ {
        let path = self.name.strip_prefix(PATH).filter(|path| *path != ".");
        let cuts = path
            .into_iter()
            .flat_map(|path| path.rmatch_indices('/').map(move |(at, _)| &path[..at]));
        cuts.map(|prefix| format!("{PATH}{prefix}"))
            .chain(path.map(|_| format!("{PATH}.")))
    }

    /// The range of names strictly below this one: `start <= name < end`, if it can have any.
    pub fn descendants(&self) -> Option<(String, String)> {
        let path = self.name.strip_prefix(PATH)?;
        // `0` is the character after `/`, `;` the one after `:`.
        Some(match path {
            "." => (PATH.to_owned(), "path;".to_owned()),
            _ => (format!("{}/", self.name), format!("{}0", self.name)),
        })
    }
}

/// Removes `.`, empty and `..` parts; `None` when `..` leads above the root. The root itself is `.`.
fn normalise(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(name: &str) -> Lock {
        Lock::new(name, Mode::Exclusive).unwrap()
    }

    #[test]
    fn paths_conflict_with_what_is_above_and_below() {
        for (a, b, expected) in [
            ("path:src", "path:src/auth", true),
            ("path:src/auth", "path:src/auth", true),
            ("path:src/auth", "path:src/authors", false),
            ("path:./src//auth/", "path:src/x/../auth/y", true),
            ("path:.", "path:anything", true),
            ("db:migrations", "db:migrations", true),
            ("db:migrations", "db:migrations/7", false),
        ] {
            assert_eq!(lock(a).conflicts(&lock(b)), expected, "{a} {b}");
            assert_eq!(lock(b).conflicts(&lock(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn shared_locks_meet_only_exclusive_ones() {
        let shared = Lock::new("path:src", Mode::Shared).unwrap();
        assert!(!shared.conflicts(&Lock::new("path:src/a", Mode::Shared).unwrap()));
        assert!(shared.conflicts(&lock("path:src/a")));
    }

    #[test]
    fn neighbours_in_the_tree_are_found_by_name() {
        let ancestors: Vec<_> = lock("path:a/b/c").ancestors().collect();
        assert_eq!(ancestors, ["path:a/b", "path:a", "path:."]);
        assert_eq!(lock("db").ancestors().count(), 0);
        let (start, end) = lock("path:a").descendants().unwrap();
        for (name, inside) in [
            ("path:a/b", true),
            ("path:a", false),
            ("path:ab", false),
            ("path:a-b", false),
        ] {
            assert_eq!((start.as_str()..end.as_str()).contains(&name), inside, "{name}");
        }
    }

    #[test]
    fn names_stay_inside_their_root() {
        assert!(Lock::new("path:../x", Mode::Exclusive).is_err());
        assert!(Lock::new("", Mode::Exclusive).is_err());
    }
}
