//! Who fits what is looked for, best first (SPEC 2.5).

use std::collections::BTreeMap;

use super::profile::Level;
use super::record::Tally;
use super::{Agent, Profile};
use crate::id::{Capability, Kind};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// All of them, each exactly, wherever the profile names it.
    pub needs: Vec<Capability>,
    pub kind: Option<Kind>,
    pub languages: Vec<Capability>,
    /// With the level that it must have at least.
    pub specialisations: BTreeMap<Capability, Option<Level>>,
    /// From 0 to 1.
    pub utilisation_max: Option<f64>,
    pub success_min: Option<f64>,
}

impl Query {
    pub fn takes(&self, agent: &Agent) -> bool {
        let profile = &agent.profile;
        takes_kind(profile, self.kind.as_ref())
            && self.needs.iter().all(|need| profile.has(need))
            && self.languages.iter().all(|name| profile.languages.contains(name))
            && self.specialisations.iter().all(|(name, least)| {
                let has = profile.specialisations.get(name);
                has.is_some_and(|level| least.is_none() || *level >= *least)
            })
            && self
                .utilisation_max
                .is_none_or(|most| agent.utilisation() <= most)
            && self
                .success_min
                .is_none_or(|least| agent.success_rate(Agent::NEW_RATE) >= least)
    }

    /// From 0 to 1: kind, languages and specialisations asked for, and success, each by its weight.
    pub fn score(&self, agent: &Agent) -> f64 {
        let profile = &agent.profile;
        let success = agent.success_rate(Agent::NEW_RATE);
        let mut parts = vec![(0.3, 1.0), (0.2, success)];
        if !self.languages.is_empty() {
            let has = self
                .languages
                .iter()
                .filter(|name| profile.languages.contains(name));
            parts.push((0.3, share(has.count(), self.languages.len())));
        }
        if !self.specialisations.is_empty() {
            let asked = self.specialisations.keys();
            let has: Vec<_> = asked
                .filter_map(|name| Some((name, profile.specialisations.get(name)?)))
                .collect();
            parts.push((0.2, share(has.len(), self.specialisations.len())));
            let depth = |(name, level): &(&Capability, &Option<Level>)| {
                mastery(**level, agent.record.by_skill.get(*name), success)
            };
            let depth: f64 = has.iter().map(depth).sum();
            parts.push((0.25, depth / self.specialisations.len() as f64));
        }
        let weights: f64 = parts.iter().map(|(weight, _)| weight).sum();
        parts.iter().map(|(weight, part)| weight * part).sum::<f64>() / weights
    }

    /// Those that fit, with their scores: by success rate where that differs by more than a hundredth, else by score.
    pub fn search<'a>(&self, agents: impl IntoIterator<Item = &'a Agent>) -> Vec<(&'a Agent, f64)> {
        let mut found: Vec<(&Agent, f64)> = agents
            .into_iter()
            .filter(|agent| self.takes(agent))
            .map(|agent| (agent, self.score(agent)))
            .collect();
        let rate = |agent: &Agent| agent.success_rate(Agent::NEW_RATE);
        found.sort_by(|(a, _), (b, _)| rate(b).total_cmp(&rate(a)).then_with(|| a.name.cmp(&b.name)));
        // "About as good" is no order by itself, so everyone is compared with the best of a group.
        let mut start = 0;
        while start < found.len() {
            let best = rate(found[start].0);
            let group = found[start..]
                .iter()
                .take_while(|(agent, _)| best - rate(agent) <= 0.01);
            let end = start + group.count();
            found[start..end].sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.name.cmp(&b.name)));
            start = end;
        }
        found
    }
}

