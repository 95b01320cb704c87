//! Teams of agents.

use api::ask;
use api::team::{Team, Teams};
use axum::http::Method;
use desk::team;
use domain::book::Book;
use domain::store::Result;

use crate::op::{Call, Op, get, send};

pub(super) fn ops() -> Vec<Op> {
    vec![
        get(
            "/v1/teams",
            "listTeams",
            "List the teams: members, skills, load and record",
            list,
        ),
        get("/v1/teams/{name}", "showTeam", "Show a team", show).versioned(Book::Team),
        send(
            Method::PUT,
            "/v1/teams/{name}",
            "setTeam",
            "Make a team of agents, or change who is in it",
            set,
        )
        .versioned(Book::Team),
        send(
            Method::DELETE,
            "/v1/teams/{name}",
            "removeTeam",
            "Take a team away; what is for it waits",
            remove,
        )
        .versioned(Book::Team)
        .bodiless(),
    ]
}

async fn list(call: Call, asked: ask::Page) -> Result<Teams> {
    team::list(&call.engine, &asked).await
}

async fn show(call: Call, _: ask::Nothing) -> Result<Team> {
    team::show(&call.engine, &call.parsed()?).await
}

async fn set(call: Call, asked: ask::Team) -> Result<Team> {
    team::set(&call.engine, &call.parsed()?, asked).await
}

async fn remove(call: Call, _: ask::Nothing) -> Result<Team> {
    team::remove(&call.engine, &call.parsed()?).await
}
