//! What is stored of rules: themselves, how far they have read, what they owe.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::book::{Book, Edit, Entry};
use domain::code::Code;
use domain::event::Kind;
use domain::id::{EventNo, RuleName};
use domain::limits::PAGE_MAX;
use domain::rule::{AFTER_LETTERS, Delivery, LETTERS_MAX, RULES_MAX, Rule, Standing};
use domain::store::Result;
use domain::task::spec::Json;
use rustc_hash::FxHashMap;

use crate::engine::Engine;

/// A rule with the entry that tells how far it has read.
#[derive(Clone, Debug)]
pub struct Known {
    pub name: RuleName,
    pub rule: Arc<Rule>,
    pub standing: Standing,
    entry: Option<Entry>,
}

/// Rules that were understood, by the text that they were read from.
#[derive(Debug, Default)]
pub(super) struct Understood(FxHashMap<Arc<str>, (Json, Arc<Rule>)>);

impl Understood {
    fn rule(&mut self, entry: &Entry) -> Result<Arc<Rule>> {
        if let Some((text, rule)) = self.0.get(&entry.key)
            && *text == entry.value
        {
            return Ok(rule.clone());
        }
        let rule = Arc::new(entry.read::<Rule>()?);
        let known = (entry.value.clone(), rule.clone());
        self.0.insert(entry.key.clone(), known);
        Ok(rule)
    }
}

/// All rules in order of their names. One that cannot be read is left out and told of in the log.
pub async fn rules(engine: &Engine) -> Result<Vec<Known>> {
    known(engine, &mut Understood::default()).await
}

pub(super) async fn known(engine: &Engine, understood: &mut Understood) -> Result<Vec<Known>> {
    let (store, project) = (&engine.store, &engine.project);
    let rules = store.entries(project, Book::Rule, "", RULES_MAX).await?;
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<Arc<str>> = rules
        .iter()
        .map(|entry| format!("{}{}", Standing::PREFIX, entry.key).into())
        .collect();
    let standings = store.entries_of(project, Book::Cursor, &keys).await?;
    let mut standings: FxHashMap<Arc<str>, Entry> = standings
        .into_iter()
        .map(|entry| (entry.key.clone(), entry))
        .collect();
    let mut known = Vec::with_capacity(rules.len());
    for (entry, key) in rules.iter().zip(&keys) {
        let read = RuleName::new(&entry.key).and_then(|name| Ok((name, understood.rule(entry)?)));
        let standing = standings.remove(key);
        let after = standing.as_ref().map(Entry::read::<Standing>).transpose();
        match (read, after) {
            (Ok((name, rule)), Ok(after)) => known.push(Known {
                name,
                rule,
                standing: after.unwrap_or_default(),
                entry: standing,
            }),
            (Err(refusal), _) | (_, Err(refusal)) => {
                tracing::warn!(rule = %entry.key, error = %refusal, "a rule cannot be read");
            }
        }
    }
    Ok(known)
}

/// What all rules owe, in order of rule and event.
pub async fn deliveries(engine: &Engine) -> Result<BTreeMap<Arc<str>, (Entry, Delivery)>> {
    read_deliveries(engine, AFTER_LETTERS, |_| true).await
}

/// What has failed for good.
pub async fn letters(engine: &Engine) -> Result<BTreeMap<Arc<str>, (Entry, Delivery)>> {
    read_deliveries(engine, "", Delivery::is_letter).await
}

async fn read_deliveries(
    engine: &Engine,
    after: &str,
    wanted: fn(&Entry) -> bool,
) -> Result<BTreeMap<Arc<str>, (Entry, Delivery)>> {
    let (store, project) = (&engine.store, &engine.project);
    let mut found = BTreeMap::new();
    let mut after: Arc<str> = after.into();
    loop {
        let page = store.entries(project, Book::Delivery, &after, PAGE_MAX).await?;
        let more = page.len() == PAGE_MAX && page.last().is_some_and(wanted);
        after = page.last().map_or(after, |entry| entry.key.clone());
        for entry in page.into_iter().filter(wanted) {
            match entry.read::<Delivery>() {
                Ok(delivery) => drop(found.insert(entry.key.clone(), (entry, delivery))),
                Err(refusal) => tracing::warn!(error = %refusal, "a delivery cannot be read"),
            }
        }
        if !more {
            return Ok(found);
        }
    }
}

