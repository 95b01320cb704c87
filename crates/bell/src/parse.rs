//! Readers of single values on the command line. Errors of clap are one text, so cures join their message.

use std::io::Read;
use std::str::FromStr;
use std::time::Duration;

use domain::code::Refusal;
use domain::limits;
use domain::task::retry::Retry;
use domain::task::score::Profile;
use domain::task::spec::{Json, Moment, Priority, Source, When, check_text};
use domain::task::state::{Reason, State};

use crate::output::theme::SKIPPED;
use crate::settings::JOBS_MAX;

fn one_line(refusal: &Refusal) -> String {
    match &refusal.help {
        Some(help) => format!("{}; {help}", refusal.detail),
        None => refusal.detail.clone(),
    }
}

/// An id, a name, a token: anything with its own rules.
pub(crate) fn name<T: FromStr<Err = Refusal>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|refusal| one_line(&refusal))
}

pub(crate) fn priority(text: &str) -> Result<Priority, String> {
    Priority::parse(text).map_err(|refusal| match text.trim().parse::<i64>() {
        Ok(_) => format!(
            "{}; 10 is the most urgent, or write low, normal, medium, high, fix or critical",
            refusal.detail
        ),
        Err(_) => one_line(&refusal),
    })
}

pub(crate) fn source(text: &str) -> Result<Source, String> {
    Source::parse(text).map_err(|refusal| one_line(&refusal))
}

pub(crate) fn state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| {
        if text == SKIPPED {
            return format!(
                "a skipped task is in the state {}, with the reason {}; ask for {}",
                State::Cancelled,
                Reason::NotNeeded,
                State::Cancelled
            );
        }
        let known: Vec<_> = State::ALL.into_iter().map(State::as_str).collect();
        let known = format!("known are {}", known.join(", "));
        match domain::code::nearest(text, State::ALL.into_iter().map(State::as_str)) {
            Some(near) => format!("no such state; did you mean `{near}`? {known}"),
            None => format!("no such state; {known}"),
        }
    })
}

pub(crate) fn reason(text: &str) -> Result<Reason, String> {
    let known = Reason::ALL.iter().copied();
    known
        .clone()
        .find(|reason| reason.as_str() == text)
        .ok_or_else(|| {
            let known: Vec<_> = known.map(Reason::as_str).collect();
            format!("no such reason; known are {}", known.join(", "))
        })
}

pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text)
}

/// A span of time that is not empty.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    match domain::time::parse_duration(text)? {
        Duration::ZERO => Err("the duration must not be zero".to_owned()),
        span => Ok(span),
    }
}

pub(crate) fn amount(text: &str) -> Result<f64, String> {
    domain::curb::amount::parse(text).map_err(|refusal| one_line(&refusal))
}

/// An amount of something that a worker offers.
pub(crate) fn offer(text: &str) -> Result<(String, u64), String> {
    let (name, amount) = text
        .split_once('=')
        .ok_or("write for example gpu=2 or memory=16GiB")?;
    let name = domain::id::Kind::new(name).map_err(|refusal| one_line(&refusal))?;
    let amount = domain::curb::amount::whole(amount).map_err(|refusal| one_line(&refusal))?;
    Ok((name.to_string(), amount))
}

/// A JSON document: written out, in the file `@FILE`, or on stdin for `-`.
pub(crate) fn document(text: &str) -> Result<Json, String> {
    let read = match (text, text.strip_prefix('@')) {
        ("-", _) => read_bounded(std::io::stdin()).map_err(|e| format!("stdin: {e}"))?,
        (_, Some(path)) => std::fs::File::open(path)
            .and_then(read_bounded)
            .map_err(|e| format!("{path}: {e}"))?,
        _ => text.to_owned(),
    };
    if read.len() > limits::TEXT_BYTES {
        return Err(format!("more than {} bytes", limits::TEXT_BYTES));
    }
    Json::parse(&read).map_err(|e| format!("not JSON: {e}"))
}

fn read_bounded(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(limits::TEXT_BYTES as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// How many entries a page has at the most.
pub(crate) fn limit(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=limits::PAGE_MAX).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {}", limits::PAGE_MAX))
}

/// The number of an event, after which something begins.
pub(crate) fn event_number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "write the number of an event, or 0 for the beginning".to_owned())
}

/// How many tasks are worked on at the same time.
pub(crate) fn jobs(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=JOBS_MAX).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {JOBS_MAX}"))
}

pub(crate) fn profile(text: &str) -> Result<Profile, String> {
    match text {
        "classic" => Ok(Profile::Classic),
        "critical-path" => Ok(Profile::CriticalPath),
        _ => Err("write classic or critical-path".to_owned()),
    }
}

pub(crate) fn idempotency_key(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > limits::KEY_BYTES {
        return Err(format!("a key has 1 to {} bytes", limits::KEY_BYTES));
    }
    Ok(text.to_owned())
}

pub(crate) fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it must not be empty".to_owned());
    }
    check_text("the text", text)
        .map(|()| text.to_owned())
        .map_err(|refusal| one_line(&refusal))
}

/// A preset, or how many tries there are in all.
pub(crate) fn retry(text: &str) -> Result<Retry, String> {
    desk::setting::tries(text)
}

/// `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A prerequisite: an id or key, and what of it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) task: String,
    pub(crate) when: When,
}

/// `ID` or `ID:WHEN`. Ids may contain colons, so only a known condition is split off.
pub(crate) fn after(text: &str) -> Result<After, String> {
    let known = |name: &str| When::ALL.iter().copied().find(|when| when.as_str() == name);
    let split = text
        .rsplit_once(':')
        .and_then(|(task, name)| Some((task, known(name)?)));
    let (task, when) = split.unwrap_or((text, When::default()));
    if task.is_empty() {
        return Err("write ID, ID:failure or ID:finished".to_owned());
    }
    Ok(After {
        task: task.to_owned(),
        when,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_condition_is_split_off() {
        for (text, task, when) in [
            ("lint", "lint", When::Success),
            ("lint:failure", "lint", When::Failure),
            ("src/app.py:main", "src/app.py:main", When::Success),
            ("src/app.py:main:finished", "src/app.py:main", When::Finished),
            ("a:success", "a", When::Success),
        ] {
            let parsed = after(text).unwrap();
            assert_eq!((parsed.task.as_str(), parsed.when), (task, when), "{text}");
        }
        assert!(after(":failure").is_err());
    }

    #[test]
    fn retry_is_a_preset_or_a_number() {
        assert_eq!(retry("task").unwrap().attempts, 4);
        assert_eq!(retry("7").unwrap().attempts, 7);
        for bad in ["0", "1001", "-1", "often"] {
            assert!(retry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cures_join_the_message() {
        assert!(priority("hihg").unwrap_err().contains("`high`"));
        assert!(priority("11").unwrap_err().contains("medium, high, fix"));
        assert!(state("redy").unwrap_err().contains("`ready`? known are pending,"));
        assert!(
            state("foo")
                .unwrap_err()
                .starts_with("no such state; known are pending,")
        );
        assert!(state("skipped").unwrap_err().ends_with("ask for cancelled"));
        assert!(event_number("-1").unwrap_err().contains("number of an event"));
        assert!(span("0").is_err());
        assert!(variable("=x").is_err());
    }
}
