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

#[test]
fn names_are_followed_to_where_they_are_declared() {
    let tree = tree(&[
        ("Cargo.toml", "[package]\nname = 'a'\n"),
        (
            "src/lib.rs",
            "mod deep;\nmod user;\nmod shapes;\n#[macro_use]\nmod macros;\npub use deep::inner::{Thing, other as renamed};\n\
             pub use shapes::*;\nuse std::fmt;\npub use self::round::one;\nmod round;\n",
        ),
        ("src/deep/mod.rs", "pub mod inner;\n"),
        (
            "src/deep/inner.rs",
            "pub struct Thing;\npub fn other() {}\npub enum Made { A }\n",
        ),
        ("src/shapes.rs", "pub struct Square;\npub use crate::deep::*;\n"),
        (
            "src/macros.rs",
            "#[macro_export]\nmacro_rules! shout { () => {} }\n",
        ),
        // A circle of names that mean nothing: the trail ends in the file that leads back.
        ("src/round.rs", "pub use crate::one;\npub use super::*;\n"),
        (
            "src/user.rs",
            "use crate::Thing;\nuse crate::renamed;\nuse crate::Square;\nuse crate::inner::Made::A;\nuse crate::shout;\n\
             use super::fmt::Debug;\nuse crate::one;\nmod tests { use super::*; fn f() { Thing::new(); super::gone(); } }\n",
        ),
        (
            "tests/all.rs",
            "use a::renamed;\nuse a::deep;\nfn f() { deep::inner::other(); unknown::name(); }\n",
        ),
    ]);
    let mine = |edge: &String| edge.starts_with("src/user.rs") || edge.starts_with("tests");
    let edges: Vec<String> = edges(&tree).into_iter().filter(mine).collect();
    assert_eq!(
        edges,
        [
            "src/user.rs -> src/deep/inner.rs",
            "src/user.rs -> src/lib.rs",
            "src/user.rs -> src/macros.rs",
            "src/user.rs -> src/round.rs",
            "src/user.rs -> src/shapes.rs",
            "tests/all.rs -> src/deep/inner.rs",
            "tests/all.rs -> src/deep/mod.rs",
        ]
    );
}

#[test]
fn a_name_that_a_neighbour_takes_from_the_root_is_found_behind_the_next_glob() {
    let tree = tree(&[
        ("Cargo.toml", "[package]\nname = \"a\"\n"),
        (
            "src/lib.rs",
            "pub use first::*;\npub use second::*;\nmod first;\nmod second;\nmod user;\n",
        ),
        ("src/first.rs", "use crate::Thing;\npub struct Other(Thing);\n"),
        ("src/second.rs", "pub struct Thing;\n"),
        ("src/user.rs", "use crate::Thing;\n"),
    ]);
    let edges = edges(&tree);
    for edge in ["src/first.rs -> src/second.rs", "src/user.rs -> src/second.rs"] {
        assert!(edges.iter().any(|found| found == edge), "{edge}: {edges:?}");
    }
    assert!(
        !edges.iter().any(|found| found.ends_with("-> src/lib.rs")),
        "{edges:?}"
    );
}
