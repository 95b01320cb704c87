//! Plans that are only looked at.

use api::ask::{self, Picture};
use api::project::{Analysis, Forecast, Verified};
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use desk::plan;
use domain::code::{Code, Refusal};
use domain::plan::{Never, Plan};
use domain::store::Result;
use domain::task::spec::Json;
use engine::expect::Expected;
use engine::{simulate, submit};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

use super::run::picture;
use crate::op::{Answer, Call, Op, json, post};

pub(super) fn ops() -> Vec<Op> {
    vec![
        post(
            "/v1/plans/check",
            "checkPlan",
            "Check a plan and tell what it will be like",
            check,
        )
        .looks(),
        post(
            "/v1/plans/simulate",
            "simulatePlan",
            "Forecast how long a plan will take, by the real scheduling on a clock moved by hand",
            forecast,
        )
        .looks(),
        post(
            "/v1/plans/verify",
            "verifyPlan",
            "Prove rules about a plan over every order in which it can go",
            verify,
        )
        .looks(),
        Op {
            body: Some(SchemaGenerator::subschema_for::<Drawn>),
            body_needed: false,
            ..Op::raw(
                Method::POST,
                "/v1/plans/graph",
                "drawPlan",
                "Draw a plan: who waits for whom, and which way decides how long it takes",
                Answer::Other(&["application/json", "text/plain", "image/svg+xml"]),
                |call| Box::pin(draw(call)),
            )
        },
        Op::raw(
            Method::GET,
            "/v1/plans/schema",
            "showPlanSchema",
            "Show what a plan may be, as JSON Schema",
            Answer::Other(&["application/json"]),
            |_| Box::pin(async { json(StatusCode::OK, &domain::plan::schema()) }),
        ),
    ]
}

fn named(file: Option<&str>) -> &str {
    file.unwrap_or("plan")
}

fn read(plan: Option<&Json>, text: Option<&str>, file: Option<&str>) -> Result<Plan> {
    plan::read(plan, text, named(file))
}

async fn check(call: Call, asked: ask::Check) -> Result<Analysis> {
    let file = asked.file.as_deref();
    let plan = read(asked.plan.as_ref(), asked.text.as_deref(), file)?;
    plan::check(&call.engine, &plan, named(file)).await
}

/// Workers of a forecast when nobody says.
const WORKERS: usize = 10;
const WORKERS_MAX: usize = 10_000;
const SAMPLES: usize = 100;

async fn forecast(call: Call, asked: ask::Simulate) -> Result<Forecast> {
    let workers = within("workers", asked.workers.unwrap_or(WORKERS), WORKERS_MAX)?;
    let samples = within(
        "samples",
        asked.samples.unwrap_or(SAMPLES),
        domain::limits::PAGE_MAX,
    )?;
    let app = call.app.clone();
    let work = move || async move {
        let file = named(asked.file.as_deref());
        let plan = read(asked.plan.as_ref(), asked.text.as_deref(), Some(file))?;
        let identity = submit::identity(&plan, std::path::Path::new(file));
        let expected = Expected::of(&call.engine, &identity).await?;
        let options = simulate::Options {
            workers,
            fail: asked.fail,
            without: asked.without,
            samples,
            seed: asked.seed.unwrap_or(1),
            profile: asked.profile,
        };
        let told = simulate::simulate(&plan, &expected, &options, &call.app.options.fresh).await?;
        Ok(plan::foretold(workers, &told))
    };
    app.toil.carry_out(work).await
}

/// Edges that are looked at for tasks that can never begin.
const EDGES: usize = 20_000_000;
/// Steps of the proofs, about: each rule goes over the whole plan, and over it again for each task that it names.
const STEPS: usize = 50_000_000;
/// Happenings in the courses that are shown.
const SHOWN: usize = 1_000_000;
const RULES: usize = 100;

async fn verify(call: Call, asked: ask::Verify) -> Result<Verified> {
    let work = move || async move {
        if asked.never.len() > RULES {
            return Err(too_much(format!(
                "{} rules are asked for; {RULES} are proved at once",
                asked.never.len()
            )));
        }
        let never: Result<Vec<Never>> = asked.never.iter().map(|rule| rule.parse()).collect();
        let never = never?;
        let plan = read(asked.plan.as_ref(), asked.text.as_deref(), asked.file.as_deref())?;
        let edges: usize = plan.tasks.iter().map(|task| task.after.len()).sum();
        let times: usize = never.iter().map(|rule| 1 + 2 * rule.before.len()).sum();
        if (plan.tasks.len() + edges).saturating_mul(times) > STEPS
            || plan.tasks.len().saturating_mul(never.len()) > SHOWN
        {
            let detail = format!(
                "{} rules about {} tasks are too much",
                never.len(),
                plan.tasks.len()
            );
            return Err(too_much(detail));
        }
        plan::verify(&plan, &never, EDGES)
    };
    call.app.toil.carry_out(work).await
}

fn within(what: &str, number: usize, most: usize) -> Result<usize> {
    match (1..=most).contains(&number) {
        true => Ok(number),
        false => Err(Refusal::new(
            Code::InvalidArgument,
            format!("`{what}` is {number}; ask for 1 to {most}"),
        )),
    }
}

fn too_much(detail: String) -> Refusal {
    Refusal::new(Code::LimitExceeded, detail)
        .help("ask for fewer rules at once; `bell plan verify` has no such bound")
}

/// A plan, and how it is drawn.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Drawn {
    plan: Option<Json>,
    text: Option<String>,
    file: Option<String>,
    format: Picture,
}

async fn draw(call: Call) -> Result<Response<Body>> {
    let asked: Drawn = call.body()?;
    let file = asked.file.as_deref();
    let plan = read(asked.plan.as_ref(), asked.text.as_deref(), file)?;
    let expected = plan::expected(&call.engine, &plan, named(file)).await?;
    let graph = plan::graph(&plan, &expected, call.engine.now().wall);
    Ok(picture(&graph, asked.format))
}
