//! What to do about agents that fail, have too much to do or are gone, and about skills that nobody has (SPEC 2.8, 3.5).

use std::collections::BTreeMap;

use serde::Serialize;

use super::search::takes_kind;
use super::{Agent, Profile};
use crate::id::{Capability, TeamName};
use crate::task::record::Class;
use crate::team::Team;
use crate::time::{Now, Timestamp, show_duration};

/// What there is to look at.
#[derive(Debug)]
pub struct Sight<'a> {
    pub now: Now,
    pub agents: &'a [Agent],
    pub teams: &'a BTreeMap<TeamName, Team>,
    /// Classes of tasks that are ready for anybody, each with when the first one in line became so.
    pub waiting: &'a [(Class, Timestamp)],
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub kind: Kind,
    /// The agent, the skill or the team.
    pub subject: String,
    pub cause: String,
    pub cure: String,
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Work waits that no agent can do.
    SkillMissing,
    /// Work is for a team that there is not.
    TeamMissing,
    /// Whoever could do what waits has as much as it may have.
    Overloaded,
    /// Much of its work fails.
    Failing,
    /// Much of its work of one sort fails.
    FailsAt,
    /// Its attempts end with their workers.
    Loses,
    /// Nothing was heard of it for a day.
    Stale,
    /// One has much to do and another one little.
    Uneven,
}

/// Outcomes from which on something can be said.
const OUTCOMES: f64 = 5.0;
/// Of work of one sort, less than this is failing.
const POOR: f64 = 0.5;
/// Attempts that ended with their workers, and their share of all, from which on that is no accident.
const LOST: u64 = 3;
const LOST_SHARE: f64 = 0.2;
/// A difference of what they use that is worth a word.
const GAP: f64 = super::route::GAP;

/// Everything that can be said, what holds work up first.
pub fn advise(sight: &Sight<'_>) -> Vec<Advice> {
    let mut all = held_up(sight);
    for agent in sight.agents {
        all.extend(of_agent(agent, sight.now));
    }
    all.extend(uneven(sight));
    all.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
    all.dedup();
    all
}

fn held_up(sight: &Sight<'_>) -> Vec<Advice> {
    let mut all = Vec::new();
    // What a shell or a worker runs needs no agent.
    let asks = |class: &Class| class.work == "agent" && (!class.needs.is_empty() || class.team.is_some());
    for (class, since) in sight
        .waiting
        .iter()
        .filter(|(class, _)| asks(class) && class.agent.is_none())
    {
        let waits = show_duration(sight.now.wall.since(*since));
        let team = class.team.as_ref().map(|name| (name, sight.teams.get(name)));
        if let Some((name, None)) = team {
            all.push(Advice {
                kind: Kind::TeamMissing,
                subject: name.to_string(),
                cause: format!("a task has waited for {waits} for a team that there is not"),
                cure: format!("`bell team set {name} --member AGENT`"),
            });
            continue;
        }
        let is_in =
            |agent: &&Agent| team.is_none_or(|(_, team)| team.is_some_and(|team| team.has(&agent.name)));
        let able: Vec<&Agent> = sight
            .agents
            .iter()
            .filter(is_in)
            .filter(|agent| takes_kind(&agent.profile, Some(&class.kind)))
            .filter(|agent| class.needs.iter().all(|need| agent.profile.has(need)))
            .collect();
        if able.is_empty() {
            all.extend(missing(sight, class, &waits));
        } else if able
            .iter()
            .all(|agent| agent.room() == 0 || agent.is_stale(sight.now))
        {
            let names: Vec<&str> = able.iter().take(5).map(|agent| agent.name.as_str()).collect();
            all.push(Advice {
                kind: Kind::Overloaded,
                subject: names.join(", "),
                cause: format!(
                    "{} waits for {waits}, and all {} that can do it are full or gone",
                    asked(class),
                    able.len()
                ),
                cure: format!(
                    "`bell agent edit {} --capacity N`, or register another one{}",
                    names[0],
                    with(&class.needs)
                ),
            });
        }
    }
    all
}

fn asked(class: &Class) -> String {
    let needs: Vec<&str> = class.needs.iter().map(Capability::as_str).collect();
    match needs.is_empty() {
        true => format!("work of kind {}", class.kind),
        false => format!("work that needs {}", needs.join(", ")),
    }
}

fn with(needs: &[Capability]) -> String {
    let flags: String = needs.iter().map(|need| format!(" --capability {need}")).collect();
    match flags.is_empty() {
        true => String::new(),
        false => format!(" with{flags}"),
    }
}

