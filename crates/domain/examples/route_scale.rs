//! Times routing: `cargo run --release -p domain --example route_scale [AGENTS] [CAPABILITIES]`.
//!
//! Each agent has a tenth of the capabilities and is in a team of ten. Each task needs two of them, one if it is for a team. Every
//! decision is followed by what it changes.

use std::time::Instant;

use domain::agent::profile::Prior;
use domain::agent::roster::Roster;
use domain::agent::route::{Asked, Strategy, route};
use domain::agent::{Agent, Load, Profile, Record};
use domain::id::{AgentName, Capability, Kind, TeamName};
use domain::task::retry::{mix, unit};
use domain::time::{Now, Timestamp};

const NOW: Now = Now {
    wall: Timestamp(0),
    mono: 0,
};

fn agent(i: u64, skills: &[Capability]) -> Agent {
    let has = |at: &usize| mix(i << 20 | *at as u64).is_multiple_of(10);
    let prior = Prior {
        success_rate: Some(unit(mix(i))),
        tasks: 20,
        ..Prior::default()
    };
    Agent {
        name: AgentName::new(&format!("agent-{i}")).expect("a name"),
        profile: Profile {
            capabilities: (0..skills.len())
                .filter(has)
                .map(|at| skills[at].clone())
                .collect(),
            capacity: 10,
            ..Profile::default()
        },
        record: Record::beginning(Some(&prior), Timestamp(0)),
        load: Load::default(),
    }
}

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<u64>().expect("a number"));
    let agents = args.next().unwrap_or(10_000);
    let count = args.next().unwrap_or(100);
    let skills: Vec<Capability> = (0..count)
        .map(|i| Capability::new(&format!("skill-{i}")).expect("a name"))
        .collect();
    let agents: Vec<Agent> = (0..agents).map(|i| agent(i, &skills)).collect();
    let began = Instant::now();
    let mut roster = Roster::new(&agents, NOW);
    for (i, members) in agents.chunks(10).enumerate() {
        let mut members: Vec<_> = members.iter().map(|agent| agent.name.clone()).collect();
        members.sort_unstable();
        roster.put_team(&TeamName::new(&format!("team-{i}")).expect("a name"), &members);
    }
    println!(
        "{} agents with {count} capabilities among them are indexed in {:.1} ms",
        roster.len(),
        began.elapsed().as_secs_f64() * 1e3
    );
    let kind = Kind::new("review").expect("a name");
    let teams = roster.len() as u64 / 10;
    let all = Strategy::ALL.iter();
    for (strategy, for_team) in all.flat_map(|strategy| [(*strategy, false), (*strategy, true)]) {
        let mut roster = roster.clone();
        let mut times = Vec::new();
        for i in 0..20_000 {
            let at = |shift: u64| (mix(i ^ shift << 40) % count) as usize;
            let needs = [skills[at(1)].clone(), skills[at(2)].clone()];
            let team = TeamName::new(&format!("team-{}", mix(i ^ 3 << 40) % teams.max(1))).expect("a name");
            let asked = Asked {
                needs: if for_team { &needs[..1] } else { &needs },
                kind: &kind,
                team: for_team.then_some(&team),
                exclude: &[],
                strategy,
                decided: i,
                seed: mix(i),
            };
            let began = Instant::now();
            let decision = route(&roster, &asked);
            if let Ok(decision) = &decision {
                roster.give(&decision.selected, 1);
            }
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[(times.len() as f64 * share) as usize];
        println!(
            "{:<10} {:<13} p50 {:>6.1} us  p99 {:>6.1} us  mean {:>6.1} us",
            strategy.as_str(),
            if for_team { "for a team" } else { "for anybody" },
            at(0.5),
            at(0.99),
            times.iter().sum::<f64>() / times.len() as f64
        );
    }
}
