//! Who gets a task: a pure choice from what the [`Roster`] knows, with its reasons (SPEC 2.6, 3.4).

use std::cmp::Ordering;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Agent;
use super::roster::{Bits, Roster, Seat};
use crate::code::{Code, Refusal, nearest};
use crate::id::{AgentName, Capability, Kind};
use crate::task::retry::{mix, unit};

/// By what an agent is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Success rate, less by how busy it is.
    #[default]
    Quality,
    /// Mostly the most promising, now and then another, so that new ones get their chance.
    Bandit,
    /// How well it has done what is needed, more than how well it does in general.
    Capability,
}

impl Strategy {
    pub const ALL: [Strategy; 3] = [Strategy::Quality, Strategy::Bandit, Strategy::Capability];

    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::Quality => "quality",
            Strategy::Bandit => "bandit",
            Strategy::Capability => "capability",
        }
    }
}

impl FromStr for Strategy {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Strategy, Refusal> {
        let known = Strategy::ALL.map(Strategy::as_str);
        let found = Strategy::ALL
            .into_iter()
            .find(|strategy| strategy.as_str() == text);
        found.ok_or_else(|| {
            let detail = format!("`{}` is no strategy of routing", text.escape_debug());
            Refusal::new(Code::InvalidArgument, detail).help(match nearest(text, known) {
                Some(near) => format!("did you mean `{near}`? known are {}", known.join(", ")),
                None => format!("known are {}", known.join(", ")),
            })
        })
    }
}

