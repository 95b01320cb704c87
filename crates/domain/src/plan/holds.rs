//! What a task holds, uses or reuses: `locks`, `concurrency`, `resources`, `budget`, `cache`.

use std::collections::BTreeMap;

use crate::code::{Code, Refusal};
use crate::curb::amount;
use crate::curb::budget::Cap;
use crate::curb::limit::Rate;
use crate::id;
use crate::limits;
use crate::task::lock::{Lock, Mode};
use crate::task::spec::{Cache, Concurrency, Spec};

use super::at::{At, Findings, Key};
use super::draft::Draft;
use super::node::Value;
use super::schema;
use super::values::{label, texts};

/// The same name twice is one lock, exclusive if either is.
pub(super) fn locks(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut locks: BTreeMap<String, Mode> = BTreeMap::new();
    at.each(found, |at, found| {
        let mut lock = LockKeys::default();
        match &at.node.value {
            Value::Mapping(entries) => {
                at.keys(found, "a mapping of `name` and `shared`", LOCK, &mut lock);
                if !entries.iter().any(|entry| entry.key == "name") {
                    at.missing(found, "has no name", "add `name`");
                }
            }
            _ => lock.name = at.text(found).map(str::to_owned),
        }
        let Some(name) = lock.name else { return };
        let mode = if lock.shared {
            Mode::Shared
        } else {
            Mode::Exclusive
        };
        if let Some(lock) = at.accept(found, Lock::new(&name, mode)) {
            let kept = locks.entry(lock.name).or_insert(lock.mode);
            *kept = (*kept).min(lock.mode);
        }
    });
    if locks.len() > limits::LOCKS {
        let detail = format!(
            "{} locks are more than the limit of {}",
            locks.len(),
            limits::LOCKS
        );
        at.wrong(found, detail, "lock a folder above them");
    }
    let lock = |(name, mode)| Lock { name, mode };
    draft.spec.locks = locks.into_iter().map(lock).collect();
}

#[derive(Debug, Default)]
pub(super) struct LockKeys {
    name: Option<String>,
    shared: bool,
}

pub(super) const LOCK: &[Key<LockKeys>] = &[
    Key::new("name", "The lock's name.", schema::label, |lock, at, found| {
        lock.name = at.text(found).map(str::to_owned);
    }),
    Key::new(
        "shared",
        "Whether others may hold it too, as long as they share.",
        schema::flag,
        |lock, at, found| lock.shared = at.flag(found).unwrap_or_default(),
    ),
];

pub(super) fn concurrency(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut value = Concurrency {
        key: String::new(),
        limit: 1,
        rate: None,
    };
    if let Value::Mapping(entries) = &at.node.value {
        at.keys(
            found,
            "a mapping of `key`, `limit` and `rate`",
            CONCURRENCY,
            &mut value,
        );
        let says = |key: &str| entries.iter().any(|entry| entry.key == key);
        if !says("key") {
            at.missing(found, "has no key", "add `key`");
        }
        if value.rate.is_some() && !says("limit") {
            value.limit = u32::MAX;
        }
    } else {
        value.key = label(at, found).unwrap_or_default();
    }
    draft.spec.concurrency = Some(value);
}

pub(super) const CONCURRENCY: &[Key<Concurrency>] = &[
    Key::new(
        "key",
        "What the tasks have in common.",
        schema::label,
        |value, at, found| {
            value.key = label(at, found).unwrap_or_default();
        },
    ),
    Key::new("limit", "How many at once.", schema::count, |value, at, found| {
        let limit = at.whole(found, 1, i64::MAX);
        value.limit = limit.map_or(1, |limit| u32::try_from(limit).unwrap_or(u32::MAX));
    }),
    Key::new(
        "rate",
        "How many begin in a time, such as 10/1m.",
        schema::text,
        |value, at, found| {
            let rate = at.text(found).map(Rate::parse);
            let rate = rate.map(|rate| rate.map_err(|why| Refusal::new(Code::InvalidArgument, why)));
            value.rate = rate.and_then(|rate| at.accept(found, rate));
        },
    ),
];

