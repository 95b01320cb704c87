//! Small documents, and who leads.

use domain::book::{Book, Edit, Entry, Expect};
use domain::code::Code;
use domain::limits;
use domain::store::Result;
use domain::task::spec::Json;
use domain::time::Timestamp;

use super::lab::{Lab, SECOND, TTL};
use super::words::{code, worker};

fn entry(key: &str, value: u32) -> Entry {
    Entry::new(Book::Rule, key, &value)
}

async fn edit(lab: &Lab, edits: Vec<Edit>) -> Result<()> {
    let edited = lab.store.edit(&lab.project, edits, "user:ann".into(), lab.now());
    edited.await
}

async fn put(lab: &Lab, entries: &[Entry]) {
    let edits = entries.iter().cloned().map(Edit::put).collect();
    edit(lab, edits).await.unwrap();
}

async fn keys(lab: &Lab, book: Book) -> Vec<String> {
    let entries = lab.store.entries(&lab.project, book, "", limits::PAGE_MAX);
    let entries = entries.await.unwrap();
    entries.iter().map(|entry| entry.key.to_string()).collect()
}

pub async fn entries_are_kept_in_order_of_their_keys(lab: Lab) {
    assert_eq!(keys(&lab, Book::Rule).await, [""; 0]);
    let beside = Entry::new(Book::Schedule, "b", &0);
    put(&lab, &[entry("b", 2), entry("a", 1), beside, entry("c", 3)]).await;
    put(&lab, &[entry("b", 5)]).await;
    assert_eq!(keys(&lab, Book::Rule).await, ["a", "b", "c"]);
    let page = lab.store.entries(&lab.project, Book::Rule, "a", 1).await.unwrap();
    assert_eq!(page, [entry("b", 5)]);
    let asked = ["c".into(), "ghost".into(), "a".into()];
    let some = lab
        .store
        .entries_of(&lab.project, Book::Rule, &asked)
        .await
        .unwrap();
    assert_eq!(some, [entry("c", 3), entry("a", 1)]);
    edit(&lab, vec![Edit::remove(Book::Rule, "b")]).await.unwrap();
    assert_eq!(keys(&lab, Book::Rule).await, ["a", "c"]);
    assert_eq!(keys(&lab, Book::Schedule).await, ["b"]);
    assert_eq!(keys(&lab.beside("other"), Book::Rule).await, [""; 0]);
}

pub async fn what_is_due_is_found(lab: Lab) {
    let at = |key: &str, at: i64| entry(key, 0).due(Some(Timestamp(at)));
    put(
        &lab,
        &[at("late", 30), at("b", 10), at("a", 10), entry("never", 0)],
    )
    .await;
    let due = async |until: i64, limit: usize| {
        let due = lab
            .store
            .entries_due(&lab.project, Book::Rule, Timestamp(until), limit);
        let due = due.await.unwrap();
        due.iter().map(|entry| entry.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(due(9, 10).await, [""; 0]);
    assert_eq!(due(10, 10).await, ["a", "b"]);
    assert_eq!(due(99, 2).await, ["a", "b"]);
    put(&lab, &[at("a", 40)]).await;
    assert_eq!(due(99, 10).await, ["b", "late", "a"]);
    edit(&lab, vec![Edit::remove(Book::Rule, "late")]).await.unwrap();
    assert_eq!(due(99, 10).await, ["b", "a"]);
}

pub async fn an_edit_goes_by_what_it_expects(lab: Lab) {
    let (old, new) = (entry("a", 1), entry("a", 2));
    let other = Edit::put(entry("z", 9));
    let missing = Edit::put(new.clone()).instead_of(Some(&old));
    let refused = edit(&lab, vec![other.clone(), missing.clone()]).await;
    assert_eq!(code(refused), Code::EntryChanged);
    assert_eq!(keys(&lab, Book::Rule).await, [""; 0], "all or none");
    let first = Edit::put(old.clone()).instead_of(None);
    edit(&lab, vec![first.clone()]).await.unwrap();
    assert_eq!(code(edit(&lab, vec![first]).await), Code::EntryChanged);
    edit(&lab, vec![missing.clone(), other]).await.unwrap();
    assert_eq!(code(edit(&lab, vec![missing]).await), Code::EntryChanged);
    let gone = Edit::remove(Book::Rule, "a").expecting(Expect::This(Json::of(&1)));
    assert_eq!(code(edit(&lab, vec![gone]).await), Code::EntryChanged);
    let gone = Edit::remove(Book::Rule, "a").instead_of(Some(&new));
    edit(&lab, vec![gone]).await.unwrap();
    assert_eq!(keys(&lab, Book::Rule).await, ["z"]);
    let long = "x".repeat(limits::KEY_BYTES + 1);
    assert_eq!(
        code(edit(&lab, vec![Edit::put(entry(&long, 1))]).await),
        Code::LimitExceeded
    );
}

// proves: DESIGN 7
pub async fn one_leads_at_a_time(lab: Lab) {
    lab.add(&[super::new::task("any")]).await;
    let lead = async |who: &str, ttl: Option<_>| {
        let who = worker(who);
        let led = lab.store.lead(&lab.project, &who, ttl, lab.now());
        led.await.unwrap()
    };
    assert_eq!(lead("a", Some(TTL)).await, Some(1));
    assert_eq!(lead("b", Some(TTL)).await, None);
    assert_eq!(lead("b", None).await, None, "only the leader hands back");
    lab.pass(TTL - SECOND);
    assert_eq!(lead("a", Some(TTL)).await, Some(1), "a term goes on");
    lab.pass(TTL);
    assert_eq!(lead("b", Some(TTL)).await, Some(2));
    assert_eq!(lead("a", Some(TTL)).await, None);
    assert_eq!(lead("b", None).await, None);
    assert_eq!(lead("a", Some(TTL)).await, Some(3));
}
