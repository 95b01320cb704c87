//! From the log to what is owed.

use std::ops::Bound;
use std::time::Duration;

use domain::book::{Book, Edit, Entry};
use domain::event::Kind;
use domain::id::{EventNo, RunId, TaskId};
use domain::rule::{Delivery, PENDING_MAX, Standing};
use domain::store::{Result, Seen, View};
use domain::time::millis;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use super::{Owed, Router, facts};
use crate::duties::Lead;
use crate::engine::Engine;
use crate::rules::kept::Known;

/// Events read at once.
const PAGE: usize = 500;
/// Pages read in one round.
const PAGES: usize = 8;
/// How far rules may read beyond what is written of it, in events and in time.
const AHEAD_EVENTS: u64 = 1_000;
pub(super) const AHEAD: Duration = Duration::from_millis(250);

/// What a rule found in a page.
struct Found {
    rule: usize,
    after: EventNo,
    deliveries: Vec<Delivery>,
    /// Events at which a row of rules was stopped, with how long it was.
    stopped: Vec<(EventNo, u32)>,
}

impl Router {
    /// How far a rule has read.
    fn position(&self, known: &Known) -> EventNo {
        let stored = known.standing.after;
        match self.ahead.get(&known.name) {
            Some((then, after)) if *then == stored => *after,
            _ => stored,
        }
    }

