//! Stuck work: what is wrong, why, and what to do about it.
//!
//! Whoever can tell that something is stuck adds a function to [`DETECTORS`]; it looks at a [`Sight`] of the project and
//! at nothing else.

use std::time::Duration;

use serde::Serialize;

use crate::curb::Scope;
use crate::curb::breaker::{Breaker, State as Stance};
use crate::deadlock::{Waiting, deadlocks};
use crate::id::{AgentName, Capability, TaskId};
use crate::store::{Held, HeldLock, View};
use crate::task::record::{Class, Wait};
use crate::task::state::{Reason, State};
use crate::time::{Now, Timestamp, show_duration};

/// A project as it stands, each list bounded at [`crate::limits::PAGE_MAX`].
#[derive(Clone, Debug)]
pub struct Sight {
    pub now: Now,
    pub leased: Vec<Held>,
    pub locks: Vec<HeldLock>,
    /// Tasks that wait for a person, and since when as far as that was looked up.
    pub awaiting: Vec<(View, Option<Timestamp>)>,
    pub blocked: Vec<(View, Option<Timestamp>)>,
    /// The first task in line of each class, and since when it is there.
    pub ready: Vec<(View, Timestamp)>,
    /// Classes that somebody works on.
    pub busy: Vec<Class>,
    /// What registered agents are called, and what they can do.
    pub agents: Vec<(AgentName, Vec<Capability>)>,
    pub breakers: Vec<(Scope, Breaker)>,
    /// Schedules whose time has passed, with that time.
    pub overdue: Vec<(String, Timestamp)>,
    /// Who waits for whom, as far as locks have to do with it.
    pub waiting: Vec<Waiting>,
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub problem: Kind,
    /// Since when it is so, in RFC 3339; `null` where nobody has noted it.
    #[serde(serialize_with = "written")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub since: Option<Timestamp>,
    /// The tasks that it is about.
    pub tasks: Vec<TaskId>,
    /// The task, or the name of the lock, the breaker or the schedule.
    pub subject: String,
    pub cause: String,
    pub cure: String,
}

#[expect(clippy::ref_option, reason = "the form that serde asks for")]
fn written<S: serde::Serializer>(since: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
    since.map(|since| since.to_string()).serialize(s)
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    LeaseExpired,
    LockHeld,
    BreakerOpen,
    NobodyTakesIt,
    NeedsAnswer,
    BudgetExhausted,
    WaitsForRetry,
    ScheduleMissed,
    /// Tasks wait for each other in a circle.
    Deadlock,
}

/// Everything that is looked for.
pub const DETECTORS: &[fn(&Sight) -> Vec<Problem>] = &[
    circles,
    expired,
    locks,
    breakers,
    unclaimed,
    asked,
    failed_before,
    missed,
];

/// A lock that others wait for is held too long after this.
const LOCK_HELD: Duration = Duration::from_secs(60 * 60);
/// A schedule should have fired by then.
const FIRED_WITHIN: Duration = Duration::from_secs(60);
/// A worker should have taken the first in line by then.
const TAKEN_WITHIN: Duration = Duration::from_secs(10 * 60);

pub fn problems(sight: &Sight) -> Vec<Problem> {
    DETECTORS.iter().flat_map(|detect| detect(sight)).collect()
}

fn circles(sight: &Sight) -> Vec<Problem> {
    deadlocks(&sight.waiting)
}

fn expired(sight: &Sight) -> Vec<Problem> {
    let late = sight.leased.iter().filter(|held| held.expires <= sight.now.mono);
    let wall = |mono: i64| Timestamp(sight.now.wall.0 - (sight.now.mono - mono));
    let problem = |held: &Held| Problem {
        problem: Kind::LeaseExpired,
        since: Some(wall(held.expires)),
        tasks: vec![held.id.clone()],
        subject: held.id.to_string(),
        cause: format!("the worker {} no longer renews its lease", held.worker),
        cure: "nothing, if anybody looks after this store; else `bell queue status` takes it back".to_owned(),
    };
    late.map(problem).collect()
}

fn locks(sight: &Sight) -> Vec<Problem> {
    let problem = |lock: &HeldLock| {
        let held = sight.leased.iter().find(|held| held.id == lock.holder)?;
        let span = sight.now.wall.since(held.started_at?);
        let suspended = held.state == State::Suspended;
        let cause = match suspended {
            true => format!("{} is suspended and keeps it", held.id),
            false => format!("{} has it for {}", held.id, show_duration(span)),
        };
        let cure = match suspended {
            true => format!("`bell task resume {0}` or `bell task cancel {0}`", held.id),
            false => format!(
                "`bell task logs {0}`, then wait or `bell task cancel {0}`",
                held.id
            ),
        };
        (suspended || span > LOCK_HELD).then(|| Problem {
            problem: Kind::LockHeld,
            since: held.started_at,
            tasks: vec![held.id.clone()],
            subject: lock.name.clone(),
            cause: format!("{cause}; {} wait for it", lock.waiting),
            cure,
        })
    };
    let wanted = sight.locks.iter().filter(|lock| lock.waiting > 0);
    wanted.filter_map(problem).collect()
}

