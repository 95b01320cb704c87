//! A task and its events, for tests.

use std::time::Duration;

use domain::event::{Digest, Draft, Event, Kind};
use domain::id::{EventNo, Seq, TaskId, WorkerId};
use domain::store::{Seen, View};
use domain::task::record::{Body, Class, ClassNo, Lease, Task};
use domain::task::spec::{Json, Spec, Work};
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
            state: State::Running,
            started_at: Some(Timestamp(2_000)),
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
            ..Task::new(Seq(1), TaskId::new("test").unwrap(), ClassNo(0), Timestamp(1_000))
        },
    }
}
