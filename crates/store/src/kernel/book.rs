//! Small documents, and who leads.

use std::sync::Arc;
use std::time::Duration;

use domain::book::{Book, Edit, Entry, Expect};
use domain::code::{Code, Refusal};
use domain::id::{Project, WorkerId};
use domain::limits;
use domain::store::Result;
use domain::time::{Now, millis};
use serde::{Deserialize, Serialize};

use super::agents;
use super::curb;
use super::setting;
use super::step::Step;
use super::tx::Tx;

/// Carries out all edits, or refuses all.
pub fn edit(tx: &mut dyn Tx, project: &Project, edits: &[Edit], actor: &Arc<str>, now: Now) -> Result<()> {
    edits.iter().try_for_each(check_size)?;
    let no = tx.project(project, true)?.expect("the project was created");
    let mut step = Step::new(tx, no, now, actor.clone())?;
    for edit in edits {
        let found = step.entries(edit.book, std::slice::from_ref(&edit.key))?.pop();
        check_expected(edit, found.as_ref())?;
        step.write_entry(edit.book, &edit.key, edit.to.clone());
        curb::edited(&mut step, edit)?;
        setting::edited(&mut step, edit)?;
        agents::edited(&mut step, edit, found.is_some())?;
        if let Some((kind, data)) = &edit.event {
            step.emit_other(*kind, Some(data.clone()));
        }
    }
    step.finish()
}

fn check_size(edit: &Edit) -> Result<()> {
    let over = |what: &str, size: usize, most: usize| {
        Err(Refusal::new(
            Code::LimitExceeded,
            format!("{what} has {size} bytes; at most {most} are kept"),
        ))
    };
    let size = edit.to.as_ref().map_or(0, |(value, _)| value.get().len());
    match edit.key.len() {
        keyed if keyed > limits::KEY_BYTES => over("the name", keyed, limits::KEY_BYTES),
        _ if size > limits::TEXT_BYTES => over(&format!("`{}`", edit.key), size, limits::TEXT_BYTES),
        _ => Ok(()),
    }
}

fn check_expected(edit: &Edit, found: Option<&Entry>) -> Result<()> {
    let holds = match (&edit.expect, found) {
        (Expect::Anything, _) | (Expect::Nothing, None) => true,
        (Expect::This(value), Some(found)) => *value == found.value,
        (Expect::Nothing, Some(_)) | (Expect::This(_), None) => false,
    };
    if holds {
        return Ok(());
    }
    let what = if found.is_some() {
        "is not what it was"
    } else {
        "is gone"
    };
    Err(Refusal::new(
        Code::EntryChanged,
        format!("`{}` {what}", edit.key.escape_debug()),
    ))
}

/// Whose turn the periodic duties are.
#[derive(Debug, Deserialize, Serialize)]
struct Term {
    who: String,
    term: u64,
    /// On the store's lease clock.
    until: i64,
    /// How long it was taken for, in milliseconds.
    #[serde(default)]
    ttl: i64,
}

impl Term {
    /// A clock that starts at boot goes back when the machine does: an end that is farther away than the term was long
    /// belongs to a time before.
    fn holds(&self, mono: i64) -> bool {
        self.until > mono && self.until.saturating_sub(mono) <= self.ttl
    }
}

const DUTIES: &str = "duties";

/// See [`domain::store::Store::lead`].
pub fn lead(
    tx: &mut dyn Tx,
    project: &Project,
    who: &WorkerId,
    ttl: Option<Duration>,
    now: Now,
) -> Result<Option<u64>> {
    let now = tx.now(now)?;
    let Some(no) = tx.project(project, false)? else {
        return Ok(None);
    };
    let found = tx.entries(no, Book::Leader, &[DUTIES.into()])?.pop();
    let last: Option<Term> = found.as_ref().map(Entry::read).transpose()?;
    let ours = last.as_ref().is_some_and(|last| last.who == who.as_str());
    if !ours && last.as_ref().is_some_and(|last| last.holds(now.mono)) {
        return Ok(None);
    }
    let term = match (&last, ttl) {
        (_, None) if !ours => return Ok(None),
        (Some(last), _) if ours => last.term,
        (last, _) => last.as_ref().map_or(0, |last| last.term) + 1,
    };
    let mut step = Step::new(tx, no, now, "system".into())?;
    let span = ttl.map_or(0, millis);
    let kept = Term {
        who: who.to_string(),
        term,
        until: now.mono.saturating_add(span),
        ttl: span,
    };
    let value = domain::task::spec::Json::of(&kept);
    step.write_entry(Book::Leader, &DUTIES.into(), Some((value, None)));
    step.finish()?;
    Ok(ttl.is_some().then_some(term))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_of_before_the_last_boot_is_over() {
        let term = Term {
            who: "a".into(),
            term: 1,
            until: 1_000_000,
            ttl: 10_000,
        };
        assert!(term.holds(990_000) && term.holds(999_999));
        assert!(!term.holds(1_000_000));
        assert!(!term.holds(500), "nobody waits for the clock to come there again");
    }
}
