//! How stores with tables split a task into rows: what a change must rewrite, and lists packed into one column.
//!
//! A plain claim leaves the task's row alone: while there is a lease, `state`, `reason`, `last_event` and `started_at`
//! are told by the lease's row, and the task's row keeps what stood there before the claim.

use domain::id::Seq;
use domain::task::record::Task;
use domain::task::spec::When;
use domain::task::state::State;

/// What writing a changed task asks of its `task` row.
pub(crate) enum Rewrite {
    Nothing,
    End,
    All,
}

/// Whether and how the `task` row must be written for this change.
pub(crate) fn rewrite(old: &Task, new: &Task) -> Rewrite {
    match (&old.lease, &new.lease) {
        (None, Some(_)) if same_row(old, new) && old.attempts == new.attempts => match old.state {
            State::Ready if old.finished_at == new.finished_at => Rewrite::Nothing,
            _ => Rewrite::All,
        },
        (Some(_), Some(_))
            if same_row(old, new) && (old.attempts, old.finished_at) == (new.attempts, new.finished_at) =>
        {
            Rewrite::Nothing
        }
        (_, None) if same_row(old, new) => Rewrite::End,
        _ => Rewrite::All,
    }
}

/// Whether both are alike in everything that [`Rewrite::End`] does not write.
fn same_row(old: &Task, new: &Task) -> bool {
    // Taken apart in full, so that a new field cannot be forgotten.
    let Task {
        seq,
        id,
        class,
        run,
        parent,
        state: _,
        reason: _,
        left,
        dead_letter,
        superseded,
        priority,
        source,
        depth,
        path_share,
        score,
        submitted_at,
        run_at,
        deadline,
        estimate,
        started_at: _,
        finished_at: _,
        timer,
        open,
        dead,
        upstream,
        dependents,
        children,
        join,
        attempts: _,
        failures,
        lost,
        guarded,
        asks,
        wait,
        last_event: _,
        lease: _,
    } = new;
    debug_assert!(
        (old.seq, &old.id, old.run, old.parent) == (*seq, id, *run, *parent),
        "what a task is known by never changes"
    );
    old.class == *class
        && old.left == *left
        && old.dead_letter == *dead_letter
        && old.superseded == *superseded
        && old.priority == *priority
        && old.source == *source
        && old.depth == *depth
        && old.path_share == *path_share
        && old.score == *score
        && old.submitted_at == *submitted_at
        && old.run_at == *run_at
        && old.deadline == *deadline
        && old.estimate == *estimate
        && old.timer == *timer
        && old.open == *open
        && old.dead == *dead
        && old.upstream == *upstream
        && old.dependents == *dependents
        && old.children == *children
        && old.join == *join
        && old.failures == *failures
        && old.lost == *lost
        && old.guarded == *guarded
        && old.asks == *asks
        && old.wait == *wait
}

/// The state that the `task` row tells.
pub(crate) fn row_state(task: &Task) -> State {
    if task.lease.is_some() {
        State::Assigned
    } else {
        task.state
    }
}

/// Prerequisites as a list of LEB128 numbers, each the task's number times four plus the condition.
pub(crate) fn pack(after: &[(Seq, When)]) -> Option<Vec<u8>> {
    if after.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(4 * after.len());
    for (seq, when) in after {
        let mut rest = (seq.0 << 2) | *when as u64;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    Some(bytes)
}

/// `None` when the bytes are no such list.
pub(crate) fn unpack(bytes: &[u8]) -> Option<Vec<(Seq, When)>> {
    let mut after = Vec::new();
    let (mut number, mut shift) = (0u64, 0);
    for byte in bytes {
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            let when = When::ALL.get(usize::from(number as u8 & 3)).copied()?;
            after.push((Seq(number >> 2), when));
            (number, shift) = (0, 0);
        }
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prerequisites_come_back() {
        let after = vec![
            (Seq(1), When::Success),
            (Seq(300), When::Failure),
            (Seq(u64::MAX >> 2), When::Finished),
        ];
        assert_eq!(unpack(&pack(&after).unwrap()), Some(after));
        assert_eq!(pack(&[]), None);
        assert_eq!(unpack(&[0xff; 12]), None);
    }
}
