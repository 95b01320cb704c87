//! What follows a failure: `retry`.

use crate::limits;
use crate::task::retry::{Backoff, Retry};

use super::at::{At, Findings, Key};
use super::draft::Draft;
use super::near::near;
use super::node::{Scalar, Value, short};
use super::schema;
use super::values::texts;

pub(super) fn retry(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let inherited = draft.spec.retry.take();
    let retry = match &at.node.value {
        Value::Scalar(Scalar::Number, _) => Retry {
            attempts: attempts(at, found),
            ..inherited.unwrap_or_default()
        },
        Value::Mapping(entries) => {
            let value = |name: &str| entries.iter().find(|entry| entry.key == name);
            let named = value("preset").and_then(|entry| match &entry.node.value {
                Value::Scalar(_, text) => Retry::preset(text),
                _ => None,
            });
            if value("attempts").is_none() && value("preset").is_none() && inherited.is_none() {
                at.warn(found, "says how to try again, but `attempts` is 1");
            }
            let mut retry = named.or(inherited).unwrap_or_default();
            at.keys(found, "a mapping", RETRY, &mut retry);
            retry
        }
        _ => preset(at, found).unwrap_or_default(),
    };
    draft.spec.retry = Some(retry);
}

fn attempts(at: At<'_>, found: &mut Findings) -> u32 {
    let tries = at.whole(found, 1, i64::from(limits::ATTEMPTS));
    tries.and_then(|tries| u32::try_from(tries).ok()).unwrap_or(1)
}

fn preset(at: At<'_>, found: &mut Findings) -> Option<Retry> {
    let Value::Scalar(Scalar::Text, name) = &at.node.value else {
        at.entries(found, "a preset, the number of tries, or a mapping");
        return None;
    };
    let preset = Retry::preset(name);
    if preset.is_none() {
        let known = Retry::PRESETS.join(", ");
        let help = match near(name, Retry::PRESETS.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? known are {known}"),
            None => format!("known are {known}; or write the number of tries"),
        };
        at.wrong(found, format!("`{}` is no preset", short(name)), help);
    }
    preset
}

pub(super) const RETRY: &[Key<Retry>] = &[
    Key::new(
        "preset",
        "What the other keys start from: operation, task or event.",
        schema::preset,
        |_, at, found| {
            preset(at, found);
        },
    ),
    Key::new(
        "attempts",
        "All tries, the first included.",
        schema::attempts,
        |retry, at, found| retry.attempts = attempts(at, found),
    ),
    Key::new(
        "backoff",
        "How the delay grows: fixed, linear or exponential.",
        schema::backoff,
        |retry, at, found| {
            let Some(text) = at.text(found) else { return };
            match BACKOFFS.iter().find(|(name, _)| *name == text) {
                Some((_, backoff)) => retry.backoff = *backoff,
                None => {
                    let known = BACKOFFS.map(|(name, _)| name);
                    let known_near = near(text, known).map(|near| format!("did you mean `{near}`? "));
                    let help = format!("{}known are {}", known_near.unwrap_or_default(), known.join(", "));
                    at.wrong(found, format!("`{}` is no back-off", short(text)), help);
                }
            }
        },
    ),
    Key::new(
        "initial",
        "The first delay.",
        schema::duration,
        |retry, at, found| {
            retry.initial = at.duration(found).unwrap_or_default();
        },
    ),
    Key::new(
        "factor",
        "What an exponential delay is multiplied by.",
        schema::factor,
        |retry, at, found| retry.factor = at.real(found, 1.0, 1000.0).unwrap_or(1.0),
    ),
    Key::new(
        "cap",
        "The longest delay.",
        schema::duration,
        |retry, at, found| {
            retry.cap = at.duration(found).unwrap_or_default();
        },
    ),
    Key::new(
        "jitter",
        "How far a delay varies, as a part of itself from 0 to 1.",
        schema::jitter,
        |retry, at, found| retry.jitter = at.real(found, 0.0, 1.0).unwrap_or_default(),
    ),
    Key::new(
        "not_on",
        "Classes or fragments of errors that are not tried again.",
        schema::texts,
        |retry, at, found| retry.not_on = texts(at, found),
    ),
    Key::new(
        "not_on_exit",
        "Exit codes that are not tried again.",
        schema::exits,
        |retry, at, found| {
            retry.not_on_exit.clear();
            at.each(found, |at, found| {
                let code = at.whole(found, 0, 255).and_then(|code| i32::try_from(code).ok());
                retry.not_on_exit.extend(code);
            });
        },
    ),
];

pub(super) const BACKOFFS: [(&str, Backoff); 3] = [
    ("fixed", Backoff::Fixed),
    ("linear", Backoff::Linear),
    ("exponential", Backoff::Exponential),
];
