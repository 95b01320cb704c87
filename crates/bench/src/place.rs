//! Where the files of a benchmark go: a folder of its own on a real disk, removed when it is over.

use std::io;
use std::path::{Path, PathBuf};

use domain::code::{Code, Refusal};
use tempfile::TempDir;

use crate::machine;
use crate::space::Server;

pub(crate) enum Place {
    Memory(TempDir),
    Disk(TempDir),
    /// With a folder for what is not in the store.
    Server(Server, TempDir),
}

impl Place {
    /// Follows `url` as [`crate::Options::store`] tells.
    pub(crate) fn find(url: Option<&str>) -> Result<Place, Refusal> {
        let wrong = |url: &str| {
            Refusal::new(Code::StoreUrl, format!("`{url}` cannot be benchmarked"))
                .help("use `sqlite:PATH`, `postgres://HOST/DATABASE`, `redis://HOST` or `memory:`")
        };
        match url.map(|url| (url, url.split_once(':'))) {
            None => folder(&real_disk()?).map(Place::Disk),
            Some((_, Some(("memory", _)))) => folder(&std::env::temp_dir()).map(Place::Memory),
            Some((_, Some(("sqlite", path)))) if !path.is_empty() => {
                folder(&beside(Path::new(path))).map(Place::Disk)
            }
            Some((url, _)) => match Server::named(url)? {
                Some(server) => Ok(Place::Server(server, folder(&std::env::temp_dir())?)),
                None => Err(wrong(url)),
            },
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        match self {
            Place::Memory(folder) | Place::Disk(folder) | Place::Server(_, folder) => folder.path(),
        }
    }

    /// What the report says.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Place::Memory(_) => "memory",
            Place::Disk(_) => "sqlite",
            Place::Server(Server::Postgres(_), _) => "postgres",
            Place::Server(Server::Redis(_), _) => "redis",
        }
    }

    pub(crate) fn subfolder(&self) -> Result<TempDir, Refusal> {
        folder(self.folder())
    }
}

/// The folder that a store at `path` lies in.
fn beside(path: &Path) -> PathBuf {
    match path.parent() {
        _ if path.is_dir() => path.to_owned(),
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn folder(parent: &Path) -> Result<TempDir, Refusal> {
    let made = tempfile::Builder::new().prefix("bell-bench-").tempdir_in(parent);
    made.map_err(|e| failed(parent, &e))
}

pub(crate) fn failed(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(Code::StoreUnavailable, format!("{}: {error}", path.display()))
}

/// The first usual folder for temporary files that does not live in memory.
fn real_disk() -> Result<PathBuf, Refusal> {
    let mut folders = vec![std::env::temp_dir(), PathBuf::from("/var/tmp")];
    folders.extend(std::env::current_dir());
    let kind = |folder: &Path| machine::filesystem(folder).unwrap_or_default();
    let real = |folder: &PathBuf| folder.is_dir() && !["tmpfs", "ramfs"].contains(&kind(folder).as_str());
    folders.into_iter().find(real).ok_or_else(|| {
        Refusal::new(
            Code::StoreUnavailable,
            "every usual folder for temporary files lives in memory, where nothing is durable",
        )
        .help("name a folder on a disk: `--store sqlite:PATH`, or `--store memory:` to measure without one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_beside_the_store_that_is_named() {
        assert_eq!(beside(Path::new("bell.db")), Path::new("."));
        assert_eq!(beside(Path::new("/none/x/bell.db")), Path::new("/none/x"));
        assert_eq!(beside(Path::new("/")), Path::new("/"));
        assert!(Place::find(Some("amqp://localhost")).is_err());
        assert!(Place::find(Some("redis://localhost?prefix=mine")).is_err());
        assert!(Place::find(Some("sqlite:/no/such/folder/bell.db")).is_err());
        let named = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/bell.db", named.path().display());
        let place = Place::find(Some(&url)).unwrap();
        assert!(place.folder().starts_with(named.path()));
        drop(place);
        assert_eq!(
            std::fs::read_dir(named.path()).unwrap().count(),
            0,
            "nothing is left behind"
        );
    }
}
