//! Settings of the project: how its line is ordered, how often tasks are tried (DESIGN 4, 8).

use domain::book::{Book, Edit, Entry};
use domain::code::Code;
use domain::store::{Command, Result};
use domain::task::order::{ORDER, Order};
use domain::task::retry::RETRY;
use domain::task::score::Profile;
use domain::task::state::State;
use serde::Serialize;

use super::lab::{HOUR, Lab, SECOND};
use super::new::{New, steady, task};
use super::words::code;

async fn set(lab: &Lab, key: &str, value: &impl Serialize) -> Result<()> {
    let edit = Edit::put(Entry::new(Book::Setting, key, value));
    lab.store
        .edit(&lab.project, vec![edit], "user:ann".into(), lab.now())
        .await
}

fn boosts() -> Order {
    Order {
        profile: Profile::Boosts,
        ..Order::default()
    }
}

// proves: DESIGN 4, SPEC 4.1
pub async fn one_order_holds_for_all(lab: Lab) {
    set(&lab, ORDER, &boosts()).await.unwrap();
    lab.catch_up().await;
    lab.add(&[task("plain").priority(6), task("urgent").deadline(HOUR / 2)])
        .await;
    lab.add(&[task("wanted"), task("after").after("wanted")]).await;
    assert_eq!(lab.drain().await, ["urgent", "plain", "wanted", "after"]);
}

pub async fn a_new_order_is_for_those_in_line_too(lab: Lab) {
    lab.add(&[task("held").lock("db")]).await;
    lab.begin("held").await;
    lab.add(&[task("parked").lock("db").deadline(HOUR / 2)]).await;
    assert!(lab.next().await.is_none());
    lab.add(&[task("plain").priority(6), task("far").deadline(HOUR * 12)])
        .await;
    set(&lab, ORDER, &boosts()).await.unwrap();
    lab.catch_up().await;
    let score = async |id: &str| lab.view(id).await.task.score.value().round() as i64;
    assert_eq!(
        (score("plain").await, score("far").await, score("parked").await),
        (46, 38, 54)
    );
    lab.pass(HOUR * 11);
    lab.catch_up().await;
    assert_eq!(score("far").await, 54, "two more in the last hour");
}

pub async fn a_new_priority_counts_by_the_order(lab: Lab) {
    set(&lab, ORDER, &boosts()).await.unwrap();
    lab.catch_up().await;
    lab.add(&[task("first"), task("second"), task("third").priority(6)])
        .await;
    let up = Command::Reprioritize {
        priority: 6.try_into().unwrap(),
    };
    lab.try_do("second", up).await.unwrap();
    let scores = async |id: &str| lab.view(id).await.task.score;
    assert_eq!(scores("second").await, scores("third").await);
    assert_eq!(lab.drain().await, ["second", "third", "first"]);
}

pub async fn more_are_in_line_than_a_tick_scores(lab: Lab) {
    let many: Vec<New> = (0..2_300).map(|i| task(&format!("t{i}"))).collect();
    lab.add(&many).await;
    set(&lab, ORDER, &boosts()).await.unwrap();
    assert!(lab.tick().await.more);
    lab.catch_up().await;
    let all = lab.all().await;
    assert!(
        all.iter()
            .all(|view| view.task.score.value().round() as i64 == 38)
    );
    assert!(!lab.tick().await.more);
    assert_eq!(lab.tick().await.moved, 0, "it is done with");
}

pub async fn waiting_lifts(lab: Lab) {
    let ageing = Order {
        ageing: 4.0,
        ..Order::default()
    };
    set(&lab, ORDER, &ageing).await.unwrap();
    lab.add(&[task("old").priority(2)]).await;
    for _ in 0..4 {
        lab.pass(HOUR);
        lab.catch_up().await;
    }
    lab.add(&[task("new")]).await;
    assert_eq!(lab.drain().await, ["old", "new"]);
    set(&lab, ORDER, &Order::default()).await.unwrap();
    lab.add(&[task("late").priority(2)]).await;
    lab.pass(HOUR * 4);
    lab.catch_up().await;
    lab.add(&[task("later")]).await;
    assert_eq!(lab.drain().await, ["later", "late"]);
}

pub async fn an_order_that_makes_no_sense_is_refused(lab: Lab) {
    let nonsense = Order {
        ageing: -1.0,
        ..Order::default()
    };
    assert_eq!(code(set(&lab, ORDER, &nonsense).await), Code::ConfigInvalid);
    assert_eq!(code(set(&lab, ORDER, &"text").await), Code::ConfigInvalid);
    assert_eq!(code(set(&lab, RETRY, &steady(0)).await), Code::ConfigInvalid);
    assert!(
        lab.store
            .entries(&lab.project, Book::Setting, "", 9)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn tries_that_a_task_does_not_name(lab: Lab) {
    set(&lab, RETRY, &steady(2)).await.unwrap();
    lab.add(&[task("a"), task("b").retry(steady(1)).priority(2)])
        .await;
    let a = lab.begin("a").await;
    lab.fail(&a).await;
    assert_eq!(lab.state("a").await, State::Retrying);
    let b = lab.begin("b").await;
    lab.fail(&b).await;
    assert_eq!(lab.state("b").await, State::Failed, "its own policy counts more");
    lab.pass(SECOND * 2);
    lab.catch_up().await;
    let a = lab.begin("a").await;
    lab.fail(&a).await;
    assert_eq!(lab.state("a").await, State::Failed);
}
