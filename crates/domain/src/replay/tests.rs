use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::decide::lease::{Terms, grant, lose};
use crate::decide::{Change, Context, command};
use crate::event::{Digest, Draft, Event};
use crate::id::{self, Project, Token, WorkerId};
use crate::run::RunState;
use crate::store::Command;
use crate::task::record::{Body, Class, ClassNo, Failure, Outcome};
use crate::task::retry::Retry;
use crate::task::spec::{Json, Priority};
use crate::task::state::Reason;
use crate::time::{Now, Timestamp};

const NOW: Now = Now {
    wall: Timestamp(1_000_000),
    mono: 5_000,
};
const WORKER: &str = "worker:w";

/// A task whose row and events are made by the rules themselves.
struct Story {
    events: Vec<Seen>,
    task: Task,
    token: Option<Token>,
}

impl Story {
    fn new() -> Story {
        let id = TaskId::new("t").unwrap();
        let mut story = Story {
            events: Vec::new(),
            task: Task::new(Seq(1), id, ClassNo(0), NOW.wall),
            token: None,
        };
        let data = Json::parse(r#"{"id":"t","state":"ready"}"#).unwrap();
        story.tell(Kind::TaskSubmitted, None, Some(data), "user:ann");
        story
    }

    /// A breakpoint that asks already.
    fn asking() -> Story {
        let mut story = Story::new();
        story.task.asks = true;
        let mut change = Change::none(&story.task);
        change.belong(NOW.wall).unwrap();
        story.carry_out(change, "system");
        assert_eq!(story.task.state, State::Awaiting);
        story
    }

    fn next(&self) -> EventNo {
        EventNo(self.events.len() as u64 + 1)
    }

    fn tell(&mut self, kind: Kind, reason: Option<Reason>, data: Option<Json>, actor: &str) {
        let no = self.next();
        let fact = Draft {
            at: NOW.wall,
            kind,
            task: Some(self.task.seq),
            run: self.task.run,
            actor: actor.into(),
            reason,
            data,
        };
        let event = Event {
            no,
            prev: self.task.last_event,
            digest: Digest::root(&Project::default()),
            fact,
        };
        self.task.last_event = no;
        self.events.push(seen(event));
    }

    /// As the kernel does it.
    fn carry_out(&mut self, change: Change, actor: &str) {
        let before = self.task.clone();
        let last_event = self.task.last_event;
        self.task = change.task;
        self.task.last_event = last_event;
        for step in change.moves {
            self.tell(Kind::TaskEntered(step.to), step.reason, step.data, actor);
        }
        if self.task.dead_letter && !before.dead_letter {
            self.tell(Kind::TaskEscalated, self.task.reason, None, actor);
        }
    }

    fn claim(&mut self, start: bool) {
        let worker = WorkerId::new("w").unwrap();
        let terms = Terms {
            worker: &worker,
            agent: None,
            ttl: Duration::from_secs(30),
            start,
            seed: 7,
        };
        let change = grant(&self.task, &terms, self.next(), NOW).unwrap();
        self.carry_out(change, WORKER);
        self.token = self.task.token();
    }

    /// Whether it was accepted.
    fn ask(&mut self, asked: &Command) -> bool {
        let retry = Retry {
            attempts: 2,
            ..Retry::operation()
        };
        let ctx = Context {
            token: self.token.as_ref(),
            retry: Some(&retry),
            now: NOW,
        };
        let Ok(change) = command(&self.task, asked, &ctx) else {
            return false;
        };
        if *asked == Command::DropLetter && self.task.dead_letter {
            self.tell(Kind::TaskDropped, None, None, "user:ann");
        }
        self.carry_out(change, "user:ann");
        true
    }

    /// What waited for its time goes on.
    fn wake(&mut self) {
        let mut change = Change::none(&self.task);
        change.belong(Timestamp(i64::MAX)).unwrap();
        self.carry_out(change, "system");
    }

    fn lose(&mut self) {
        let change = lose(&self.task, NOW).unwrap();
        self.carry_out(change, "system");
    }

    fn view(&self) -> View {
        view(self.task.clone())
    }

    /// What is left of the log when its beginning, up to this event, is gone.
    fn log(&self, begin: usize) -> Log {
        let mut log = Log::after(EventNo(begin as u64));
        self.events[begin..].iter().for_each(|seen| log.follow(seen));
        log
    }

    /// The fields that the whole log contradicts.
    fn wrong(&self) -> Vec<&'static str> {
        match self.log(0).compare(&self.view()) {
            Met::Compared(found) => found.iter().map(|difference| difference.field).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn assert_agrees(&self) {
        for begin in 0..=self.events.len() {
            match self.log(begin).meet(&self.view()) {
                Met::Compared(found) => assert_eq!(found, [], "from event {begin}"),
                Met::Silent(found) => assert_eq!((found, begin), (Vec::new(), self.events.len())),
                Met::Later => panic!("the log is followed to its end"),
            }
        }
    }
}

fn seen(event: Event) -> Seen {
    Seen {
        event,
        task: None,
        key: None,
        run: None,
    }
}

fn view(task: Task) -> View {
    View {
        task,
        body: Body {
            key: None,
            spec: "{}".into(),
            after: Vec::new(),
            digest: [0; 32],
        },
        outcome: None,
        run: None,
        class: Class {
            kind: id::Kind::new("k").unwrap(),
            work: "command".to_owned(),
            handler: None,
            agent: None,
            routed: false,
            team: None,
            needs: Vec::new(),
            breaker: None,
            resources: BTreeMap::new(),
        },
    }
}

fn failing() -> Command {
    Command::Fail {
        failure: Failure::new("boom"),
        usage: None,
        timed_out: false,
        no_retry: false,
    }
}

fn complete() -> Command {
    Command::Complete {
        outcome: Outcome::default(),
        cached: false,
        children: None,
    }
}

// proves: DESIGN 7
#[test]
fn a_row_that_was_changed_is_told_field_by_field() {
    let mut story = Story::new();
    story.claim(true);
    assert!(story.ask(&failing()));
    story.wake();
    story.claim(false);
    story.assert_agrees();
    type Change = fn(&mut Task);
    let changes: [(&str, Change); 12] = [
        ("state", |row| row.state = State::Running),
        ("reason", |row| row.reason = Some(Reason::Lost)),
        ("submitted", |row| row.submitted_at = Timestamp(7)),
        ("started", |row| row.started_at = None),
        ("finished", |row| row.finished_at = Some(NOW.wall)),
        ("attempts", |row| row.attempts = 7),
        ("failures", |row| row.failures = 0),
        ("lost attempts", |row| row.lost = 1),
        ("dead letter", |row| row.dead_letter = true),
        ("superseded", |row| row.superseded = true),
        ("run number", |row| row.run = Some(RunNo(3))),
        ("last event", |row| row.last_event = EventNo(2)),
    ];
    let sound = story.task.clone();
    for (field, change) in changes {
        change(&mut story.task);
        assert_eq!(story.wrong(), [field]);
        story.task = sound.clone();
    }
    let lease = story.task.lease.as_mut().unwrap();
    lease.worker = WorkerId::new("eve").unwrap();
    lease.fence = EventNo(1);
    assert_eq!(story.wrong(), ["worker", "lease given with event"]);
    story.task.lease = None;
    assert_eq!(story.wrong(), ["attempts", "worker"]);
}

#[test]
fn a_ready_task_waits_for_nothing() {
    let mut story = Story::new();
    story.task.open = 1;
    assert_eq!(story.wrong(), ["open prerequisites"]);
    story.task.open = 0;
    story.claim(true);
    assert!(story.ask(&Command::Release));
    // It has begun: what it waited for may be tried again beside it.
    story.task.open = 1;
    story.assert_agrees();
}

#[test]
fn only_a_question_that_was_asked_again_may_have_lost_what_it_waited_for() {
    let mut story = Story::asking();
    story.task.dead = 1;
    assert_eq!(story.wrong(), ["dead prerequisites"]);
    assert!(story.ask(&Command::Resolve {
        accept: false,
        outcome: Outcome::default(),
    }));
    assert!(story.ask(&Command::Retry { at: None }));
    story.assert_agrees();

    let mut plain = Story::new();
    plain.task.dead = 1;
    assert_eq!(plain.wrong(), ["dead prerequisites"]);
}

#[test]
fn what_happened_behind_the_end_is_not_compared() {
    let mut story = Story::new();
    let log = story.log(0);
    story.claim(true);
    assert_eq!(log.compare(&story.view()), Met::Later);
}

#[test]
fn rows_that_are_gone_are_told_unless_they_were_taken_out() {
    let mut story = Story::new();
    story.claim(true);
    assert!(story.ask(&complete()));
    let head = EventNo(story.events.len() as u64);
    let lost = |log: &Log| {
        let (lost, more) = log.lost(head);
        (lost.len(), more.map(|more| more.to_string()))
    };
    assert_eq!(lost(&story.log(0)), (1, None));
    let pruned = |story: &mut Story, tasks: u64| {
        let data = Json::of(&serde_json::json!({ "before": 9, "tasks": tasks, "runs": 0, "answers": 0 }));
        let no = story.next();
        story.tell(Kind::ProjectPruned, None, Some(data), "system");
        let at = no.0 as usize - 1;
        story.events[at].event.fact.task = None;
    };
    pruned(&mut story, 0);
    let more = "the project: old tasks: the log says 0 taken out, stored is 1 gone";
    assert_eq!(lost(&story.log(0)), (0, Some(more.to_owned())));
    pruned(&mut story, 1);
    assert_eq!(lost(&story.log(0)), (0, None));
}

fn of_run(no: u64, kind: Kind, data: Option<&str>) -> Seen {
    let fact = Draft {
        at: Timestamp(no as i64),
        kind,
        task: None,
        run: Some(RunNo(1)),
        actor: "system".into(),
        reason: None,
        data: data.map(|data| Json::parse(data).unwrap()),
    };
    seen(Event {
        no: EventNo(no),
        prev: EventNo(0),
        digest: Digest::root(&Project::default()),
        fact,
    })
}

#[test]
fn runs_end_as_the_log_says() {
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut log = Log::after(EventNo(0));
    log.follow(&of_run(
        1,
        Kind::RunSubmitted,
        Some(&format!(r#"{{"id":"{uuid}"}}"#)),
    ));
    let mut row = Run {
        no: RunNo(1),
        id: RunId(Uuid::parse_str(uuid).unwrap()),
        plan: "p".to_owned(),
        digest: [0; 32],
        state: RunState::Active,
        counts: Counts::default(),
        skipped: 0,
        submitted_at: Timestamp(1),
        finished_at: None,
    };
    assert_eq!(log.runs(), [(row.no, row.id)]);
    assert_eq!(log.compare_run(&row), []);
    log.follow(&of_run(2, Kind::RunFinished, Some(r#"{"state":"failed"}"#)));
    let fields = |log: &Log, row: &Run| -> Vec<_> {
        let found = log.compare_run(row);
        found.iter().map(|difference| difference.field).collect()
    };
    assert_eq!(fields(&log, &row), ["state", "finished"]);
    (row.state, row.finished_at) = (RunState::Failed, Some(Timestamp(2)));
    assert_eq!(log.compare_run(&row), []);
    log.follow(&of_run(3, Kind::RunResumed, None));
    assert_eq!(fields(&log, &row), ["state", "finished"]);
    assert!(log.has_moved(row.no, EventNo(2)) && !log.has_moved(row.no, EventNo(3)));
    row.counts.add(State::Ready);
    row.skipped = 1;
    assert_eq!(fields(&log, &row), ["state", "finished", "ready", "skipped"]);
}

#[test]
fn what_the_log_no_longer_tells_is_taken_from_the_row() {
    let mut story = Story::new();
    story.task.priority = Priority::HIGH;
    let data = Json::parse(r#"{"from":5,"to":8}"#).unwrap();
    story.tell(Kind::TaskReprioritized, None, Some(data), "user:ann");
    let mut log = story.log(1);
    assert_eq!(log.meet(&story.view()), Met::Compared(Vec::new()));
    assert!(log.is_partial(story.task.seq));
    let mut status = Status {
        last_event: log.last(),
        ..Status::default()
    };
    status.counts.add(State::Ready);
    assert_eq!(log.totals(&status), []);
    status.dead_letters = 1;
    assert_eq!(log.totals(&status).len(), 1);
    story.task.priority = Priority::LOW;
    assert_eq!(story.wrong(), ["priority"]);
}

#[derive(Clone, Debug)]
enum Deed {
    Ask(Command),
    Claim(bool),
    Wake,
    Lose,
}

fn deed() -> impl Strategy<Value = Deed> {
    let reason = Reason::Cancelled;
    prop_oneof![
        3 => any::<bool>().prop_map(Deed::Claim),
        1 => Just(Deed::Wake),
        1 => Just(Deed::Lose),
        1 => Just(Deed::Ask(Command::Start { at: None })),
        1 => Just(Deed::Ask(Command::Start { at: Some(Timestamp(NOW.wall.0 - 99)) })),
        2 => Just(Deed::Ask(failing())),
        1 => Just(Deed::Ask(complete())),
        1 => Just(Deed::Ask(Command::Release)),
        1 => Just(Deed::Ask(Command::Cancel { reason })),
        2 => Just(Deed::Ask(Command::Suspend)),
        2 => Just(Deed::Ask(Command::Resume)),
        2 => Just(Deed::Ask(Command::Retry { at: None })),
        1 => Just(Deed::Ask(Command::Retry { at: Some(Timestamp(NOW.wall.0 + 99)) })),
        1 => Just(Deed::Ask(Command::DropLetter)),
    ]
}

proptest! {
    /// Whatever happens to a task, the log says what its row says, wherever the log begins.
    // proves: DESIGN 7
    #[test]
    fn the_log_follows_every_rule(deeds in prop::collection::vec(deed(), 1..30)) {
        let mut story = Story::new();
        for deed in deeds {
            match deed {
                Deed::Ask(asked) => _ = story.ask(&asked),
                Deed::Claim(start) if story.task.state == State::Ready => story.claim(start),
                Deed::Wake if matches!(story.task.state, State::Retrying | State::Pending) => story.wake(),
                Deed::Lose => story.lose(),
                Deed::Claim(_) | Deed::Wake => {}
            }
        }
        story.assert_agrees();
    }
}