/// What is asked of routing.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub needs: &'a [Capability],
    pub kind: &'a Kind,
    /// Who shall not get it.
    pub exclude: &'a [AgentName],
    pub strategy: Strategy,
    /// Decisions made before: the bandit explores less and less.
    pub decided: u64,
    /// Where the bandit's chance comes from.
    pub seed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Decision {
    pub selected: AgentName,
    pub strategy: Strategy,
    /// From 0 to 1: how much is known of who was chosen, and how good that is.
    pub confidence: f64,
    pub reason: String,
    /// The chosen one first, then the next best, then those that could do it but are not free; [`SHOWN`] at the most.
    pub candidates: Vec<Candidate>,
    /// Who could do it, and how many of them are free.
    pub capable: usize,
    pub free: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Candidate {
    pub agent: AgentName,
    pub score: f64,
    pub reason: String,
}

/// Candidates that are kept with a decision.
pub const SHOWN: usize = 10;

/// The bandit's numbers (SPEC 2.6).
mod bandit {
    pub(super) const EPSILON: f64 = 0.1;
    pub(super) const EPSILON_MIN: f64 = 0.01;
    pub(super) const DECAY: f64 = 0.995;
    /// Whoever has done less is new and goes first, until as much is under way.
    pub(super) const SAMPLE: u64 = 5;
    pub(super) const UCB: f64 = 2.0;
    pub(super) const UTILISATION_MAX: f64 = 0.9;
    /// Chance goes to those that have more than half of their capacity left, if there are any.
    pub(super) const CALM: f64 = 0.5;
}

/// The share of decisions that are left to chance after so many.
pub fn epsilon(decided: u64) -> f64 {
    let decay = bandit::DECAY.powf(decided as f64);
    (bandit::EPSILON * decay).max(bandit::EPSILON_MIN)
}

/// Chooses an agent, or says why there is none.
pub fn route(roster: &Roster, asked: &Asked<'_>) -> Result<Decision, Refusal> {
    let capable = roster.capable(asked.needs, asked.kind, asked.exclude);
    let free = roster.free_of(&capable);
    let mut ranked = Ranked::default();
    for seat in roster.seats(&free).filter(|seat| is_open(seat, asked.strategy)) {
        ranked.add(score(seat, asked), seat);
    }
    let explored = match asked.strategy {
        Strategy::Bandit => explore(roster, &free, asked),
        _ => None,
    };
    let Some(selected) = explored.or(ranked.best.first().map(|(_, seat)| *seat)) else {
        return Err(nobody(asked, capable.count()));
    };
    let mut candidates = vec![candidate(score(selected, asked), selected)];
    let others = ranked.best.iter().filter(|(_, seat)| seat.name != selected.name);
    candidates.extend(others.map(|(score, seat)| candidate(*score, seat)));
    candidates.truncate(SHOWN);
    if candidates.len() < SHOWN {
        let busy = roster
            .seats(&capable)
            .filter(|seat| !is_open(seat, asked.strategy));
        let room = SHOWN - candidates.len();
        candidates.extend(busy.take(room).map(|seat| candidate(0.0, seat)));
    }
    let reason = match explored {
        Some(_) => format!("chosen by chance among {}, to learn how it does", ranked.count),
        None if asked.strategy == Strategy::Bandit && selected.tasks < bandit::SAMPLE => {
            format!("new: it has done {} of {} trials", selected.tasks, bandit::SAMPLE)
        }
        None => format!(
            "the best of {} that are free, of {} that can do it",
            ranked.count,
            capable.count()
        ),
    };
    Ok(Decision {
        selected: selected.name.clone(),
        strategy: asked.strategy,
        confidence: rounded(confidence(selected)),
        reason,
        candidates,
        capable: capable.count(),
        free: free.count(),
    })
}

fn nobody(asked: &Asked<'_>, capable: usize) -> Refusal {
    if capable == 0 {
        let needs: Vec<&str> = asked.needs.iter().map(Capability::as_str).collect();
        let with = match needs.is_empty() {
            true => String::new(),
            false => format!(" and has {}", needs.join(", ")),
        };
        let detail = format!("no agent does tasks of kind {}{with}", asked.kind);
        return Refusal::new(Code::NoCapableAgent, detail).help("`bell agent list` shows what each can do");
    }
    let detail = match capable {
        1 => "the one agent that can do it is full or stale".to_owned(),
        _ => format!("all {capable} agents that can do it are full or stale"),
    };
    Refusal::new(Code::NoAvailableAgent, detail)
        .help("wait, or raise a capacity: `bell agent edit NAME --capacity N`")
}

fn is_open(seat: &Seat, strategy: Strategy) -> bool {
    seat.is_free() && (strategy != Strategy::Bandit || seat.utilisation() <= bandit::UTILISATION_MAX)
}

/// By chance, one that is calm, else anyone; most of the time nobody.
fn explore<'a>(roster: &'a Roster, free: &'a Bits, asked: &Asked<'_>) -> Option<&'a Seat> {
    if unit(mix(asked.seed)) >= epsilon(asked.decided) {
        return None;
    }
    let open = |seat: &&Seat| is_open(seat, Strategy::Bandit);
    let calm = |seat: &&Seat| seat.utilisation() < bandit::CALM;
    let pick = |count: usize| (unit(mix(asked.seed ^ 0x5EED)) * count as f64) as usize;
    match roster.seats(free).filter(open).filter(calm).count() {
        0 => {
            let count = roster.seats(free).filter(open).count();
            roster.seats(free).filter(open).nth(pick(count))
        }
        count => roster.seats(free).filter(open).filter(calm).nth(pick(count)),
    }
}

fn score(seat: &Seat, asked: &Asked<'_>) -> f64 {
    match asked.strategy {
        Strategy::Quality => seat.success_rate.unwrap_or(1.0) * (1.0 - seat.utilisation().min(1.0)),
        Strategy::Capability => {
            let success = seat.success_rate.unwrap_or(Agent::NEW_RATE);
            let fit = seat.fit(asked.needs, success);
            0.7 * (0.3 + 0.2 * fit) / 0.5 + 0.3 * success
        }
        Strategy::Bandit => {
            let success = seat.success_rate.unwrap_or(Agent::NEW_RATE);
            // What a new one has under way are trials, too: it does not get everything until the first one ends.
            let trials = seat.tasks + u64::from(seat.load);
            match trials < bandit::SAMPLE {
                true => success + 1.0,
                false => {
                    let decided = asked.decided as f64;
                    success + bandit::UCB * ((decided + 1.0).ln() / (trials as f64 + 1.0)).sqrt()
                }
            }
        }
    }
}

