//! How an agent has done so far: folded from the log, attempt by attempt; an entry of [`crate::book::Book::Habit`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::profile::{Level, Prior};
use crate::id::{AgentName, Capability, Kind};
use crate::time::Timestamp;

/// After so long, an outcome counts half of what a fresh one does.
const HALF_LIFE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Skills and kinds that are counted apart; of more, only the sums are kept.
const APART: usize = 256;
/// Others that an agent is known to work with; the weakest tie gives way.
const TIES: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    pub sum: Tally,
    /// Attempts that ended with their worker; neither successes nor failures.
    pub lost: u64,
    /// Of the work of successes, as far as it was judged.
    pub quality: Mean,
    /// Milliseconds of attempts that succeeded, and of all.
    pub latency: Mean,
    pub latency_all: Mean,
    /// Skills that its tasks needed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_skill: BTreeMap<Capability, Tally>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_kind: BTreeMap<Kind, Tally>,
    /// Who did well in the same runs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<AgentName, Tie>,
    pub active_at: Timestamp,
}

/// How often an agent came into a run in which another had done well already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tie {
    pub runs: u32,
    /// Each run weighs less the older it is, as of `at`.
    weight: f64,
    at: Timestamp,
}

impl Tie {
    pub fn strength(&self, now: Timestamp) -> f64 {
        self.weight * decay(self.at, now)
    }
}

fn decay(from: Timestamp, to: Timestamp) -> f64 {
    0.5_f64.powf(to.since(from).as_secs_f64() / HALF_LIFE.as_secs_f64())
}

/// A number as it comes back from its text, so that a log that is read in other pieces gives the same record.
fn kept(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Outcomes of one sort. Both counts only grow; the recent ones lose weight with time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub completed: u64,
    pub failed: u64,
    /// Successes and outcomes, each weighing less the older it is, as of `at`.
    wins: f64,
    weight: f64,
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    pub count: u64,
    pub value: f64,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.value = kept(self.value + (value - self.value) / self.count as f64);
    }

    pub fn known(&self) -> Option<f64> {
        (self.count > 0).then_some(self.value)
    }
}

impl Tally {
    fn add(&mut self, success: bool, at: Timestamp) {
        let decay = decay(self.at, at);
        self.wins = kept(self.wins * decay + f64::from(u8::from(success)));
        self.weight = kept(self.weight * decay + 1.0);
        self.at = self.at.max(at);
        self.completed += u64::from(success);
        self.failed += u64::from(!success);
    }

    pub fn count(&self) -> u64 {
        self.completed + self.failed
    }

    /// Over all time.
    pub fn success_rate(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.completed as f64 / self.count() as f64)
    }

    /// The same with what is old forgotten bit by bit.
    pub fn recent_rate(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.wins / self.weight)
    }

    /// Successes and outcomes, each weighing less the older it is.
    pub fn weighed(&self) -> (f64, f64) {
        (self.wins, self.weight)
    }

    /// How sure it is that this is mastered: the lower end of what the outcomes allow (Wilson's interval at 80 %).
    pub fn confidence(&self) -> f64 {
        const Z: f64 = 1.281_551_565_5;
        let count = self.weight;
        if count <= 0.0 {
            return 0.0;
        }
        let rate = self.wins / count;
        let square = Z * Z / count;
        let spread = Z * ((rate * (1.0 - rate) + square / 4.0) / count).sqrt();
        ((rate + square / 2.0 - spread) / (1.0 + square)).clamp(0.0, 1.0)
    }
}

/// An attempt that has ended by what its agent did.
#[derive(Clone, Debug)]
pub struct Done<'a> {
    pub at: Timestamp,
    /// `None` when nobody said.
    pub kind: Option<&'a Kind>,
    pub needs: &'a [Capability],
    pub success: bool,
    /// How long it took, if its begin is known.
    pub ms: Option<f64>,
    /// From 0 to 1.
    pub quality: Option<f64>,
}

