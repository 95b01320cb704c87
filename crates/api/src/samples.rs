//! A task and its events, for tests.

use std::time::Duration;

use domain::event::{Digest, Draft, Event, Kind};
use domain::id::{EventNo, Seq, TaskId, WorkerId};
use domain::store::{Seen, View};
use domain::task::record::{Body, Class, ClassNo, Lease, Task, Wait};
use domain::task::score::Score;
use domain::task::spec::{Json, OnUpstreamFailure, Priority, Source, Spec, Work};
use domain::task::state::{Reason, State};
use domain::time::{Now, Timestamp};

pub(crate) const NOW: Now = Now {
    wall: Timestamp(10_000),
    mono: 500,
};

pub(crate) fn entered(no: u64, state: State, reason: Option<Reason>, data: &str) -> Seen {
    Seen {
        event: Event {
            no: EventNo(no),
            fact: Draft {
                at: Timestamp(no as i64),
                kind: Kind::TaskEntered(state),
                task: Some(Seq(1)),
                run: None,
                actor: "worker:w".into(),
                reason,
                data: (!data.is_empty()).then(|| Json::parse(data).unwrap()),
            },
            prev: EventNo(0),
            digest: Digest([0; 32]),
        },
        task: Some(TaskId::new("test").unwrap()),
        key: None,
        run: None,
    }
}

/// A running command with a lease for another 30 s.
pub(crate) fn view() -> View {
    let spec = Spec::new("run the tests", Work::Shell("cargo test".into()));
    View {
        class: Class::of(&spec),
        body: Body {
            key: None,
            spec: serde_json::to_string(&spec).unwrap().into(),
            after: Vec::new(),
            digest: [0; 32],
        },
        outcome: None,
        run: None,
        task: Task {
            seq: Seq(1),
            id: TaskId::new("test").unwrap(),
            class: ClassNo(0),
            run: None,
            parent: None,
            state: State::Running,
            reason: None,
            left: None,
            dead_letter: false,
            superseded: false,
            priority: Priority::NORMAL,
            source: Source::Human,
            depth: 0,
            path_share: None,
            score: Score(0),
            submitted_at: Timestamp(1_000),
            run_at: None,
            deadline: None,
            estimate: None,
            started_at: Some(Timestamp(2_000)),
            finished_at: None,
            timer: None,
            open: 0,
            dead: 0,
            upstream: OnUpstreamFailure::Cancel,
            dependents: 0,
            children: 0,
            join: None,
            attempts: 0,
            failures: 0,
            lost: 0,
            guarded: false,
            asks: false,
            wait: Wait::No,
            last_event: EventNo(2),
            lease: Some(Lease {
                fence: EventNo(2),
                secret: 0x5ec2e7,
                worker: WorkerId::new("w").unwrap(),
                attempt: 1,
                claimed_at: Timestamp(2_000),
                expires: 30_500,
                ttl: Duration::from_secs(30),
                progress: None,
            }),
        },
    }
}
