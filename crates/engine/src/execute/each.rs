//! Splits a task with `for_each` into its subtasks.
//!
//! They are admitted in the transaction that ends the attempt: dying before leaves nothing, and there is no after.

use domain::store::{NewEdge, NewTask, On};
use domain::task::each::{Each, Over};
use domain::task::record::{Failure, Join, Outcome};
use domain::task::spec::{Json, When};
use serde_json::Value;

use super::files;
use super::{Finish, Job};
use crate::engine::Engine;
use crate::ids;

pub(crate) async fn run(engine: &Engine, job: &Job, each: &Json) -> Finish {
    match split(engine, job, each).await {
        Ok(finish) => finish,
        Err(why) => Finish::failed(Failure {
            class: Some("validation".into()),
            ..Failure::new(why)
        }),
    }
}

async fn split(engine: &Engine, job: &Job, each: &Json) -> Result<Finish, String> {
    let each: Each = serde_json::from_str(each.get()).map_err(|e| e.to_string())?;
    let key = files::called(job.leased.body.key.as_ref(), &job.leased.task.id);
    let (items, of) = match &each.over {
        Over::Items(items) => (
            serde_json::from_str(items.get()).map_err(|e| e.to_string())?,
            None,
        ),
        Over::Result(found) => {
            let named = |of: &&domain::store::Upstream| files::name(of) == found.task;
            let of = job.results.iter().find(named);
            let of = of.ok_or_else(|| format!("`{}` is not among what came before", found.task))?;
            let result = of.outcome.as_ref().and_then(|outcome| outcome.result.as_ref());
            let result = result.ok_or_else(|| format!("`{}` left no result", found.task))?;
            let whole = engine.whole(result).await;
            let whole = whole.map_err(|e| format!("the result of `{}` cannot be read: {e}", found.task))?;
            let whole: Value = serde_json::from_str(whole.get()).map_err(|e| e.to_string())?;
            if let (Some(file), Some(_)) = (whole.get("file").and_then(Value::as_str), whole.get("bytes")) {
                return Err(format!(
                    "the result of `{}` is too large for the store, and its file {file} is on another machine",
                    found.task
                ));
            }
            (found.items(&whole)?, Some(of.seq))
        }
    };
    // The results of everything else that came before are the subtasks' too.
    let after = job.results.iter().filter(|before| Some(before.seq) != of);
    let after: Vec<NewEdge> = after
        .map(|before| NewEdge {
            on: On::Task(before.id.clone()),
            when: When::Finished,
        })
        .collect();
    let now = engine.now().wall;
    let subtask = |(key, mut spec)| {
        files::within_trace(&mut spec, job);
        NewTask {
            after: after.clone(),
            ..NewTask::new(ids::task(), Some(key), &spec, now)
        }
    };
    let subtasks = each.expand(&job.spec, &key, &items)?;
    let tasks: Vec<NewTask> = subtasks.into_iter().map(subtask).collect();
    let nothing = tasks
        .is_empty()
        .then(|| Json::of(&Value::Object(serde_json::Map::new())));
    let children = (!tasks.is_empty()).then(|| files::left(tasks, Some(Join::Complete), job, &engine.actor));
    Ok(Finish::Completed {
        outcome: Outcome {
            result: nothing,
            ..Outcome::default()
        },
        cached: false,
        children,
    })
}
