use analyze::tree::Origin;

use crate::{edges, outside, tree};

#[test]
fn a_package_means_the_files_that_declare_what_is_used() {
    let tree = tree(&[
        ("go.mod", "module a.b/c // ours\n\ngo 1.22\n"),
        (
            "main.go",
            "package main\nimport (\n\"fmt\"\n\"a.b/c/web\"\n_ \"a.b/c/side\"\n\"x.y/z\"\n\"a.b/c/gone\"\n\"v.w/lib\"\n)\nfunc main() { web.Serve(fmt.Sprint()) }\n",
        ),
        ("web/serve.go", "package web\nfunc Serve(s string) {}\n"),
        ("web/other.go", "package web\nfunc Other() {}\n"),
        (
            "web/serve_test.go",
            "package web\nimport \"a.b/c/side\"\nfunc Serve() { side.A() }\n",
        ),
        ("side/a.go", "package side\nfunc A() {}\n"),
        ("side/b.go", "package side\n"),
        ("vendor/v.w/lib/l.go", "package lib\n"),
    ]);
    assert_eq!(
        edges(&tree),
        [
            "main.go -> side/a.go",
            "main.go -> side/b.go",
            "main.go -> vendor/v.w/lib/l.go",
            "main.go -> web/serve.go",
            "web/serve_test.go -> side/a.go",
        ]
    );
    assert_eq!(outside(&tree, Origin::Package), ["x.y/z"]);
    assert_eq!(outside(&tree, Origin::Standard), ["fmt"]);
    assert_eq!(outside(&tree, Origin::Missing), ["a.b/c/gone"]);
}
