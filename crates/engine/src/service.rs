//! A process that stays up: workers, the periodic duties, and what is done when others die.

use domain::code::{Code, Refusal};
use domain::id::PoolName;
use domain::store::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::duties::{self, Duties};
use crate::engine::Engine;
use crate::ids;
use crate::recover::{self, Rescue};
use crate::worker::{self, Activity, Options, Pace, pool};

/// Works any ready task, or what the pools do, until `pace` says otherwise. When one of several pools ends with
/// an error, the others are drained.
pub async fn serve(
    engine: &Engine,
    options: Options,
    pools: &[PoolName],
    mut pace: watch::Receiver<Pace>,
) -> Result<()> {
    recover::recover(engine).await?;
    for name in pools {
        pool::find(engine, name).await?;
    }
    let rescue = Rescue::start(engine.clone());
    let (own, paced) = watch::channel(*pace.borrow_and_update());
    let first = ids::worker();
    let duties = Duties::new(engine.clone(), first.clone(), duties::with(&options.outside)).start();
    let mut workers = JoinSet::new();
    if pools.is_empty() {
        let (activity, _) = watch::channel(Activity::default());
        workers.spawn(worker::work_as(first, engine.clone(), options, paced, activity));
    } else {
        let others = std::iter::repeat_with(ids::worker);
        for (name, id) in pools.iter().zip(std::iter::once(first).chain(others)) {
            let (name, options) = (name.clone(), options.clone());
            workers.spawn(pool::work(id, engine.clone(), name, options, paced.clone()));
        }
    }
    let mut result = Ok(());
    loop {
        tokio::select! {
            Ok(()) = pace.changed() => {
                let asked = *pace.borrow_and_update();
                own.send_replace(asked);
            }
            ended = workers.join_next() => {
                let Some(ended) = ended else { break };
                let ended = ended.unwrap_or_else(|e| Err(Refusal::new(Code::Internal, e.to_string())));
                if ended.is_err() {
                    own.send_if_modified(|pace| std::mem::replace(pace, Pace::Drain.max(*pace)) < Pace::Drain);
                }
                result = result.and(ended);
            }
        }
    }
    duties.stop().await;
    drop(rescue);
    result
}
