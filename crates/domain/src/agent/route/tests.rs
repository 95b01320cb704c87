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
    team: Option<TeamName>,
    exclude: Vec<AgentName>,
}

impl Bed {
    fn new(agents: &[Agent]) -> Bed {
        Bed {
            roster: Roster::new(agents, NOW),
            needs: vec![Capability::new("python").unwrap()],
            kind: Kind::new("review").unwrap(),
            team: None,
            exclude: Vec::new(),
        }
    }

    fn ask(&self, strategy: Strategy, decided: u64, seed: u64) -> Result<Decision, Refusal> {
        let asked = Asked {
            needs: &self.needs,
            kind: &self.kind,
            team: self.team.as_ref(),
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

fn team(bed: &mut Bed, name: &str, members: &[&str]) -> TeamName {
    let name = TeamName::new(name).unwrap();
    let members: Vec<AgentName> = members.iter().map(|name| AgentName::new(name).unwrap()).collect();
    bed.roster.put_team(&name, &members);
    name
}

// proves: DESIGN 9, SPEC 3.6
#[test]
fn what_is_for_a_team_goes_to_a_member_of_it() {
    let mut bed = Bed::new(&[
        agent("a", 0.95, 100, 0),
        agent("b", 0.6, 100, 0),
        agent("c", 0.5, 9, 5),
    ]);
    bed.team = Some(team(&mut bed, "web", &["b", "c", "z"]));
    let decision = bed.ask(Strategy::Quality, 0, 0).unwrap();
    assert_eq!((decision.selected.as_str(), decision.capable), ("b", 2));
    assert_eq!(
        decision.reason,
        "the best of 1 that are free, of 2 in the team web that can do it"
    );
    bed.exclude = vec![AgentName::new("b").unwrap()];
    let full = bed.ask(Strategy::Quality, 0, 0).unwrap_err();
    assert_eq!(
        full.detail,
        "the one agent of the team web that can do it is full or stale"
    );
    bed.team = TeamName::new("none").ok();
    assert_eq!(
        bed.ask(Strategy::Quality, 0, 0).unwrap_err().code,
        Code::TeamNotFound
    );
}

// proves: DESIGN 9
#[test]
fn a_good_team_lifts_its_members() {
    let mut bed = Bed::new(&[
        agent("a", 0.8, 100, 0),
        agent("b", 0.7, 10, 0),
        agent("c", 0.99, 1_000, 0),
        agent("d", 0.75, 100, 0),
    ]);
    bed.needs = Vec::new();
    bed.exclude = vec![AgentName::new("c").unwrap()];
    assert_eq!(bed.best(Strategy::Team), "a", "nobody is in a team");
    team(&mut bed, "good", &["b", "c"]);
    team(&mut bed, "poor", &["a", "d"]);
    let decision = bed.ask(Strategy::Team, 0, 0).unwrap();
    assert_eq!(decision.selected.as_str(), "b");
    assert_eq!(
        decision.candidates[0].reason,
        "70% of 10 succeeded, has 0 of 5; its team good: 99% of 1010 succeeded, 0% used"
    );
    assert_eq!(bed.best(Strategy::Quality), "a");
}

// proves: DESIGN 9
#[test]
fn a_skill_of_a_colleague_is_tried_when_nobody_else_is_free_and_now_and_then() {
    let mut trier = agent("t", 0.9, 100, 0);
    trier.profile.capabilities = Vec::new();
    trier.profile.tries = [(Capability::new("python").unwrap(), 0.24)].into();
    let bed = Bed::new(&[agent("able", 0.9, 100, 5), trier.clone()]);
    let decision = bed.ask(Strategy::Quality, 0, 0).unwrap();
    assert_eq!((decision.selected.as_str(), decision.confidence), ("t", 0.24));
    assert_eq!(
        decision.reason,
        "tries python, which its team has learned; nobody who can do it is free"
    );
    assert_eq!(decision.tries.len(), 1);
    let bed = Bed::new(&[agent("able", 0.9, 100, 0), trier.clone()]);
    assert_eq!(bed.best(Strategy::Quality), "able");
    let shares = bed.shares(0);
    assert!((10..150).contains(&shares["t"]), "{shares:?}");
    trier.load.active = 1;
    let bed = Bed::new(&[agent("able", 0.9, 100, 0), trier]);
    assert!(!bed.shares(0).contains_key("t"), "one at a time");
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