impl Record {
    /// What an agent begins with that has worked elsewhere before.
    pub fn beginning(prior: Option<&Prior>, at: Timestamp) -> Record {
        let mut record = Record {
            active_at: at,
            ..Record::default()
        };
        let Some(prior) = prior.filter(|prior| prior.tasks > 0) else {
            return record;
        };
        let tasks = f64::from(prior.tasks);
        if let Some(rate) = prior.success_rate {
            let completed = (rate * tasks).round();
            record.sum = Tally {
                completed: completed as u64,
                failed: (tasks - completed) as u64,
                wins: completed,
                weight: tasks,
                at,
            };
        }
        let mean = |value| Mean {
            count: u64::from(prior.tasks),
            value,
        };
        record.quality = prior.quality.map(mean).unwrap_or_default();
        record.latency = prior.latency_ms.map(mean).unwrap_or_default();
        record.latency_all = record.latency;
        record
    }

    pub fn done(&mut self, done: &Done<'_>) {
        self.active_at = self.active_at.max(done.at);
        self.sum.add(done.success, done.at);
        if let Some(ms) = done.ms {
            self.latency_all.add(ms);
            if done.success {
                self.latency.add(ms);
            }
        }
        if let Some(quality) = done.quality {
            self.quality.add(quality.clamp(0.0, 1.0));
        }
        for need in done.needs {
            if self.by_skill.len() < APART || self.by_skill.contains_key(need) {
                let tally = self.by_skill.entry(need.clone()).or_default();
                tally.add(done.success, done.at);
            }
        }
        if let Some(kind) = done.kind
            && (self.by_kind.len() < APART || self.by_kind.contains_key(kind))
        {
            let tally = self.by_kind.entry(kind.clone()).or_default();
            tally.add(done.success, done.at);
        }
    }

    /// It has done well in a run in which these had before it.
    pub fn worked_with(&mut self, others: &[AgentName], at: Timestamp) {
        for other in others {
            let tie = self.with.entry(other.clone()).or_default();
            tie.weight = kept(tie.weight * decay(tie.at, at) + 1.0);
            tie.at = tie.at.max(at);
            tie.runs += 1;
        }
        while self.with.len() > TIES {
            let weaker = |a: &Tie, b: &Tie| a.strength(at).total_cmp(&b.strength(at));
            let weakest = self.with.iter().min_by(|(_, a), (_, b)| weaker(a, b));
            let Some(name) = weakest.map(|(name, _)| name.clone()) else {
                return;
            };
            self.with.remove(&name);
        }
    }

    pub fn lose(&mut self, at: Timestamp) {
        self.active_at = self.active_at.max(at);
        self.lost += 1;
    }

    pub fn begin(&mut self, at: Timestamp) {
        self.active_at = self.active_at.max(at);
    }

    pub fn tasks(&self) -> u64 {
        self.sum.count()
    }

    /// The recent share of successes, as long as anything is known.
    pub fn success_rate(&self) -> Option<f64> {
        self.sum.recent_rate()
    }

