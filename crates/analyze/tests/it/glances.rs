//! Looking again without reading what has not changed.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use analyze::cache::Cache;
use analyze::facts::Language;
use analyze::{Glance, Ground, Options, Tree, look};
use domain::time::Timestamp;

use crate::{folder, write};

/// So much later that nothing is fresh any more.
fn later(seconds: u64) -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(seconds);
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

fn again(root: &Path, cache: &mut Cache, glance: &mut Glance, now: Timestamp) -> Tree {
    let options = Options {
        languages: Language::ALL.to_vec(),
        threads: 2,
    };
    let tree = look(&Ground::of(root), &options, cache, Some((glance, now))).unwrap();
    cache.save().unwrap();
    tree
}

fn small() -> tempfile::TempDir {
    folder(&[
        ("a.py", "import b\n"),
        ("b.py", ""),
        ("web/x.ts", "import './y'\n"),
        ("web/y.ts", ""),
        ("web/package.json", "{}"),
        (".gitignore", "made\n"),
    ])
}

#[test]
fn what_has_settled_is_not_read_again() {
    let temp = small();
    let (mut cache, mut glance) = (Cache::in_memory(), Glance::default());
    assert!(!glance.is_same(), "there was no look yet");
    let first = again(temp.path(), &mut cache, &mut glance, later(10));
    assert_eq!((first.parsed, first.spared), (4, 0));
    assert!(glance.is_same());
    let second = again(temp.path(), &mut cache, &mut glance, later(10));
    assert_eq!((second.known, second.spared), (4, 4));
    assert_eq!(second.edges, first.edges);
}

#[test]
fn what_was_written_just_now_is_read_until_it_has_settled() {
    let temp = small();
    let (mut cache, mut glance) = (Cache::in_memory(), Glance::default());
    again(temp.path(), &mut cache, &mut glance, later(0));
    assert!(!glance.is_same(), "a write within the same tick would not show");
    let soon = again(temp.path(), &mut cache, &mut glance, later(10));
    assert_eq!((soon.known, soon.spared), (4, 0));
    assert!(glance.is_same());
}

#[test]
fn every_way_to_change_a_tree_shows() {
    let temp = small();
    let at = |path: &str| temp.path().join(path);
    let (mut cache, mut glance) = (Cache::in_memory(), Glance::default());
    again(temp.path(), &mut cache, &mut glance, later(10));
    let mut shows = |what: &str, spared: usize, change: &dyn Fn()| {
        assert!(glance.is_same(), "before: {what}");
        // The clock of the file system has to tick in between.
        std::thread::sleep(Duration::from_millis(20));
        change();
        assert!(!glance.is_same(), "{what}");
        let tree = again(temp.path(), &mut cache, &mut glance, later(10));
        assert_eq!(tree.spared, spared, "{what}");
        tree
    };
    let written = fs::metadata(at("a.py")).unwrap().modified().unwrap();
    let tree = shows("as long as before, and its time set back", 3, &|| {
        fs::write(at("a.py"), "import c\n").unwrap();
        let file = fs::File::options().write(true).open(at("a.py")).unwrap();
        file.set_modified(written).unwrap();
    });
    assert_eq!(tree.parsed, 1);
    shows("replaced, as editors do", 3, &|| {
        write(temp.path(), "made/b.py", "import a\n");
        fs::rename(at("made/b.py"), at("b.py")).unwrap();
    });
    shows("renamed", 3, &|| fs::rename(at("a.py"), at("c.py")).unwrap());
    shows("new", 4, &|| write(temp.path(), "web/z.ts", ""));
    shows("gone", 4, &|| fs::remove_file(at("c.py")).unwrap());
    shows("a manifest", 4, &|| write(temp.path(), "web/package.json", "{ }"));
    let tree = shows("what is left out", 1, &|| {
        write(temp.path(), ".gitignore", "web\n");
    });
    assert_eq!(tree.files.len(), 1);
}

#[test]
fn times_to_come_are_no_reason_to_read() {
    let temp = small();
    let file = fs::File::options()
        .write(true)
        .open(temp.path().join("b.py"))
        .unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(100_000))
        .unwrap();
    let (mut cache, mut glance) = (Cache::in_memory(), Glance::default());
    again(temp.path(), &mut cache, &mut glance, later(10));
    assert!(glance.is_same());
}