fn breakers(sight: &Sight) -> Vec<Problem> {
    let open = sight
        .breakers
        .iter()
        .filter(|(_, breaker)| breaker.state == Stance::Open);
    let problem = |(name, breaker): &(Scope, Breaker)| Problem {
        problem: Kind::BreakerOpen,
        since: breaker.changed_at,
        tasks: Vec::new(),
        subject: name.to_string(),
        cause: breaker.why.clone().unwrap_or_default(),
        cure: format!("mend what it calls; it tries again by itself, `bell breaker reset {name}` at once"),
    };
    open.map(problem).collect()
}

fn unclaimed(sight: &Sight) -> Vec<Problem> {
    let problem = |(view, since): &(View, Timestamp)| {
        if view.task.wait != Wait::No || sight.busy.contains(&view.class) {
            return None;
        }
        let span = sight.now.wall.since(*since);
        let (cause, cure) = match nobody_could(sight, &view.class) {
            Some(told) => told,
            None if span > TAKEN_WITHIN => (
                format!(
                    "ready for {}, and nobody works on {}",
                    show_duration(span),
                    asks(&view.class)
                ),
                "start a worker that takes it; `bell task why` shows what it needs".to_owned(),
            ),
            None => return None,
        };
        Some(Problem {
            problem: Kind::NobodyTakesIt,
            since: Some(*since),
            tasks: vec![view.task.id.clone()],
            subject: view.task.id.to_string(),
            cause,
            cure,
        })
    };
    sight.ready.iter().filter_map(problem).collect()
}

/// Why nobody that is known could take a class, however long it waits. Whoever is idle and could would have taken it.
fn nobody_could(sight: &Sight, class: &Class) -> Option<(String, String)> {
    if let Some(agent) = &class.agent {
        let known = sight.agents.iter().any(|(name, _)| name == agent);
        let works = sight.busy.iter().any(|busy| busy.agent.as_ref() == Some(agent));
        return (!known && !works).then(|| {
            let cause = format!("only the agent {agent} may take it, and none is registered by that name");
            (
                cause,
                format!("`bell agent register {agent}`, or `bell task assign`"),
            )
        });
    }
    let able = |has: &[Capability]| class.needs.iter().all(|need| has.contains(need));
    let known = sight.agents.iter().any(|(_, has)| able(has));
    if class.needs.is_empty() || known || sight.busy.iter().any(|busy| able(&busy.needs)) {
        return None;
    }
    let needs: Vec<String> = class.needs.iter().map(ToString::to_string).collect();
    let cause = format!(
        "it needs {}, which no registered agent and nobody at work offers",
        needs.join(", ")
    );
    let flags: String = needs.iter().map(|need| format!(" --capability {need}")).collect();
    Some((
        cause,
        format!("`bell worker{flags}`, or an agent that is registered with it"),
    ))
}

/// What a worker must be to take a class.
fn asks(class: &Class) -> String {
    let mut text = format!("the kind {}", class.kind);
    if !class.needs.is_empty() {
        let needs: Vec<String> = class.needs.iter().map(ToString::to_string).collect();
        text += &format!(" with {}", needs.join(", "));
    }
    if let Some(team) = &class.team {
        text += &format!(" for the team {team}");
    }
    if let Some(agent) = &class.agent {
        text += &format!(" for the agent {agent}");
    }
    text
}

fn asked(sight: &Sight) -> Vec<Problem> {
    let problem = |(view, since): &(View, Option<Timestamp>)| {
        let id = &view.task.id;
        let (problem, cause) = match view.task.reason {
            Some(Reason::Budget) => (Kind::BudgetExhausted, "its budget does not let it begin"),
            _ => (Kind::NeedsAnswer, "it waits for a person"),
        };
        let cure = match problem {
            Kind::BudgetExhausted => format!(
                "`bell breakpoint resolve {id} --answer '{{\"raise\":{{\"tokens\":N}}}}'` grants it an amount, `bell budget set` more to all"
            ),
            _ => format!("`bell breakpoint resolve {id}`"),
        };
        Problem {
            problem,
            since: *since,
            tasks: vec![id.clone()],
            subject: id.to_string(),
            cause: cause.to_owned(),
            cure,
        }
    };
    sight.awaiting.iter().map(problem).collect()
}

fn failed_before(sight: &Sight) -> Vec<Problem> {
    let stuck = |(view, _): &&(View, Option<Timestamp>)| view.task.open == 0 && view.task.dead > 0;
    let problem = |(view, since): &(View, Option<Timestamp>)| Problem {
        problem: Kind::WaitsForRetry,
        since: *since,
        tasks: vec![view.task.id.clone()],
        subject: view.task.id.to_string(),
        cause: "what it waits for has failed, and it waits for another try of that".to_owned(),
        cure: format!(
            "`bell task why {0}`, then `bell dlq requeue` or `bell task cancel {0}`",
            view.task.id
        ),
    };
    sight.blocked.iter().filter(stuck).map(problem).collect()
}

