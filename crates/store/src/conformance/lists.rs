//! The reading verbs.

use domain::code::Code;
use domain::id::{AgentName, Kind, Seq, TeamName};
use domain::limits;
use domain::store::{Filter, Neighbours, Status};
use domain::task::spec::{Source, When};
use domain::task::state::State;

use super::lab::{Lab, SECOND};
use super::new::{chain, task};
use super::words::{code, id, with_result, worker};

async fn list(lab: &Lab, filter: Filter) -> Vec<String> {
    let page = lab.store.list(&lab.project, filter, Seq(0), 100).await.unwrap();
    page.iter().map(|view| view.task.id.to_string()).collect()
}

pub async fn pages_follow_each_other(lab: Lab) {
    let tasks: Vec<_> = (0..1_005).map(|i| task(&format!("t{i}"))).collect();
    lab.add(&tasks).await;
    let everything = Filter::default();
    let page = lab
        .store
        .list(&lab.project, everything.clone(), Seq(0), 5_000)
        .await
        .unwrap();
    assert_eq!(page.len(), limits::PAGE_MAX);
    let last = page.last().unwrap().task.seq;
    let rest = lab
        .store
        .list(&lab.project, everything, last, 5_000)
        .await
        .unwrap();
    let names: Vec<_> = page
        .iter()
        .chain(&rest)
        .map(|view| view.task.id.to_string())
        .collect();
    let expected: Vec<_> = tasks.iter().map(|task| task.id.clone()).collect();
    assert_eq!(names, expected);
}

