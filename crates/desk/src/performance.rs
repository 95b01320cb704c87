//! What agents did, for whoever wants to learn from it elsewhere, and what to do about it here.

use api::ask;
use api::performance::{Advised, Performance, Record, Stats};
use domain::code::{Code, Refusal};
use domain::store::Result;
use domain::task::spec::Moment;
use domain::time::millis;
use engine::agents;
use engine::agents::performance::{self, Asked, RECORDS};
use engine::engine::Engine;

use crate::{agent, invalid};

pub async fn export(engine: &Engine, asked: &ask::Performance) -> Result<Performance> {
    let limit = asked.limit.unwrap_or(RECORDS);
    if !(1..=RECORDS).contains(&limit) {
        let detail = format!("1 to {RECORDS} records are told at a time, not {limit}");
        return Err(Refusal::new(Code::InvalidArgument, detail).help("go on with `cursor`"));
    }
    if asked.key.is_some() && !asked.anonymous {
        return Err(
            invalid("a key is for names that are told as digests").help("ask for `anonymous` as well")
        );
    }
    let now = engine.now().wall;
    let since = asked.since.map(|moment| match moment.0 {
        Moment::At(at) => at,
        Moment::In(span) => domain::time::Timestamp(now.0.saturating_sub(millis(span))),
    });
    let after = asked.cursor.as_deref().map(|text| {
        text.parse::<u64>().map_err(|_| {
            invalid(format!("`{}` is no cursor", text.escape_debug()))
                .help("pass the `cursor` of the part before")
        })
    });
    let export = performance::export(
        engine,
        &Asked {
            after: after.transpose()?,
            since,
            agent: asked.agent.clone(),
            key: asked.anonymous.then(|| performance::key(asked.key.as_deref())),
            limit,
        },
    )
    .await?;
    let stats = &export.stats;
    Ok(Performance {
        count: export.records.len(),
        stats: Stats {
            total: export.records.len() as u64,
            by: stats
                .by
                .iter()
                .map(|(what, count)| (what.as_str(), *count))
                .collect(),
            average_completion_time_ms: stats.average_ms(),
            overall_success_rate: stats.success_rate(),
            lost: stats.lost,
            first_at: stats.first.map(Into::into),
            last_at: stats.last.map(Into::into),
        },
        records: export.records.into_iter().map(record).collect(),
        cursor: export.next.map(|next| next.to_string()),
    })
}

fn record(record: performance::Record) -> Record {
    Record {
        no: record.no,
        at: record.at.into(),
        what: record.what.as_str(),
        agent: record.agent,
        team: record.team,
        task: record.task,
        run: record.run,
        kind: record.kind,
        needs: record.needs,
        outcome: record.outcome,
        duration_ms: record.duration_ms,
        quality: record.quality,
        strategy: record.strategy,
        confidence: record.confidence,
        alternatives: record.alternatives,
    }
}

/// What to do about agents that fail or have too much to do, and about skills that nobody has.
pub async fn advise(engine: &Engine) -> Result<Advised> {
    agent::catch_up(engine).await?;
    let advice = agents::advise(engine).await?;
    Ok(Advised {
        count: advice.len(),
        advice,
    })
}
