//! Taking work in (SPEC 1.3, 1.9).

use domain::code::Code;
use domain::limits;
use domain::store::{Admission, AdmitLimits, On};
use domain::task::score::Score;
use domain::task::spec::{Json, OnUpstreamFailure, Source, When};
use domain::task::state::State;

use super::lab::{HOUR, Lab};
use super::new::{New, chain, task};
use super::words::{code, completion, id, refusal};

// proves: SPEC 1.3
pub async fn a_task_without_prerequisites_is_ready(lab: Lab) {
    assert_eq!(lab.add(&[task("a")]).await, [State::Ready]);
    assert_eq!(lab.story("a").await, ["submitted"]);
}

// proves: SPEC 1.3, SPEC 1.7
pub async fn a_task_with_open_prerequisites_is_blocked(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    let states = lab.add(&[task("c").after("a").after("b")]).await;
    assert_eq!(states, [State::Blocked]);
    assert_eq!(lab.view("c").await.task.open, 2);
}

pub async fn met_prerequisites_do_not_block(lab: Lab) {
    lab.add(&[task("a")]).await;
    lab.done("a").await;
    assert_eq!(lab.add(&[task("b").after("a")]).await, [State::Ready]);
}

// proves: SPEC 1.3
pub async fn beside_met_prerequisites_the_open_ones_count(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    lab.done("a").await;
    let states = lab.add(&[task("c").after("a").after("b")]).await;
    assert_eq!(states, [State::Blocked]);
    assert_eq!(lab.done("b").await, ["c"]);
}

// proves: SPEC 1.4, SPEC 1.7
pub async fn a_cycle_is_refused_with_its_path(lab: Lab) {
    let round = [
        task("a").after("c"),
        task("b").after("a"),
        task("c").after("b"),
        task("d"),
    ];
    let refusal = refusal(lab.try_add(&round).await);
    assert_eq!(refusal.code, Code::DependencyCycle);
    let paths = ["a -> c -> b -> a", "b -> a -> c -> b", "c -> b -> a -> c"];
    assert!(
        paths.iter().any(|path| refusal.detail.contains(path)),
        "{refusal}"
    );
    assert_eq!(lab.counts().await.total(), 0);
}

pub async fn a_batch_may_name_its_own_tasks_by_id(lab: Lab) {
    let mut admission = lab.admission(&[task("b").after("a"), task("a")]);
    admission.tasks[0].after[0].on = On::Task(id("a"));
    lab.admit(admission).await.unwrap();
    assert_eq!(lab.done("a").await, ["b"]);
    let mut round = lab.admission(&[task("c").after("d"), task("d").after("c")]);
    round.tasks[1].after[0].on = On::Task(id("c"));
    assert_eq!(code(lab.admit(round).await), Code::DependencyCycle);
    let orphan = lab.try_add(&[task("e"), task("f").parent("e")]).await;
    assert_eq!(
        code(orphan),
        Code::PrerequisiteNotFound,
        "a parent is there first"
    );
}

// proves: SPEC 1.4
pub async fn a_self_edge_is_refused(lab: Lab) {
    let refusal = refusal(lab.try_add(&[task("a").after("a")]).await);
    assert_eq!(refusal.code, Code::DependencyCycle);
    assert!(refusal.detail.contains("a -> a"), "{refusal}");
}

// proves: SPEC 1.3
pub async fn missing_prerequisites_are_listed(lab: Lab) {
    lab.add(&[task("a")]).await;
    let refusal = refusal(lab.try_add(&[task("b").after_each(&["a", "x", "y"])]).await);
    assert_eq!(refusal.code, Code::PrerequisiteNotFound);
    assert!(
        refusal.detail.contains('x') && refusal.detail.contains('y'),
        "{refusal}"
    );
}

// proves: SPEC 1.3
pub async fn a_failed_prerequisite_is_refused(lab: Lab) {
    lab.add(&[task("a"), task("c")]).await;
    lab.broken("a").await;
    lab.cancel("c").await;
    for on in ["a", "c"] {
        let refusal = refusal(lab.try_add(&[task("b").after(on)]).await);
        assert_eq!(refusal.code, Code::PrerequisiteFailed);
        assert!(refusal.detail.contains(on), "{refusal}");
    }
    lab.add(&[task("d")]).await;
    lab.done("d").await;
    let alert = task("b").when("d", When::Failure);
    assert_eq!(code(lab.try_add(&[alert]).await), Code::PrerequisiteFailed);
}

