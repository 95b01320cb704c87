//! A forecast of a plan: the real scheduling code on a clock that is moved by hand.
//!
//! Each sample runs the whole plan in a store of its own (the caller makes them, in memory): tasks are claimed in
//! real order by so many workers, take the time they are drawn, fail as often as they did before, and are
//! retried by their own policies. What is known of durations and failures comes from earlier runs of the same
//! plan; where nothing is known, from estimates, and from what tasks of the same kind did ([`crate::expect`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::graph::{Dag, Graph};
use domain::id::{Key, Project, Token, WorkerId};
use domain::lesson::Practice;
use domain::plan::Plan;
use domain::run::RunState;
use domain::store::{Claim, Command, Filter, Request, Result, Store, Target, Wants};
use domain::task::record::{Failure, Outcome};
use domain::task::retry::{mix, unit};
use domain::task::score::Profile;
use domain::task::spec::Work;
use domain::task::state::State;
use domain::time::{Timestamp, millis};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::clock::{Clock, ManualClock};
use crate::engine::Engine;
use crate::expect::Expected;
use crate::home::Home;
use crate::submit;

#[derive(Clone, Debug)]
pub struct Options {
    pub workers: usize,
    /// These fail with every try.
    pub fail: Vec<Key>,
    /// These are taken for done before it begins.
    pub without: Vec<Key>,
    pub samples: usize,
    pub seed: u64,
    pub profile: Profile,
}

#[derive(Clone, Debug)]
pub struct Forecast {
    pub samples: usize,
    /// Samples in which the run succeeded.
    pub succeeded: usize,
    pub p50: Duration,
    pub p90: Duration,
    /// Busy time over the time of all workers, on average, 0 to 1.
    pub utilisation: f64,
    /// Of the first sample: when each task started and ended, in order of the plan; `None` if it never did.
    pub schedule: Vec<Option<(Duration, Duration)>>,
    /// Tasks whose durations come from earlier runs, and from what their kinds usually take.
    pub learned: usize,
    pub by_kind: usize,
}

/// Samples beyond this much work in all are not drawn: a forecast takes seconds, not minutes.
pub const TASKS_MAX: usize = 200_000;

/// Simulates a plan; `fresh` makes an empty store in memory for each sample.
pub async fn simulate(
    plan: &Plan,
    expected: &Expected,
    options: &Options,
    fresh: &dyn Fn() -> Result<Arc<dyn Store>>,
) -> Result<Forecast> {
    let keys: FxHashSet<&Key> = plan.tasks.iter().map(|task| &task.key).collect();
    if let Some(key) = options
        .fail
        .iter()
        .chain(&options.without)
        .find(|key| !keys.contains(key))
    {
        let known = plan.tasks.iter().map(|task| task.key.as_str());
        let refusal = Refusal::new(Code::InvalidArgument, format!("the plan has no task `{key}`"));
        return Err(match domain::code::nearest(key.as_str(), known) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")),
            None => refusal,
        });
    }
    // What is not known is taken from the whole plan: leaving a task out makes no other one longer.
    let assumed = domain::plan::durations(plan, |task| expected.duration(task));
    let assumed = plan
        .tasks
        .iter()
        .map(|task| task.key.clone())
        .zip(assumed)
        .collect();
    let mut plan = without(plan, &options.without);
    let model = Model::new(&plan, &assumed, expected, options);
    // What is expected orders the line of each sample as it would order the real one.
    for task in &mut plan.tasks {
        task.spec.estimate = expected.duration(task);
    }
    let samples = options
        .samples
        .clamp(1, (TASKS_MAX / plan.tasks.len().max(1)).max(1));
    let mut ends = Vec::with_capacity(samples);
    let mut utilisation = 0.0;
    let mut succeeded = 0;
    let mut schedule = Vec::new();
    for sample in 0..samples {
        let seen = Sample::run(
            &plan,
            &model,
            options,
            mix(options.seed ^ sample as u64),
            fresh()?,
        )
        .await?;
        if sample == 0 {
            schedule = seen.schedule;
        }
        succeeded += usize::from(seen.state == RunState::Succeeded);
        utilisation += seen.utilisation / samples as f64;
        ends.push(seen.took);
    }
    ends.sort_unstable();
    let percentile = |p: f64| ends[((ends.len() - 1) as f64 * p).round() as usize];
    Ok(Forecast {
        samples,
        succeeded,
        p50: percentile(0.5),
        p90: percentile(0.9),
        utilisation,
        schedule,
        learned: model.learned,
        by_kind: model.by_kind,
    })
}

