//! The router: reads the log behind a cursor for each rule, and does what rules say about events.
//!
//! What an event asks for is written down in the step that moves the cursor, so no event is missed or taken twice. It is
//! then carried out beside the loop, at least once: a crash between the deed and the note of it repeats the deed,
//! and what changes this store is done under a key, so that the second time changes nothing. What fails is
//! tried again later and in the end becomes a letter; meanwhile other rules go on, each behind a cursor of its own.

mod act;
mod deliver;
mod facts;
mod kept;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::book::{Book, Entry};
use domain::id::{EventNo, RuleName};
use domain::rule::Delivery;
use domain::store::Result;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;
use tokio::task::JoinSet;

use crate::duties::{Duty, Lead};
use crate::engine::Engine;
use crate::outside::Outside;
use deliver::Ended;

pub use kept::{Added, Known, add, deliveries, lag, letters, remove, rules};

/// The duty that routes events.
#[derive(Debug, Default)]
pub struct Router {
    outside: Outside,
    understood: kept::Understood,
    /// How far rules have read beyond what is stored, with what is stored.
    ahead: FxHashMap<RuleName, (EventNo, EventNo)>,
    /// When that was last written, on this machine's clock.
    written: i64,
    under_way: FxHashMap<Arc<str>, RuleName>,
    ends: JoinSet<Ended>,
    /// There are rules.
    some: bool,
}

/// What rules owe, by key.
type Owed = BTreeMap<Arc<str>, (Entry, Delivery)>;

/// How long a round waits for what it has begun: most deeds are done by then.
const AWHILE: Duration = Duration::from_millis(40);
/// The pause between two looks at deeds that take longer.
const LOOK: Duration = Duration::from_millis(25);

impl Router {
    pub fn new(outside: Outside) -> Router {
        Router {
            outside,
            ..Router::default()
        }
    }
}

#[async_trait]
impl Duty for Router {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn is_eager(&self) -> bool {
        self.some
    }

    async fn wanted(&self, engine: &Engine, until: Timestamp) -> Result<bool> {
        let (store, project) = (&engine.store, &engine.project);
        let due = store.entries_due(project, Book::Delivery, until, 1).await?;
        if !due.is_empty() {
            return Ok(true);
        }
        let rules = rules(engine).await?;
        if rules.is_empty() {
            return Ok(false);
        }
        let head = store.chain(project).await?.last;
        Ok(rules.iter().any(|rule| lag(rule, head) > 0))
    }

    async fn run(&mut self, engine: &Engine, lead: &Lead) -> Result<Option<Timestamp>> {
        let mut rules = kept::known(engine, &mut self.understood).await?;
        self.some = !rules.is_empty();
        let mut owed = deliveries(engine).await?;
        self.gather(engine, &mut rules, &mut owed).await?;
        let more = self.read(engine, lead, &mut rules, &mut owed).await?;
        self.begin(engine, lead, &rules, &mut owed).await?;
        let done = !self.ends.is_empty() && self.settle(engine, &mut rules, &mut owed).await?;
        let now = engine.now().wall;
        let waits = owed.iter().filter(|(key, _)| !self.under_way.contains_key(*key));
        let due = waits.filter_map(|(_, (entry, _))| entry.due).min();
        let look = (!self.ends.is_empty()).then(|| now.after(LOOK));
        let unwritten = (!self.ahead.is_empty()).then(|| now.after(read::AHEAD));
        // What was done has events of its own.
        Ok(match more || done {
            true => Some(now),
            false => [due, look, unwritten].into_iter().flatten().min(),
        })
    }
}

/// Whether rules have done what they do about all events up to this one. What they have failed with is done, too.
pub async fn is_settled(engine: &Engine, until: EventNo) -> Result<bool> {
    let rules = rules(engine).await?;
    if rules.iter().any(|rule| rule.standing.after < until) {
        return Ok(false);
    }
    Ok(rules.is_empty() || deliveries(engine).await?.is_empty())
}