    /// Reads on, a bounded piece; `true` when there is more to read at once.
    pub(super) async fn read(
        &mut self,
        engine: &Engine,
        lead: &Lead,
        rules: &mut [Known],
        owed: &mut Owed,
    ) -> Result<bool> {
        if rules.is_empty() {
            self.ahead.clear();
            return Ok(false);
        }
        for _ in 0..PAGES {
            if !lead.holds(engine) {
                return Ok(false);
            }
            let head = engine.store.chain(&engine.project).await?.last;
            let reading: Vec<usize> = (0..rules.len())
                .filter(|i| self.position(&rules[*i]) < head && pending(owed, &rules[*i]) < PENDING_MAX)
                .collect();
            let Some(from) = reading.iter().map(|i| self.position(&rules[*i])).min() else {
                self.write_ahead(engine, rules).await?;
                return Ok(false);
            };
            let page = engine.store.events(&engine.project, from, PAGE).await?;
            let Some(last) = page.last().map(|seen| seen.event.no) else {
                return Ok(false);
            };
            let mut sight = Sight::default();
            for i in reading {
                let from = self.position(&rules[i]);
                if from >= last {
                    continue;
                }
                let room = PENDING_MAX - pending(owed, &rules[i]);
                let found = sight.look(engine, rules, i, &page, from, room).await?;
                if !self.keep(engine, rules, owed, found).await? {
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    /// Writes down what was found; `false` when somebody else has changed the rule.
    async fn keep(
        &mut self,
        engine: &Engine,
        rules: &mut [Known],
        owed: &mut Owed,
        found: Found,
    ) -> Result<bool> {
        let known = &mut rules[found.rule];
        let stored = known.standing.after;
        if found.deliveries.is_empty() && found.stopped.is_empty() && found.after.0 - stored.0 < AHEAD_EVENTS
        {
            self.ahead.insert(known.name.clone(), (stored, found.after));
            return Ok(true);
        }
        let now = engine.now().wall;
        let then = Standing {
            after: found.after,
            failed: known.standing.failed + found.stopped.len() as u64,
            ..known.standing.clone()
        };
        let mut edits = vec![known.stand(&then)];
        for (event, depth) in &found.stopped {
            let error = format!("{depth} rules would have followed one another; it may be a circle");
            let data = json!({ "rule": known.name, "event": event, "depth": depth, "error": error });
            edits.push(Edit::put(then.entry(&known.name)).with_event(Kind::RuleFailed, &data));
        }
        edits.extend(found.deliveries.iter().map(|delivery| delivery.put(now)));
        self.ahead.remove(&known.name);
        if !engine.write(edits).await? {
            return Ok(false);
        }
        known.stood(then);
        for delivery in found.deliveries {
            let entry = Entry::new(Book::Delivery, &delivery.key(), &delivery);
            owed.insert(entry.key.clone(), (entry.due(Some(now)), delivery));
        }
        Ok(true)
    }

    /// Now and then writes down how far rules have read that had nothing to do.
    async fn write_ahead(&mut self, engine: &Engine, rules: &mut [Known]) -> Result<()> {
        let mono = engine.clock.now().mono;
        if self.ahead.is_empty() || mono - self.written < millis(AHEAD) {
            return Ok(());
        }
        let mut edits = Vec::new();
        for known in rules.iter_mut() {
            let after = self.position(known);
            if after > known.standing.after {
                let then = Standing {
                    after,
                    ..known.standing.clone()
                };
                edits.push(known.stand(&then));
            }
        }
        self.ahead.clear();
        self.written = mono;
        if !edits.is_empty() {
            engine.write(edits).await?;
        }
        Ok(())
    }
}

fn pending(owed: &Owed, known: &Known) -> usize {
    let from = format!("{}:", known.name);
    let own = owed.range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded));
    own.take_while(|(key, _)| key.starts_with(&from)).count()
}

/// What was looked up for a page, once for all rules.
#[derive(Default)]
struct Sight {
    tasks: Option<FxHashMap<TaskId, Value>>,
    queue: Option<Value>,
    runs: FxHashMap<RunId, Value>,
}

impl Sight {
    async fn look(
        &mut self,
        engine: &Engine,
        rules: &[Known],
        at: usize,
        page: &[Seen],
        from: EventNo,
        room: usize,
    ) -> Result<Found> {
        let known = &rules[at];
        let mut found = Found {
            rule: at,
            after: from,
            deliveries: Vec::new(),
            stopped: Vec::new(),
        };
        for seen in page.iter().filter(|seen| seen.event.no > from) {
            if found.deliveries.len() == room {
                return Ok(found);
            }
            found.after = seen.event.no;
            if !known.rule.triggers(seen.event.fact.kind.as_str()) {
                continue;
            }
            let facts = self.facts(engine, known, page, seen).await?;
            if !known.rule.fires(&facts) {
                continue;
            }
            let depth = facts::depth(engine, seen).await? + 1;
            if depth > known.rule.depth {
                found.stopped.push((seen.event.no, depth));
                continue;
            }
            found.deliveries.push(Delivery {
                rule: known.name.clone(),
                event: seen.event.no,
                since: engine.now().wall,
                depth,
                tries: 0,
                error: None,
            });
        }
        Ok(found)
    }

    /// As much as the rule's condition looks at.
    async fn facts(&mut self, engine: &Engine, known: &Known, page: &[Seen], seen: &Seen) -> Result<Value> {
        let rule = &known.rule;
        let mut facts = json!({ "event": facts::event(seen) });
        let of = rule.on.iter().any(|pattern| pattern.of().is_some());
        if let Some(task) = &seen.task
            && (of || rule.asks("task"))
        {
            if self.tasks.is_none() {
                self.tasks = Some(tasks(engine, page).await?);
            }
            let known = self.tasks.as_ref().and_then(|tasks| tasks.get(task));
            facts["task"] = known.cloned().unwrap_or_default();
        }
        if rule.asks("queue") {
            if self.queue.is_none() {
                let status = engine.store.status(&engine.project).await?;
                self.queue = Some(facts::queue(&status));
            }
            facts["queue"] = self.queue.clone().unwrap_or_default();
        }
        if let Some(id) = seen.run
            && rule.asks("run")
        {
            if !self.runs.contains_key(&id)
                && let Some(run) = engine.store.run(&engine.project, id).await?
            {
                self.runs.insert(id, facts::run(&run));
            }
            facts["run"] = self.runs.get(&id).cloned().unwrap_or_default();
        }
        Ok(facts)
    }
}

/// The tasks of a page as they are now.
async fn tasks(engine: &Engine, page: &[Seen]) -> Result<FxHashMap<TaskId, Value>> {
    let mut ids: Vec<TaskId> = page.iter().filter_map(|seen| seen.task.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let views = engine.store.views(&engine.project, &ids).await?;
    let shown = |view: View| (view.task.id.clone(), facts::task(&view));
    Ok(views.into_iter().flatten().map(shown).collect())
}
