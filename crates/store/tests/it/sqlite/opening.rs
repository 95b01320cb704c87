//! What can be wrong with the file, and that nothing is written to one that is not ours.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use domain::code::Code;
use domain::store::Filter;
use rusqlite::Connection;
use store::driver::Driver;

use super::*;

fn code(path: &Path) -> Code {
    let refusal = refusal(SqliteDriver::open(path, &options()));
    assert!(
        refusal.detail.contains(&path.display().to_string()),
        "{refusal} names the file"
    );
    refusal.code
}

#[test]
fn a_missing_store_is_made_with_its_folder_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/bell.db");
    let ask = Options {
        create: false,
        ..options()
    };
    assert_eq!(refusal(SqliteDriver::open(&path, &ask)).code, Code::StoreNotFound);
    assert!(!dir.path().join("a").exists());
    drop(open(&path));
    let driver = SqliteDriver::open(&path, &ask).unwrap();
    assert_eq!(driver.info().schema, 1);
    assert_eq!(driver.info().url, format!("sqlite:{}", path.display()));
}

#[test]
fn files_of_others_are_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    fs::write(
        &text,
        "not a database, but long enough to have a header that could be mistaken for one",
    )
    .unwrap();
    let foreign = dir.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    let newer = dir.path().join("newer.db");
    drop(open(&newer));
    Connection::open(&newer)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    for (path, right) in [
        (&text, Code::StoreNotDatabase),
        (&foreign, Code::StoreNotDatabase),
        (&newer, Code::StoreNewer),
        (&dir.path().to_owned(), Code::StoreNotDatabase),
    ] {
        let before = fs::read(path).ok();
        assert_eq!(code(path), right);
        assert_eq!(fs::read(path).ok(), before, "{} was written to", path.display());
    }
}

#[test]
fn a_damaged_store_is_told_from_a_foreign_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let mut driver = open(&path);
    admit(&mut driver, 2_000, 100).unwrap();
    drop(driver);
    let mut bytes = fs::read(&path).unwrap();
    let (middle, end) = (bytes.len() / 4, bytes.len());
    bytes[middle..end].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let driver = open(&path);
    let mut reader = driver.reader().unwrap();
    let list = reader.list(&Project::default(), &Filter::default(), Seq(0), 1_000);
    let damaged = list.map_or_else(|refusal| refusal.code == Code::StoreCorrupt, |_| false)
        || reader.check(&Project::default()).map_or_else(
            |refusal| refusal.code == Code::StoreCorrupt,
            |found| !found.is_empty(),
        );
    assert!(damaged);
}

#[test]
fn a_file_that_was_emptied_is_no_new_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let mut driver = open(&path);
    admit(&mut driver, 1, 1).unwrap();
    fs::File::options()
        .write(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    assert_eq!(refusal(admit(&mut driver, 1, 1)).code, Code::StoreGone);
    // As after a crash: the process that had it open would take its log away.
    let wal = dir.path().join("bell.db-wal");
    let (other, other_wal) = (dir.path().join("other.db"), dir.path().join("other.db-wal"));
    fs::write(&other, "").unwrap();
    fs::copy(&wal, &other_wal).unwrap();
    assert_eq!(code(&other), Code::StoreCorrupt);
    assert!(
        fs::metadata(&other_wal).unwrap().len() > 0,
        "it is left where it is"
    );
}

#[test]
fn nothing_is_written_to_a_file_that_has_lost_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (path, kept) = (dir.path().join("bell.db"), dir.path().join("kept.db"));
    let mut driver = open(&path);
    admit(&mut driver, 1, 1).unwrap();
    fs::rename(&path, &kept).unwrap();
    assert_eq!(refusal(admit(&mut driver, 1, 1)).code, Code::StoreGone);
    fs::write(&path, "").unwrap();
    assert_eq!(refusal(admit(&mut driver, 1, 1)).code, Code::StoreGone);
    fs::rename(&kept, &path).unwrap();
    admit(&mut driver, 1, 1).unwrap();
}

#[test]
fn another_programs_lock_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let mut driver = open(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = Instant::now();
    assert_eq!(refusal(admit(&mut driver, 1, 1)).code, Code::StoreLocked);
    assert!(begun.elapsed() > Duration::from_secs(2), "it was waited for");
    other.execute_batch("ROLLBACK").unwrap();
    admit(&mut driver, 1, 1).unwrap();
}

/// A thread may give up its rights alone, so that permissions hold for it even where tests run as root.
fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65_534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            work()
        });
        worker.join().unwrap()
    })
}

#[test]
fn read_only_files_and_folders_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(dir.path(), 0o755);
    let path = dir.path().join("bell.db");
    drop(open(&path));
    mode(&path, 0o444);
    assert_eq!(without_rights(|| code(&path)), Code::StoreReadOnly, "the file");
    mode(&path, 0o666);
    mode(dir.path(), 0o555);
    assert_eq!(without_rights(|| code(&path)), Code::StoreReadOnly, "the folder");
    let new = dir.path().join("new.db");
    assert_eq!(without_rights(|| code(&new)), Code::StoreReadOnly, "a new file");
    mode(dir.path(), 0o755);
}

