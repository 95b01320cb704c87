//! What things are called on the server. Everything of a project is under one tag in braces, so that a cluster keeps
//! it on one node.
//!
//! | key | is | holds |
//! |---|---|---|
//! | `h` | text | the head; every commit writes it |
//! | `w:WRITER` | text | the number of the writer's latest commit, for ten minutes |
//! | `k` | text | who is writing, as a courtesy to the others |
//! | `t`, `b`, `o` | hash | rows, bodies and outcomes of tasks by number |
//! | `i`, `n` | hash | numbers by id, and by key |
//! | `c`, `r`, `ri` | hash | classes, runs, numbers of runs by id |
//! | `e` | list | events |
//! | `m`, `mo` | hash, ordered texts | answers by idempotency key, and the keys |
//! | `d:TASK` | sorted set | dependents of a task |
//! | `l:CLASS`, `l:CLASS:RUN` | sorted set | the line |
//! | `a:STATE` | sorted set | tasks aside in a state |
//! | `tm`, `x` | sorted set | timers, and ends of leases |
//! | `ws:WORKER` | set | what a worker has leased |
//! | `p`, `g`, `hs`, `hd`, `rp` | ordered texts | parked tasks, children, holders, what is held, runs of plans |
//! | `rt:RUN` | list | tasks of a run |
//! | `u` | hash | ended tasks whose dependents are not all settled |
//! | `bk:BOOK`, `bo:BOOK`, `bd:BOOK` | hash, ordered texts, sorted set | small documents, in order, by time |
//! | `q`, `qu` | hash, sorted set | results by content, and when they were last used |

use std::sync::Arc;

use domain::book::Book;
use domain::id::{Project, Seq, WorkerId};
use domain::run::RunNo;
use domain::store::Result;
use domain::task::lock::Mode;
use domain::task::record::{ClassNo, Place};
use domain::task::state::State;
use domain::time::Timestamp;

use super::pack::corrupt;
use crate::kernel::tx::Group;

/// The names of one project's keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    tag: Arc<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str, project: &Project) -> Keys {
        Keys {
            tag: format!("{{bell:{prefix}:{project}}}:").into(),
        }
    }

    /// What all of them begin with.
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    pub(super) fn of(&self, name: &str) -> Vec<u8> {
        format!("{}{name}", self.tag).into_bytes()
    }

    pub(super) fn dependents(&self, parent: Seq) -> Vec<u8> {
        self.of(&format!("d:{}", parent.0))
    }

    pub(super) fn line(&self, class: ClassNo, run: Option<RunNo>) -> Vec<u8> {
        self.of(&match run {
            None => format!("l:{}", class.0),
            Some(run) => format!("l:{}:{}", class.0, run.0),
        })
    }

    pub(super) fn aside(&self, state: State) -> Vec<u8> {
        self.of(&format!("a:{}", state as u8))
    }

    pub(super) fn worker(&self, worker: &WorkerId) -> Vec<u8> {
        self.of(&format!("ws:{worker}"))
    }

    pub(super) fn run_tasks(&self, run: RunNo) -> Vec<u8> {
        self.of(&format!("rt:{}", run.0))
    }

    pub(super) fn writer(&self, writer: u64) -> Vec<u8> {
        self.of(&format!("w:{writer:x}"))
    }

    pub(super) fn book(&self, kind: &str, book: Book) -> Vec<u8> {
        self.of(&format!("{kind}:{}", book.number()))
    }
}

/// The list of projects; only an index, so it may name some that nothing was ever written to.
pub(super) fn projects(prefix: &str) -> Vec<u8> {
    format!("{{bell:{prefix}}}:projects").into_bytes()
}

/// The number of the layout.
pub(super) fn schema(prefix: &str) -> Vec<u8> {
    format!("{{bell:{prefix}}}:schema").into_bytes()
}

/// Where commits are told.
pub(super) fn channel(prefix: &str) -> Vec<u8> {
    format!("bell:{prefix}:commits").into_bytes()
}

// ---- members ----

