use std::fs;
use std::os::unix::fs::symlink;

use analyze::cache::Cache;
use analyze::facts::{FILE_BYTES_MAX, Problem};

use crate::{edges, folder, read, write};

// proves: DESIGN 11
#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_read() {
    let temp = folder(&[
        ("a.py", "import b\n"),
        ("b.py", "def (:\nimport c\n"),
        ("c.py", ""),
        (".gitignore", "made/\n"),
        ("made/x.py", ""),
        (".hidden/y.py", ""),
        ("node_modules/m/index.js", ""),
        ("packed.min.js", "require('./a')"),
    ]);
    let root = temp.path();
    symlink(root, root.join("loop")).unwrap();
    symlink("a.py", root.join("link.py")).unwrap();
    symlink("nowhere", root.join("dangling.py")).unwrap();
    fs::write(root.join("latin.py"), b"# caf\xe9\nimport a\n").unwrap();
    fs::write(root.join("wide.py"), b"\xff\xfei\0m\0p\0o\0r\0t\0 \0a\0\n\0").unwrap();
    fs::write(root.join("huge.py"), vec![b'\n'; FILE_BYTES_MAX as usize + 1]).unwrap();
    fs::write(root.join("zeros.js"), [0; 1000]).unwrap();

    let tree = read(root, &mut Cache::none());
    let paths: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "a.py", "b.py", "c.py", "huge.py", "latin.py", "wide.py", "zeros.js"
        ]
    );
    assert_eq!(
        edges(&tree),
        [
            "a.py -> b.py",
            "b.py -> c.py",
            "latin.py -> a.py",
            "wide.py -> a.py"
        ]
    );
    assert_eq!(tree.links, 3);
    let faults: Vec<_> = tree
        .files
        .iter()
        .filter_map(|file| Some((file.path.as_str(), file.fault.as_ref()?.problem)))
        .collect();
    assert_eq!(
        faults,
        [
            ("b.py", Problem::Syntax),
            ("huge.py", Problem::Huge),
            ("latin.py", Problem::Encoding),
            ("zeros.js", Problem::Syntax),
        ]
    );
}

// proves: DESIGN 11
#[test]
fn a_second_look_parses_only_what_has_changed() {
    let temp = folder(&[("a.py", "import b\n"), ("b.py", ""), ("c.py", "x = 1\n")]);
    let place = temp.path().join(".cache/facts");
    let look = || {
        let mut cache = Cache::open(&place);
        let tree = read(temp.path(), &mut cache);
        cache.save().unwrap();
        (tree.parsed, tree.known, edges(&tree))
    };
    assert_eq!(look(), (3, 0, vec!["a.py -> b.py".into()]));
    assert_eq!(look(), (0, 3, vec!["a.py -> b.py".into()]));
    write(temp.path(), "c.py", "import a\n");
    assert_eq!(look(), (1, 2, vec!["a.py -> b.py".into(), "c.py -> a.py".into()]));
    fs::write(&place, "nonsense\n\u{0} {\n").unwrap();
    assert_eq!(look().0, 3);
    assert_eq!(look().0, 0);
}