pub async fn a_failed_prerequisite_is_accepted_by_those_that_can_go_on(lab: Lab) {
    lab.add(&[task("a")]).await;
    lab.broken("a").await;
    let states = lab
        .add(&[
            task("alert").when("a", When::Failure),
            task("cleanup").when("a", When::Finished),
            task("regardless")
                .after("a")
                .upstream(OnUpstreamFailure::Continue),
            task("patient").after("a").upstream(OnUpstreamFailure::Block),
        ])
        .await;
    assert_eq!(states, [State::Ready, State::Ready, State::Ready, State::Blocked]);
    lab.retry("a").await;
    assert_eq!(lab.done("a").await, ["cleanup", "patient", "regardless"]);
    assert_eq!(lab.state("alert").await, State::Cancelled);
}

// proves: SPEC 1.1, SPEC 2.3
pub async fn an_id_is_given_once(lab: Lab) {
    lab.add(&[task("a")]).await;
    assert_eq!(code(lab.try_add(&[task("a")]).await), Code::TaskExists);
    assert_eq!(code(lab.try_add(&[task("b"), task("b")]).await), Code::TaskExists);
    lab.done("a").await;
    assert_eq!(code(lab.try_add(&[task("a")]).await), Code::TaskExists);
}

// proves: SPEC 1.5
pub async fn score_and_depth_are_set(lab: Lab) {
    lab.add(&chain(&["a", "b", "c"])).await;
    lab.add(&[
        task("d").after("a").after("c"),
        task("critical").priority(10),
        task("soon").deadline(HOUR / 2),
        task("planned").source(Source::AgentPlanner),
    ])
    .await;
    for (task, depth, score) in [
        ("a", 0, 32_500 + 2_386),
        ("b", 1, 35_000 + 1_505),
        ("c", 2, 37_500),
        ("d", 3, 40_000),
        ("critical", 0, 47_500),
        ("soon", 0, 40_000),
        ("planned", 0, 30_000),
    ] {
        let row = lab.view(task).await.task;
        assert_eq!(row.depth, depth, "{task}");
        assert!(
            (row.score.0 - score).abs() <= 10,
            "{task}: {:?}, expected {score}",
            row.score
        );
    }
    assert_eq!(lab.store.status(&lab.project).await.unwrap().max_depth, 3);
}

// proves: SPEC 1.5
pub async fn new_dependents_raise_the_score(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    assert_eq!(lab.view("a").await.task.score, Score(32_500));
    let dependents: Vec<_> = (0..10).map(|i| task(&format!("d{i}")).after("b")).collect();
    lab.add(&dependents).await;
    assert_eq!(lab.view("b").await.task.dependents, 10);
    assert!((lab.view("b").await.task.score.0 - 37_710).abs() <= 10);
    lab.begin("b").await;
}

// proves: SPEC 1.3
pub async fn equal_edges_collapse(lab: Lab) {
    lab.add(&[task("a")]).await;
    let twice = task("b").after("a").after("a").when("a", When::Finished);
    lab.add(&[twice]).await;
    let row = lab.view("b").await;
    assert_eq!(row.task.open, 1);
    assert_eq!(row.body.after.len(), 1);
    assert_eq!(lab.done("a").await, ["b"]);
}

pub async fn contradicting_edges_are_refused(lab: Lab) {
    lab.add(&[task("a")]).await;
    let never = task("b").after("a").when("a", When::Failure);
    assert_eq!(code(lab.try_add(&[never]).await), Code::InvalidArgument);
}

