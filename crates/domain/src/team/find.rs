//! What follows from who works with whom: teams that nobody had to name, and skills that one member has learned and the
//! others may try.

use std::collections::{BTreeMap, BTreeSet};

use super::Team;
use super::ties::Ties;
use crate::agent::Agent;
use crate::agent::skill::How;
use crate::id::{AgentName, Capability, TeamName};
use crate::limits;
use crate::time::Timestamp;

/// How sure one is of a skill that only a colleague has shown, as a share of the colleague's own confidence. Well below
/// [`crate::agent::Profile::SURE`]: work is given for it now and then, and never claimed.
pub const SECOND_HAND: f64 = 0.3;
/// Skills that one agent is to try at the same time.
const TRIES: usize = 32;
/// So many failures of a try are enough.
const FAILURES: u64 = 3;

/// The teams that were found, as they should be: to write, and to take away. What somebody has named stays as it is.
pub fn teams(
    agents: &[Agent],
    known: &BTreeMap<TeamName, Team>,
    now: Timestamp,
) -> (BTreeMap<TeamName, Team>, Vec<TeamName>) {
    let ties = Ties::new(agents, now);
    let named: BTreeSet<&[AgentName]> = known
        .values()
        .filter(|team| !team.found)
        .map(|team| &team.members[..])
        .collect();
    let mut groups: Vec<Vec<AgentName>> = ties
        .groups()
        .into_iter()
        .map(|group| bounded(group, &ties))
        .filter(|group| !named.contains(&group[..]))
        .collect();
    let mut old: BTreeMap<&TeamName, &Team> = known.iter().filter(|(_, team)| team.found).collect();
    let mut write = BTreeMap::new();
    // Each group goes on as the team that it shares the most members with, the surest first.
    let mut pairs: Vec<(usize, &TeamName, usize)> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        for (name, team) in &old {
            let both = group.iter().filter(|member| team.has(member)).count();
            if both * 2 >= group.len().min(team.members.len()) && both > 0 {
                pairs.push((both, *name, at));
            }
        }
    }
    pairs.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
    let mut goes_on: Vec<Option<&TeamName>> = vec![None; groups.len()];
    for (_, name, at) in pairs {
        if goes_on[at].is_none() && old.contains_key(name) {
            old.remove(name);
            goes_on[at] = Some(name);
        }
    }
    let mut room = limits::TEAMS.saturating_sub(known.len());
    let mut placed: BTreeSet<AgentName> = BTreeSet::new();
    for (members, name) in groups.drain(..).zip(goes_on) {
        placed.extend(members.iter().cloned());
        match name {
            Some(name) => {
                let before = &known[name];
                if before.members != members {
                    let team = Team {
                        members,
                        ..before.clone()
                    };
                    write.insert(name.clone(), team);
                }
            }
            None if room > 0 => {
                room -= 1;
                let name = fresh(&members, &ties, |name| {
                    known.contains_key(name) || write.contains_key(name)
                });
                let team = Team {
                    members,
                    about: None,
                    found: true,
                    since: now,
                };
                write.insert(name, team);
            }
            None => {}
        }
    }
    // A team whose members have not found another one stays, though they work less with each other.
    let registered: BTreeSet<&AgentName> = agents.iter().map(|agent| &agent.name).collect();
    let mut gone = Vec::new();
    for (name, team) in old {
        let left: Vec<AgentName> = team
            .members
            .iter()
            .filter(|member| registered.contains(member) && !placed.contains(*member))
            .cloned()
            .collect();
        match left.len() {
            0 | 1 => gone.push(name.clone()),
            count if count < team.members.len() => {
                let team = Team {
                    members: left,
                    ..team.clone()
                };
                write.insert(name.clone(), team);
            }
            _ => {}
        }
    }
    (write, gone)
}

/// The members in order; of too many, those with the strongest ties.
fn bounded(group: Vec<&AgentName>, ties: &Ties<'_>) -> Vec<AgentName> {
    let mut members = group;
    if members.len() > limits::TEAM_MEMBERS {
        members.sort_by(|a, b| ties.weight(b).total_cmp(&ties.weight(a)).then_with(|| a.cmp(b)));
        members.truncate(limits::TEAM_MEMBERS);
        members.sort_unstable();
    }
    members.into_iter().cloned().collect()
}

/// After the member with the strongest ties.
fn fresh(members: &[AgentName], ties: &Ties<'_>, is_taken: impl Fn(&TeamName) -> bool) -> TeamName {
    let strongest = members.iter().reduce(|best, member| {
        if ties.weight(member) > ties.weight(best) {
            member
        } else {
            best
        }
    });
    let mut stem = strongest.map_or("team", AgentName::as_str);
    while stem.len() > limits::NAME_BYTES - "with--1000".len() {
        stem = &stem[..stem.floor_char_boundary(stem.len() - 1)];
    }
    let named = |text: String| TeamName::new(&text).expect("it is made of the name of an agent");
    let first = named(format!("with-{stem}"));
    let others = (2..).map(|n| named(format!("with-{stem}-{n}")));
    let mut all = std::iter::once(first.clone()).chain(others);
    all.find(|name| !is_taken(name)).unwrap_or(first)
}