/// The skills that keep everybody from a class of tasks; where each is had by somebody, all of them together.
fn missing(sight: &Sight<'_>, class: &Class, waits: &str) -> Vec<Advice> {
    let has = |need: &Capability| sight.agents.iter().any(|agent| agent.profile.has(need));
    let lacks: Vec<&Capability> = class.needs.iter().filter(|need| !has(need)).collect();
    if lacks.is_empty() {
        let subject: Vec<&str> = class.needs.iter().map(Capability::as_str).collect();
        return vec![Advice {
            kind: Kind::SkillMissing,
            subject: subject.join(" + "),
            cause: format!(
                "{} of kind {} waits for {waits}, and no agent has all of it",
                asked(class),
                class.kind
            ),
            cure: format!("register one{}, or split the task", with(&class.needs)),
        }];
    }
    let one = |need: &Capability| {
        let tries =
            |agent: &&Agent| agent.profile.tries.contains_key(need) || agent.profile.shown.contains_key(need);
        let near = sight.agents.iter().find(tries);
        Advice {
            kind: Kind::SkillMissing,
            subject: need.to_string(),
            cause: format!("work that needs it waits for {waits}, and no agent has it"),
            cure: match near {
                Some(agent) => format!(
                    "`bell route TASK` lets {0} try it; `bell agent learn {0} {need}` says that it can",
                    agent.name
                ),
                None => format!("`bell agent register NAME --capability {need}`"),
            },
        }
    };
    lacks.into_iter().map(one).collect()
}

fn of_agent(agent: &Agent, now: Now) -> Vec<Advice> {
    let name = &agent.name;
    let mut all = Vec::new();
    let mut say = |kind, cause, cure| {
        all.push(Advice {
            kind,
            subject: name.to_string(),
            cause,
            cure,
        });
    };
    let (wins, weight) = agent.record.sum.weighed();
    let rate = wins / weight.max(1.0);
    let is_known = |weight: f64| weight >= OUTCOMES;
    let failing = is_known(weight) && rate <= Agent::HEALTHY;
    let poor: Vec<(&Capability, f64, f64)> = agent
        .record
        .by_skill
        .iter()
        .map(|(skill, tally)| (skill, tally.weighed()))
        .filter(|(_, (wins, weight))| is_known(*weight) && wins / weight < POOR)
        .map(|(skill, (wins, weight))| (skill, wins / weight, weight))
        .collect();
    let share = |share: f64| format!("{:.0} %", share * 100.0);
    if failing {
        let worst = poor.iter().min_by(|(_, a, _), (_, b, _)| a.total_cmp(b));
        let at = worst.map_or_else(String::new, |(skill, rate, _)| {
            format!(", {} at {skill}", share(*rate))
        });
        let spared = match worst {
            Some((skill, ..)) => format!("take {skill} out of its profile (`bell agent edit {name}`), or "),
            None => String::new(),
        };
        say(
            Kind::Failing,
            format!(
                "only {} of its last {weight:.0} outcomes are successes{at}",
                share(rate)
            ),
            format!(
                "`bell task list --agent {name} --state failed`; {spared}lower its load (`--capacity`), or let it go"
            ),
        );
    } else {
        for (skill, rate, weight) in poor {
            say(
                Kind::FailsAt,
                format!(
                    "only {} of its last {weight:.0} tasks that need {skill} succeed",
                    share(rate)
                ),
                format!("take {skill} out of its profile: `bell agent edit {name}`"),
            );
        }
    }
    let tried = agent.record.tasks() + agent.record.lost;
    let lost = agent.record.lost;
    if lost >= LOST && lost as f64 >= LOST_SHARE * tried as f64 {
        say(
            Kind::Loses,
            format!("{lost} of {tried} attempts ended with their worker"),
            "look at its workers (`bell worker list`): memory, time-outs, leases that are too short"
                .to_owned(),
        );
    }
    if agent.is_stale(now) {
        let span = show_duration(now.wall.since(agent.active_at()));
        say(
            Kind::Stale,
            format!("nothing was heard of it for {span}"),
            format!("`bell agent heartbeat {name}` if it is there, else `bell agent deregister {name}`"),
        );
    }
    all
}

