//! What leaves the store for good: sent behind everything else of its transaction.

use std::collections::BTreeSet;

use super::base::id_bytes;
use super::batch::Batch;
use super::desk::{Desk, Listing};
use super::keys::{self, field};
use super::send::{Sets, spot};

pub(super) fn take_out(desk: &Desk, batch: &mut Batch) {
    let gone = &desk.gone;
    let keys = &desk.keys;
    let mut fields = Vec::with_capacity(gone.tasks.len());
    let mut ids = Vec::with_capacity(gone.tasks.len());
    let mut sets = Sets::default();
    let runs: BTreeSet<_> = gone.runs.iter().map(|run| run.no).collect();
    for (task, _) in &gone.tasks {
        fields.push(field(task.seq.0));
        ids.push(id_bytes(&task.id));
        batch.put(&[b"DEL", &keys.dependents(task.seq)]);
        for listing in Listing::of(task) {
            sets.leave(spot(keys, &listing));
        }
        if let Some(parent) = task.parent {
            sets.leave_text(keys.of("g"), keys::child(parent, task.seq));
        }
        if let Some(run) = task.run.filter(|run| !runs.contains(run)) {
            // From the end, where the newest are: they go first.
            batch.put(&[b"LREM", &keys.run_tasks(run), b"-1", &field(task.seq.0)]);
        }
    }
    for hash in ["t", "b", "o"] {
        batch.put_all(&[b"HDEL", &keys.of(hash)], &fields, 1);
    }
    batch.put_all(&[b"HDEL", &keys.of("i")], &ids, 1);
    let names: Vec<_> = desk.unnamed.iter().map(|key| key.as_str().as_bytes()).collect();
    batch.put_all(&[b"HDEL", &keys.of("n")], &names, 1);
    for (on, dependent) in &gone.edges {
        let at = field(dependent.0);
        batch.put(&[b"ZREMRANGEBYSCORE", &keys.dependents(*on), &at, &at]);
    }
    let (mut numbers, mut run_ids) = (Vec::new(), Vec::new());
    for run in &gone.runs {
        numbers.push(field(run.no.0));
        run_ids.push(run.id.0.as_bytes().to_vec());
        batch.put(&[b"DEL", &keys.run_tasks(run.no)]);
        sets.leave_text(keys.of("rp"), keys::plan_run(&run.plan, run.no));
    }
    batch.put_all(&[b"HDEL", &keys.of("r")], &numbers, 1);
    batch.put_all(&[b"HDEL", &keys.of("ri")], &run_ids, 1);
    let answers: Vec<&[u8]> = gone.answers.iter().map(String::as_bytes).collect();
    batch.put_all(&[b"HDEL", &keys.of("m")], &answers, 1);
    batch.put_all(&[b"ZREM", &keys.of("mo")], &answers, 1);
    sets.send(batch);
    if let Some((last, first)) = gone.log {
        let count = field(last.0 - first.0);
        batch.put(&[b"LTRIM", &keys.of("e"), &count, b"-1"]);
    }
}