/// Whether an agent does this kind of work at all.
pub fn takes_kind(profile: &Profile, kind: Option<&Kind>) -> bool {
    profile.kinds.is_empty() || kind.is_none_or(|kind| profile.kinds.contains(kind))
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// Level, success and experience in one specialisation.
fn mastery(level: Option<Level>, tally: Option<&Tally>, otherwise: f64) -> f64 {
    let success = tally.and_then(Tally::success_rate).unwrap_or(otherwise);
    let experience = tally.map_or(0.0, |tally| (tally.count() as f64 / 50.0).min(1.0));
    0.4 * level.unwrap_or(Level::Novice).share() + 0.4 * success + 0.2 * experience
}

impl Agent {
    /// The success rate of whom nothing is known, where many are compared (SPEC 2.5).
    pub const NEW_RATE: f64 = 0.8;
}

#[cfg(test)]
mod tests {
    use super::super::{Load, Record};
    use super::*;
    use crate::agent::profile::Prior;
    use crate::id::AgentName;
    use crate::time::Timestamp;

    fn cap(name: &str) -> Capability {
        Capability::new(name).unwrap()
    }

    fn agent(name: &str, rate: f64, languages: &[&str]) -> Agent {
        let prior = Prior {
            success_rate: Some(rate),
            tasks: 1_000,
            ..Prior::default()
        };
        Agent {
            name: AgentName::new(name).unwrap(),
            record: Record::beginning(Some(&prior), Timestamp(0)),
            profile: Profile {
                languages: languages.iter().map(|name| cap(name)).collect(),
                prior: Some(prior),
                ..Profile::default()
            },
            load: Load::default(),
        }
    }

    fn names(found: &[(&Agent, f64)]) -> Vec<String> {
        found.iter().map(|(agent, _)| agent.name.to_string()).collect()
    }

    // proves: SPEC 2.5
    #[test]
    fn success_goes_first_and_fit_decides_among_equals() {
        let mut versed = agent("versed", 0.905, &["rust"]);
        versed
            .profile
            .specialisations
            .insert(cap("auth"), Some(Level::Master));
        let mut plain = agent("plain", 0.91, &["rust"]);
        plain
            .profile
            .specialisations
            .insert(cap("auth"), Some(Level::Novice));
        let agents = [
            plain,
            versed,
            agent("best", 0.99, &[]),
            agent("worse", 0.5, &["rust"]),
        ];
        assert_eq!(
            names(&Query::default().search(&agents)),
            ["best", "plain", "versed", "worse"]
        );
        let auth = Query {
            specialisations: [(cap("auth"), None)].into(),
            ..Query::default()
        };
        assert_eq!(names(&auth.search(&agents)), ["versed", "plain"]);
        let masters = Query {
            specialisations: [(cap("auth"), Some(Level::Expert))].into(),
            ..Query::default()
        };
        assert_eq!(names(&masters.search(&agents)), ["versed"]);
    }

    #[test]
    fn everything_asked_for_must_hold() {
        let mut busy = agent("busy", 0.9, &["rust", "python"]);
        busy.load.active = 4;
        busy.profile.kinds = vec![Kind::new("review").unwrap()];
        let takes = |query: Query| query.takes(&busy);
        let base = Query::default;
        assert!(takes(Query {
            needs: vec![cap("rust"), cap("python")],
            ..base()
        }));
        assert!(!takes(Query {
            needs: vec![cap("rust"), cap("go")],
            ..base()
        }));
        assert!(!takes(Query {
            utilisation_max: Some(0.7),
            ..base()
        }));
        assert!(!takes(Query {
            success_min: Some(0.95),
            ..base()
        }));
        assert!(takes(Query {
            kind: Some(Kind::new("review").unwrap()),
            ..base()
        }));
        assert!(!takes(Query {
            kind: Some(Kind::new("build").unwrap()),
            ..base()
        }));
    }

    #[test]
    fn the_score_is_a_weighted_mean() {
        let someone = agent("a", 0.9, &["rust"]);
        let plain = Query::default().score(&someone);
        assert!((plain - (0.3 + 0.2 * 0.9) / 0.5).abs() < 1e-12);
        let rust = Query {
            languages: vec![cap("rust")],
            ..Query::default()
        };
        assert!((rust.score(&someone) - (0.3 + 0.3 + 0.2 * 0.9) / 0.8).abs() < 1e-12);
    }
}
