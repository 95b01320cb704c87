//! A task to be admitted, in few words.

use std::time::Duration;

use domain::curb::budget::Cap;
use domain::curb::limit::Rate;
use domain::id::{AgentName, Capability, Key, Kind, TeamName};
use domain::task::lock::{Lock, Mode};
use domain::task::replan::{OnExhausted, Planner, Replan};
use domain::task::retry::{Backoff, Retry};
use domain::task::spec::{Concurrency, Moment, OnUpstreamFailure, Priority, Source, Spec, When, Work};
use domain::time::Timestamp;

#[derive(Clone, Debug)]
pub struct New {
    pub id: String,
    pub key: Option<Key>,
    pub spec: Spec,
    /// Ids of the same batch or of stored tasks.
    pub after: Vec<(String, When)>,
    pub parent: Option<String>,
}

/// A prompt that anybody may take.
pub fn task(id: &str) -> New {
    New {
        id: id.to_owned(),
        key: None,
        spec: Spec::new(id, Work::Prompt(format!("do {id}"))),
        after: Vec::new(),
        parent: None,
    }
}

/// `a -> b -> c …`
pub fn chain(ids: &[&str]) -> Vec<New> {
    let mut tasks: Vec<New> = ids.iter().map(|id| task(id)).collect();
    for i in 1..tasks.len() {
        tasks[i].after.push((ids[i - 1].to_owned(), When::Success));
    }
    tasks
}

/// Three tries, one second apart.
pub fn steady(attempts: u32) -> Retry {
    Retry {
        attempts,
        backoff: Backoff::Fixed,
        jitter: 0.0,
        ..Retry::operation()
    }
}

impl New {
    pub fn after(self, on: &str) -> New {
        self.when(on, When::Success)
    }

    pub fn after_each(self, on: &[&str]) -> New {
        on.iter().fold(self, |task, on| task.after(on))
    }

    pub fn when(mut self, on: &str, when: When) -> New {
        self.after.push((on.to_owned(), when));
        self
    }

    pub fn key(mut self, key: &str) -> New {
        self.key = Some(Key::new(key).expect("a key"));
        self
    }

    pub fn parent(mut self, parent: &str) -> New {
        self.parent = Some(parent.to_owned());
        self
    }

    pub fn work(mut self, work: Work) -> New {
        self.spec.work = work;
        self
    }

    pub fn kind(mut self, kind: &str) -> New {
        self.spec.kind = Kind::new(kind).expect("a kind");
        self
    }

    pub fn needs(mut self, needs: &[&str]) -> New {
        self.spec.needs = needs
            .iter()
            .map(|need| Capability::new(need).expect("a capability"))
            .collect();
        self
    }

    pub fn breaker(mut self, name: &str) -> New {
        self.spec.breaker = Some(name.to_owned());
        self
    }

    pub fn takes(mut self, resource: &str, amount: u64) -> New {
        self.spec.resources.insert(resource.to_owned(), amount);
        self
    }

    pub fn tokens(mut self, cap: f64) -> New {
        self.spec.budget = Some(Cap {
            tokens: Some(cap),
            ..Cap::default()
        });
        self
    }

    pub fn agent(mut self, agent: &str) -> New {
        self.spec.agent = Some(AgentName::new(agent).expect("a name"));
        self
    }

    pub fn team(mut self, team: &str) -> New {
        self.spec.team = Some(TeamName::new(team).expect("a name"));
        self
    }

    pub fn priority(mut self, priority: i64) -> New {
        self.spec.priority = Priority::number(priority).expect("a priority");
        self
    }

    pub fn source(mut self, source: Source) -> New {
        self.spec.source = source;
        self
    }

    pub fn deadline(mut self, span: Duration) -> New {
        self.spec.deadline = Some(Moment::In(span));
        self
    }

    pub fn estimate(mut self, span: Duration) -> New {
        self.spec.estimate = Some(span);
        self
    }

    pub fn run_at(mut self, at: Timestamp) -> New {
        self.spec.run_at = Some(Moment::At(at));
        self
    }

    pub fn retry(mut self, retry: Retry) -> New {
        self.spec.retry = Some(retry);
        self
    }

    pub fn upstream(mut self, policy: OnUpstreamFailure) -> New {
        self.spec.on_upstream_failure = policy;
        self
    }

    /// A program plans when its last try has failed.
    pub fn replan(mut self) -> New {
        let planner = Planner {
            work: Work::Shell("./plan".into()),
            needs: Vec::new(),
            ..Planner::default()
        };
        self.spec.on_exhausted = Some(OnExhausted::Replan(Box::new(Replan { planner, times: 0 })));
        self
    }

    pub fn lock(self, name: &str) -> New {
        self.hold(name, Mode::Exclusive)
    }

    pub fn share(self, name: &str) -> New {
        self.hold(name, Mode::Shared)
    }

    fn hold(mut self, name: &str, mode: Mode) -> New {
        self.spec.locks.push(Lock::new(name, mode).expect("a lock"));
        self.spec.locks.sort();
        self
    }

    pub fn limit(mut self, key: &str, limit: u32) -> New {
        self.spec.concurrency = Some(Concurrency {
            key: key.to_owned(),
            limit,
            rate: None,
        });
        self
    }

    /// So many of one key begin in so many seconds.
    pub fn rate(mut self, key: &str, count: u32, seconds: u64) -> New {
        self.spec.concurrency = Some(Concurrency {
            key: key.to_owned(),
            limit: u32::MAX,
            rate: Some(Rate {
                count,
                per: seconds * 1_000,
            }),
        });
        self
    }
}
