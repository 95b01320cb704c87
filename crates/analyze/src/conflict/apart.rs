//! Which pairs of tasks an order or a lock keeps apart.

use domain::plan::Plan;
use rustc_hash::FxHashMap;

use super::Kind;
use super::touch::Touch;

/// Tasks whose dependents are followed at once; the memory is one bit for each of them and each task of the plan.
const AT_ONCE: usize = 256;
/// Steps along edges, and pairs looked at: some seconds of work.
const STEPS: usize = 400_000_000;

/// A task at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) task: u32,
    pub(super) writes: bool,
    pub(super) locked: bool,
    /// Of a circle: which of its places. Those at one place meet there anyway.
    pub(super) part: u32,
}

impl Member {
    pub(super) fn new(task: u32, touch: &Touch) -> Member {
        Member {
            task,
            writes: touch.writes,
            locked: touch.locked,
            part: 0,
        }
    }
}

/// A place where tasks meet: each at it with every other at it, and with every one beside it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) component: String,
    at: Vec<Member>,
    beside: Vec<Member>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) open: u64,
    pub(super) locked: u64,
    pub(super) example: Option<(u32, u32)>,
}

impl Asked {
    pub(super) fn new(kind: Kind, component: &str, at: Vec<Member>, beside: Vec<Member>) -> Asked {
        Asked {
            kind,
            component: component.to_owned(),
            at,
            beside,
        }
    }

    pub(super) fn is_worth_it(&self) -> bool {
        !self.at.is_empty() && self.at.len() + self.beside.len() > 1
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = u32> {
        self.at.iter().chain(&self.beside).map(|member| member.task)
    }

    /// Those that come after `at` in the list, and those beside.
    fn others(&self, at: usize) -> impl Iterator<Item = &Member> {
        // Of a file and one that it needs the needed one alone is here: two who change it are met elsewhere.
        let same = if self.kind == Kind::Needs {
            &[]
        } else {
            &self.at[at + 1..]
        };
        same.iter().chain(&self.beside)
    }

    fn meet(&self, a: &Member, b: &Member) -> bool {
        let elsewhere = self.kind == Kind::Circle && a.part == b.part;
        a.task != b.task && (a.writes || b.writes) && !elsewhere
    }
}

/// What there is at each place; false if it was too much to look at every pair.
pub(super) fn count(plan: &Plan, asked: &[Asked]) -> (Vec<Found>, bool) {
    let mut places_of: FxHashMap<u32, Vec<(usize, usize)>> = FxHashMap::default();
    for (place, asked) in asked.iter().enumerate() {
        // Who is beside only is met by those at the place, but may be the one that comes first.
        for (number, member) in asked.at.iter().enumerate() {
            places_of.entry(member.task).or_default().push((place, number));
        }
    }
    let mut tasks: Vec<u32> = places_of.keys().copied().collect();
    tasks.sort_unstable();
    let mut found = vec![Found::default(); asked.len()];
    let mut steps = STEPS;
    for group in tasks.chunks(AT_ONCE) {
        let edges = 2 * plan.dag.edges() * group.len().div_ceil(64);
        let Some(left) = steps.checked_sub(edges) else {
            return (found, false);
        };
        steps = left;
        let after = Reach::new(plan, group, true);
        let before = Reach::new(plan, group, false);
        for (bit, task) in group.iter().enumerate() {
            for &(place, number) in &places_of[task] {
                let asked = &asked[place];
                let member = &asked.at[number];
                for other in asked.others(number) {
                    let Some(left) = steps.checked_sub(1) else {
                        return (found, false);
                    };
                    steps = left;
                    let ordered = || after.has(bit, other.task) || before.has(bit, other.task);
                    if !asked.meet(member, other) || ordered() {
                        continue;
                    }
                    let found = &mut found[place];
                    if asked.kind == Kind::Same && member.locked && other.locked
                        || locks(plan, *task, other.task)
                    {
                        found.locked += 1;
                    } else {
                        found.open += 1;
                        let pair = (*task.min(&other.task), *task.max(&other.task));
                        found.example = Some(found.example.map_or(pair, |first| first.min(pair)));
                    }
                }
            }
        }
    }
    (found, true)
}

fn locks(plan: &Plan, a: u32, b: u32) -> bool {
    let of = |task: u32| &plan.tasks[task as usize].spec.locks;
    of(a)
        .iter()
        .any(|lock| of(b).iter().any(|other| lock.conflicts(other)))
}

/// Which tasks come after, or before, each of a group.
struct Reach {
    words: usize,
    bits: Vec<u64>,
}

impl Reach {
    fn new(plan: &Plan, group: &[u32], after: bool) -> Reach {
        let words = group.len().div_ceil(64);
        let mut bits = vec![0u64; words * plan.dag.len() as usize];
        for (bit, task) in group.iter().enumerate() {
            bits[*task as usize * words + bit / 64] |= 1 << (bit % 64);
        }
        let mut hand_on = |task: u32, to: &[u32]| {
            for other in to {
                for word in 0..words {
                    bits[*other as usize * words + word] |= bits[task as usize * words + word];
                }
            }
        };
        if after {
            plan.dag
                .order()
                .for_each(|task| hand_on(task, plan.dag.dependents(task)));
        } else {
            let order = plan.dag.order().rev();
            { order }.for_each(|task| hand_on(task, plan.dag.prerequisites(task)));
        }
        Reach { words, bits }
    }

    fn has(&self, bit: usize, task: u32) -> bool {
        self.bits[task as usize * self.words + bit / 64] & (1 << (bit % 64)) != 0
    }
}