#[test]
fn a_full_store_refuses_whole_changes_and_works_on_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let bounded = Options {
        max_bytes: Some(1024 * 1024),
        ..options()
    };
    let mut driver = SqliteDriver::open(&path, &bounded).unwrap();
    let mut kept = 0;
    let full = loop {
        match admit(&mut driver, 50, 1_000) {
            Ok(ids) => kept += ids.len() as u64,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(full.code, Code::StoreFull, "{full}");
    assert!(kept > 100);
    let status = driver.reader().unwrap().status(&Project::default()).unwrap();
    assert_eq!(status.counts.total(), kept);
    assert_eq!(findings(&driver), [""; 0]);
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE body SET spec = ''; VACUUM")
        .unwrap();
    admit(&mut driver, 50, 1_000).unwrap();
    assert_eq!(findings(&driver), [""; 0]);
}

/// Where tests may mount, on a disk that is really full.
#[test]
fn a_full_disk_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |args: &[&str]| {
        let status = std::process::Command::new(args[0])
            .args(&args[1..])
            .arg(dir.path())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !rustix::process::geteuid().is_root() || !mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs"]) {
        return;
    }
    let mut driver = open(&dir.path().join("bell.db"));
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![0; 600_000]).unwrap();
    let mut kept = 0;
    let full = loop {
        match admit(&mut driver, 50, 1_000) {
            Ok(ids) => kept += ids.len() as u64,
            Err(refusal) => break refusal,
        }
        driver.idle(false);
    };
    let shown = driver
        .reader()
        .and_then(|mut reader| reader.status(&Project::default()));
    fs::remove_file(&ballast).unwrap();
    let again = admit(&mut driver, 50, 1_000);
    let found = findings(&driver);
    drop(driver);
    assert!(mount(&["umount"]));
    assert_eq!(full.code, Code::StoreFull, "{full}");
    assert_eq!(shown.unwrap().counts.total(), kept);
    again.unwrap();
    assert_eq!(found, [""; 0]);
}

#[test]
fn many_open_a_new_store_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/bell.db");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| admit(&mut open(&path), 1, 1).unwrap());
        }
    });
    let driver = open(&path);
    let status = driver.reader().unwrap().status(&Project::default()).unwrap();
    assert_eq!(status.counts.total(), 8);
    assert_eq!(findings(&driver), [""; 0]);
}

#[test]
fn after_another_boot_every_lease_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bell.db");
    let mut driver = open(&path);
    admit(&mut driver, 1, 1).unwrap();
    driver
        .write(&mut |tx| {
            let project = default_project(tx)?;
            let old = tx.tasks(project, &[Seq(1)])?.remove(0);
            let mut writes = WriteSet::new(project, tx.head(project)?);
            writes.tasks.push((old.clone(), processes::leased(old, i64::MAX)));
            tx.apply(&writes)
        })
        .unwrap();
    let due = |driver: &mut SqliteDriver| {
        let mut due = Vec::new();
        let ask = &mut |tx: &mut dyn Tx| {
            let project = default_project(tx)?;
            due = tx.expired(project, 0, 9)?;
            Ok(())
        };
        driver.write(ask).unwrap();
        due
    };
    assert!(due(&mut driver).is_empty());
    drop(driver);
    let mut driver = open(&path);
    assert!(due(&mut driver).is_empty(), "the same boot");
    drop(driver);
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE meta SET value = 'another' WHERE name = 'boot'", [])
        .unwrap();
    drop(raw);
    assert_eq!(due(&mut open(&path)), [Seq(1)]);
}

#[test]
fn work_that_fails_or_panics_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = open(&dir.path().join("bell.db"));
    let (send, told) = mpsc::channel();
    let spoil = |tx: &mut dyn Tx| {
        let project = tx.project(&Project::new("gone").unwrap(), true)?.unwrap();
        tx.class(project, &class())?;
        let mut writes = WriteSet::new(project, tx.head(project)?);
        writes.head.1.score_sum = 7;
        tx.apply(&writes)
    };
    let refused = driver.write(&mut |tx| {
        spoil(tx)?;
        Err(Refusal::new(Code::Internal, "enough"))
    });
    assert_eq!(refusal(refused).detail, "enough");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        driver.write(&mut |tx| {
            spoil(tx)?;
            send.send(()).unwrap();
            panic!("as a test");
        })
    }));
    assert!(panicked.is_err() && told.recv().is_ok());
    assert!(driver.reader().unwrap().projects().unwrap().is_empty());
    admit(&mut driver, 1, 1).unwrap();
    assert_eq!(findings(&driver), [""; 0]);
}
