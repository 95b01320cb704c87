use analyze::tree::Origin;

use crate::{edges, outside, tree};

#[test]
fn modules_of_a_workspace() {
    let tree = tree(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = ['a', 'b']\n[workspace.dependencies]\nshort = { package = 'the-b', path = 'b' }\n",
        ),
        (
            "a/Cargo.toml",
            "[package]\nname = 'a'\n[dependencies]\nserde = '1'\nshort = { workspace = true }\n",
        ),
        (
            "a/src/lib.rs",
            "pub mod x;\nmod y { pub mod z; }\nuse serde::Serialize;\nuse std::io;\nuse short::deep::Thing;\n",
        ),
        (
            "a/src/x.rs",
            "mod inner;\nuse crate::y::z::F;\nuse super::G;\nuse self::inner::H;\n",
        ),
        (
            "a/src/x/inner.rs",
            "fn f() { crate::x::g(); vec![crate::y::z::C] }\n",
        ),
        ("a/src/y/z.rs", ""),
        ("a/src/main.rs", "use a::x::inner;\n"),
        (
            "a/tests/it/main.rs",
            "mod part;\n#[path = \"../shared.rs\"]\nmod shared;\n",
        ),
        ("a/tests/it/part.rs", "use crate::shared;\n"),
        ("a/tests/shared.rs", ""),
        ("b/Cargo.toml", "[package]\nname = 'the-b'\n"),
        ("b/src/lib.rs", "pub mod deep;\nmod gone;\n"),
        ("b/src/deep/mod.rs", "use Kind::*;\nenum Kind {}\n"),
    ]);
    assert_eq!(
        edges(&tree),
        [
            "a/src/lib.rs -> a/src/x.rs (part)",
            "a/src/lib.rs -> a/src/y/z.rs (part)",
            "a/src/lib.rs -> b/src/deep/mod.rs",
            "a/src/main.rs -> a/src/x/inner.rs",
            "a/src/x.rs -> a/src/lib.rs",
            "a/src/x.rs -> a/src/x/inner.rs",
            "a/src/x.rs -> a/src/y/z.rs",
            "a/src/x/inner.rs -> a/src/x.rs",
            "a/src/x/inner.rs -> a/src/y/z.rs",
            "a/tests/it/main.rs -> a/tests/it/part.rs (part)",
            "a/tests/it/main.rs -> a/tests/shared.rs (part)",
            "a/tests/it/part.rs -> a/tests/shared.rs",
            "b/src/lib.rs -> b/src/deep/mod.rs (part)",
        ]
    );
    assert_eq!(outside(&tree, Origin::Package), ["serde"]);
    assert_eq!(outside(&tree, Origin::Standard), ["std"]);
    assert_eq!(outside(&tree, Origin::Missing), ["mod gone"]);
}