/// The plan without these tasks, what waited for them waiting no longer, and with work that anybody can do: the
/// forecast is of the plan, not of who happens to be there.
fn without(plan: &Plan, gone: &[Key]) -> Plan {
    let mut plan = plan.clone();
    plan.tasks.retain(|task| !gone.contains(&task.key));
    for task in &mut plan.tasks {
        task.after.retain(|after| !gone.contains(&after.task));
        task.spec.agent = None;
        task.spec.needs = Vec::new();
        // What a planner would find nobody can tell.
        task.spec.on_exhausted = None;
        if !matches!(task.spec.work, Work::Breakpoint(_)) {
            task.spec.work = Work::Argv(Vec::new());
        }
    }
    let index: FxHashMap<&Key, u32> = plan
        .tasks
        .iter()
        .zip(0..)
        .map(|(task, i)| (&task.key, i))
        .collect();
    let edges = plan.tasks.iter().zip(0..).flat_map(|(task, i)| {
        let index = &index;
        task.after.iter().map(move |after| (index[&after.task], i))
    });
    let graph = Graph::build(plan.tasks.len() as u32, edges);
    plan.dag = Dag::new(graph).expect("a plan without some of its tasks has no cycle either");
    plan
}

/// How long tasks take and how often they fail.
struct Model {
    durations: Vec<Vec<u64>>,
    failure: Vec<f64>,
    learned: usize,
    by_kind: usize,
}

impl Model {
    /// `assumed`: milliseconds of each task of the whole plan.
    fn new(plan: &Plan, assumed: &FxHashMap<Key, u64>, expected: &Expected, options: &Options) -> Model {
        let mut model = Model {
            durations: Vec::new(),
            failure: Vec::new(),
            learned: 0,
            by_kind: 0,
        };
        for task in &plan.tasks {
            let record = expected
                .history
                .get(&task.key)
                .filter(|record| !record.took.is_empty());
            model.learned += usize::from(record.is_some());
            let practice = expected.kinds.get(&task.spec.kind);
            let practice = practice.filter(|known| record.is_none() && known.usual(0.5).is_some());
            let drawn = match (record, practice) {
                (Some(record), _) => record
                    .took
                    .iter()
                    .map(|took| millis(*took).max(1) as u64)
                    .collect(),
                (None, Some(practice)) if task.spec.estimate.is_none() => {
                    model.by_kind += 1;
                    practice.latest.iter().map(|ms| (*ms).max(1)).collect()
                }
                _ => vec![assumed[&task.key].max(1)],
            };
            model.durations.push(drawn);
            let rate = match (record, practice) {
                (Some(record), _) => f64::from(record.failures) / f64::from(record.attempts.max(1)),
                (None, practice) => practice.and_then(Practice::failure_rate).unwrap_or(0.0),
            };
            model.failure.push(if options.fail.contains(&task.key) {
                1.0
            } else {
                rate
            });
        }
        model
    }
}

struct Sample {
    took: Duration,
    utilisation: f64,
    state: RunState,
    schedule: Vec<Option<(Duration, Duration)>>,
}

