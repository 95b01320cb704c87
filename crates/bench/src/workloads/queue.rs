//! The queue beside its raw limit (DESIGN 14).

use std::time::Instant;

use crate::bed::{Mix, Result};
use crate::lab::Lab;
use crate::raw::Raw;
use crate::report::{Row, Stat, Target};
use crate::samples::{Samples, median, ms, rate};

pub(crate) const ROUNDS: usize = 3;

pub(crate) async fn enqueue_single(lab: &Lab) -> Result<Vec<Row>> {
    const WARM_UP: usize = 20;
    let (bed, mut raw) = (lab.bed()?, lab.raw()?);
    lab.wear_in(&bed, raw.as_mut()).await?;
    let count = lab.samples(if lab.quick { 300 } else { 1_000 });
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for i in 0..count + WARM_UP {
        let commit = raw.as_mut().map(Raw::commit).transpose()?;
        let start = Instant::now();
        bed.admit(bed.fresh(1, Mix::One)).await?;
        let took = start.elapsed();
        if i >= WARM_UP {
            ours.push(took);
            theirs.extend(commit);
        }
    }
    let raw = (!theirs.is_empty()).then(|| ms(Samples::new(theirs).p50()));
    let row = Row::latency(
        "enqueue_single",
        "1.8 enqueue_single, DESIGN 14",
        Stat::P50,
        &Samples::new(ours),
    )
    .workload("one task per call, one caller, from specification to acknowledgement; p50")
    .raw(raw)
    .target(Target::AtMost(10.0))
    .target(Target::RatioAtMost(2.0))
    .note("raw: one row and its commit, taken in turns with ours");
    Ok(vec![row])
}

pub(crate) async fn enqueue_bulk(lab: &Lab) -> Result<Vec<Row>> {
    const BATCH: usize = 1_000;
    let (bed, mut raw) = (lab.bed()?, lab.raw()?);
    let mut same = lab.same_rows(BATCH).await?;
    let each = lab.tasks(60_000, 20_000);
    bed.fill(each.min(BATCH), Mix::One).await?;
    if let Some(raw) = &mut raw {
        raw.fill(each.min(BATCH), BATCH, Mix::One)?;
    }
    let (mut ours, mut table, mut rows, mut calls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        calls.extend(bed.fill(each, Mix::One).await?);
        ours.push(rate(each, start.elapsed()));
        if let Some(raw) = &mut raw {
            table.push(rate(each, raw.fill(each, BATCH, Mix::One)?));
        }
        if let Some(same) = &mut same {
            rows.push(rate(each, same.fill(each)?));
        }
    }
    let (ours, calls) = (median(ours), Samples::new(calls));
    let table = (!table.is_empty()).then(|| median(table));
    let row = |name, raw| {
        Row::new(name, "DESIGN 14", each, ours, "tasks/s")
            .batch(BATCH)
            .spread(&calls)
            .workload(
                "new tasks in batches, one caller, from specification to acknowledgement; score mix dist 1",
            )
            .raw(raw)
    };
    const ONE_TABLE: &str =
        "raw: inserts of the same number of rows with id, place, state and payload into one table";
    if rows.is_empty() {
        let row = row("enqueue_bulk", table).target(Target::RatioAtLeast(0.35));
        return Ok(vec![row.note(ONE_TABLE)]);
    }
    Ok(vec![
        row("enqueue_bulk", Some(median(rows)))
            .target(Target::RatioAtLeast(0.35))
            .note("raw: the rows that ours has written (task, body, line and event with its digest), written again without us"),
        row("enqueue_bulk_table", table).note(ONE_TABLE),
    ])
}

pub(crate) async fn drain(lab: &Lab) -> Result<Vec<Row>> {
    let what =
        "no-op tasks are claimed, started and finished, one caller; score mix dist 1 (first in, first out)";
    Ok(vec![drain_mix(lab, "drain", Mix::One).await?.workload(what)])
}

pub(crate) async fn drain_10(lab: &Lab) -> Result<Vec<Row>> {
    let what = "as `drain`; score mix dist 10 (ten scores at random)";
    Ok(vec![drain_mix(lab, "drain_10", Mix::Ten).await?.workload(what)])
}

pub(crate) async fn drain_1000(lab: &Lab) -> Result<Vec<Row>> {
    let what = "as `drain`; score mix dist 1000 (a thousand scores at random)";
    Ok(vec![
        drain_mix(lab, "drain_1000", Mix::Thousand).await?.workload(what),
    ])
}

async fn drain_mix(lab: &Lab, name: &'static str, mix: Mix) -> Result<Row> {
    const BATCH: usize = 100;
    let (bed, mut raw) = (lab.bed()?, lab.raw()?);
    let each = lab.tasks(20_000, 10_000);
    let all = each * ROUNDS + each.min(BATCH);
    bed.fill(all, mix).await?;
    bed.drain(each.min(BATCH), BATCH).await?;
    if let Some(raw) = &mut raw {
        raw.fill(all, 1_000, mix)?;
        raw.drain(each.min(BATCH), BATCH)?;
    }
    let (mut ours, mut theirs, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        turns.extend(bed.drain(each, BATCH).await?);
        ours.push(rate(each, start.elapsed()));
        if let Some(raw) = &mut raw {
            theirs.push(rate(each, raw.drain(each, BATCH)?));
        }
    }
    Ok(Row::new(name, "DESIGN 14", each, median(ours), "tasks/s")
        .batch(BATCH)
        .spread(&Samples::new(turns))
        .raw((!theirs.is_empty()).then(|| median(theirs)))
        .target(Target::RatioAtLeast(lab.drain_floor()))
        .note(
            "each turn finishes what it holds and claims the next, as a worker does; raw: the same turn on one table, \
             in the same order of scores",
        ))
}
