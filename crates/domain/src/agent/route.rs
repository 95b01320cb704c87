//! Who gets a task: a pure choice from what the [`Roster`] knows, with its reasons (SPEC 2.6, 3.4).

use std::cmp::Ordering;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Agent;
use super::roster::{Bits, Crowd, Crowds, Roster, Seat};
use crate::code::{Code, Refusal, nearest};
use crate::id::{AgentName, Capability, Kind, TeamName};
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
    /// Who is good and calm, in a team that is: half by the agent, half by the best of its teams for what is needed.
    Team,
}

impl Strategy {
    pub const ALL: [Strategy; 4] = [
        Strategy::Quality,
        Strategy::Bandit,
        Strategy::Capability,
        Strategy::Team,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::Quality => "quality",
            Strategy::Bandit => "bandit",
            Strategy::Capability => "capability",
            Strategy::Team => "team",
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
    /// Only its members do it.
    pub team: Option<&'a TeamName>,
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
    /// The team that the task is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// What it has not done before and shall try, because a member of a team of its has learned it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<Capability>,
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
    let capable = roster.capable(asked.needs, asked.kind, asked.team, asked.exclude);
    let free = roster.free_of(&capable);
    let triers = roster.free_of(&roster.triers(asked.needs, asked.kind, asked.team, asked.exclude));
    let crowds = match asked.strategy {
        Strategy::Team => roster.crowds(&capable, asked.needs),
        _ => Crowds::default(),
    };
    let mut ranked = Ranked::default();
    for seat in roster.seats(&free).filter(|seat| is_open(seat, asked.strategy)) {
        ranked.add(score(&crowds, seat, asked), seat);
    }
    let explored = match asked.strategy {
        Strategy::Bandit => explore(roster, &free, &triers, asked),
        _ => None,
    };
    // Who may try goes before nobody.
    let tries = || {
        let sure = |seat: &&Seat| seat.tries(asked.needs).map_or(0.0, |(_, sure)| sure);
        let surer = |a: &&Seat, b: &&Seat| {
            let order = sure(a).total_cmp(&sure(b));
            order.then_with(|| before(&(0.0, *b), &(0.0, *a)))
        };
        roster.seats(&triers).max_by(surer)
    };
    let best = ranked.best.first().map(|(_, seat)| *seat);
    let Some(selected) = explored.or(best).or_else(tries) else {
        return Err(nobody(roster, asked, capable.count()));
    };
    let trial = selected.tries(asked.needs);
    let mut candidates = vec![candidate(
        &crowds,
        score(&crowds, selected, asked),
        selected,
        asked,
    )];
    let others = ranked.best.iter().filter(|(_, seat)| seat.name != selected.name);
    candidates.extend(others.map(|(score, seat)| candidate(&crowds, *score, seat, asked)));
    candidates.truncate(SHOWN);
    if candidates.len() < SHOWN {
        let busy = roster
            .seats(&capable)
            .filter(|seat| !is_open(seat, asked.strategy));
        let room = SHOWN - candidates.len();
        let busy = busy.filter(|seat| seat.name != selected.name);
        candidates.extend(busy.take(room).map(|seat| candidate(&crowds, 0.0, seat, asked)));
    }
    let within = asked
        .team
        .map_or(String::new(), |team| format!(" in the team {team}"));
    let reason = match explored {
        _ if trial.is_some() => {
            let tried: Vec<&str> = trial
                .iter()
                .flat_map(|(tried, _)| tried.iter().map(|need| need.as_str()))
                .collect();
            let others = match free.count() {
                0 => format!("nobody who can do it is free{within}"),
                free => format!("{free} that can do it are free{within}"),
            };
            format!("tries {}, which its team has learned; {others}", tried.join(", "))
        }
        Some(_) => format!("chosen by chance among {}, to learn how it does", ranked.count),
        None if asked.strategy == Strategy::Bandit && selected.tasks < bandit::SAMPLE => {
            format!("new: it has done {} of {} trials", selected.tasks, bandit::SAMPLE)
        }
        None => format!(
            "the best of {} that are free, of {}{within} that can do it",
            ranked.count,
            capable.count()
        ),
    };
    Ok(Decision {
        selected: selected.name.clone(),
        strategy: asked.strategy,
        team: asked.team.cloned(),
        confidence: rounded(match &trial {
            Some((_, sure)) => sure.min(confidence(selected)),
            None => confidence(selected),
        }),
        tries: trial.map_or_else(Vec::new, |(tried, _)| tried.into_iter().cloned().collect()),
        reason,
        candidates,
        capable: capable.count(),
        free: free.count(),
    })
}

fn nobody(roster: &Roster, asked: &Asked<'_>, capable: usize) -> Refusal {
    if let Some(team) = asked.team.filter(|team| !roster.has_team(team)) {
        let detail = format!("the task is for the team {team}, and there is none");
        let help =
            format!("`bell team set {team} --member AGENT` makes it; `bell team list` shows the teams");
        return Refusal::new(Code::TeamNotFound, detail).help(help);
    }
    let within = asked
        .team
        .map_or(String::new(), |team| format!(" of the team {team}"));
    if capable == 0 {
        let needs: Vec<&str> = asked.needs.iter().map(Capability::as_str).collect();
        let with = match needs.is_empty() {
            true => String::new(),
            false => format!(" and has {}", needs.join(", ")),
        };
        let detail = format!("no agent{within} does tasks of kind {}{with}", asked.kind);
        return Refusal::new(Code::NoCapableAgent, detail).help("`bell agent list` shows what each can do");
    }
    let detail = match capable {
        1 => format!("the one agent{within} that can do it is full or stale"),
        _ => format!("all {capable} agents{within} that can do it are full or stale"),
    };
    Refusal::new(Code::NoAvailableAgent, detail)
        .help("wait, or raise a capacity: `bell agent edit NAME --capacity N`")
}

fn is_open(seat: &Seat, strategy: Strategy) -> bool {
    seat.is_free() && (strategy != Strategy::Bandit || seat.utilisation() <= bandit::UTILISATION_MAX)
}

/// By chance, one that is calm, else anyone; most of the time nobody. Those that may try are among them, and have one task
/// at a time.
fn explore<'a>(roster: &'a Roster, free: &Bits, triers: &Bits, asked: &Asked<'_>) -> Option<&'a Seat> {
    if unit(mix(asked.seed)) >= epsilon(asked.decided) {
        return None;
    }
    let mut all: Vec<&Seat> = roster.seats(free).collect();
    all.extend(roster.seats(triers).filter(|seat| seat.load == 0));
    let open = |seat: &&Seat| is_open(seat, Strategy::Bandit);
    let calm = |seat: &&Seat| seat.utilisation() < bandit::CALM;
    let pick = |count: usize| (unit(mix(asked.seed ^ 0x5EED)) * count as f64) as usize;
    all.retain(open);
    if all.iter().any(calm) {
        all.retain(calm);
    }
    all.get(pick(all.len())).copied()
}

fn quality(seat: &Seat) -> f64 {
    seat.success_rate.unwrap_or(1.0) * (1.0 - seat.utilisation().min(1.0))
}

/// What a team promises for a task, less by how busy it is; one of which nothing is known is taken for what an agent is.
fn promise(crowd: &Crowd<'_>) -> f64 {
    crowd.rate.unwrap_or(Agent::NEW_RATE) * (1.0 - crowd.utilisation.min(1.0))
}

fn best_team<'a>(crowds: &'a Crowds<'a>, seat: &Seat) -> Option<&'a Crowd<'a>> {
    let better = |best: &'a Crowd<'a>, other: &'a Crowd<'a>| match promise(other) > promise(best) {
        true => other,
        false => best,
    };
    crowds.of(seat).reduce(better)
}