/// What each agent is to try because a member of one of its teams has learned it, with how sure that is. Who knows
/// something of the skill already, or has failed at it often enough, does not try.
pub fn tries<'t>(
    agents: &[Agent],
    teams: impl IntoIterator<Item = &'t Team>,
) -> BTreeMap<AgentName, BTreeMap<Capability, f64>> {
    let index: BTreeMap<&AgentName, &Agent> = agents.iter().map(|agent| (&agent.name, agent)).collect();
    let mut all: BTreeMap<AgentName, BTreeMap<Capability, f64>> = BTreeMap::new();
    for team in teams {
        let members: Vec<&Agent> = team
            .members
            .iter()
            .filter_map(|name| index.get(name).copied())
            .collect();
        let mut taught: BTreeMap<&Capability, f64> = BTreeMap::new();
        for member in &members {
            for (name, skill) in member.skills() {
                let is_learned = matches!(skill.how, How::Told | How::Shown);
                if is_learned && member.profile.has(name) {
                    let best = taught.entry(name).or_default();
                    *best = best.max(skill.confidence);
                }
            }
        }
        for member in members {
            for (name, confidence) in &taught {
                if may_try(member, name) {
                    let low = (SECOND_HAND * confidence * 100.0).round() / 100.0;
                    let tries = all.entry(member.name.clone()).or_default();
                    let best = tries.entry((*name).clone()).or_insert(low);
                    *best = best.max(low);
                }
            }
        }
    }
    for tries in all.values_mut().filter(|tries| tries.len() > TRIES) {
        let mut surest: Vec<(Capability, f64)> = std::mem::take(tries).into_iter().collect();
        surest.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        surest.truncate(TRIES);
        tries.extend(surest);
    }
    all
}

fn may_try(agent: &Agent, skill: &Capability) -> bool {
    let failed = agent.record.by_skill.get(skill);
    let has_tried = failed.is_some_and(|tally| tally.failed >= FAILURES && tally.failed > tally.completed);
    !agent.profile.has(skill) && !has_tried
}

#[cfg(test)]
mod tests {
    use super::super::ties::tests::{NOW, agents};
    use super::*;

    fn members(team: &Team) -> String {
        team.members.iter().map(AgentName::as_str).collect()
    }

    fn found(agents: &[Agent], known: &mut BTreeMap<TeamName, Team>) -> Vec<String> {
        let (write, gone) = teams(agents, known, NOW);
        gone.iter().for_each(|name| drop(known.remove(name)));
        known.extend(write);
        known
            .iter()
            .map(|(name, team)| format!("{name} {}", members(team)))
            .collect()
    }

    // proves: SPEC 3.6, DESIGN 9
    #[test]
    fn a_team_that_is_found_keeps_its_name() {
        let mut known = BTreeMap::new();
        let three = [('a', 'b', 4), ('b', 'c', 3), ('a', 'c', 2)];
        assert_eq!(found(&agents("abcd", &three), &mut known), ["with-b abc"]);
        let four = [&three[..], &[('c', 'd', 9), ('d', 'b', 9), ('d', 'a', 9)]].concat();
        assert_eq!(found(&agents("abcd", &four), &mut known), ["with-b abcd"]);
        assert_eq!(
            found(&agents("abcd", &four), &mut known),
            ["with-b abcd"],
            "nothing to do"
        );
        assert_eq!(
            found(&agents("abc", &[]), &mut known),
            ["with-b abc"],
            "who works less together stays, who has left goes"
        );
        let apart = [('a', 'x', 5), ('b', 'y', 5), ('c', 'x', 5)];
        let teams = found(&agents("abcxy", &apart), &mut known);
        assert_eq!(teams, ["with-b acx", "with-b-2 by"]);
        assert_eq!(found(&[], &mut known), Vec::<String>::new());
    }

    #[test]
    fn what_somebody_has_named_is_left_alone() {
        let agents = agents("abc", &[('a', 'b', 3)]);
        let team = |names: &[&str]| Team {
            members: names.iter().map(|name| AgentName::new(name).unwrap()).collect(),
            ..Team::default()
        };
        let name = TeamName::new("core").unwrap();
        let mut known = BTreeMap::from([(name.clone(), team(&["a", "b"]))]);
        assert_eq!(found(&agents, &mut known), ["core ab"], "it has a name already");
        known.insert(name, team(&["a", "c"]));
        assert_eq!(found(&agents, &mut known), ["core ac", "with-a ab"]);
    }

    // proves: DESIGN 9
    #[test]
    fn a_skill_that_one_has_learned_is_tried_by_the_others() {
        let sql = Capability::new("sql").unwrap();
        let mut agents = agents("abcd", &[]);
        agents[0].profile.learned = [(sql.clone(), 0.8)].into();
        agents[1].profile.capabilities = vec![sql.clone()];
        for _ in 0..FAILURES {
            agents[2].record.done(&crate::agent::record::Done {
                at: NOW,
                kind: None,
                needs: std::slice::from_ref(&sql),
                success: false,
                ms: None,
                quality: None,
            });
        }
        let all = Team {
            members: agents.iter().map(|agent| agent.name.clone()).collect(),
            ..Team::default()
        };
        let tries = tries(&agents, [&all]);
        let told: Vec<_> = tries.iter().map(|(name, of)| (name.as_str(), of[&sql])).collect();
        assert_eq!(told, [("d", 0.24)], "b can do it, and c has failed");
    }
}
