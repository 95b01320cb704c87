//! Rules: list, show, add, remove, and what they could not do.

use std::collections::BTreeMap;

use api::ask;
use api::rule::{AddedRules, ChangedLetters, Letter, Letters, RemovedRule, Rule, Rules};
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::id::{EventNo, RuleName};
use domain::plan::{Format, read_rules};
use domain::rule::{self, Delivery, RULES_MAX};
use domain::store::Result;
use engine::engine::Engine;
use engine::rules::{self, Added, Known};

use crate::{invalid, run};

/// What is known of all rules together.
struct Sight {
    head: EventNo,
    owed: Vec<RuleName>,
    letters: Vec<RuleName>,
}

impl Sight {
    async fn of(engine: &Engine) -> Result<Sight> {
        let names =
            |all: BTreeMap<_, (_, Delivery)>| all.into_values().map(|(_, delivery)| delivery.rule).collect();
        Ok(Sight {
            head: engine.store.chain(&engine.project).await?.last,
            owed: names(rules::deliveries(engine).await?),
            letters: names(rules::letters(engine).await?),
        })
    }

    fn rule(&self, known: &Known) -> Rule {
        let count = |names: &[RuleName]| names.iter().filter(|name| **name == known.name).count();
        Rule {
            lag: rules::lag(known, self.head),
            pending: count(&self.owed),
            letters: count(&self.letters),
            ..Rule::new(&known.name, &known.rule, &known.standing)
        }
    }
}

pub async fn list(engine: &Engine) -> Result<Rules> {
    let sight = Sight::of(engine).await?;
    let known = rules::rules(engine).await?;
    Ok(Rules {
        count: known.len(),
        rules: known.iter().map(|known| sight.rule(known)).collect(),
    })
}

pub async fn show(engine: &Engine, name: &RuleName) -> Result<Rule> {
    known(engine, name).await?;
    let found = rules::rules(engine).await?;
    let Some(found) = found.into_iter().find(|known| known.name == *name) else {
        let detail = format!("the rule `{name}` cannot be read");
        let help = format!("`bell rule remove {name}`, and add it again");
        return Err(Refusal::new(Code::StoreCorrupt, detail).help(help));
    };
    Ok(Sight::of(engine).await?.rule(&found))
}

/// Rules of a request, as a file of rules has them.
pub fn read(engine: &Engine, asked: &ask::Rules) -> Result<Vec<(RuleName, rule::Rule)>> {
    let text = format!(r#"{{"rules":{}}}"#, asked.rules.get());
    let folder = run::folder(engine)?.display().to_string();
    Ok(read_rules(text.as_bytes(), Format::Json, "the request", &folder)?)
}

/// Adds rules one after the other; those before a refused one stay.
pub async fn add_read(
    engine: &Engine,
    read: Vec<(RuleName, rule::Rule)>,
    after: Option<EventNo>,
    replace: bool,
) -> Result<AddedRules> {
    let mut told = AddedRules {
        added: Vec::new(),
        replaced: Vec::new(),
        unchanged: Vec::new(),
    };
    for (name, rule) in read {
        match rules::add(engine, &name, &rule, after, replace).await? {
            Added::New => told.added.push(name),
            Added::Replaced => told.replaced.push(name),
            Added::Unchanged => told.unchanged.push(name),
        }
    }
    Ok(told)
}

pub async fn remove(engine: &Engine, name: RuleName) -> Result<RemovedRule> {
    known(engine, &name).await?;
    Ok(RemovedRule {
        dropped: rules::remove(engine, &name).await?,
        removed: name,
    })
}

/// Refuses a name that no rule has, whether or not what is stored under it can be read.
async fn known(engine: &Engine, name: &RuleName) -> Result<()> {
    let (store, project) = (&engine.store, &engine.project);
    let keys = [name.as_str().into()];
    if !store.entries_of(project, Book::Rule, &keys).await?.is_empty() {
        return Ok(());
    }
    let all = store.entries(project, Book::Rule, "", RULES_MAX).await?;
    let detail = format!("project {project} has no rule `{name}`");
    let refusal = Refusal::new(Code::RuleNotFound, detail);
    let near = nearest(name.as_str(), all.iter().map(|entry| &*entry.key));
    Err(match near {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal.help("`bell rule list` shows the rules"),
    })
}

pub async fn letters(engine: &Engine, asked: &ask::RuleLetters) -> Result<Letters> {
    let wanted = |letter: &Letter| asked.rule.as_ref().is_none_or(|rule| *rule == letter.rule);
    let all = rules::letters(engine).await?.into_values();
    let letters: Vec<Letter> = all
        .map(|(_, letter)| Letter::from(&letter))
        .filter(wanted)
        .collect();
    Ok(Letters {
        count: letters.len(),
        letters,
    })
}

/// Tries letters again, with all their tries.
pub async fn retry_letters(engine: &Engine, asked: &ask::WhichLetters) -> Result<ChangedLetters> {
    let now = engine.now().wall;
    let again = |entry: &Entry, letter: &Delivery| {
        let fresh = Delivery {
            tries: 0,
            error: None,
            ..letter.clone()
        };
        vec![take(entry), fresh.put(now)]
    };
    change(engine, asked, again).await
}

/// Throws letters away.
pub async fn drop_letters(engine: &Engine, asked: &ask::WhichLetters) -> Result<ChangedLetters> {
    change(engine, asked, |entry, _| vec![take(entry)]).await
}

fn take(entry: &Entry) -> Edit {
    Edit::remove(Book::Delivery, &entry.key).instead_of(Some(entry))
}

async fn change(
    engine: &Engine,
    asked: &ask::WhichLetters,
    edits: impl Fn(&Entry, &Delivery) -> Vec<Edit>,
) -> Result<ChangedLetters> {
    if asked.all == asked.rule.is_some() || asked.event.is_some() && asked.rule.is_none() {
        return Err(invalid("it is not said which letters").help("name a rule, or send `all`"));
    }
    let meant = |letter: &Delivery| {
        asked.rule.as_ref().is_none_or(|rule| *rule == letter.rule)
            && asked.event.is_none_or(|event| EventNo(event) == letter.event)
    };
    let letters = rules::letters(engine).await?.into_values();
    let chosen: Vec<_> = letters.filter(|(_, letter)| meant(letter)).collect();
    if chosen.is_empty() && !asked.all {
        let refusal = invalid("there is no such letter");
        return Err(refusal.help("`bell rule letters list` shows those there are"));
    }
    let edits: Vec<Edit> = chosen
        .iter()
        .flat_map(|(entry, letter)| edits(entry, letter))
        .collect();
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, edits, engine.actor.clone(), engine.now())
        .await?;
    Ok(ChangedLetters { count: chosen.len() })
}
