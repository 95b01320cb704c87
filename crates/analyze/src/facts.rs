//! What one file says about others, before anybody knows which files those are.

use serde::{Deserialize, Serialize};

/// Bytes of one file that are parsed; larger ones are kept as files without imports and reported.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Go,
    JavaScript,
    /// None of the others: only planned files are.
    Other,
    Python,
    Rust,
    TypeScript,
}

impl Language {
    /// Those that are read.
    pub const ALL: [Language; 5] = [
        Language::Python,
        Language::JavaScript,
        Language::TypeScript,
        Language::Rust,
        Language::Go,
    ];

    /// Tells a language by the end of a file's name.
    pub fn of(path: &str) -> Option<Language> {
        let (_, extension) = path.rsplit_once('.')?;
        Some(match extension {
            "py" | "pyi" => Language::Python,
            "js" | "jsx" | "mjs" | "cjs" => Language::JavaScript,
            "ts" | "tsx" | "mts" | "cts" => Language::TypeScript,
            "rs" => Language::Rust,
            "go" => Language::Go,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Language::Go => "go",
            Language::JavaScript => "javascript",
            Language::Other => "other",
            Language::Python => "python",
            Language::Rust => "rust",
            Language::TypeScript => "typescript",
        }
    }
}

/// How binding a dependency is, the weakest first: circles are broken where it costs least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `mod x;`: the file is a part of this one. It says nothing about order.
    Part,
    /// Only a type checker follows it.
    Types,
    /// Inside a function, or a dynamic import: needed later or never.
    Deferred,
    /// Under a condition at load time, such as a fallback.
    Conditional,
    /// Needed to load the file at all.
    Load,
}

impl Kind {
    /// Whether the needed file has to come first.
    pub fn orders(self) -> bool {
        self != Kind::Part
    }

    /// Why a circle may be broken here.
    pub fn weakness(self) -> &'static str {
        match self {
            Kind::Part => "only says that a file is a part",
            Kind::Types => "is for type checkers only",
            Kind::Deferred => "happens inside a function, after loading",
            Kind::Conditional => "stands under a condition",
            Kind::Load => "is needed to load the file, as every other of its circle",
        }
    }
}

/// One thing a file asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub line: u32,
    pub kind: Kind,
    pub ask: Ask,
}

/// In the words of its language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// `import a.b` (no names) or `from ..a.b import c, d`; `level` counts the dots.
    Python {
        level: u32,
        module: String,
        names: Vec<String>,
    },
    /// `import … from "a"`, `import("a")`, `require("a")`.
    Script { specifier: String, require: bool },
    /// `mod name;` inside the inline modules `inside`. What `#[path]` says, under a condition or not; an empty one
    /// stands for the usual place beside others.
    Mod {
        inside: Vec<String>,
        name: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<String>,
    },
    /// `include!("path")`: the text of another file, as if it stood here.
    Include { inside: Vec<String>, path: String },
    /// `mod name { … }`: no file of its own.
    Inline { inside: Vec<String>, name: String },
    /// A path in a `use`, an expression or a type.
    Path {
        inside: Vec<String>,
        segments: Vec<String>,
        /// The name that a `use` brings in, `*` for all there are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        brings: Option<String>,
    },
    /// `import "a/b"` and the names taken from it.
    Go { path: String, names: Vec<String> },
}

/// All that is kept of a file: this is what the cache holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub imports: Vec<Import>,
    /// Top-level names, where they decide which file is meant. Go: of the package. Rust: after the inline modules
    /// around them, as in `tests::helper`; after `!` the macros that the whole crate sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declares: Vec<String>,
    /// The name in its `package` clause (Go).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What is wrong with a file. It stays a file, with the imports that could be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub problem: Problem,
    /// 0 when the whole file is meant.
    pub line: u32,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// Some of it is not the language it claims to be.
    Syntax,
    /// Not UTF-8; read with replacements.
    Encoding,
    /// More than [`FILE_BYTES_MAX`], or nested beyond reason: not parsed.
    Huge,
    Unreadable,
}

impl Problem {
    pub fn as_str(self) -> &'static str {
        match self {
            Problem::Syntax => "syntax",
            Problem::Encoding => "encoding",
            Problem::Huge => "huge",
            Problem::Unreadable => "unreadable",
        }
    }
}