impl Sample {
    async fn run(
        plan: &Plan,
        model: &Model,
        options: &Options,
        seed: u64,
        store: Arc<dyn Store>,
    ) -> Result<Sample> {
        let start = Timestamp(1_700_000_000_000);
        let clock = Arc::new(ManualClock::new(start));
        let engine = Engine {
            store,
            project: Project::default(),
            clock: clock.clone(),
            home: Home::new("/nonexistent"),
            actor: "simulation".into(),
        };
        let submit = submit::Options {
            into: submit::Into::New,
            profile: Some(options.profile),
            joins: |_, _| false,
        };
        let run = submit::submit(&engine, plan, Path::new("/plan"), &submit)
            .await?
            .run;
        let index: FxHashMap<&Key, usize> = plan
            .tasks
            .iter()
            .enumerate()
            .map(|(i, task)| (&task.key, i))
            .collect();
        let mut schedule = vec![None; plan.tasks.len()];
        let mut busy = Duration::ZERO;
        let mut underway: BinaryHeap<Reverse<(Timestamp, usize, u32)>> = BinaryHeap::new();
        let mut tokens: FxHashMap<usize, Token> = FxHashMap::default();
        loop {
            let room = options.workers.saturating_sub(underway.len());
            let leased = if room == 0 {
                Vec::new()
            } else {
                engine
                    .store
                    .claim(&engine.project, claim(room), clock.now())
                    .await?
            };
            for lease in leased {
                let key = lease.body.key.as_ref().expect("tasks of plans have keys");
                let i = index[key];
                let attempt = lease.task.attempt();
                let drawn = &model.durations[i];
                let draw = mix(seed ^ ((i as u64) << 20) ^ u64::from(attempt));
                let took = Duration::from_millis(drawn[(draw % drawn.len() as u64) as usize]);
                let now = clock.now().wall;
                underway.push(Reverse((now.after(took), i, attempt)));
                tokens.insert(i, lease.token);
                busy += took;
                let from = schedule[i].map_or(now.since(start), |(from, _)| from);
                schedule[i] = Some((from, now.since(start) + took));
            }
            if let Some(Reverse((at, i, attempt))) = underway.pop() {
                clock.advance(at.since(clock.now().wall));
                let draw = unit(mix(seed ^ ((i as u64) << 20) ^ u64::from(attempt) ^ 0xFA11));
                let failed = draw < model.failure[i];
                end(&engine, tokens[&i], failed).await?;
            } else if !answer(&engine, run).await? && !wait(&engine, &clock).await? {
                break;
            }
        }
        let state = engine
            .store
            .run(&engine.project, run)
            .await?
            .map_or(RunState::Failed, |run| run.outcome());
        let took = clock.now().wall.since(start);
        let capacity = took.as_secs_f64() * options.workers as f64;
        let utilisation = if capacity > 0.0 {
            busy.as_secs_f64() / capacity
        } else {
            0.0
        };
        Ok(Sample {
            took,
            utilisation,
            state,
            schedule,
        })
    }
}

fn claim(max: usize) -> Claim {
    Claim {
        worker: WorkerId::new("simulation").expect("a plain word is a name"),
        wants: Wants::default(),
        max,
        ahead: 0,
        ttl: Duration::from_secs(10 * 365 * 86_400),
        start: true,
        seed: 0,
    }
}

async fn end(engine: &Engine, token: Token, failed: bool) -> Result<()> {
    let command = if failed {
        let failure = Failure::new("drawn to fail");
        Command::Fail {
            failure,
            usage: None,
            timed_out: false,
            no_retry: false,
        }
    } else {
        Command::Complete {
            outcome: Outcome::default(),
            cached: false,
            children: None,
        }
    };
    request(engine, Target::Holder(token, None), command).await
}

async fn request(engine: &Engine, target: Target, command: Command) -> Result<()> {
    let request = Request {
        target,
        command,
        actor: engine.actor.clone(),
        idempotency_key: None,
    };
    let replies = engine
        .store
        .change(&engine.project, vec![request], engine.now())
        .await?;
    replies.into_iter().try_for_each(|reply| reply.map(|_| ()))
}

/// Breakpoints are answered at once: people are not part of the forecast. Returns whether there was one.
async fn answer(engine: &Engine, run: domain::id::RunId) -> Result<bool> {
    let filter = Filter {
        run: Some(run),
        states: vec![State::Awaiting],
        ..Filter::default()
    };
    let waiting = engine
        .store
        .list(&engine.project, filter, Default::default(), 100)
        .await?;
    for view in &waiting {
        let command = Command::Resolve {
            accept: true,
            outcome: Outcome::default(),
        };
        request(engine, Target::Id(view.task.id.clone()), command).await?;
    }
    Ok(!waiting.is_empty())
}

/// Moves on to the next thing that is due by time. Returns whether there was one.
async fn wait(engine: &Engine, clock: &ManualClock) -> Result<bool> {
    let ticked = engine.store.tick(&engine.project, clock.now()).await?;
    if ticked.moved > 0 {
        return Ok(true);
    }
    let Some(next) = ticked.next else { return Ok(false) };
    clock.advance(next.since(clock.now().wall).max(Duration::from_millis(1)));
    Ok(true)
}
