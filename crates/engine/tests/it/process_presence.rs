//! Who counts as living, who as dead, and who gets to bury them.

use std::fs;
use std::sync::Barrier;
use std::thread;

use engine::process::presence::{self, Presence};
use serde_json::{Value, json};

#[test]
fn the_living_are_listed_with_what_they_said() {
    let folder = tempfile::tempdir().unwrap();
    let workers = folder.path().join("new/workers");
    assert!(presence::live(&workers).unwrap().is_empty());
    assert!(presence::dead(&workers).unwrap().is_empty());
    let info = json!({ "host": "here", "run": "r1" });
    let presence = Presence::enter(&workers, "w1", &info).unwrap();
    let live = presence::live(&workers).unwrap();
    assert_eq!((live[0].incarnation.as_str(), &live[0].info), ("w1", &info));
    assert!(presence::dead(&workers).unwrap().is_empty());
    presence.leave().unwrap();
    assert!(presence::live(&workers).unwrap().is_empty());
    assert!(presence::dead(&workers).unwrap().is_empty());
}

#[test]
fn the_dead_stay_until_they_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    drop(Presence::enter(folder.path(), "w1", &json!({ "run": "r1" })).unwrap());
    assert!(presence::live(folder.path()).unwrap().is_empty());
    let dead = presence::dead(folder.path()).unwrap();
    assert_eq!(
        (dead[0].incarnation.as_str(), &dead[0].info),
        ("w1", &json!({ "run": "r1" }))
    );
    drop(dead);
    presence::dead(folder.path())
        .unwrap()
        .pop()
        .unwrap()
        .remove()
        .unwrap();
    assert!(presence::dead(folder.path()).unwrap().is_empty());
}

#[test]
fn of_many_rescuers_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..50 {
        drop(Presence::enter(folder.path(), &format!("w{round}"), &Value::Null).unwrap());
        let start = Barrier::new(4);
        let rescue = || {
            start.wait();
            let dead = presence::dead(folder.path()).unwrap();
            dead.into_iter().map(|dead| dead.remove().unwrap()).count()
        };
        let won: usize = thread::scope(|scope| {
            let rescuers: Vec<_> = (0..4).map(|_| scope.spawn(rescue)).collect();
            rescuers.into_iter().map(|rescuer| rescuer.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
    }
}

#[test]
fn strange_files_and_broken_words_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w1.lock"), "{\"pid\": 1").unwrap();
    fs::write(folder.path().join("notes.txt"), "").unwrap();
    fs::write(folder.path().join(".lock"), "").unwrap();
    fs::write(folder.path().join("w2.draft"), "").unwrap();
    let dead = presence::dead(folder.path()).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].info, Value::Null);
    assert!(Presence::enter(folder.path(), "../w", &Value::Null).is_err());
}