/// A number as text, the form of hash fields.
pub(super) fn field(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// Eight bytes whose order is that of the numbers.
pub(super) fn sorted(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Longer than what a server packs (`zset-max-listpack-value` is 64).
const LONG: usize = 65;

/// [`sorted`], filled up so that no server packs it: a packed set of a hundred members is walked from its start for each one that
/// enters, which takes four times as long as entering a set of thousands.
pub(super) fn long(seq: Seq) -> Vec<u8> {
    let mut member = vec![0; LONG];
    member[..8].copy_from_slice(&sorted(seq.0));
    member
}

/// Of a member of [`sorted`] or [`long`].
pub(super) fn seq_of(member: &[u8]) -> Result<Seq> {
    let number = match member.len() {
        LONG => &member[..8],
        _ => member,
    };
    let number = number.try_into().map_err(|_| corrupt("a member has no number"))?;
    Ok(Seq(u64::from_be_bytes(number)))
}

/// Milliseconds and numbers in a member of the line have six bytes each: enough until the year 10889.
const SIX: u64 = (1 << 48) - 1;

/// A place among those of the same score: ordered by bytes as the place is by time and number.
pub(super) fn place(place: &Place) -> [u8; 12] {
    let at = u64::try_from(place.at.0).unwrap_or(0).min(SIX);
    let mut member = [0; 12];
    member[..6].copy_from_slice(&at.to_be_bytes()[2..]);
    member[6..].copy_from_slice(&place.seq.0.min(SIX).to_be_bytes()[2..]);
    member
}

pub(super) fn place_of(member: &[u8], score: i64) -> Result<Place> {
    let wrong = || corrupt("a place in line is damaged");
    let (at, seq) = member.split_at_checked(6).ok_or_else(wrong)?;
    Ok(Place {
        rank: i32::try_from(score).map_err(|_| wrong())?,
        at: Timestamp(six(at)?.cast_signed()),
        seq: Seq(six(seq)?),
    })
}

fn six(bytes: &[u8]) -> Result<u64> {
    let mut number = [0; 8];
    let wrong = || corrupt("a place in line is damaged");
    number
        .get_mut(2..)
        .filter(|rest| rest.len() == bytes.len())
        .ok_or_else(wrong)?
        .copy_from_slice(bytes);
    Ok(u64::from_be_bytes(number))
}

/// `thing`, then the group, then the place, all in order of their bytes.
pub(super) fn parked(thing: &str, group: Group, at: &Place) -> Vec<u8> {
    let mut member = parked_group(thing, group);
    member.extend_from_slice(&(at.rank.cast_unsigned() ^ (1 << 31)).to_be_bytes());
    member.extend_from_slice(&place(at));
    member
}

/// What all parked tasks of one group under one thing begin with.
pub(super) fn parked_group(thing: &str, (class, run): Group) -> Vec<u8> {
    let mut member = under(thing);
    member.extend_from_slice(&class.0.to_be_bytes());
    member.extend_from_slice(&sorted(run.map_or(0, |run| run.0)));
    member
}

/// Of a member of the parked tasks, the thing and the group.
pub(super) fn parked_of(member: &[u8]) -> Result<(String, Group, Seq)> {
    let wrong = || corrupt("a parked task is damaged");
    let at = member.len().checked_sub(29).ok_or_else(wrong)?;
    let (thing, rest) = member.split_at(at);
    let class = rest[1..5].try_into().map_err(corrupt)?;
    let run = rest[5..13].try_into().map_err(corrupt)?;
    let run = u64::from_be_bytes(run);
    Ok((
        std::str::from_utf8(thing).map_err(corrupt)?.to_owned(),
        (
            ClassNo(u32::from_be_bytes(class)),
            (run != 0).then_some(RunNo(run)),
        ),
        Seq(six(&rest[23..])?),
    ))
}

/// A text that ends where no name goes on.
pub(super) fn under(name: &str) -> Vec<u8> {
    let mut member = Vec::with_capacity(name.len() + 29);
    member.extend_from_slice(name.as_bytes());
    member.push(0);
    member
}

pub(super) fn child(parent: Seq, child: Seq) -> Vec<u8> {
    [sorted(parent.0), sorted(child.0)].concat()
}

pub(super) fn holder(name: &str, seq: Seq, mode: Mode) -> Vec<u8> {
    let mut member = under(name);
    member.extend_from_slice(&sorted(seq.0));
    member.push(mode as u8);
    member
}

pub(super) fn holder_of(member: &[u8]) -> Result<(String, Seq, Mode)> {
    let wrong = || corrupt("a holder is damaged");
    let at = member.len().checked_sub(10).ok_or_else(wrong)?;
    let (name, rest) = member.split_at(at);
    let name = std::str::from_utf8(name).map_err(corrupt)?;
    Ok((name.to_owned(), seq_of(&rest[1..9])?, mode(rest[9])?))
}

pub(super) fn held(seq: Seq, name: &str, mode: Mode) -> Vec<u8> {
    let mut member = sorted(seq.0).to_vec();
    member.push(mode as u8);
    member.extend_from_slice(name.as_bytes());
    member
}

pub(super) fn held_of(member: &[u8]) -> Result<(Seq, String, Mode)> {
    let wrong = || corrupt("what a task holds is damaged");
    let (seq, rest) = member.split_at_checked(8).ok_or_else(wrong)?;
    let (number, name) = rest.split_first().ok_or_else(wrong)?;
    let name = std::str::from_utf8(name).map_err(corrupt)?;
    Ok((seq_of(seq)?, name.to_owned(), mode(*number)?))
}

fn mode(number: u8) -> Result<Mode> {
    match number {
        0 => Ok(Mode::Exclusive),
        1 => Ok(Mode::Shared),
        n => Err(corrupt(format!("the lock mode {n} is unknown"))),
    }
}

pub(super) fn plan_run(plan: &str, no: RunNo) -> Vec<u8> {
    let mut member = under(plan);
    member.extend_from_slice(&sorted(no.0));
    member
}

// ---- ranges of ordered texts ----

pub(super) fn from(member: &[u8]) -> Vec<u8> {
    [b"[", member].concat()
}

pub(super) fn before(member: &[u8]) -> Vec<u8> {
    [b"(", member].concat()
}

/// Behind everything that begins with `start`; every start of ours has a byte that can grow.
pub(super) fn beyond(start: &[u8]) -> Vec<u8> {
    let mut end = start.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    match end.last_mut() {
        Some(last) => *last += 1,
        None => return b"+".to_vec(),
    }
    before(&end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_sort_as_what_they_stand_for() {
        let at = |rank, at, seq| Place {
            rank,
            at: Timestamp(at),
            seq: Seq(seq),
        };
        let places = [
            at(-5, 9, 9),
            at(-5, 10, 1),
            at(-5, 10, 2),
            at(0, 1, 1),
            at(7, 0, 0),
        ];
        let group = (ClassNo(1), Some(RunNo(3)));
        let members = places.map(|place| parked("db", group, &place));
        assert!(members.is_sorted());
        for (member, at) in members.iter().zip(&places) {
            assert_eq!(parked_of(member).unwrap(), ("db".to_owned(), group, at.seq));
            assert_eq!(place_of(&place(at), at.rank.into()).unwrap(), *at);
        }
    }

    #[test]
    fn long_members_are_not_packed_and_sort_alike() {
        let [one, other] = [Seq(255), Seq(256)].map(long);
        assert!(one < other && one.len() > 64);
        for member in [one, sorted(255).to_vec()] {
            assert_eq!(seq_of(&member).unwrap(), Seq(255));
        }
        assert!(seq_of(b"123456789").is_err());
    }

    #[test]
    fn members_come_back() {
        let (name, seq) = ("path:src/é", Seq(77));
        for mode in [Mode::Exclusive, Mode::Shared] {
            let expected = (name.to_owned(), seq, mode);
            assert_eq!(holder_of(&holder(name, seq, mode)).unwrap(), expected);
            let expected = (seq, name.to_owned(), mode);
            assert_eq!(held_of(&held(seq, name, mode)).unwrap(), expected);
        }
        assert!(holder_of(b"x").is_err() && held_of(b"x").is_err() && parked_of(b"x").is_err());
        assert_eq!(beyond(&[7, 255]), b"(\x08");
        assert_eq!(beyond(&[255]), b"+");
    }
}
