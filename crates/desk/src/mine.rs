//! Plans proposed from what went well before.

use api::ask;
use api::mine::{Mined, Proposal, Step};
use domain::mine::Wanted;
use domain::store::Result;
use engine::engine::Engine;
use engine::mine::{self, By, Options};

use crate::invalid;

/// Runs that a pattern was seen in, steps that it has and proposals that are made, unless something else is asked.
const SUPPORT: usize = 3;
const STEPS: usize = 2;
const LIMIT: usize = 5;
const LIMIT_MAX: usize = 100;

pub async fn mine(engine: &Engine, asked: &ask::Mine) -> Result<Mined> {
    let support = asked.support.unwrap_or(SUPPORT);
    let steps = asked.steps.unwrap_or(STEPS);
    let limit = asked.limit.unwrap_or(LIMIT);
    if support < 2 || steps < 2 {
        return Err(
            invalid("what comes again was seen twice, and has two steps, at the least")
                .help("`support` and `steps` are 2 or more"),
        );
    }
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(invalid(format!(
            "1 to {LIMIT_MAX} plans are proposed, not {limit}"
        )));
    }
    let options = Options {
        wanted: Wanted { support, steps },
        by: match asked.by {
            ask::By::Title => By::Title,
            ask::By::Kind => By::Kind,
        },
        plan: asked.plan.clone(),
        known: asked.known,
        limit,
    };
    let mined = mine::mine(engine, &options).await?;
    let proposals: Vec<Proposal> = mined.proposals.into_iter().map(proposal).collect();
    Ok(Mined {
        count: proposals.len(),
        proposals,
        runs: mined.runs,
        cut: mined.cut,
    })
}

fn proposal(found: mine::Proposal) -> Proposal {
    let step = |step: mine::Step| Step {
        key: step.key,
        kind: step.kind,
        after: step.after,
        seconds: step.took.map(|took| took.as_secs_f64()),
        varies: step.varies,
    };
    Proposal {
        name: found.name,
        support: found.support,
        plans: found.plans,
        steps: found.steps.into_iter().map(step).collect(),
        yaml: found.yaml,
    }
}
