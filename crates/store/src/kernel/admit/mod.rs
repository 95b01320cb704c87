//! Taking new work in: all of a batch with its edges, or nothing.

mod check;
mod insert;

use domain::code::{Code, Refusal};
use domain::id::Project;
use domain::store::{Admission, Admitted, Result};
use domain::time::Now;

use super::step::Step;
use super::tx::{ProjectNo, Remembered, Tx};
pub(super) use check::Plan;
pub(crate) use check::exists;
pub(super) use insert::insert;

pub fn admit(tx: &mut dyn Tx, project: &Project, admission: &Admission, now: Now) -> Result<Admitted> {
    let no = tx.project(project, true)?.expect("the project was created");
    let digest = admission.idempotency_key.as_ref().map(|_| fingerprint(admission));
    if let (Some(key), Some(digest)) = (&admission.idempotency_key, digest)
        && let Some(tasks) = repeated(tx, no, key, digest)?
    {
        return Ok(Admitted {
            tasks,
            repeated: true,
        });
    }
    let mut step = Step::new(tx, no, now, admission.actor.clone())?;
    let plan = Plan::check(&mut step, admission)?;
    let tasks = insert(&mut step, admission, plan)?;
    if let (Some(key), Some(digest)) = (&admission.idempotency_key, digest) {
        let answer = serde_json::to_string(&tasks).expect("ids and states serialise");
        step.writes.remember.push((
            key.clone(),
            Remembered {
                digest,
                answer,
                at: step.now.wall,
            },
        ));
    }
    step.finish()?;
    Ok(Admitted {
        tasks,
        repeated: false,
    })
}

/// What makes two admissions the same request: the work, not the ids that were made up for it.
fn fingerprint(admission: &Admission) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for task in &admission.tasks {
        let edges = serde_json::to_vec(&(&task.key, &task.after, &task.parent)).expect("edges serialise");
        hasher.update(&task.digest).update(&edges);
    }
    *hasher.finalize().as_bytes()
}

pub(super) fn repeated<T: serde::de::DeserializeOwned>(
    tx: &mut dyn Tx,
    project: ProjectNo,
    key: &str,
    digest: [u8; 32],
) -> Result<Option<T>> {
    match tx.remembered(project, key)? {
        None => Ok(None),
        Some(seen) if seen.digest == digest => serde_json::from_str(&seen.answer).map(Some).map_err(|e| {
            Refusal::new(
                Code::StoreCorrupt,
                format!("the answer kept under idempotency key `{key}`: {e}"),
            )
        }),
        Some(_) => Err(Refusal::new(
            Code::IdempotencyConflict,
            format!(
                "the idempotency key `{}` was used for another request",
                key.escape_debug()
            ),
        )),
    }
}
