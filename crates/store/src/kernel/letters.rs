//! Dead letters counted by the signature of their failure, as they come and go.
//!
//! While more causes are known than [`limits::SIGNATURES`], new ones are counted together under [`OTHER`] until that
//! is empty again: so a letter whose signature has an entry of its own is always counted there.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::id::Seq;
use domain::limits;
use domain::store::Result;
use domain::task::record::Task;
use domain::task::signature::{OTHER, Signature, Tally};
use domain::task::spec::Json;
use rustc_hash::FxHashMap;

use super::step::Step;

/// What a step knows of the counts; written once, at its end.
#[derive(Debug, Default)]
pub(super) struct Letters {
    tallies: FxHashMap<Arc<str>, Option<Tally>>,
    /// Of tasks that are, or were, among the dead letters.
    signatures: FxHashMap<Seq, Signature>,
}

/// Reads the failures of many letters at once, for what comes.
pub(super) fn read(step: &mut Step<'_>, seqs: &[Seq]) -> Result<()> {
    let mut letters = Vec::with_capacity(seqs.len());
    for seq in seqs {
        if step.task(*seq).is_ok_and(|task| task.dead_letter) {
            letters.push(*seq);
        }
    }
    if letters.is_empty() {
        return Ok(());
    }
    let outcomes = step.tx.outcomes(step.project, &letters)?;
    let outcomes: FxHashMap<_, _> = outcomes.into_iter().collect();
    for seq in letters {
        let reason = step.task(seq)?.reason;
        let failure = outcomes.get(&seq).and_then(|outcome| outcome.error.as_ref());
        step.letters
            .signatures
            .insert(seq, Signature::of(reason, failure));
    }
    Ok(())
}

/// The signature of a row that is a dead letter.
pub(super) fn signature(step: &mut Step<'_>, letter: &Task) -> Result<Signature> {
    if let Some(known) = step.letters.signatures.get(&letter.seq) {
        return Ok(known.clone());
    }
    let mut latest = step.writes.outcomes.iter().rev();
    let fresh = latest.find(|(seq, _)| *seq == letter.seq);
    let outcome = match fresh {
        Some((_, outcome)) => Some(outcome.clone()),
        None => step
            .tx
            .outcomes(step.project, &[letter.seq])?
            .pop()
            .map(|(_, outcome)| outcome),
    };
    let failure = outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
    let signature = Signature::of(letter.reason, failure);
    step.letters.signatures.insert(letter.seq, signature.clone());
    Ok(signature)
}

/// Counts a task that has come among the dead letters, under `signature`.
pub(super) fn come(step: &mut Step<'_>, task: &Task, signature: Signature) -> Result<()> {
    let at = step.now.wall;
    let key = signature.key();
    let is_known = tally(step, &key)?.is_some();
    let (key, signature) = if is_known || !is_full(step)? {
        (key, signature)
    } else {
        (OTHER.into(), Signature::default())
    };
    let tally = tally(step, &key)?;
    tally
        .get_or_insert_with(|| Tally::new(signature, task.id.clone(), at))
        .add(&task.id, at);
    Ok(())
}

/// Takes a task out of its count that is a dead letter no longer.
pub(super) fn leave(step: &mut Step<'_>, before: &Task) -> Result<()> {
    let signature = signature(step, before)?;
    let entry = counted(step, &signature)?;
    if let Some(tally) = entry {
        tally.count = tally.count.saturating_sub(1);
        if tally.count == 0 {
            *entry = None;
        }
    }
    // The next failure may be another.
    step.letters.signatures.remove(&before.seq);
    Ok(())
}

/// So many tasks fell with this letter.
pub(super) fn fell(step: &mut Step<'_>, letter: &Task, tasks: u64) -> Result<()> {
    let signature = signature(step, letter)?;
    if let Some(tally) = counted(step, &signature)? {
        tally.fell += tasks;
    }
    Ok(())
}

/// So many tasks are back that had fallen with what was this letter.
pub(super) fn revived(step: &mut Step<'_>, before: &Task, tasks: u64) -> Result<()> {
    let signature = signature(step, before)?;
    step.letters.signatures.remove(&before.seq);
    if let Some(tally) = counted(step, &signature)? {
        tally.fell = tally.fell.saturating_sub(tasks);
    }
    Ok(())
}

/// The tally that letters with this signature are in.
fn counted<'a>(step: &'a mut Step<'_>, signature: &Signature) -> Result<&'a mut Option<Tally>> {
    let key = signature.key();
    let own = tally(step, &key)?.is_some();
    tally(step, &if own { key } else { OTHER.into() })
}

fn tally<'a>(step: &'a mut Step<'_>, key: &Arc<str>) -> Result<&'a mut Option<Tally>> {
    if !step.letters.tallies.contains_key(key) {
        let found = step.entries(Book::Signature, std::slice::from_ref(key))?.pop();
        let found = found.as_ref().map(Entry::read).transpose()?;
        step.letters.tallies.insert(key.clone(), found);
    }
    Ok(step.letters.tallies.get_mut(key).expect("it was inserted above"))
}

/// Whether a new signature gets no entry of its own.
fn is_full(step: &mut Step<'_>) -> Result<bool> {
    if tally(step, &OTHER.into())?.is_some() {
        return Ok(true);
    }
    if !step.has(Book::Signature) && step.letters.tallies.len() < limits::SIGNATURES {
        return Ok(false);
    }
    let stored = match step.has(Book::Signature) {
        true => step
            .tx
            .entry_page(step.project, Book::Signature, "", limits::SIGNATURES)?,
        false => Vec::new(),
    };
    let tallies = &step.letters.tallies;
    let kept = stored
        .iter()
        .filter(|entry| !tallies.contains_key(&entry.key))
        .count();
    let known = tallies.values().filter(|tally| tally.is_some()).count();
    Ok(kept + known >= limits::SIGNATURES)
}

/// Writes the counts that this step has changed.
pub(super) fn save(step: &mut Step<'_>) {
    step.letters.signatures.clear();
    for (key, tally) in std::mem::take(&mut step.letters.tallies) {
        let known = step.has(Book::Signature);
        match tally {
            Some(tally) => step.write_entry(Book::Signature, &key, Some((Json::of(&tally), None))),
            None if known => step.write_entry(Book::Signature, &key, None),
            None => {}
        }
    }
}
