//! What holds work back, when it is handed in, and what waits for a person.

use api::answer::Completed;
use api::ask;
use api::curb::{Breakers, Budgets, Limits};
use api::list::Breakpoints;
use api::schedule::{Schedule, Schedules, Times};
use api::worker::{Pool, Pools};
use axum::http::{Method, StatusCode};
use desk::{change, curb, pool, schedule};
use domain::book::Book;
use domain::store::Result;

use crate::once::Repeat;
use crate::op::{Call, Op, get, post, send};

pub(super) fn ops() -> Vec<Op> {
    let (put, delete) = (|| Method::PUT, || Method::DELETE);
    vec![
        get(
            "/v1/breakers",
            "listBreakers",
            "List the breakers and how they stand",
            breakers,
        ),
        send(
            put(),
            "/v1/breakers/{name}",
            "setBreaker",
            "Set up a breaker, or change one",
            set_breaker,
        )
        .versioned(Book::Breaker),
        post(
            "/v1/breakers/{name}/reset",
            "resetBreaker",
            "Close a breaker and forget its results",
            reset_breaker,
        ),
        send(
            delete(),
            "/v1/breakers/{name}",
            "removeBreaker",
            "Take a breaker away",
            remove_breaker,
        )
        .versioned(Book::Breaker)
        .bodiless(),
        get(
            "/v1/limits",
            "listLimits",
            "List the limits and how much of them is used",
            limits,
        ),
        send(
            put(),
            "/v1/limits/{name}",
            "setLimit",
            "Set a limit, or change one",
            set_limit,
        )
        .versioned(Book::Limit),
        send(
            delete(),
            "/v1/limits/{name}",
            "removeLimit",
            "Take a limit away",
            remove_limit,
        )
        .versioned(Book::Limit)
        .bodiless(),
        get(
            "/v1/budgets",
            "listBudgets",
            "List the budgets, what was used and what is reserved",
            budgets,
        ),
        send(
            put(),
            "/v1/budgets/{name}",
            "setBudget",
            "Set a budget, or raise one",
            set_budget,
        )
        .versioned(Book::Budget),
        send(
            delete(),
            "/v1/budgets/{name}",
            "removeBudget",
            "Take a budget away",
            remove_budget,
        )
        .versioned(Book::Budget)
        .bodiless(),
        get(
            "/v1/breakpoints",
            "listBreakpoints",
            "List what waits for a person",
            breakpoints,
        ),
        post(
            "/v1/breakpoints/{id}/resolve",
            "resolveBreakpoint",
            "Let a task go on, or reject it",
            resolve,
        )
        .repeat(Repeat::Remembered),
        get(
            "/v1/schedules",
            "listSchedules",
            "List the schedules with their next times",
            schedules,
        ),
        post(
            "/v1/schedules",
            "addSchedule",
            "Hand work in at given times",
            add_schedule,
        )
        .versioned(Book::Schedule)
        .status(StatusCode::CREATED),
        get(
            "/v1/schedules/{name}",
            "showSchedule",
            "Show a schedule",
            show_schedule,
        )
        .versioned(Book::Schedule),
        send(
            Method::PATCH,
            "/v1/schedules/{name}",
            "editSchedule",
            "Change a schedule",
            edit_schedule,
        )
        .versioned(Book::Schedule),
        get(
            "/v1/schedules/{name}/times",
            "nextTimes",
            "Tell the next times of a schedule",
            next_times,
        ),
        send(
            delete(),
            "/v1/schedules/{name}",
            "removeSchedule",
            "Remove a schedule",
            remove_schedule,
        )
        .versioned(Book::Schedule)
        .bodiless(),
        get(
            "/v1/pools",
            "listPools",
            "List the pools, their slots and who works for them",
            pools,
        ),
        send(
            put(),
            "/v1/pools/{name}",
            "setPool",
            "Make a pool, or change one while it works",
            set_pool,
        )
        .versioned(Book::Pool),
    ]
}

async fn breakers(call: Call, _: ask::Nothing) -> Result<Breakers> {
    curb::breakers(&call.engine).await
}

async fn set_breaker(call: Call, asked: ask::Breaker) -> Result<Breakers> {
    curb::set_breaker(&call.engine, &call.parsed()?, &asked).await
}

async fn reset_breaker(call: Call, _: ask::Nothing) -> Result<Breakers> {
    curb::reset_breaker(&call.engine, &call.parsed()?).await
}

async fn remove_breaker(call: Call, _: ask::Nothing) -> Result<Breakers> {
    curb::remove_breaker(&call.engine, &call.parsed()?).await
}

async fn limits(call: Call, _: ask::Nothing) -> Result<Limits> {
    curb::limits(&call.engine).await
}

async fn set_limit(call: Call, asked: ask::Limit) -> Result<Limits> {
    curb::set_limit(&call.engine, &call.parsed()?, &asked).await
}

async fn remove_limit(call: Call, _: ask::Nothing) -> Result<Limits> {
    curb::remove_limit(&call.engine, &call.parsed()?).await
}

async fn budgets(call: Call, _: ask::Nothing) -> Result<Budgets> {
    curb::budgets(&call.engine).await
}

async fn set_budget(call: Call, asked: ask::Budget) -> Result<Budgets> {
    curb::set_budget(&call.engine, &call.parsed()?, &asked).await
}

async fn remove_budget(call: Call, _: ask::Nothing) -> Result<Budgets> {
    curb::remove_budget(&call.engine, &call.parsed()?).await
}

async fn breakpoints(call: Call, asked: ask::Breakpoints) -> Result<Breakpoints> {
    change::breakpoints(&call.engine, &asked).await
}

async fn resolve(call: Call, asked: ask::Resolve) -> Result<Completed> {
    let key = call.idempotency_key.clone();
    let reply = change::resolve(&call.engine, call.name(), asked, key).await?;
    Ok(Completed::from(reply))
}

async fn schedules(call: Call, asked: ask::Page) -> Result<Schedules> {
    schedule::list(&call.engine, &asked).await
}

async fn add_schedule(call: Call, asked: ask::Schedule) -> Result<Schedule> {
    schedule::add(&call.engine, &asked).await
}

async fn show_schedule(call: Call, _: ask::Nothing) -> Result<Schedule> {
    schedule::show(&call.engine, &call.parsed()?).await
}

async fn edit_schedule(call: Call, asked: ask::ScheduleEdit) -> Result<Schedule> {
    schedule::edit(&call.engine, &call.parsed()?, &asked).await
}

async fn next_times(call: Call, asked: ask::Times) -> Result<Times> {
    schedule::next(&call.engine, &call.parsed()?, &asked).await
}

async fn remove_schedule(call: Call, _: ask::Nothing) -> Result<Schedule> {
    schedule::remove(&call.engine, &call.parsed()?).await
}

async fn pools(call: Call, _: ask::Nothing) -> Result<Pools> {
    pool::list(&call.engine).await
}

async fn set_pool(call: Call, asked: ask::Pool) -> Result<Pool> {
    pool::set(&call.engine, &call.parsed()?, asked).await
}