fn missed(sight: &Sight) -> Vec<Problem> {
    let late = |(_, due): &&(String, Timestamp)| sight.now.wall.since(*due) > FIRED_WITHIN;
    let problem = |(name, due): &(String, Timestamp)| Problem {
        problem: Kind::ScheduleMissed,
        since: Some(*due),
        tasks: Vec::new(),
        subject: name.clone(),
        cause: format!("it was due at {due}, and no process is there to see to it"),
        cure: "keep a `bell worker` running".to_owned(),
    };
    sight.overdue.iter().filter(late).map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Seq;
    use crate::task::record::{Body, ClassNo, Task};
    use crate::task::spec::{Spec, Work};

    const NOW: Now = Now {
        wall: Timestamp(100_000_000),
        mono: 5_000,
    };

    fn view(state: State) -> View {
        let spec = Spec::new("t", Work::Prompt("do it".to_owned()));
        let task = Task::new(Seq(1), TaskId::new("t").unwrap(), ClassNo(0), Timestamp(1));
        View {
            task: Task { state, ..task },
            body: Body {
                key: None,
                spec: serde_json::to_string(&spec).unwrap().into(),
                after: Vec::new(),
                digest: [0; 32],
            },
            outcome: None,
            run: None,
            class: Class::of(&spec),
        }
    }

    fn sight() -> Sight {
        Sight {
            now: NOW,
            leased: Vec::new(),
            locks: Vec::new(),
            awaiting: Vec::new(),
            blocked: Vec::new(),
            ready: Vec::new(),
            busy: Vec::new(),
            agents: Vec::new(),
            breakers: Vec::new(),
            overdue: Vec::new(),
            waiting: Vec::new(),
        }
    }

    #[test]
    fn ready_work_that_nobody_takes_is_told_after_a_while() {
        let since = |span: i64| Timestamp(NOW.wall.0 - span);
        let of = |sight: &Sight| {
            problems(sight)
                .iter()
                .map(|problem| problem.problem)
                .collect::<Vec<_>>()
        };
        let late = Sight {
            ready: vec![(view(State::Ready), since(3_600_000))],
            ..sight()
        };
        assert_eq!(of(&late), [Kind::NobodyTakesIt]);
        let busy = Sight {
            busy: vec![view(State::Ready).class],
            ..late
        };
        assert_eq!(of(&busy), []);
        let fresh = Sight {
            ready: vec![(view(State::Ready), since(1_000))],
            ..sight()
        };
        assert_eq!(of(&fresh), []);
        let mut parked = view(State::Ready);
        parked.task.wait = Wait::Parked("db".into());
        let parked = Sight {
            ready: vec![(parked, since(3_600_000))],
            ..sight()
        };
        assert_eq!(of(&parked), []);
    }

    #[test]
    fn work_that_nobody_known_could_take_is_told_at_once() {
        let told = |class: fn(&mut Class), agents: Vec<(AgentName, Vec<Capability>)>| {
            let mut view = view(State::Ready);
            class(&mut view.class);
            let ready = vec![(view, NOW.wall)];
            problems(&Sight {
                ready,
                agents,
                ..sight()
            })
            .len()
        };
        let needs: fn(&mut Class) = |class| class.needs = vec![Capability::new("review").unwrap()];
        let pinned: fn(&mut Class) = |class| class.agent = Some(AgentName::new("ada").unwrap());
        let agent =
            |name: &str, can: &str| (AgentName::new(name).unwrap(), vec![Capability::new(can).unwrap()]);
        assert_eq!((told(needs, Vec::new()), told(pinned, Vec::new())), (1, 1));
        assert_eq!(told(needs, vec![agent("ada", "build")]), 1);
        assert_eq!(told(needs, vec![agent("bob", "review")]), 0);
        assert_eq!(told(pinned, vec![agent("bob", "review")]), 1);
        assert_eq!(told(pinned, vec![agent("ada", "build")]), 0);
    }

    #[test]
    fn a_schedule_that_nobody_sees_to_is_told() {
        let overdue = |ago: i64| Sight {
            overdue: vec![("nightly".to_owned(), Timestamp(NOW.wall.0 - ago))],
            ..sight()
        };
        assert_eq!(problems(&overdue(5_000)), []);
        assert_eq!(problems(&overdue(90_000))[0].problem, Kind::ScheduleMissed);
    }

    #[test]
    fn who_still_waits_for_others_is_not_stuck() {
        let mut blocked = view(State::Blocked);
        blocked.task.open = 1;
        blocked.task.dead = 1;
        let waiting = Sight {
            blocked: vec![(blocked.clone(), None)],
            ..sight()
        };
        assert_eq!(problems(&waiting), []);
        blocked.task.open = 0;
        let stuck = Sight {
            blocked: vec![(blocked, None)],
            ..sight()
        };
        assert_eq!(problems(&stuck)[0].problem, Kind::WaitsForRetry);
    }
}
