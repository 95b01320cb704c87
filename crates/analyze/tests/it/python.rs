use analyze::cache::Cache;
use analyze::tree::Origin;

use crate::{edges, folder, outside, read, tree};

// proves: SPEC 5.1, DESIGN 11
#[test]
fn packages_and_relative_imports() {
    let tree = tree(&[
        ("pkg/__init__.py", "from .core import run\nfrom . import late\n"),
        (
            "pkg/core.py",
            "import os, requests\nfrom pkg.util import text, helper\n",
        ),
        ("pkg/late.py", "from .. import outside\n"),
        ("pkg/util/__init__.py", "from ..late import x\n"),
        ("pkg/util/text.py", "def f():\n    import pkg.core\n"),
        (
            "run.py",
            "import pkg\nimport pkg.util.text as t\nfrom pkg.gone import a\n",
        ),
    ]);
    assert_eq!(
        edges(&tree),
        [
            "pkg/__init__.py -> pkg/core.py",
            "pkg/__init__.py -> pkg/late.py",
            "pkg/core.py -> pkg/util/__init__.py",
            "pkg/core.py -> pkg/util/text.py",
            "pkg/util/__init__.py -> pkg/late.py",
            "pkg/util/text.py -> pkg/core.py (deferred)",
            "run.py -> pkg/__init__.py",
            "run.py -> pkg/util/text.py",
        ]
    );
    assert_eq!(outside(&tree, Origin::Package), ["requests"]);
    assert_eq!(outside(&tree, Origin::Standard), ["os"]);
    assert_eq!(outside(&tree, Origin::Missing), ["...outside"]);
}

#[test]
fn sources_in_src_namespaces_and_stubs() {
    let tree = tree(&[
        ("pyproject.toml", ""),
        ("src/app/__init__.py", ""),
        (
            "src/app/main.py",
            "import space.part.tool\nfrom space.part import other\nfrom typed import T\nimport space\n",
        ),
        ("src/space/part/tool.py", ""),
        ("src/space/part/other.py", "from .tool import x\n"),
        ("src/typed.pyi", "from app.main import y\n"),
        ("tests/test_app.py", "from app import main\nimport helper\n"),
        ("tests/helper.py", "import types\n"),
        ("tests/types.py", ""),
    ]);
    assert_eq!(
        edges(&tree),
        [
            "src/app/main.py -> src/space/part/other.py",
            "src/app/main.py -> src/space/part/tool.py",
            "src/app/main.py -> src/typed.pyi",
            "src/space/part/other.py -> src/space/part/tool.py",
            "src/typed.pyi -> src/app/main.py",
            "tests/test_app.py -> src/app/main.py",
            "tests/test_app.py -> tests/helper.py",
        ]
    );
    assert_eq!(outside(&tree, Origin::Standard), ["types"]);
}

#[test]
fn of_two_roots_the_nearer_one_is_meant() {
    let tree = tree(&[
        ("one/setup.py", ""),
        ("one/lib/__init__.py", ""),
        ("one/use.py", "import lib\n"),
        ("two/setup.py", ""),
        ("two/lib/__init__.py", ""),
        ("two/use.py", "import lib\n"),
    ]);
    assert_eq!(
        edges(&tree),
        [
            "one/use.py -> one/lib/__init__.py",
            "two/use.py -> two/lib/__init__.py"
        ]
    );
}

// proves: SPEC 5.1
#[test]
fn no_name_is_found_inside_another() {
    let tree = tree(&[("posts.py", ""), ("app.py", "import os\nimport post\n")]);
    assert!(tree.edges.is_empty());
}

// A package may be looked at from inside: its absolute imports begin with names that stand above the tree.
#[test]
fn the_tree_may_be_a_package_itself() {
    let temp = folder(&[
        ("pkg/__init__.py", "import pkg.core\n"),
        ("pkg/typing.py", ""),
        (
            "pkg/core.py",
            "import typing, more\nfrom pkg import util\nfrom pkg.util import text, x\n",
        ),
        ("pkg/util/__init__.py", "import pkg\nfrom pkg.gone import a\n"),
        ("pkg/util/text.py", "from pkg import core\nimport pkg.util.more\n"),
    ]);
    let whole = read(&temp.path().join("pkg"), &mut Cache::none());
    assert_eq!(
        edges(&whole),
        [
            "__init__.py -> core.py",
            "core.py -> util/__init__.py",
            "core.py -> util/text.py",
            "util/__init__.py -> __init__.py",
            "util/text.py -> core.py",
            "util/text.py -> util/__init__.py",
        ]
    );
    let part = read(&temp.path().join("pkg/util"), &mut Cache::none());
    assert_eq!(edges(&part), ["text.py -> __init__.py"]);
    assert_eq!(outside(&part, Origin::Package), ["pkg"]);
}