/// Puts what the task itself has into its key: `{{env.NAME}}` and `{{inputs.a.b}}`.
pub(super) fn fill_key(spec: &mut Spec, at: At<'_>, found: &mut Findings) {
    let Some(asked) = spec.concurrency.as_mut().filter(|asked| asked.key.contains("{{")) else {
        return;
    };
    let inputs: serde_json::Value = spec
        .inputs
        .as_ref()
        .and_then(|inputs| serde_json::from_str(inputs.get()).ok())
        .unwrap_or_default();
    let (mut key, mut rest) = (String::new(), asked.key.as_str());
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        let name = name.trim();
        let value = match name.split_once('.') {
            Some(("env", name)) => spec.env.get(name).cloned(),
            Some(("inputs", way)) => {
                let found = way.split('.').try_fold(&inputs, |at, step| at.get(step));
                found.map(|found| found.as_str().map_or_else(|| found.to_string(), str::to_owned))
            }
            _ => None,
        };
        key.push_str(before);
        match value {
            Some(value) => key.push_str(&value),
            None => {
                let detail = format!(
                    "its concurrency key asks for `{}`, which it does not have",
                    name.escape_debug()
                );
                at.missing(
                    found,
                    detail,
                    "write {{env.NAME}} or {{inputs.NAME}}, and give the task that",
                );
                return;
            }
        }
        rest = after;
    }
    key.push_str(rest);
    if key.is_empty() || key.len() > limits::KEY_BYTES || key.chars().any(char::is_control) {
        let detail = format!(
            "has a concurrency key that is not one line of 1 to {} bytes",
            limits::KEY_BYTES
        );
        at.missing(found, detail, "choose a shorter part of what it has");
        return;
    }
    asked.key = key;
}

/// Names with amounts, such as `memory: 4GiB`.
pub(super) fn resources(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let entries = at.entries(found, "a mapping of amounts").unwrap_or_default();
    if entries.len() > limits::LOCKS {
        let detail = format!(
            "{} resources are more than the limit of {}",
            entries.len(),
            limits::LOCKS
        );
        at.wrong(found, detail, "name fewer");
        return;
    }
    for entry in entries {
        let at = at.entry(entry);
        let Some(name) = at.accept(found, id::Kind::new(&entry.key)) else {
            continue;
        };
        let amount = at.scalar(found, "an amount").map(amount::whole);
        match amount.and_then(|amount| at.accept(found, amount)) {
            Some(0) | None => {}
            Some(amount) => {
                draft.spec.resources.insert(name.to_string(), amount);
            }
        }
    }
}

pub(super) fn budget(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut cap = Cap::default();
    at.keys(
        found,
        "a mapping of `tokens`, `money` and `seconds`",
        BUDGET,
        &mut cap,
    );
    draft.spec.budget = Some(cap).filter(|cap| !cap.is_empty());
}

fn cap(at: At<'_>, found: &mut Findings) -> Option<f64> {
    let amount = at.scalar(found, "an amount").map(amount::parse)?;
    at.accept(found, amount)
}

pub(super) const BUDGET: &[Key<Cap>] = &[
    Key::new(
        "tokens",
        "Tokens of a model.",
        schema::amount,
        |value, at, found| {
            value.tokens = cap(at, found);
        },
    ),
    Key::new(
        "money",
        "In the currency that executors report.",
        schema::amount,
        |value, at, found| value.money = cap(at, found),
    ),
    Key::new(
        "seconds",
        "Time of its attempts: a number, or a duration such as 10m.",
        schema::amount,
        |value, at, found| value.seconds = at.duration(found).map(|span| span.as_secs_f64()),
    ),
];

pub(super) fn cache(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut cache = Cache::default();
    at.keys(found, "a mapping of `files`, `env` and `ttl`", CACHE, &mut cache);
    if cache.files.is_empty() && cache.env.is_empty() {
        at.warn(found, "names neither files nor variables, so nothing is cached");
    }
    draft.spec.cache = Some(cache);
}

pub(super) const CACHE: &[Key<Cache>] = &[
    Key::new(
        "files",
        "Globs of files whose content counts.",
        schema::texts,
        |cache, at, found| cache.files = texts(at, found),
    ),
    Key::new(
        "env",
        "Names of variables whose values count.",
        schema::texts,
        |cache, at, found| cache.env = texts(at, found),
    ),
    Key::new(
        "ttl",
        "How long a stored result may be used.",
        schema::duration,
        |cache, at, found| cache.ttl = at.positive(found),
    ),
];
