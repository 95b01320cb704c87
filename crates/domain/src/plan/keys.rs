//! The keys of a task, and of the plan around it.

use std::sync::Arc;

use crate::task::replan::Planner;
use crate::task::spec::{OnUpstreamFailure, Priority, Source};

use super::at::Key;
use super::draft::Draft;
use super::{each, holds, outside, planner, retry, schema, values, work};

pub(super) type TaskKey = Key<Draft>;

pub(super) const TASK: &[TaskKey] = &[
    TaskKey::new(
        "run",
        "A command: text is one line for `sh -c`, a list a program with its arguments, without a shell.",
        schema::run,
        work::run,
    )
    .no_default(),
    TaskKey::new(
        "prompt",
        "Work for an agent; without `agent` it is routed by `needs`.",
        schema::text,
        work::prompt,
    )
    .no_default(),
    TaskKey::new(
        "agent",
        "The agent that does the prompt.",
        schema::name,
        |draft, at, found| {
            draft.spec.agent = at.name(found);
        },
    )
    .no_default(),
    TaskKey::new(
        "handler",
        "A function registered with the engine.",
        schema::name,
        work::handler,
    )
    .no_default(),
    TaskKey::new(
        "breakpoint",
        "A stop for a person: what is asked, or a mapping with `ask`.",
        schema::breakpoint,
        work::breakpoint,
    )
    .no_default(),
    TaskKey::new(
        "http",
        "A call of an HTTP endpoint: its URL, or a mapping with `url`.",
        schema::http,
        outside::http,
    )
    .no_default(),
    TaskKey::new(
        "wait",
        "A wait for a file, an endpoint or a signal.",
        schema::wait,
        outside::wait,
    )
    .no_default(),
    TaskKey::new(
        "kind",
        "What sort of work it is: limits, routing and learned durations go by it.",
        schema::name,
        |draft, at, found| draft.kind = at.name(found),
    ),
    TaskKey::new(
        "after",
        "The tasks it waits for: keys, or mappings of `task` and `when`.",
        schema::after,
        values::after,
    )
    .no_default(),
    TaskKey::new(
        "needs",
        "Capabilities that whoever does it must have, all of them.",
        schema::names,
        values::needs,
    ),
    TaskKey::new(
        "team",
        "The team it is meant for: only its members do it.",
        schema::name,
        |draft, at, found| draft.spec.team = at.name(found),
    ),
    TaskKey::new(
        "priority",
        "From 0 to 10, or low, normal, medium, high, fix, critical.",
        schema::priority,
        |draft, at, found| {
            if let Some(priority) = at.word(found, "a priority", Priority::parse) {
                draft.spec.priority = priority;
            }
        },
    ),
    TaskKey::new(
        "source",
        "Where it comes from.",
        schema::source,
        |draft, at, found| {
            if let Some(source) = at.word(found, "a source", Source::parse) {
                draft.spec.source = source;
            }
        },
    ),
    TaskKey::new(
        "deadline",
        "When it should be done: a time, or a duration from submission.",
        schema::moment,
        |draft, at, found| draft.spec.deadline = at.moment(found),
    ),
    TaskKey::new(
        "estimate",
        "How long it is expected to take.",
        schema::duration,
        |draft, at, found| draft.spec.estimate = at.duration(found),
    ),
    TaskKey::new(
        "run_at",
        "Not before: a time, or a duration from submission.",
        schema::moment,
        |draft, at, found| draft.spec.run_at = at.moment(found),
    ),
    TaskKey::new(
        "timeout",
        "How long one attempt may take.",
        schema::duration,
        |draft, at, found| draft.spec.timeout = at.positive(found),
    ),
    TaskKey::new(
        "retry",
        "When a failed attempt is followed by another: a preset, the number of tries, or a mapping.",
        schema::retry,
        retry::retry,
    ),
    TaskKey::new(
        "on_upstream_failure",
        "What happens when a task it waits for has failed.",
        schema::on_upstream_failure,
        |draft, at, found| {
            if let Some(policy) = at.word(found, "a word", OnUpstreamFailure::parse) {
                draft.spec.on_upstream_failure = policy;
            }
        },
    ),
    TaskKey::new(
        "on_exhausted",
        "What happens when the last try has failed: it goes to the dead letters, or a planner is asked for another way.",
        schema::on_exhausted,
        planner::on_exhausted,
    ),
    TaskKey::new(
        "locks",
        "Named reservations while it runs; `path:` names are hierarchical.",
        schema::locks,
        holds::locks,
    ),
    TaskKey::new(
        "resources",
        "Amounts it takes from the worker, such as `gpu: 1`.",
        schema::amounts,
        holds::resources,
    ),
    TaskKey::new(
        "concurrency",
        "Tasks with the same key take turns with those of other keys, so many at once, so many in a time: the key, or a mapping of `key`, `limit` and `rate`.",
        schema::concurrency,
        holds::concurrency,
    ),
    TaskKey::new(
        "breaker",
        "The circuit breaker that its failures count for; while that is open, the task waits.",
        schema::label,
        |draft, at, found| draft.spec.breaker = values::label(at, found),
    ),
    TaskKey::new(
        "budget",
        "What all its attempts together may use: tokens, money, seconds.",
        schema::budget,
        holds::budget,
    ),
    TaskKey::new(
        "cache",
        "What the result depends on; with the same of it, the stored result is taken.",
        schema::cache,
        holds::cache,
    ),
    TaskKey::new(
        "gate",
        "What the result must reach.",
        schema::mapping,
        values::mapping,
    )
    .unsupported(),
    TaskKey::new(
        "env",
        "Variables for the attempt, by name.",
        schema::env,
        values::env,
    ),
    TaskKey::new(
        "cwd",
        "The folder to work in; the plan's own when absent.",
        schema::text,
        |draft, at, found| draft.spec.cwd = at.content(found),
    ),
    TaskKey::new(
        "inputs",
        "Any value, handed to the attempt as JSON.",
        schema::any,
        |draft, at, found| draft.spec.inputs = at.json(found),
    )
    .no_default(),
    TaskKey::new(
        "secrets",
        "Variables whose values the worker knows and nobody else sees, by name.",
        schema::secrets,
        values::secrets,
    ),
    TaskKey::new(
        "for_each",
        "A list, the task whose result is one, or a mapping of `task` and `at`: the task is done for each item.",
        schema::for_each,
        each::for_each,
    )
    .no_default(),
    TaskKey::new(
        "summary",
        "What it is about, for people; at most 200 characters.",
        schema::summary,
        values::summary,
    )
    .no_default(),
    TaskKey::new(
        "session",
        "The session it belongs to.",
        schema::label,
        |draft, at, found| draft.spec.session = values::label(at, found),
    ),
    TaskKey::new(
        "spec_ref",
        "The working spec it follows.",
        schema::label,
        |draft, at, found| draft.spec.spec_ref = values::label(at, found),
    ),
];