fn uneven(sight: &Sight<'_>) -> Option<Advice> {
    let working = || {
        let here = |agent: &&Agent| !agent.profile.leaving && !agent.is_stale(sight.now);
        sight.agents.iter().filter(here)
    };
    let by_use = |a: &&Agent, b: &&Agent| {
        let order = a.utilisation().total_cmp(&b.utilisation());
        order.then_with(|| b.name.cmp(&a.name))
    };
    let (most, least) = (working().max_by(by_use)?, working().min_by(by_use)?);
    let waits = |agent: &Agent| agent.load.queued > 0;
    let shares = |a: &Profile, b: &Profile| a.offers().all(|offer| b.has(offer));
    let gap = most.utilisation() - least.utilisation();
    (gap > GAP).then(|| Advice {
        kind: Kind::Uneven,
        subject: format!("{}, {}", most.name, least.name),
        cause: format!(
            "{} is at {:.0} %, {} at {:.0} %",
            most.name,
            most.utilisation() * 100.0,
            least.name,
            least.utilisation() * 100.0
        ),
        cure: match waits(most) || shares(&most.profile, &least.profile) {
            true => "`bell route --rebalance` moves what waits".to_owned(),
            false => format!(
                "teach {} what {} does, or change their capacities",
                least.name, most.name
            ),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::Done;
    use super::super::{Load, Record};
    use super::*;
    use crate::id::AgentName;
    use crate::task::spec::{Spec, Work};

    const NOW: Now = Now {
        wall: Timestamp(90_000_000),
        mono: 0,
    };

    fn cap(text: &str) -> Capability {
        Capability::new(text).unwrap()
    }

    fn agent(name: &str, can: &[&str], active: u32) -> Agent {
        Agent {
            name: AgentName::new(name).unwrap(),
            profile: Profile {
                capabilities: can.iter().map(|name| cap(name)).collect(),
                capacity: 2,
                seen_at: NOW.wall,
                ..Profile::default()
            },
            record: Record::default(),
            load: Load { active, queued: 0 },
        }
    }

    fn waiting(needs: &[&str], team: Option<&str>) -> (Class, Timestamp) {
        let mut spec = Spec::new("t", Work::Prompt("do it".to_owned()));
        spec.needs = needs.iter().map(|name| cap(name)).collect();
        spec.team = team.map(|name| TeamName::new(name).unwrap());
        (Class::of(&spec), Timestamp(NOW.wall.0 - 60_000))
    }

    fn told(agents: &[Agent], waiting: &[(Class, Timestamp)]) -> Vec<(Kind, String)> {
        let sight = Sight {
            now: NOW,
            agents,
            teams: &BTreeMap::new(),
            waiting,
        };
        advise(&sight)
            .into_iter()
            .map(|advice| (advice.kind, advice.subject))
            .collect()
    }

    fn done(agent: &mut Agent, skill: &str, outcomes: &[bool]) {
        for success in outcomes {
            agent.record.done(&Done {
                at: NOW.wall,
                kind: None,
                needs: &[cap(skill)],
                success: *success,
                ms: None,
                quality: None,
            });
        }
    }

    // proves: SPEC 2.8, SPEC 3.5
    #[test]
    fn what_holds_work_up_is_said() {
        let agents = [agent("ann", &["python"], 2), agent("bob", &["sql"], 0)];
        let nothing = told(&[agent("ann", &["python"], 1)], &[waiting(&["python"], None)]);
        assert_eq!(nothing, []);
        let tell = |needs: &[&str], team| told(&agents, &[waiting(needs, team)])[0].clone();
        assert_eq!(tell(&["go"], None), (Kind::SkillMissing, "go".to_owned()));
        assert_eq!(
            tell(&["python", "sql"], None),
            (Kind::SkillMissing, "python + sql".to_owned())
        );
        assert_eq!(tell(&["python"], None), (Kind::Overloaded, "ann".to_owned()));
        assert_eq!(tell(&["sql"], Some("web")), (Kind::TeamMissing, "web".to_owned()));
        assert_eq!(told(&agents, &[])[0].0, Kind::Uneven);
    }

    #[test]
    fn who_fails_is_told_once_there_is_enough_to_say() {
        let kinds = |agent: Agent| {
            let told = told(&[agent], &[]);
            told.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
        };
        let mut ann = agent("ann", &[], 0);
        done(&mut ann, "sql", &[false; 4]);
        assert_eq!(kinds(ann.clone()), [], "four are too few");
        done(&mut ann, "sql", &[false]);
        assert_eq!(kinds(ann.clone()), [Kind::Failing]);
        done(&mut ann, "css", &[true; 40]);
        assert_eq!(kinds(ann.clone()), [Kind::FailsAt]);
        (0..20).for_each(|_| ann.record.lose(NOW.wall));
        ann.profile.seen_at = Timestamp(0);
        ann.record.active_at = Timestamp(0);
        assert_eq!(kinds(ann), [Kind::FailsAt, Kind::Loses, Kind::Stale]);
    }
}