fn score(crowds: &Crowds<'_>, seat: &Seat, asked: &Asked<'_>) -> f64 {
    match asked.strategy {
        Strategy::Quality => quality(seat),
        Strategy::Team => {
            let own = quality(seat);
            0.5 * own + 0.5 * best_team(crowds, seat).map_or(own, promise)
        }
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

fn candidate(crowds: &Crowds<'_>, score: f64, seat: &Seat, asked: &Asked<'_>) -> Candidate {
    let does = match seat.success_rate {
        Some(rate) if seat.tasks == 0 => format!("{:.0}% are said to succeed", rate * 100.0),
        Some(rate) => format!("{:.0}% of {} succeeded", rate * 100.0, seat.tasks),
        None => "new".to_owned(),
    };
    let why = match () {
        () if seat.leaving => "is being deregistered".to_owned(),
        () if seat.stale => "has not been heard of for a day".to_owned(),
        () => format!("has {} of {}", seat.load, seat.capacity),
    };
    let team = match asked.strategy {
        Strategy::Team => best_team(crowds, seat).map_or(", in no team".to_owned(), |crowd| {
            let does = match crowd.rate {
                Some(rate) => format!("{:.0}% of {:.0} succeeded", rate * 100.0, crowd.outcomes),
                None => "nothing known".to_owned(),
            };
            let busy = crowd.utilisation * 100.0;
            format!("; its team {}: {does}, {busy:.0}% used", crowd.name)
        }),
        _ => String::new(),
    };
    Candidate {
        agent: seat.name.clone(),
        score: rounded(score),
        reason: format!("{does}, {why}{team}"),
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
mod tests;