/// What stands at the top of a plan, tasks and defaults aside.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    /// Of tasks with `on_exhausted: replan`.
    pub(super) planner: Option<Arc<Planner>>,
}

/// `defaults` and `tasks` have no reader here: every task needs the defaults first, wherever they stand.
pub(super) const PLAN: &[Key<Head>] = &[
    Key::new(
        "name",
        "What the plan is called; runs of one name continue each other.",
        schema::label,
        |head, at, found| head.name = values::label(at, found),
    ),
    Key::new(
        "description",
        "What the plan is for.",
        schema::text,
        |head, at, found| head.description = at.content(found),
    ),
    Key::new(
        "version",
        "The version of this format: 1.",
        schema::version,
        |_, at, found| {
            at.whole(found, 1, 1);
        },
    ),
    Key::new(
        "$schema",
        "The schema an editor checks by; ignored.",
        schema::text,
        |_, _, _| {},
    ),
    Key::new(
        "planner",
        "Who is asked for another way when a task with `on_exhausted: replan` has failed: a command, or an agent. Without it, any agent that can do `planning`.",
        schema::planner,
        planner::planner,
    ),
    Key::new(
        "defaults",
        "Keys that every task starts from. A task's own value replaces; `env` and `retry` merge key by key.",
        schema::defaults,
        |_, _, _| {},
    ),
    Key::new(
        "tasks",
        "The tasks: a mapping by key, or a list of mappings that have a `key`.",
        schema::tasks,
        |_, _, _| {},
    ),
];
