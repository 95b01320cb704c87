//! Dead letters, counted by what made them.

use domain::limits;
use domain::store::Command;
use domain::task::signature::{OTHER, Tally};
use domain::task::state::State;

use super::lab::{HOUR, Lab};
use super::new::{chain, task};
use super::words::{ask, failure, held};

/// The latest task fails so, with no try left.
async fn die(lab: &Lab, id: &str, message: &str) {
    let leased = lab.begin(id).await;
    lab.try_held(&leased, failure(message)).await.unwrap();
}

async fn only(lab: &Lab) -> Tally {
    let mut tallies = lab.tallies().await;
    assert_eq!(tallies.len(), 1, "{tallies:?}");
    tallies.remove(0).1
}

// proves: DESIGN 8, SPEC 5.5
pub async fn equal_causes_are_counted_together(lab: Lab) {
    lab.add(&[task("a"), task("b"), task("c")]).await;
    let start = lab.now().wall;
    die(&lab, "a", "no answer from host 17 within 30 s").await;
    lab.pass(HOUR);
    die(&lab, "b", "no answer from host 4 within 5 s").await;
    let tally = only(&lab).await;
    assert_eq!((tally.count, tally.example.to_string()), (2, "b".to_owned()));
    assert_eq!((tally.first_seen, tally.last_seen), (start, lab.now().wall));
    assert_eq!(tally.signature.message, "no answer from host <n> within <n> s");
    die(&lab, "c", "out of memory").await;
    assert_eq!(lab.tallies().await.len(), 2);
}

pub async fn letters_leave_their_count(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    die(&lab, "a", "disk 1 on fire").await;
    die(&lab, "b", "disk 2 on fire").await;
    lab.retry("a").await;
    assert_eq!(only(&lab).await.count, 1);
    die(&lab, "a", "disk 3 on fire").await;
    assert_eq!(only(&lab).await.count, 2);
    let requests = vec![
        ask("a", Command::DropLetter),
        ask("b", Command::Retry { at: None }),
        ask("a", Command::DropLetter),
    ];
    lab.try_all(requests).await;
    assert_eq!(lab.tallies().await, []);
    die(&lab, "b", "something else").await;
    assert_eq!(only(&lab).await.signature.message, "something else");
}

// proves: SPEC 5.5
pub async fn a_letter_calls_for_help(lab: Lab) {
    lab.add(&[task("a")]).await;
    die(&lab, "a", "it broke").await;
    let story = lab.story("a").await;
    assert_eq!(story[story.len() - 2..], ["failed", "escalated"]);
    let log = lab.log().await;
    let last = log.last().unwrap();
    let (key, _) = lab.tallies().await.remove(0);
    let data = last.event.fact.data.as_ref().unwrap().get().to_owned();
    assert_eq!(data, format!(r#"{{"signature":"{key}"}}"#));
}

pub async fn what_falls_with_a_letter_is_counted(lab: Lab) {
    lab.add(&chain(&["a", "b", "c", "d"])).await;
    die(&lab, "a", "it broke").await;
    assert_eq!((only(&lab).await.count, only(&lab).await.fell), (1, 3));
    lab.add(&[task("x"), task("y").after("x")]).await;
    die(&lab, "x", "it broke").await;
    assert_eq!((only(&lab).await.count, only(&lab).await.fell), (2, 4));
    lab.retry("a").await;
    assert_eq!(lab.state("d").await, State::Blocked);
    assert_eq!((only(&lab).await.count, only(&lab).await.fell), (1, 1));
}

pub async fn so_many_causes_are_told_apart(lab: Lab) {
    let word = |mut i: usize| {
        let mut word = String::new();
        for _ in 0..3 {
            word.push(char::from(b'g' + (i % 10) as u8));
            i /= 10;
        }
        word
    };
    let count = limits::SIGNATURES + 20;
    let tasks: Vec<_> = (0..count).map(|i| task(&word(i))).collect();
    lab.add(&tasks).await;
    let leased = lab.claim_up_to(count).await;
    let requests = leased
        .iter()
        .map(|leased| held(leased, failure(&format!("cannot {}", leased.task.id))));
    for half in requests.collect::<Vec<_>>().chunks(count / 2) {
        lab.try_all(half.to_vec()).await;
    }
    let tallies = lab.tallies().await;
    assert_eq!(tallies.len(), limits::SIGNATURES + 1);
    let other = |tallies: &[(String, Tally)]| {
        let found = tallies.iter().find(|(key, _)| key == OTHER);
        found.map_or(0, |(_, tally)| tally.count)
    };
    assert_eq!(other(&tallies), 20);
    let last = word(count - 1);
    lab.try_do(&last, Command::DropLetter).await.unwrap();
    let first = word(0);
    lab.try_do(&first, Command::DropLetter).await.unwrap();
    let tallies = lab.tallies().await;
    assert_eq!((tallies.len(), other(&tallies)), (limits::SIGNATURES, 19));
}
