use analyze::report::Report;
use analyze::units::{Size, Units};

use crate::tree;

fn levels(files: &[(&str, &str)]) -> Vec<usize> {
    tree(files).order().dag.levels().iter().map(Vec::len).collect()
}

// proves: SPEC 5.1
#[test]
fn batches_of_lines_diamonds_and_circles() {
    assert_eq!(
        levels(&[("a.py", ""), ("b.py", "import a"), ("c.py", "import b")]),
        [1, 1, 1]
    );
    assert_eq!(levels(&[("a.py", ""), ("b.py", ""), ("c.py", "")]), [3]);
    let diamond = [
        ("a.py", ""),
        ("b.py", "import a"),
        ("c.py", "import a"),
        ("d.py", "import b, c"),
    ];
    assert_eq!(levels(&diamond), [1, 2, 1]);
    assert_eq!(levels(&[("a.py", "import b"), ("b.py", "import a")]), [1, 1]);
    assert_eq!(
        levels(&[("a.py", "import b"), ("b.py", "import c"), ("c.py", "import a")]),
        [1, 1, 1]
    );
    assert!(levels(&[]).is_empty());
}

// proves: SPEC 5.1
#[test]
fn statistics_name_what_is_needed_most() {
    let tree = tree(&[
        ("base.py", ""),
        ("a.py", "import base"),
        ("b.py", "import base, a"),
        ("c.py", "import base, b"),
    ]);
    let units = Units::new(&tree, Size::File);
    let report = Report::new(&tree, &tree.order(), &units);
    let statistics = &report.statistics;
    assert_eq!((statistics.total_files, statistics.total_dependencies), (4, 5));
    assert_eq!(statistics.avg_dependencies_per_file, 1.25);
    assert_eq!(statistics.critical_path, ["base.py", "a.py", "b.py", "c.py"]);
    assert_eq!(statistics.max_parallelism, 1);
    let first = &statistics.most_required_files[0];
    assert_eq!((first.file, first.count), ("base.py", 3));
}

#[test]
fn a_circle_is_cut_where_it_is_weakest_and_the_report_says_why() {
    let tree = tree(&[
        ("a.py", "import b\n"),
        ("b.py", "import c\n"),
        ("c.py", "def f():\n    import a\n"),
        ("d.py", "import c\n"),
    ]);
    let units = Units::new(&tree, Size::File);
    let report = Report::new(&tree, &tree.order(), &units);
    assert_eq!(report.cycles.len(), 1);
    let cycle = &report.cycles[0];
    assert_eq!(cycle.files, ["a.py", "b.py", "c.py"]);
    assert_eq!((cycle.cuts[0].from, cycle.cuts[0].to), ("c.py", "a.py"));
    assert_eq!(
        cycle.cuts[0].why,
        "it happens inside a function, after loading: c.py -> a.py -> b.py -> c.py"
    );
    assert_eq!(report.batches, [vec!["c.py"], vec!["b.py", "d.py"], vec!["a.py"]]);
}

#[test]
fn a_change_affects_all_that_need_it() {
    let tree = tree(&[
        ("a.py", ""),
        ("b.py", "import a"),
        ("c.py", "import b"),
        ("d.py", ""),
    ]);
    let affected = |path| {
        let files = tree.affected(&[tree.file(path).unwrap()]);
        files
            .into_iter()
            .map(|file| tree.files[file as usize].path.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(affected("a.py"), ["a.py", "b.py", "c.py"]);
    assert_eq!(affected("d.py"), ["d.py"]);
    assert_eq!(tree.file("e.py"), None);
}

// proves: SPEC 5.1
#[test]
fn a_hundred_files_take_no_time() {
    let files: Vec<(String, String)> = (0..100)
        .map(|n| {
            (
                format!("m{n}.py"),
                (0..n.min(5)).map(|m| format!("import m{m}\n")).collect(),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let tree = tree(&files);
    assert_eq!(tree.edges.len(), 1 + 2 + 3 + 4 + 95 * 5);
}
