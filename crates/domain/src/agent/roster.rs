//! The agents of a project as routing keeps them in mind: who can do what, in sets of bits, and how busy each is.
//!
//! A change of one agent touches its own bits; a question intersects the sets of what is needed and looks at those who
//! are left. With 10,000 agents that is some tens of microseconds.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::Agent;
use crate::id::{AgentName, Capability, Kind, TeamName};
use crate::time::Now;

type Map<K, V> = HashMap<K, V, FxBuildHasher>;

/// A set of seats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, at: usize, on: bool) {
        if self.0.len() <= at / 64 {
            self.0.resize(at / 64 + 1, 0);
        }
        let bit = 1 << (at % 64);
        match on {
            true => self.0[at / 64] |= bit,
            false => self.0[at / 64] &= !bit,
        }
    }

    fn keep(&mut self, other: Option<&Bits>) {
        let other = other.map_or(&[][..], |bits| &bits.0);
        for (i, word) in self.0.iter_mut().enumerate() {
            *word &= other.get(i).copied().unwrap_or(0);
        }
    }

    fn add(&mut self, other: &Bits) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(word, more)| *word |= more);
    }

    fn drop(&mut self, other: &Bits) {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(word, less)| *word &= !less);
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(i, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                if left == 0 {
                    return None;
                }
                let lowest = left.trailing_zeros() as usize;
                left &= left - 1;
                Some(i * 64 + lowest)
            })
        })
    }
}

/// What routing needs to know of one agent.
#[derive(Clone, Debug)]
pub struct Seat {
    pub name: AgentName,
    pub capacity: u32,
    /// Held and waiting.
    pub load: u32,
    /// `None` while nothing is known.
    pub success_rate: Option<f64>,
    /// Outcomes that are known.
    pub tasks: u64,
    /// Mean milliseconds of what succeeded.
    pub latency: f64,
    pub leaving: bool,
    pub stale: bool,
    skills: Vec<Capability>,
    /// What it may try, and how sure that is.
    tries: Map<Capability, f64>,
    kinds: Vec<Kind>,
    /// Successes and outcomes, each weighing less the older it is.
    done: (f64, f64),
    by_skill: Map<Capability, (f64, f64)>,
}

impl Seat {
    pub fn utilisation(&self) -> f64 {
        f64::from(self.load) / f64::from(self.capacity.max(1))
    }

    pub fn utilisation_with_one_more(&self) -> f64 {
        f64::from(self.load.saturating_add(1)) / f64::from(self.capacity.max(1))
    }

    pub fn is_free(&self) -> bool {
        !self.leaving && !self.stale && self.load < self.capacity
    }

    /// How often it does well what is needed, as far as that is known apart.
    pub fn fit(&self, needs: &[Capability], otherwise: f64) -> f64 {
        if needs.is_empty() {
            return otherwise;
        }
        let known = |need| {
            self.by_skill
                .get(need)
                .map_or(otherwise, |(wins, all)| wins / all)
        };
        needs.iter().map(known).sum::<f64>() / needs.len() as f64
    }

    /// What it would have to try for these needs, and how sure the least of it is; `None` when it has them all.
    pub fn tries<'a>(&'a self, needs: &'a [Capability]) -> Option<(Vec<&'a Capability>, f64)> {
        let lacks = needs.iter().filter(|need| !self.skills.contains(need));
        let tried: Vec<&Capability> = lacks.collect();
        let sure = |need: &&Capability| self.tries.get(*need).copied().unwrap_or(0.0);
        let least = tried.iter().map(sure).min_by(f64::total_cmp)?;
        Some((tried, least))
    }
}

/// A team as a choice sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Crowd<'a> {
    pub name: &'a TeamName,
    /// How often its members do well what is needed; `None` while nothing is known.
    pub rate: Option<f64>,
    /// Outcomes that this is known from.
    pub outcomes: f64,
    pub utilisation: f64,
}

/// What is known of some teams for one choice.
#[derive(Debug, Default)]
pub(super) struct Crowds<'a> {
    member_of: Option<&'a Map<AgentName, Vec<TeamName>>>,
    known: Map<&'a TeamName, Crowd<'a>>,
}

