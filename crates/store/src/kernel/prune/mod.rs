//! Taking out what ended long ago, a piece at a time; see [`domain::prune`].

mod log;
mod runs;
mod set;
mod tasks;

use std::sync::Arc;

use domain::book::Book;
use domain::event::Kind;
use domain::id::Project;
use domain::prune::{BEGINNING, Beginning, Prune, Pruned, Stage};
use domain::store::Result;
use domain::task::spec::Json;
use domain::time::Now;

use super::step::Step;
use super::tx::Tx;

/// Tasks that go in one transaction: few enough that a claim behind it waits for some milliseconds.
const CHUNK: usize = 500;

/// One piece: what it looks at, and what it has found so far.
struct Piece<'s, 'a> {
    step: &'s mut Step<'a>,
    prune: &'s Prune,
    from: Beginning,
    done: Pruned,
}

pub fn prune(
    tx: &mut dyn Tx,
    project: &Project,
    prune: &Prune,
    actor: &Arc<str>,
    now: Now,
) -> Result<Pruned> {
    let Some(no) = tx.project(project, false)? else {
        return Ok(Pruned::default());
    };
    let mut step = Step::new(tx, no, now, actor.clone())?;
    let found = step.entries(Book::Cursor, &[BEGINNING.into()])?;
    let from = Beginning::read(project, &found)?;
    let mut piece = Piece {
        step: &mut step,
        prune,
        from,
        done: Pruned::default(),
    };
    match &prune.stage {
        Stage::Runs(after) => piece.runs(*after)?,
        Stage::Run(no, below, moved) => piece.large(*no, *below, *moved)?,
        Stage::Reach(after) => piece.reach(*after)?,
        Stage::Tasks(below) => piece.tasks(*below)?,
        Stage::Answers(after) => piece.answers(after)?,
        Stage::Log => piece.log()?,
    }
    let Piece { from: to, done, .. } = piece;
    if prune.dry {
        return Ok(done);
    }
    if done.tasks + done.runs + done.answers > 0 {
        let counts = serde_json::json!({
            "before": prune.before, "tasks": done.tasks, "runs": done.runs, "answers": done.answers,
        });
        step.emit_other(Kind::ProjectPruned, Some(Json::of(&counts)));
    }
    if to != from {
        step.write_entry(Book::Cursor, &BEGINNING.into(), Some((Json::of(&to), None)));
    }
    step.finish()?;
    Ok(done)
}
