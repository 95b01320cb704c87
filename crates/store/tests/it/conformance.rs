//! Every back end passes the whole table, and the table is whole.

use std::fs;
use std::path::Path;

use store::conformance::TABLE;

pub(crate) mod memory {
    use std::sync::Arc;

    use store::conformance::Fresh;
    use store::local::Local;
    use store::memory::MemoryDriver;

    pub(crate) fn fresh() -> Fresh {
        Fresh {
            store: Arc::new(Local::open(MemoryDriver::default()).expect("threads start")),
            keep: Box::new(()),
        }
    }

    store::conformance!(crate::conformance::memory::fresh);
}

pub(crate) mod sqlite {
    use std::sync::Arc;

    use domain::store::Durability;
    use store::conformance::Fresh;
    use store::local::Local;
    use store::sqlite::{Options, SqliteDriver};

    pub(crate) fn fresh() -> Fresh {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            // The cases are about what is written, not about when it reaches the disk.
            durability: Durability::Relaxed,
            create: true,
            max_bytes: None,
        };
        let driver = SqliteDriver::open(&folder.path().join("bell.db"), &options).expect("a new file");
        Fresh {
            store: Arc::new(Local::open(driver).expect("threads start")),
            keep: Box::new(folder),
        }
    }

    store::conformance!(crate::conformance::sqlite::fresh);
}

pub(crate) mod postgres {
    use std::sync::Arc;

    use domain::store::Durability;
    use store::conformance::Fresh;
    use store::local::Local;
    use store::postgres::{Clock, Options, PgDriver};

    use crate::postgres::Space;

    pub(crate) fn fresh() -> Fresh {
        let space = Space::shared();
        let options = Options {
            durability: Durability::Relaxed,
            create: true,
            // Cases move time by hand.
            clock: Clock::Caller,
            ..Options::default()
        };
        let driver = PgDriver::open(&space.url, &options).expect("a server");
        Fresh {
            store: Arc::new(Local::open(driver).expect("threads start")),
            keep: Box::new(space),
        }
    }

    store::conformance!(crate::conformance::postgres::fresh);
}

pub(crate) mod redis {
    use std::sync::Arc;

    use domain::store::Durability;
    use store::conformance::Fresh;
    use store::local::Local;
    use store::redis::{Clock, Options, RedisDriver};

    use crate::redis::Space;

    pub(crate) fn fresh() -> Fresh {
        let space = Space::shared();
        let options = Options {
            durability: Durability::Relaxed,
            create: true,
            // Cases move time by hand.
            clock: Clock::Caller,
            ..Options::default()
        };
        let driver = RedisDriver::open(&space.url, &options).expect("a server");
        Fresh {
            store: Arc::new(Local::open(driver).expect("threads start")),
            keep: Box::new(space),
        }
    }

    store::conformance!(crate::conformance::redis::fresh);
}

#[test]
fn every_case_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
    for (group, cases) in TABLE {
        let text = fs::read_to_string(folder.join(format!("{group}.rs"))).unwrap();
        let written: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
            .collect();
        assert_eq!(written, *cases, "in {group}.rs, and in the table");
    }
}