// proves: SPEC 1.6
pub async fn limits_hold(lab: Lab) {
    let tight = AdmitLimits {
        prerequisites: 2,
        children: 2,
    };
    lab.add(&[task("a"), task("b"), task("c"), task("parent")]).await;
    let with = |tasks: &[_]| Admission {
        limits: tight,
        ..lab.admission(tasks)
    };
    let refusal = refusal(lab.admit(with(&[task("d").after_each(&["a", "b", "c"])])).await);
    assert_eq!(refusal.code, Code::LimitExceeded);
    assert!(refusal.detail.contains('2'), "{refusal}");
    lab.admit(with(&[task("d").after_each(&["a", "b"])]))
        .await
        .unwrap();
    let child = |name: &str| task(name).parent("parent");
    lab.admit(with(&[child("x"), child("y")])).await.unwrap();
    assert_eq!(code(lab.admit(with(&[child("z")])).await), Code::LimitExceeded);
}

// proves: DESIGN 15
pub async fn a_refused_batch_leaves_nothing(lab: Lab) {
    let lab = lab.beside("untouched");
    let admission = Admission {
        idempotency_key: Some("k".to_owned()),
        ..lab.admission(&[task("a"), task("b").after("nobody")])
    };
    assert_eq!(code(lab.admit(admission).await), Code::PrerequisiteNotFound);
    assert!(lab.all().await.is_empty() && lab.log().await.is_empty());
    assert!(!lab.store.projects().await.unwrap().contains(&lab.project));
    lab.add(&[task("a")]).await;
    lab.assert_sound().await;
}

// proves: SPEC 1.1
pub async fn what_was_admitted_comes_back(lab: Lab) {
    let mut new = task("a")
        .key("build")
        .needs(&["python"])
        .lock("db:main")
        .kind("data");
    new.spec.inputs = Some(Json::parse(r#"{"n": [1, 2]}"#).unwrap());
    new.spec.summary = Some("ünïcödé ✓".to_owned());
    lab.add(&[new.clone()]).await;
    lab.add(&[task("b").after("a").parent("a")]).await;
    let view = lab.view("a").await;
    assert_eq!(view.body.read_spec().unwrap(), new.spec);
    assert_eq!(view.body.key, new.key);
    assert_eq!(view.class.needs, new.spec.needs);
    assert_eq!(view.class.kind, new.spec.kind);
    assert!(view.task.guarded && view.outcome.is_none() && view.run.is_none());
    assert_eq!(view.task.submitted_at, lab.now().wall);
    let below = lab.view("b").await;
    assert_eq!(below.body.after, [(view.task.seq, When::Success)]);
    assert_eq!(below.task.parent, Some(view.task.seq));
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    let long = "x".repeat(limits::ID_BYTES);
    lab.add(&[task(uuid), task(&long)]).await;
    assert_eq!(lab.view(uuid).await.task.id, id(uuid));
    assert_eq!(lab.view(&long).await.task.id, id(&long));
}

pub async fn a_repeated_admission_answers_as_the_first(lab: Lab) {
    let keyed = |name: &str, work: &str| {
        let new = New {
            id: name.to_owned(),
            ..task(work)
        };
        Admission {
            idempotency_key: Some("once".to_owned()),
            ..lab.admission(&[new])
        }
    };
    let first = lab.admit(keyed("a", "work")).await.unwrap();
    assert!(!first.repeated);
    lab.done("a").await;
    // A caller that makes ids up makes up others the second time.
    let again = lab.admit(keyed("b", "work")).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.tasks, first.tasks);
    assert_eq!(
        code(lab.admit(keyed("a", "other")).await),
        Code::IdempotencyConflict
    );
    assert_eq!(lab.counts().await.total(), 1);
}

// proves: DESIGN 2
pub async fn projects_are_apart(lab: Lab) {
    let other = lab.beside("other");
    lab.add(&[task("a").lock("x")]).await;
    other.add(&[task("a").lock("x")]).await;
    let leased = lab.begin("a").await;
    other.begin("a").await;
    let stolen = other.try_held(&leased, completion()).await;
    assert!(stolen.is_err(), "a token of another project was accepted");
    lab.complete(&leased).await;
    assert_eq!(other.state("a").await, State::Running);
    assert_eq!(
        code(other.try_add(&[task("b").after("nobody")]).await),
        Code::PrerequisiteNotFound
    );
    let mut names = lab.store.projects().await.unwrap();
    names.sort();
    assert_eq!(names, [lab.project.clone(), other.project.clone()]);
    other.assert_sound().await;
}