pub async fn who_is_asked_for_twice_is_shown_twice(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    let ids = ["a", "b", "a", "c", "a"].map(id);
    let views = lab.store.views(&lab.project, &ids).await.unwrap();
    let found = views
        .iter()
        .map(|view| view.as_ref().map(|view| view.task.id.clone()));
    let expected = ["a", "b", "a", "c", "a"].map(|name| (name != "c").then(|| id(name)));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

pub async fn filters_choose(lab: Lab) {
    let run = lab.submit("p", &[task("a"), task("b").after("a")]).await;
    lab.add(&[
        task("c").kind("data").source(Source::AgentPlanner),
        task("d").agent("ada").team("web"),
    ])
    .await;
    lab.add(&[
        task("e").parent("c"),
        task("f").priority(10),
        task("g").team("web"),
    ])
    .await;
    lab.broken("f").await;
    let nothing = Filter::default;
    let kind = Kind::new("data").unwrap();
    let agent = AgentName::new("ada").unwrap();
    for (filter, expected) in [
        (nothing(), &["a", "b", "c", "d", "e", "f", "g"][..]),
        (
            Filter {
                states: vec![State::Blocked, State::Failed],
                ..nothing()
            },
            &["b", "f"],
        ),
        (
            Filter {
                run: Some(run),
                ..nothing()
            },
            &["a", "b"],
        ),
        (
            Filter {
                kind: Some(kind),
                ..nothing()
            },
            &["c"],
        ),
        (
            Filter {
                source: Some(Source::AgentPlanner),
                ..nothing()
            },
            &["c"],
        ),
        (
            Filter {
                agent: Some(agent),
                ..nothing()
            },
            &["d"],
        ),
        (
            Filter {
                team: TeamName::new("web").ok(),
                ..nothing()
            },
            &["d", "g"],
        ),
        (
            Filter {
                parent: Some(id("c")),
                ..nothing()
            },
            &["e"],
        ),
        (
            Filter {
                dead_letters: true,
                ..nothing()
            },
            &["f"],
        ),
        (
            Filter {
                states: vec![State::Ready],
                run: Some(run),
                ..nothing()
            },
            &["a"],
        ),
        (
            Filter {
                parent: Some(id("ghost")),
                ..nothing()
            },
            &[],
        ),
    ] {
        assert_eq!(list(&lab, filter.clone()).await, expected, "{filter:?}");
    }
}

// proves: SPEC 1.4
pub async fn neighbours_are_shown(lab: Lab) {
    lab.add(&[
        task("a"),
        task("b"),
        task("m").after("a").when("b", When::Finished),
        task("x").after("m"),
        task("y").when("m", When::Failure).key("why"),
    ])
    .await;
    lab.add(&[task("c1").parent("m"), task("c2").parent("m")]).await;
    lab.done("a").await;
    let near = |near: &[domain::store::Neighbour]| -> Vec<(String, When, State)> {
        near.iter()
            .map(|near| (near.id.to_string(), near.when, near.state))
            .collect()
    };
    let all = lab.store.neighbours(&lab.project, &id("m"), 10).await.unwrap();
    assert_eq!(
        near(&all.after),
        [
            ("a".to_owned(), When::Success, State::Completed),
            ("b".to_owned(), When::Finished, State::Ready)
        ]
    );
    assert_eq!(
        near(&all.dependents),
        [
            ("x".to_owned(), When::Success, State::Blocked),
            ("y".to_owned(), When::Failure, State::Blocked)
        ]
    );
    assert_eq!(all.dependents[1].key.as_ref().unwrap().as_str(), "why");
    let children: Vec<_> = all.children.iter().map(|near| near.id.to_string()).collect();
    assert_eq!(children, ["c1", "c2"]);
    assert!(!all.cut);
    let some = lab.store.neighbours(&lab.project, &id("m"), 1).await.unwrap();
    assert!(some.cut && some.after.len() == 1 && some.dependents.len() == 1 && some.children.len() == 1);
    let alone = lab.store.neighbours(&lab.project, &id("c1"), 1).await.unwrap();
    assert_eq!(alone, Neighbours::default());
    let ghost = lab.store.neighbours(&lab.project, &id("ghost"), 1).await;
    assert_eq!(code(ghost), Code::TaskNotFound);
}

async fn seqs(lab: &Lab, names: &[&str]) -> Vec<Seq> {
    let mut seqs = Vec::new();
    for name in names {
        seqs.push(lab.view(name).await.task.seq);
    }
    seqs
}

pub async fn edges_among_some(lab: Lab) {
    lab.add(&chain(&["a", "b", "c"])).await;
    lab.add(&[task("d").after("a").when("c", When::Finished)]).await;
    let all = seqs(&lab, &["d", "c", "a", "b"]).await;
    let [d, c, a, b] = all[..] else { unreachable!() };
    let among = async |some: &[Seq]| {
        let mut edges = lab.store.edges(&lab.project, some).await.unwrap();
        edges.sort();
        edges
    };
    assert_eq!(
        among(&all).await,
        [
            (a, b, When::Success),
            (a, d, When::Success),
            (b, c, When::Success),
            (c, d, When::Finished)
        ]
    );
    assert_eq!(among(&[a, d]).await, [(a, d, When::Success)]);
    assert_eq!(among(&[b, d]).await, []);
}

pub async fn results_are_collected(lab: Lab) {
    lab.add(&[task("a").key("ay"), task("b"), task("c")]).await;
    let leased = lab.begin("a").await;
    lab.try_held(&leased, with_result(Some("[1]"))).await.unwrap();
    lab.broken("b").await;
    let mut wanted = seqs(&lab, &["c", "a", "b"]).await;
    wanted.push(Seq(999_999));
    let results = lab.store.results(&lab.project, &wanted).await.unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|upstream| {
            (
                upstream.id.to_string(),
                upstream.state,
                upstream.outcome.is_some(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("c".to_owned(), State::Ready, false),
            ("a".to_owned(), State::Completed, true),
            ("b".to_owned(), State::Failed, true)
        ]
    );
    assert_eq!(results[1].key.as_ref().unwrap().as_str(), "ay");
    let result = results[1].outcome.clone().unwrap().result.unwrap();
    assert_eq!(result.get(), "[1]");
}

pub async fn places_in_line_are_counted(lab: Lab) {
    lab.add(&[
        task("a").kind("x"),
        task("b").kind("y"),
        task("c").priority(10),
        task("d"),
    ])
    .await;
    let ahead = async |name: &str, limit| lab.store.ahead(&lab.project, &id(name), limit).await.unwrap();
    assert_eq!(ahead("c", 100).await, 0);
    assert_eq!(ahead("a", 100).await, 1);
    assert_eq!(ahead("b", 100).await, 2);
    assert_eq!(ahead("d", 100).await, 3);
    assert_eq!(ahead("d", 2).await, 2);
    let ghost = lab.store.ahead(&lab.project, &id("ghost"), 1).await;
    assert_eq!(code(ghost), Code::TaskNotFound);
}

pub async fn leases_are_listed(lab: Lab) {
    lab.add(&[task("a"), task("b"), task("c")]).await;
    let a = lab.begin("a").await;
    let by = domain::store::Claim {
        worker: worker("v"),
        start: false,
        ..lab.wish()
    };
    let b = lab.claim(by).await.remove(0);
    let all = lab.store.leased(&lab.project, None).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].id.clone(), all[0].token), (id("a"), a.token));
    assert_eq!((all[0].state, all[1].state), (State::Running, State::Assigned));
    assert_eq!(all[0].expires, lab.now().mono + 30_000);
    let mine = lab.store.leased(&lab.project, Some(&worker("v"))).await.unwrap();
    assert_eq!(mine, [all[1].clone()]);
    assert_eq!(mine[0].token, b.token);
    assert_eq!((mine[0].attempt, mine[0].started_at), (1, None));
    lab.complete(&a).await;
    lab.release(&b).await;
    assert!(lab.store.leased(&lab.project, None).await.unwrap().is_empty());
}

