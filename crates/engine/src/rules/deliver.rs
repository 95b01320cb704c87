//! From what is owed to what is done, or has failed.

use std::sync::Arc;

use domain::book::{Book, Edit, Entry};
use domain::event::Kind;
use domain::id::RuleName;
use domain::rule::{Delivery, Standing};
use domain::store::Result;
use serde_json::{Value, json};

use super::act::act;
use super::{AWHILE, Owed, Router, kept};
use crate::duties::Lead;
use crate::engine::Engine;
use crate::outside::Trouble;
use crate::rules::kept::Known;

/// Deeds at the same time, in all and of one rule. Those that change this store keep the order of their events.
const TOGETHER: usize = 16;
const OF_ONE: usize = 4;

/// How a deed ended.
#[derive(Debug)]
pub(super) struct Ended {
    key: Arc<str>,
    end: std::result::Result<Value, Trouble>,
}

impl Router {
    /// Begins what is due and has room.
    pub(super) async fn begin(
        &mut self,
        engine: &Engine,
        lead: &Lead,
        rules: &[Known],
        owed: &mut Owed,
    ) -> Result<()> {
        let now = engine.now().wall;
        let mut orphans = Vec::new();
        for (key, (entry, delivery)) in owed.iter() {
            if self.ends.len() == TOGETHER || !lead.holds(engine) {
                break;
            }
            if entry.due.is_none_or(|due| due > now) || self.under_way.contains_key(key) {
                continue;
            }
            let Some(known) = rules.iter().find(|known| known.name == delivery.rule) else {
                orphans.push(key.clone());
                continue;
            };
            let most = if known.rule.action.is_outside() { OF_ONE } else { 1 };
            let busy = self.under_way.values().filter(|name| **name == known.name);
            if busy.count() >= most {
                continue;
            }
            self.under_way.insert(key.clone(), known.name.clone());
            let (engine, outside) = (engine.clone(), self.outside.clone());
            let (rule, delivery, key) = (known.rule.clone(), delivery.clone(), key.clone());
            self.ends.spawn(async move {
                let end = act(&engine, &outside, &rule, &delivery).await;
                Ended { key, end }
            });
        }
        // The rule was taken away meanwhile.
        if !orphans.is_empty() {
            let edits = orphans.iter().map(|key| Edit::remove(Book::Delivery, key));
            engine.write(edits.collect()).await?;
            orphans.iter().for_each(|key| drop(owed.remove(key)));
        }
        Ok(())
    }

    /// Waits a while for what was begun, and notes what has ended; says whether anything has.
    pub(super) async fn settle(
        &mut self,
        engine: &Engine,
        rules: &mut [Known],
        owed: &mut Owed,
    ) -> Result<bool> {
        let first = tokio::time::timeout(AWHILE, self.ends.join_next()).await;
        let first = first.ok().flatten();
        let some = first.is_some();
        self.note(engine, rules, owed, first).await?;
        Ok(some)
    }

    /// Notes what has ended.
    pub(super) async fn gather(
        &mut self,
        engine: &Engine,
        rules: &mut [Known],
        owed: &mut Owed,
    ) -> Result<()> {
        let first = self.ends.try_join_next();
        self.note(engine, rules, owed, first).await
    }

    async fn note(
        &mut self,
        engine: &Engine,
        rules: &mut [Known],
        owed: &mut Owed,
        first: Option<std::result::Result<Ended, tokio::task::JoinError>>,
    ) -> Result<()> {
        let mut next = first;
        while let Some(ended) = next {
            match ended {
                Ok(ended) => {
                    self.under_way.remove(&ended.key);
                    note_one(engine, rules, owed, ended).await?;
                }
                Err(error) => {
                    // Which one it was is not known: all that is due is looked at anew when they have ended.
                    tracing::error!(%error, "a rule's action has ended with a defect");
                    if self.ends.is_empty() {
                        self.under_way.clear();
                    }
                }
            }
            next = self.ends.try_join_next();
        }
        Ok(())
    }
}

/// Writes how one deed ended. When somebody has removed the rule meanwhile, or done the same, nothing is written.
async fn note_one(engine: &Engine, rules: &mut [Known], owed: &mut Owed, ended: Ended) -> Result<()> {
    let Some((entry, delivery)) = owed.get(&ended.key).cloned() else {
        return Ok(());
    };
    let Some(known) = rules.iter_mut().find(|known| known.name == delivery.rule) else {
        return Ok(());
    };
    let now = engine.now().wall;
    let done = |then: &Standing| Standing {
        last: Some(now),
        ..then.clone()
    };
    let gone = Edit::remove(Book::Delivery, &entry.key).instead_of(Some(&entry));
    let mut kept = None;
    let (edits, then) = match ended.end {
        Ok(what) => {
            let data = json!({
                "rule": delivery.rule,
                "event": delivery.event,
                "depth": delivery.depth,
                "did": what,
            });
            let then = Standing {
                fired: known.standing.fired + 1,
                ..done(&known.standing)
            };
            (
                vec![gone.with_event(Kind::RuleFired, &data), known.stand(&then)],
                then,
            )
        }
        Err(trouble) => {
            let (failed, again) = delivery.failed(trouble.message, trouble.hopeless, now);
            tracing::info!(rule = %failed.rule, error = failed.error, "a rule's action has failed");
            match again {
                Some(due) => {
                    let entry_then = Entry::new(Book::Delivery, &entry.key, &failed).due(Some(due));
                    kept = Some((entry_then, failed.clone()));
                    (
                        vec![failed.put(due).instead_of(Some(&entry))],
                        known.standing.clone(),
                    )
                }
                None => {
                    let then = Standing {
                        failed: known.standing.failed + 1,
                        ..done(&known.standing)
                    };
                    let mut edits = letter(engine, &failed, gone).await?;
                    edits.push(known.stand(&then));
                    (edits, then)
                }
            }
        }
    };
    let rule: RuleName = known.name.clone();
    if engine.write(edits).await? {
        if known.standing != then {
            known.stood(then);
        }
    } else {
        tracing::info!(%rule, "somebody else was there first");
    }
    match kept {
        Some(kept) => owed.insert(ended.key, kept),
        None => owed.remove(&ended.key),
    };
    Ok(())
}

/// Puts it aside, and says so; what fails about an event of rules is not told again, or it would never end.
async fn letter(engine: &Engine, failed: &Delivery, gone: Edit) -> Result<Vec<Edit>> {
    let before = domain::id::EventNo(failed.event.0.saturating_sub(1));
    let seen = engine.store.events(&engine.project, before, 1).await?.pop();
    let kind = seen.map(|seen| seen.event.fact.kind.as_str());
    let put = Edit::put(Entry::new(Book::Delivery, &failed.letter(), failed));
    let put = match kind {
        Some(kind) if kind.starts_with("rule.") => put,
        kind => put.with_event(
            Kind::RuleFailed,
            &json!({
                "rule": failed.rule,
                "event": failed.event,
                "type": kind,
                "depth": failed.depth,
                "tries": failed.tries,
                "error": failed.error,
            }),
        ),
    };
    let mut edits = vec![gone, put];
    edits.extend(kept::make_room(engine).await?);
    Ok(edits)
}