/// SPEC 2.6.
fn confidence(seat: &Seat) -> f64 {
    match seat.success_rate {
        None => 0.1,
        Some(success) => {
            let known = (seat.tasks as f64 / 50.0).min(1.0);
            0.4 * known + 0.4 * success + 0.2 * (1.0 - seat.utilisation()).max(0.1)
        }
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn candidate(score: f64, seat: &Seat) -> Candidate {
    let does = match seat.success_rate {
        Some(rate) => format!("{:.0}% of {} succeeded", rate * 100.0, seat.tasks),
        None => "new".to_owned(),
    };
    let why = match () {
        () if seat.leaving => "is being deregistered".to_owned(),
        () if seat.stale => "has not been heard of for a day".to_owned(),
        () => format!("has {} of {}", seat.load, seat.capacity),
    };
    Candidate {
        agent: seat.name.clone(),
        score: rounded(score),
        reason: format!("{does}, {why}"),
    }
}

/// The best few so far, and how many there were.
#[derive(Default)]
struct Ranked<'a> {
    best: Vec<(f64, &'a Seat)>,
    count: usize,
}

impl<'a> Ranked<'a> {
    fn add(&mut self, score: f64, seat: &'a Seat) {
        self.count += 1;
        let full = self.best.len() == SHOWN;
        if full
            && self
                .best
                .last()
                .is_some_and(|last| before(last, &(score, seat)).is_lt())
        {
            return;
        }
        let new = (score, seat);
        let at = self.best.partition_point(|known| before(known, &new).is_lt());
        self.best.insert(at, new);
        self.best.truncate(SHOWN);
    }
}

/// Higher score first; then less to do, then faster, then by name.
fn before((a, x): &(f64, &Seat), (b, y): &(f64, &Seat)) -> Ordering {
    b.total_cmp(a)
        .then_with(|| x.utilisation().total_cmp(&y.utilisation()))
        .then_with(|| x.latency.total_cmp(&y.latency))
        .then_with(|| x.name.cmp(&y.name))
}

/// Two agents of which one has much to do and the other little (SPEC 3.4).
#[derive(Clone, Debug, PartialEq)]
pub struct Imbalance {
    pub busiest: AgentName,
    pub calmest: AgentName,
    /// The difference of their utilisations.
    pub gap: f64,
}

/// A gap of more than half is worth moving work for.
pub const GAP: f64 = 0.5;

/// Whether work should be moved from one agent to another.
pub fn imbalance(roster: &Roster) -> Option<Imbalance> {
    let working = || roster.all().filter(|seat| !seat.leaving && !seat.stale);
    let by_use = |a: &&Seat, b: &&Seat| {
        let order = a.utilisation().total_cmp(&b.utilisation());
        order.then_with(|| b.name.cmp(&a.name))
    };
    let (busiest, calmest) = (working().max_by(by_use)?, working().min_by(by_use)?);
    let gap = busiest.utilisation() - calmest.utilisation();
    (gap > GAP).then(|| Imbalance {
        busiest: busiest.name.clone(),
        calmest: calmest.name.clone(),
        gap: rounded(gap),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::profile::Prior;
    use crate::agent::{Load, Profile, Record};
    use crate::time::{Now, Timestamp};

    const NOW: Now = Now {
        wall: Timestamp(0),
        mono: 0,
    };

    fn agent(name: &str, rate: f64, tasks: u32, active: u32) -> Agent {
        let prior = Prior {
            success_rate: (tasks > 0).then_some(rate),
            tasks,
            ..Prior::default()
        };
        Agent {
            name: AgentName::new(name).unwrap(),
            profile: Profile {
                capabilities: vec![Capability::new("python").unwrap()],
                ..Profile::default()
            },
            record: Record::beginning(Some(&prior), Timestamp(0)),
            load: Load { active, queued: 0 },
        }
    }

    struct Bed {
        roster: Roster,
        needs: Vec<Capability>,
        kind: Kind,
        exclude: Vec<AgentName>,
    }

    impl Bed {
        fn new(agents: &[Agent]) -> Bed {
            Bed {
                roster: Roster::new(agents, NOW),
                needs: vec![Capability::new("python").unwrap()],
                kind: Kind::new("review").unwrap(),
                exclude: Vec::new(),
            }
        }

        fn ask(&self, strategy: Strategy, decided: u64, seed: u64) -> Result<Decision, Refusal> {
            let asked = Asked {
                needs: &self.needs,
                kind: &self.kind,
                exclude: &self.exclude,
                strategy,
                decided,
                seed,
            };
            route(&self.roster, &asked)
        }

        fn best(&self, strategy: Strategy) -> String {
            self.ask(strategy, 0, 3).unwrap().selected.to_string()
        }

        /// How often each is chosen, in a thousand.
        fn shares(&self, decided: u64) -> std::collections::BTreeMap<String, usize> {
            let mut shares = std::collections::BTreeMap::new();
            for seed in 0..1_000 {
                let decision = self.ask(Strategy::Bandit, decided, seed).unwrap();
                *shares.entry(decision.selected.to_string()).or_insert(0) += 1;
            }
            shares
        }
    }

    // proves: SPEC 3.4, SPEC 2.6
    #[test]
    fn quality_is_success_less_what_there_is_to_do() {
        let bed = Bed::new(&[
            agent("good", 0.95, 100, 3),
            agent("fair", 0.6, 100, 0),
            agent("full", 1.0, 100, 5),
        ]);
        let decision = bed.ask(Strategy::Quality, 0, 0).unwrap();
        let scores: Vec<_> = decision
            .candidates
            .iter()
            .map(|candidate| (candidate.agent.as_str(), candidate.score))
            .collect();
        assert_eq!(scores, [("fair", 0.6), ("good", 0.38), ("full", 0.0)]);
        assert_eq!((decision.capable, decision.free), (3, 2));
        assert!(decision.candidates[2].reason.contains("has 5 of 5"));
    }

    #[test]
    fn ties_go_to_the_calmer_then_the_faster_then_by_name() {
        let mut calm = agent("z", 0.5, 10, 0);
        calm.profile.capacity = 10;
        let bed = Bed::new(&[agent("c", 0.5, 10, 0), agent("b", 0.5, 10, 0), calm]);
        assert_eq!(bed.best(Strategy::Quality), "b");
        let mut fast = agent("y", 0.5, 10, 0);
        fast.record.latency.add(5.0);
        let mut slow = agent("x", 0.5, 10, 0);
        slow.record.latency.add(50.0);
        assert_eq!(Bed::new(&[slow, fast]).best(Strategy::Quality), "y");
    }

    #[test]
    fn who_has_done_what_is_needed_goes_before_who_is_good_in_general() {
        let mut versed = agent("versed", 0.8, 100, 0);
        let kind = Kind::new("review").unwrap();
        for _ in 0..20 {
            versed.record.done(&crate::agent::record::Done {
                at: Timestamp(0),
                kind: Some(&kind),
                needs: &[Capability::new("python").unwrap()],
                success: true,
                ms: None,
                quality: None,
            });
        }
        let bed = Bed::new(&[versed, agent("general", 0.9, 100, 0)]);
        assert_eq!(bed.best(Strategy::Capability), "versed");
        assert_eq!(bed.best(Strategy::Quality), "general");
    }

    // proves: SPEC 2.6
    #[test]
    fn the_bandit_mostly_takes_the_better_of_two() {
        let bed = Bed::new(&[agent("good", 0.95, 100, 0), agent("poor", 0.5, 100, 0)]);
        for decided in [0, 100, 10_000] {
            let good = bed.shares(decided)["good"];
            assert!((800..=1_000).contains(&good), "{good} after {decided}");
        }
        assert!(bed.shares(0).contains_key("poor"), "chance is left to the other");
    }

    #[test]
    fn the_bandit_gives_a_new_one_its_trials_and_not_everything() {
        let bed = Bed::new(&[agent("old", 0.9, 100, 0), agent("new", 0.0, 0, 0)]);
        assert!(bed.shares(100)["new"] > 50);
        let decision = bed.ask(Strategy::Bandit, 100, 3).unwrap();
        assert_eq!((decision.selected.as_str(), decision.confidence), ("new", 0.1));
        let mut new = agent("new", 0.0, 0, 5);
        new.profile.capacity = 100;
        let bed = Bed::new(&[agent("old", 0.99, 100, 0), new]);
        assert!(
            bed.shares(0).get("old").is_some_and(|share| *share > 900),
            "five trials are under way"
        );
    }

    #[test]
    fn the_bandit_leaves_the_busy_alone() {
        let mut busy = agent("busy", 0.99, 100, 19);
        busy.profile.capacity = 20;
        let bed = Bed::new(&[busy, agent("calm", 0.3, 100, 0)]);
        let decision = bed.ask(Strategy::Bandit, 5, 3).unwrap();
        assert_eq!(decision.selected.as_str(), "calm");
        assert_eq!(decision.candidates[1].agent.as_str(), "busy");
        assert!(epsilon(0) == 0.1 && epsilon(100) < 0.07 && epsilon(10_000) == 0.01);
    }

    // proves: SPEC 2.6, SPEC 3.1
    #[test]
    fn nobody_is_told_apart_from_nobody_free() {
        let mut bed = Bed::new(&[agent("a", 0.9, 10, 5), agent("b", 0.9, 10, 0)]);
        bed.exclude = vec![AgentName::new("b").unwrap()];
        assert_eq!(
            bed.ask(Strategy::Quality, 0, 0).unwrap_err().code,
            Code::NoAvailableAgent
        );
        bed.needs = vec![Capability::new("python3").unwrap()];
        let refusal = bed.ask(Strategy::Quality, 0, 0).unwrap_err();
        assert_eq!(refusal.code, Code::NoCapableAgent);
        assert_eq!(
            refusal.detail,
            "no agent does tasks of kind review and has python3"
        );
    }

    // proves: SPEC 3.4
    #[test]
    fn a_wide_gap_is_an_imbalance() {
        let gap = |a: u32, b: u32| {
            let agents = [agent("a", 0.9, 1, a), agent("b", 0.9, 1, b)];
            imbalance(&Roster::new(&agents, NOW))
        };
        let found = gap(0, 3).unwrap();
        assert_eq!(
            (found.busiest.as_str(), found.calmest.as_str(), found.gap),
            ("b", "a", 0.6)
        );
        assert_eq!(gap(1, 3), None);
        assert_eq!(imbalance(&Roster::new(&[agent("a", 0.9, 1, 5)], NOW)), None);
    }

    #[test]
    fn only_the_best_few_are_kept() {
        let agents: Vec<Agent> = (0..100)
            .map(|i| agent(&format!("a{i}"), f64::from(i) / 100.0, 100, 0))
            .collect();
        let decision = Bed::new(&agents).ask(Strategy::Quality, 0, 0).unwrap();
        let names: Vec<_> = decision
            .candidates
            .iter()
            .map(|of| of.agent.to_string())
            .collect();
        let expected: Vec<_> = (90..100).rev().map(|i| format!("a{i}")).collect();
        assert_eq!(names, expected);
    }
}