// proves: SPEC 1.3
pub async fn the_status_adds_up(lab: Lab) {
    let status = async || lab.store.status(&lab.project).await.unwrap();
    assert_eq!(status().await, Status::default());
    lab.add(&[task("a").priority(10), task("b")]).await;
    let first = lab.now().wall;
    lab.pass(SECOND);
    lab.add(&[task("c").after("a"), task("d").after("c")]).await;
    lab.pass(SECOND);
    lab.add(&[task("e").after("d")]).await;
    let before = status().await;
    assert_eq!(before.counts.of(State::Ready), 2);
    assert_eq!(before.counts.of(State::Blocked), 3);
    assert_eq!(before.max_depth, 3);
    assert_eq!(before.oldest_pending, Some(first.after(SECOND)));
    assert_eq!(before.newest, Some(lab.now().wall));
    let scores = lab
        .all()
        .await
        .iter()
        .map(|view| i64::from(view.task.score.0))
        .sum::<i64>();
    assert_eq!(before.score_sum, scores);
    lab.broken("a").await;
    let after = status().await;
    assert_eq!(after.counts.of(State::Cancelled), 3);
    assert_eq!((after.dead_letters, after.oldest_pending), (1, None));
}

pub async fn an_empty_project_reads_as_empty(lab: Lab) {
    let lab = lab.beside("nothing");
    let store = &lab.store;
    let project = &lab.project;
    assert!(store.projects().await.unwrap().is_empty());
    assert_eq!(store.views(project, &[id("a")]).await.unwrap(), [None]);
    assert!(lab.all().await.is_empty() && lab.log().await.is_empty());
    assert_eq!(store.status(project).await.unwrap(), Status::default());
    assert!(store.runs(project, None, 9).await.unwrap().is_empty());
    assert!(store.leased(project, None).await.unwrap().is_empty());
    assert!(store.locks(project).await.unwrap().is_empty());
    assert!(store.edges(project, &[Seq(1)]).await.unwrap().is_empty());
    assert!(store.results(project, &[Seq(1)]).await.unwrap().is_empty());
    assert_eq!(
        store.cache_get(project, &[0; 32], lab.now().wall).await.unwrap(),
        None
    );
    assert!(
        store
            .lose(project, &worker("w"), lab.now())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(lab.next().await.is_none());
    lab.assert_sound().await;
}
