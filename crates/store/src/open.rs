//! Finding the back end for a URL.

use std::path::Path;
use std::sync::Arc;

use domain::code::{Code, Refusal, nearest};
use domain::store::{Durability, Result, Store};

use crate::local::Local;
use crate::memory::MemoryDriver;
use crate::postgres::{self, PgDriver};
use crate::redis::{self, RedisDriver};
use crate::sqlite::{self, SqliteDriver};

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub durability: Durability,
    /// Make the store if there is none.
    pub create: bool,
    /// A server that keeps less than `durability` promises will do.
    pub accept_volatile: bool,
}

/// The kinds of store, by the scheme of their URLs.
pub const SCHEMES: &[&str] = &["sqlite", "memory", "postgres", "postgresql", "redis", "rediss"];

/// Opens `memory:`, `sqlite:PATH`, `postgres://HOST/DATABASE`, `redis://HOST`, `rediss://HOST` or a plain path. Blocks
/// while it does.
pub fn open(url: &str, options: Options) -> Result<Arc<dyn Store>> {
    match scheme(url)? {
        Scheme::Memory => Ok(Arc::new(Local::open(MemoryDriver::default())?)),
        Scheme::Sqlite(path) => {
            let options = sqlite::Options {
                durability: options.durability,
                create: options.create,
                max_bytes: None,
            };
            Ok(Arc::new(Local::open(SqliteDriver::open(path, &options)?)?))
        }
        Scheme::Postgres(url) => {
            let options = postgres::Options {
                durability: options.durability,
                create: options.create,
                accept_volatile: options.accept_volatile,
                ..postgres::Options::default()
            };
            Ok(Arc::new(Local::open(PgDriver::open(url, &options)?)?))
        }
        Scheme::Redis(url) => {
            let options = redis::Options {
                durability: options.durability,
                create: options.create,
                accept_volatile: options.accept_volatile,
                ..redis::Options::default()
            };
            Ok(Arc::new(Local::open(RedisDriver::open(url, &options)?)?))
        }
    }
}

/// What a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    Memory,
    Sqlite(&'a Path),
    /// The whole URL; it may hold a password.
    Postgres(&'a str),
    /// The whole URL; it may hold a password.
    Redis(&'a str),
}

pub fn scheme(url: &str) -> Result<Scheme<'_>> {
    let unknown = |detail: String| {
        Refusal::new(Code::StoreUrl, detail)
            .help("use `sqlite:PATH`, `postgres://HOST/DATABASE`, `redis://HOST` or `memory:`")
    };
    let path = |path: &'static str| unknown(format!("`{path}` names no file"));
    match url.split_once(':') {
        Some(("memory", _)) => Ok(Scheme::Memory),
        Some(("sqlite", "")) => Err(path("sqlite:")),
        Some(("sqlite", rest)) => Ok(Scheme::Sqlite(Path::new(rest.strip_prefix("//").unwrap_or(rest)))),
        Some(("redis" | "rediss", rest)) if rest.starts_with("//") && rest.len() > 2 => {
            Ok(Scheme::Redis(url))
        }
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") && rest.len() > 2 => {
            Ok(Scheme::Postgres(url))
        }
        Some((head @ ("postgres" | "postgresql" | "redis" | "rediss"), _)) => {
            Err(unknown(format!("`{head}:` names no server")))
        }
        // A drive or a colon in a folder's name is no scheme.
        Some((head, _)) if head.is_empty() || head.contains(['/', '.', '\\']) => {
            Ok(Scheme::Sqlite(Path::new(url)))
        }
        None if !url.is_empty() => Ok(Scheme::Sqlite(Path::new(url))),
        None => Err(path("")),
        Some((head, _)) => {
            let refusal = unknown(format!("`{}` is no kind of store", head.escape_debug()));
            Err(match nearest(head, SCHEMES.iter().copied()) {
                Some(near) => refusal.help(format!("did you mean `{near}:`?")),
                None => refusal,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_kinds_of_stores() {
        for (url, expected) in [
            ("memory:", Scheme::Memory),
            ("sqlite:a/b.db", Scheme::Sqlite(Path::new("a/b.db"))),
            ("sqlite:///a/b.db", Scheme::Sqlite(Path::new("/a/b.db"))),
            ("redis://h:1/2", Scheme::Redis("redis://h:1/2")),
            ("rediss://h", Scheme::Redis("rediss://h")),
            ("postgres://h/d", Scheme::Postgres("postgres://h/d")),
            ("postgresql://h/d", Scheme::Postgres("postgresql://h/d")),
            ("./a:b.db", Scheme::Sqlite(Path::new("./a:b.db"))),
            ("bell.db", Scheme::Sqlite(Path::new("bell.db"))),
        ] {
            assert_eq!(scheme(url).unwrap(), expected);
        }
        assert!(scheme("sqlit:x").unwrap_err().help.unwrap().contains("`sqlite:`"));
        for bad in ["", "sqlite:", "http://x", "redis:h", "redis://"] {
            assert_eq!(scheme(bad).unwrap_err().code, Code::StoreUrl, "{bad}");
        }
    }
}
