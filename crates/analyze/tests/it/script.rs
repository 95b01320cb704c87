use analyze::tree::Origin;

use crate::{edges, outside, tree};

// proves: SPEC 5.1, DESIGN 11
#[test]
fn relative_paths_find_their_files() {
    let tree = tree(&[
        (
            "src/index.ts",
            "export * from './a';\nimport type { T } from './types';\nimport './style.css';\n",
        ),
        (
            "src/a.tsx",
            "import b from './b.js';\nimport('./lazy');\nimport fs from 'node:fs';\nimport React from 'react';\n",
        ),
        ("src/b.ts", "import { x } from '.';\nimport './gone';\n"),
        (
            "src/lazy/index.js",
            "const a = require('../a');\nif (x) require('../old');\n",
        ),
        ("src/old.cjs", ""),
        ("src/types.d.ts", ""),
        ("src/style.css", ""),
    ]);
    assert_eq!(
        edges(&tree),
        [
            "src/a.tsx -> src/b.ts",
            "src/a.tsx -> src/lazy/index.js (deferred)",
            "src/b.ts -> src/index.ts",
            "src/index.ts -> src/a.tsx",
            "src/index.ts -> src/types.d.ts (types)",
            "src/lazy/index.js -> src/a.tsx",
            "src/lazy/index.js -> src/old.cjs (conditional)",
        ]
    );
    assert_eq!(outside(&tree, Origin::Package), ["react"]);
    assert_eq!(outside(&tree, Origin::Standard), ["fs"]);
    assert_eq!(outside(&tree, Origin::Missing), ["./gone"]);
}

#[test]
fn aliases_workspaces_and_exports() {
    let tree = tree(&[
        ("package.json", r#"{"name": "top", "workspaces": ["packages/*"]}"#),
        (
            "tsconfig.json",
            r#"{"compilerOptions": {"baseUrl": ".", "paths": {"@app/*": ["app/*"]}}}"#,
        ),
        (
            "app/main.ts",
            "import '@app/part';\nimport '@w/one';\nimport '@w/one/deep';\nimport 'two';\nimport 'two/x';\n",
        ),
        ("app/part.ts", ""),
        (
            "packages/one/package.json",
            r##"{"name": "@w/one", "exports": {".": "./src/start.ts", "./deep": "./src/deep.ts"}, "imports": {"#in": "./src/deep.ts"}}"##,
        ),
        ("packages/one/src/start.ts", "import '#in';\n"),
        ("packages/one/src/deep.ts", ""),
        (
            "packages/two/package.json",
            r#"{"name": "two", "main": "dist/index.js"}"#,
        ),
        ("packages/two/src/index.ts", ""),
        ("packages/two/src/x.ts", ""),
    ]);
    assert_eq!(
        edges(&tree),
        [
            "app/main.ts -> app/part.ts",
            "app/main.ts -> packages/one/src/deep.ts",
            "app/main.ts -> packages/one/src/start.ts",
            "app/main.ts -> packages/two/src/index.ts",
            "app/main.ts -> packages/two/src/x.ts",
            "packages/one/src/start.ts -> packages/one/src/deep.ts",
        ]
    );
}
