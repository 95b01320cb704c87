//! Settings of the project: how its line is ordered, and how often a task is tried that does not say so itself.

use domain::agent::routing::{ROUTING, Routing};
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal};
use domain::id::Seq;
use domain::limits;
use domain::prune::{RETENTION, Retention};
use domain::store::Result;
use domain::task::order::{ORDER, Order, RESCORE};
use domain::task::retry::{RETRY, Retry};
use domain::task::spec::Json;
use domain::task::state::State;

use super::step::Step;

/// Task numbers that one tick looks at while it scores anew: few are ready, and a claim waits behind it.
const CHUNK: u64 = 1_000;

/// How the line is ordered, by what was read of [`Book::Setting`].
pub(super) fn order(settings: &[Entry]) -> Result<Order> {
    let found = settings.iter().find(|entry| &*entry.key == ORDER);
    Ok(found.map(Entry::read).transpose()?.unwrap_or_default())
}

/// What failed tasks without a policy of their own go by.
pub(super) fn retry(step: &mut Step<'_>) -> Result<Option<Retry>> {
    let found = step.entries(Book::Setting, &[RETRY.into()])?.pop();
    found.as_ref().map(Entry::read).transpose()
}

/// Refuses settings that make no sense. A change of the order begins with scoring every ready task anew, which the
/// ticks that follow carry on.
pub(super) fn edited(step: &mut Step<'_>, edit: &Edit) -> Result<()> {
    if edit.book != Book::Setting {
        return Ok(());
    }
    let value = edit.to.as_ref().map(|(value, _)| value);
    match &*edit.key {
        ORDER => {
            step.order = value
                .map_or_else(|| Ok(Order::default()), read::<Order>)?
                .check()?;
            let begin = Some((Json::of(&Seq(0)), Some(step.now.wall)));
            step.write_entry(Book::Setting, &RESCORE.into(), begin);
            Ok(())
        }
        RETRY => {
            let retry = value.map(read::<Retry>).transpose()?;
            match retry.map(|retry| retry.attempts) {
                Some(0) | Some(limits::ATTEMPTS..) => Err(invalid(&format!(
                    "write a number of tries from 1 to {}",
                    limits::ATTEMPTS - 1
                ))),
                _ => Ok(()),
            }
        }
        RETENTION => {
            let retention = value.map(read::<Retention>).transpose()?.unwrap_or_default();
            match retention.is_sensible() {
                true => Ok(()),
                false => Err(invalid(
                    "keep what has ended for a minute to a hundred years, or for ever",
                )),
            }
        }
        ROUTING => {
            let routing = value.map(read::<Routing>).transpose()?.unwrap_or_default();
            match routing.is_sensible() {
                true => Ok(()),
                false => Err(invalid("an agent is held for a second to a day")),
            }
        }
        _ => Ok(()),
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Json) -> Result<T> {
    serde_json::from_str(value.get()).map_err(|e| invalid(&e.to_string()))
}

fn invalid(why: &str) -> Refusal {
    Refusal::new(Code::ConfigInvalid, format!("the setting cannot be used: {why}"))
}

/// Goes on with scoring ready tasks anew. Returns whether there is more to do.
pub(super) fn rescore(step: &mut Step<'_>, under_way: &[Entry]) -> Result<bool> {
    let Some(entry) = under_way.iter().find(|entry| &*entry.key == RESCORE) else {
        return Ok(false);
    };
    let after: Seq = entry.read()?;
    let end = step.tx.next_seq(step.project)?.0;
    let upto = end.min(after.0.saturating_add(CHUNK).saturating_add(1));
    let seqs: Vec<Seq> = (after.0 + 1..upto).map(Seq).collect();
    for task in step.tx.tasks(step.project, &seqs)? {
        let seq = task.seq;
        step.adopt(task);
        let mut task = step.task(seq)?.clone();
        if task.state == State::Ready {
            task.score = step.order.score(&task.facts(), step.now.wall);
            step.put(task)?;
        }
    }
    let more = upto < end;
    let then = more.then(|| (Json::of(&Seq(upto - 1)), Some(step.now.wall)));
    step.write_entry(Book::Setting, &entry.key, then);
    Ok(more)
}