impl Known {
    /// Writes how far the rule has come, if nobody else has meanwhile.
    pub(super) fn stand(&self, then: &Standing) -> Edit {
        Edit::put(then.entry(&self.name)).instead_of(self.entry.as_ref())
    }

    /// Takes over what was written.
    pub(super) fn stood(&mut self, then: Standing) {
        self.entry = Some(then.entry(&self.name));
        self.standing = then;
    }
}

/// Makes room for one more letter.
pub(super) async fn make_room(engine: &Engine) -> Result<Option<Edit>> {
    let letters = letters(engine).await?;
    if letters.len() < LETTERS_MAX {
        return Ok(None);
    }
    let oldest = letters.into_values().min_by_key(|(_, letter)| letter.since);
    Ok(oldest.map(|(entry, _)| Edit::remove(Book::Delivery, &entry.key)))
}

/// How far behind the log a rule is.
pub fn lag(known: &Known, head: EventNo) -> u64 {
    head.0.saturating_sub(known.standing.after.0)
}

/// Adds a rule, which begins after the event `after`; or puts it in the place of the one called so, which goes on
/// where it is.
pub async fn add(
    engine: &Engine,
    name: &RuleName,
    rule: &Rule,
    after: Option<EventNo>,
    replace: bool,
) -> Result<Added> {
    let (store, project) = (&engine.store, &engine.project);
    let before = store
        .entries_of(project, Book::Rule, &[name.as_str().into()])
        .await?
        .pop();
    let entry = Entry::new(Book::Rule, name.as_str(), rule);
    if before.as_ref().is_some_and(|before| before.value == entry.value) {
        return Ok(Added::Unchanged);
    }
    if before.is_some() && !replace {
        return Err(exists(name));
    }
    let all = store.entries(project, Book::Rule, "", RULES_MAX).await?;
    if before.is_none() && all.len() >= RULES_MAX {
        return Err(too_many());
    }
    let data = serde_json::json!({
        "rule": name,
        "on": rule.on,
        "if": rule.when,
        "does": rule.action.name(),
    });
    let mut edits = vec![
        Edit::put(entry)
            .instead_of(before.as_ref())
            .with_event(Kind::RuleAdded, &data),
    ];
    if before.is_none() || after.is_some() {
        let head = store.chain(project).await?.last;
        let standing = Standing {
            after: after.unwrap_or(head),
            ..Standing::default()
        };
        edits.push(Edit::put(standing.entry(name)));
    }
    store
        .edit(project, edits, engine.actor.clone(), engine.now())
        .await?;
    Ok(match before {
        None => Added::New,
        Some(_) => Added::Replaced,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    New,
    Replaced,
    Unchanged,
}

/// Takes a rule away with all that it still owes. Returns how much that was.
pub async fn remove(engine: &Engine, name: &RuleName) -> Result<usize> {
    let (store, project) = (&engine.store, &engine.project);
    let own = |(_, delivery): &(Entry, Delivery)| delivery.rule == *name;
    let owed = deliveries(engine).await?.into_values().filter(own);
    let letters = letters(engine).await?.into_values().filter(own);
    let gone: Vec<(Entry, Delivery)> = owed.chain(letters).collect();
    let mut edits = vec![
        Edit::remove(Book::Rule, name.as_str()).with_event(
            Kind::RuleRemoved,
            &serde_json::json!({ "rule": name, "owed": gone.len() }),
        ),
        Edit::remove(Book::Cursor, &Standing::key(name)),
    ];
    edits.extend(
        gone.iter()
            .map(|(entry, _)| Edit::remove(Book::Delivery, &entry.key)),
    );
    store
        .edit(project, edits, engine.actor.clone(), engine.now())
        .await?;
    Ok(gone.len())
}

fn exists(name: &RuleName) -> domain::code::Refusal {
    domain::code::Refusal::new(Code::RuleExists, format!("there is a rule `{name}` already"))
        .help("--replace puts this one in its place")
}

fn too_many() -> domain::code::Refusal {
    let detail = format!("a project has at most {RULES_MAX} rules");
    domain::code::Refusal::new(Code::LimitExceeded, detail).help("`bell rule remove NAME` takes one away")
}