    /// SPEC 2.5.
    pub fn expertise(&self) -> Level {
        let count = self.tasks();
        let rate = self.sum.success_rate().unwrap_or(0.0);
        let quality = self.quality.known().unwrap_or(rate);
        let score = 0.3 * (count as f64 / 100.0).min(1.0) + 0.4 * rate + 0.3 * quality;
        match count {
            50.. if score >= 0.9 => Level::Master,
            25.. if score >= 0.75 => Level::Expert,
            10.. if score >= 0.6 => Level::Intermediate,
            _ => Level::Novice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1_000;

    fn fold(outcomes: &[(i64, bool, f64)]) -> Record {
        let kind = Kind::new("review").unwrap();
        let needs = [Capability::new("python").unwrap()];
        let mut record = Record::beginning(None, Timestamp(0));
        for (at, success, ms) in outcomes {
            record.done(&Done {
                at: Timestamp(*at),
                kind: Some(&kind),
                needs: &needs,
                success: *success,
                ms: Some(*ms),
                quality: None,
            });
        }
        record
    }

    // proves: SPEC 3.6, SPEC 3.3, SPEC 2.5, DESIGN 9
    #[test]
    fn means_over_successes_and_over_all_are_both_kept() {
        let record = fold(&[(1, true, 1_000.0), (1, true, 1_200.0), (1, false, 500.0)]);
        assert_eq!((record.sum.completed, record.sum.failed), (2, 1));
        assert_eq!(record.success_rate(), Some(2.0 / 3.0));
        assert_eq!(record.latency.known(), Some(1_100.0));
        assert_eq!(record.latency_all.known(), Some(900.0));
        assert_eq!(record.by_skill.values().next().unwrap().count(), 3);
    }

    #[test]
    fn a_rate_of_nought_is_a_rate() {
        assert_eq!(fold(&[(1, false, 1.0)]).success_rate(), Some(0.0));
        assert_eq!(fold(&[]).success_rate(), None);
    }

    #[test]
    fn what_is_old_weighs_less() {
        let record = fold(&[(1, false, 1.0), (28 * DAY + 1, true, 1.0)]);
        let rate = record.success_rate().unwrap();
        assert!((rate - 0.8).abs() < 1e-6, "{rate}");
        assert_eq!(record.sum.success_rate(), Some(0.5));
        let quiet = fold(&[(1, true, 1.0), (2, false, 1.0)]);
        assert!((quiet.success_rate().unwrap() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn what_it_did_elsewhere_counts_by_how_often() {
        let prior = Prior {
            success_rate: Some(0.95),
            latency_ms: Some(800.0),
            quality: Some(0.9),
            tasks: 20,
        };
        let record = Record::beginning(Some(&prior), Timestamp(5));
        assert_eq!((record.sum.completed, record.sum.failed), (19, 1));
        assert_eq!(record.success_rate(), Some(0.95));
        let hearsay = Prior { tasks: 0, ..prior };
        assert_eq!(
            Record::beginning(Some(&hearsay), Timestamp(5)).success_rate(),
            None
        );
    }

    #[test]
    fn expertise_needs_practice_and_success() {
        let level = |count: usize, every: usize| {
            let outcomes: Vec<_> = (0..count).map(|i| (1, i % every != 0, 1.0)).collect();
            fold(&outcomes).expertise()
        };
        assert_eq!(level(200, usize::MAX), Level::Master);
        assert_eq!(level(49, usize::MAX), Level::Expert);
        assert_eq!(level(12, 10), Level::Intermediate);
        assert_eq!(level(9, usize::MAX), Level::Novice);
        assert_eq!(level(100, 2), Level::Intermediate);
    }

    #[test]
    fn confidence_grows_with_what_was_done() {
        let sure = |count: usize| {
            let record = fold(&vec![(1, true, 1.0); count]);
            record.by_skill.values().next().unwrap().confidence()
        };
        assert!(sure(1) < 0.5 && sure(3) > 0.6 && sure(20) > 0.9);
    }

    #[test]
    fn old_ties_weigh_less_and_the_weakest_gives_way() {
        let name = |i: usize| AgentName::new(&format!("a{i}")).unwrap();
        let mut record = Record::default();
        for i in 0..=TIES {
            record.worked_with(&[name(i)], Timestamp(i as i64 * DAY));
        }
        assert_eq!(record.with.len(), TIES);
        assert!(!record.with.contains_key(&name(0)));
        let tie = record.with[&name(TIES)];
        let later = Timestamp((TIES as i64 + 14) * DAY);
        assert!((tie.strength(later) - 0.5).abs() < 1e-9);
        record.worked_with(&[name(TIES)], later);
        assert!((record.with[&name(TIES)].strength(later) - 1.5).abs() < 1e-6);
    }

    #[test]
    fn a_record_comes_back_from_its_text() {
        let mut record = fold(&[(1, true, 1_000.5), (DAY, false, 0.1)]);
        record.worked_with(&[AgentName::new("bob").unwrap()], Timestamp(7));
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