impl Crowds<'_> {
    pub(super) fn of(&self, seat: &Seat) -> impl Iterator<Item = &Crowd<'_>> {
        let teams = self.member_of.and_then(|member_of| member_of.get(&seat.name));
        teams
            .into_iter()
            .flatten()
            .filter_map(|team| self.known.get(team))
    }
}

#[derive(Clone, Debug, Default)]
pub struct Roster {
    seats: Vec<Option<Seat>>,
    /// Seats that somebody has left.
    empty: Vec<usize>,
    by_name: Map<AgentName, usize>,
    by_skill: Map<Capability, Bits>,
    by_try: Map<Capability, Bits>,
    teams: Map<TeamName, Vec<AgentName>>,
    member_of: Map<AgentName, Vec<TeamName>>,
    by_kind: Map<Kind, Bits>,
    any_kind: Bits,
    taken: Bits,
    free: Bits,
}

impl Roster {
    pub fn new<'a>(agents: impl IntoIterator<Item = &'a Agent>, now: Now) -> Roster {
        let mut roster = Roster::default();
        agents.into_iter().for_each(|agent| roster.put(agent, now));
        roster
    }

    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Says who is in a team; of agents that are put in later, too.
    pub fn put_team(&mut self, name: &TeamName, members: &[AgentName]) {
        let before = self
            .teams
            .insert(name.clone(), members.to_vec())
            .unwrap_or_default();
        for member in before {
            if let Some(teams) = self.member_of.get_mut(&member) {
                teams.retain(|team| team != name);
            }
        }
        for member in members {
            let teams = self.member_of.entry(member.clone()).or_default();
            let at = teams.partition_point(|team| team < name);
            teams.insert(at, name.clone());
        }
    }

    /// Adds an agent, or replaces what is known of it.
    pub fn put(&mut self, agent: &Agent, now: Now) {
        self.remove(&agent.name);
        let at = self.empty.pop().unwrap_or(self.seats.len());
        if at == self.seats.len() {
            self.seats.push(None);
        }
        let rates = agent.record.by_skill.iter();
        let mut skills: Vec<Capability> = agent.profile.offers().cloned().collect();
        skills.sort_unstable();
        skills.dedup();
        let told = agent.profile.prior.and_then(|prior| prior.success_rate);
        let seat = Seat {
            name: agent.name.clone(),
            capacity: agent.profile.capacity,
            load: agent.load.active.saturating_add(agent.load.queued),
            success_rate: agent.record.success_rate().or(told),
            tasks: agent.record.tasks(),
            latency: agent.record.latency.known().unwrap_or(0.0),
            leaving: agent.profile.leaving,
            stale: agent.is_stale(now),
            skills,
            tries: agent.profile.tries.clone().into_iter().collect(),
            kinds: agent.profile.kinds.clone(),
            done: agent.record.sum.weighed(),
            by_skill: rates
                .map(|(name, tally)| (name.clone(), tally.weighed()))
                .filter(|(_, (_, weight))| *weight > 0.0)
                .collect(),
        };
        self.by_name.insert(seat.name.clone(), at);
        self.mark(&seat, at, true);
        self.free.set(at, seat.is_free());
        self.seats[at] = Some(seat);
    }

    pub fn remove(&mut self, name: &AgentName) {
        let Some(at) = self.by_name.remove(name) else {
            return;
        };
        if let Some(seat) = self.seats[at].take() {
            self.mark(&seat, at, false);
        }
        self.free.set(at, false);
        self.empty.push(at);
    }

    /// One more task for an agent, or so many fewer.
    pub fn give(&mut self, name: &AgentName, more: i32) {
        let Some(&at) = self.by_name.get(name) else { return };
        if let Some(seat) = &mut self.seats[at] {
            seat.load = seat.load.saturating_add_signed(more);
            let free = seat.is_free();
            self.free.set(at, free);
        }
    }

    fn mark(&mut self, seat: &Seat, at: usize, on: bool) {
        self.taken.set(at, on);
        for skill in &seat.skills {
            self.by_skill.entry(skill.clone()).or_default().set(at, on);
        }
        for skill in seat.tries.keys() {
            self.by_try.entry(skill.clone()).or_default().set(at, on);
        }
        if seat.kinds.is_empty() {
            self.any_kind.set(at, on);
        }
        for kind in &seat.kinds {
            self.by_kind.entry(kind.clone()).or_default().set(at, on);
        }
    }

    /// Everybody who has all that is needed and does this kind of work; of a team, its members.
    pub(super) fn capable(
        &self,
        needs: &[Capability],
        kind: &Kind,
        team: Option<&TeamName>,
        exclude: &[AgentName],
    ) -> Bits {
        let mut left = self.doers(kind, team, exclude);
        for need in needs {
            left.keep(self.by_skill.get(need));
        }
        left
    }

    /// Those who have all that is needed but something that they may try.
    pub(super) fn triers(
        &self,
        needs: &[Capability],
        kind: &Kind,
        team: Option<&TeamName>,
        exclude: &[AgentName],
    ) -> Bits {
        let mut left = self.doers(kind, team, exclude);
        let mut able = left.clone();
        for need in needs {
            let has = self.by_skill.get(need);
            let mut either = has.cloned().unwrap_or_default();
            self.by_try
                .get(need)
                .into_iter()
                .for_each(|bits| either.add(bits));
            left.keep(Some(&either));
            able.keep(has);
        }
        left.drop(&able);
        left
    }

    fn doers(&self, kind: &Kind, team: Option<&TeamName>, exclude: &[AgentName]) -> Bits {
        let mut left = self.any_kind.clone();
        if let Some(bits) = self.by_kind.get(kind) {
            left.add(bits);
        }
        left.keep(Some(&self.taken));
        if let Some(team) = team {
            let mut members = Bits::default();
            for name in self.teams.get(team).into_iter().flatten() {
                if let Some(&at) = self.by_name.get(name) {
                    members.set(at, true);
                }
            }
            left.keep(Some(&members));
        }
        for name in exclude {
            if let Some(&at) = self.by_name.get(name) {
                left.set(at, false);
            }
        }
        left
    }

    pub(super) fn free_of(&self, capable: &Bits) -> Bits {
        let mut free = capable.clone();
        free.keep(Some(&self.free));
        free
    }

    pub(super) fn seats<'a, 'b>(&'a self, of: &'b Bits) -> impl Iterator<Item = &'a Seat> + use<'a, 'b> {
        of.iter().filter_map(|at| self.seats[at].as_ref())
    }

    /// How the teams of these agents do what is needed, each looked at once.
    pub(super) fn crowds<'a>(&'a self, of: &Bits, needs: &[Capability]) -> Crowds<'a> {
        let mut crowds = Crowds {
            member_of: Some(&self.member_of),
            known: Map::default(),
        };
        for seat in of.iter().filter_map(|at| self.seats[at].as_ref()) {
            for team in self.member_of.get(&seat.name).into_iter().flatten() {
                let known = crowds.known.entry(team);
                known.or_insert_with(|| self.crowd(team, needs));
            }
        }
        crowds
    }

    fn crowd<'a>(&'a self, name: &'a TeamName, needs: &[Capability]) -> Crowd<'a> {
        let members = self.teams.get(name).into_iter().flatten();
        let seats: Vec<&Seat> = members.filter_map(|member| self.seat(member)).collect();
        let sum = |of: &dyn Fn(&Seat) -> (f64, f64)| {
            let pairs = seats.iter().map(|seat| of(seat));
            pairs.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
        };
        let part = |need: &Capability| sum(&|seat| seat.by_skill.get(need).copied().unwrap_or_default());
        let parts: Vec<(f64, f64)> = match needs.is_empty() {
            true => vec![sum(&|seat| seat.done)],
            false => needs.iter().map(part).collect(),
        };
        let known: Vec<(f64, f64)> = parts.into_iter().filter(|(_, all)| *all > 0.0).collect();
        let rates: f64 = known.iter().map(|(wins, all)| wins / all).sum();
        let (load, capacity) = sum(&|seat| (f64::from(seat.load), f64::from(seat.capacity)));
        Crowd {
            name,
            rate: (!known.is_empty()).then(|| rates / known.len() as f64),
            outcomes: known.iter().map(|(_, all)| all).sum(),
            utilisation: load / capacity.max(1.0),
        }
    }

    pub fn has_team(&self, name: &TeamName) -> bool {
        self.teams.contains_key(name)
    }

    pub fn seat(&self, name: &AgentName) -> Option<&Seat> {
        self.by_name.get(name).and_then(|at| self.seats[*at].as_ref())
    }

    pub fn all(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agent::{Load, Profile, Record};
    use crate::time::Timestamp;

    const NOW: Now = Now {
        wall: Timestamp(0),
        mono: 0,
    };

    fn agent(name: u8, skills: u8, kinds: u8, active: u32) -> Agent {
        let bits = |bits: u8| (0..8).filter(move |bit| bits >> bit & 1 == 1);
        Agent {
            name: AgentName::new(&format!("a{name}")).unwrap(),
            profile: Profile {
                capabilities: bits(skills)
                    .map(|bit| Capability::new(&format!("c{bit}")).unwrap())
                    .collect(),
                kinds: bits(kinds)
                    .map(|bit| Kind::new(&format!("k{bit}")).unwrap())
                    .collect(),
                capacity: 2,
                ..Profile::default()
            },
            record: Record::default(),
            load: Load { active, queued: 0 },
        }
    }

    proptest! {
        /// The index says what looking at everybody would say, after any comings, goings and changes.
        #[test]
        fn the_index_is_right(
            steps in prop::collection::vec((0u8..100, any::<u8>(), 0u8..4, 0u32..4, any::<bool>()), 1..300),
            needs in any::<u8>(),
        ) {
            let mut roster = Roster::default();
            let mut plain = std::collections::BTreeMap::new();
            for (name, skills, kinds, active, stays) in steps {
                let agent = agent(name, skills, kinds, active);
                if stays {
                    roster.put(&agent, NOW);
                    plain.insert(agent.name.clone(), agent);
                } else {
                    roster.remove(&agent.name);
                    plain.remove(&agent.name);
                }
            }
            let needs: Vec<Capability> =
                agent(0, needs & needs.rotate_left(3), 0, 0).profile.capabilities;
            let kind = Kind::new("k1").unwrap();
            let capable = roster.capable(&needs, &kind, None, &[]);
            let free = roster.free_of(&capable);
            let names = |bits: &Bits| {
                let mut names: Vec<_> = roster.seats(bits).map(|seat| seat.name.clone()).collect();
                names.sort();
                names
            };
            let can = |agent: &&Agent| {
                needs.iter().all(|need| agent.profile.has(need))
                    && (agent.profile.kinds.is_empty() || agent.profile.kinds.contains(&kind))
            };
            let expected: Vec<_> = plain.values().filter(can).collect();
            prop_assert_eq!(names(&capable), expected.iter().map(|a| a.name.clone()).collect::<Vec<_>>());
            prop_assert_eq!(capable.count(), expected.len());
            let expected: Vec<_> = expected.iter().filter(|a| a.room() > 0).map(|a| a.name.clone()).collect();
            prop_assert_eq!(names(&free), expected);
            prop_assert_eq!(roster.len(), plain.len());
        }
    }

    #[test]
    fn a_seat_fills_and_empties() {
        let mut roster = Roster::new([&agent(1, 1, 0, 1)], NOW);
        let name = AgentName::new("a1").unwrap();
        let free = |roster: &Roster| {
            let kind = Kind::new("k").unwrap();
            roster.free_of(&roster.capable(&[], &kind, None, &[])).count()
        };
        assert_eq!(free(&roster), 1);
        roster.give(&name, 1);
        assert_eq!(free(&roster), 0);
        roster.give(&name, -1);
        assert_eq!(free(&roster), 1);
    }
}
