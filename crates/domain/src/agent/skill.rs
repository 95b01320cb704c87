//! What an agent can do, how sure that is, and by what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::Tally;
use super::{Agent, Profile, Record};
use crate::id::Capability;
use crate::limits;

/// An edge from an agent to a skill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skill {
    /// From 0 to 1.
    pub confidence: f64,
    pub how: How,
}

/// By what a skill is known.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The agent was registered with it.
    Declared,
    /// Somebody has said that it has learned it.
    Told,
    /// It has done work that needs it.
    Shown,
    /// A member of its team has learned it, and it may try.
    Tried,
}

/// What was said of a skill weighs as much as so many outcomes.
const SAID: f64 = 5.0;
/// A change of confidence that is worth writing down.
const STEP: f64 = 0.1;
/// Less is not worth remembering.
const LEAST: f64 = 0.05;

impl Agent {
    /// Every skill that is known of it. Outcomes lower what was said, and raise what was not.
    pub fn skills(&self) -> BTreeMap<&Capability, Skill> {
        let profile = &self.profile;
        let known = |name, said: f64| {
            let tally = self.record.by_skill.get(name);
            let (wins, weight) = tally.map_or((0.0, 0.0), Tally::weighed);
            (SAID * said + wins) / (SAID + weight)
        };
        let mut skills = BTreeMap::new();
        let mut put = |name, confidence: f64, how| {
            skills.entry(name).or_insert(Skill {
                confidence: (confidence * 1e4).round() / 1e4,
                how,
            });
        };
        for name in profile.declared() {
            put(name, known(name, 1.0), How::Declared);
        }
        for (name, said) in &profile.learned {
            put(name, known(name, *said), How::Told);
        }
        for (name, confidence) in &profile.shown {
            put(name, *confidence, How::Shown);
        }
        for (name, confidence) in &profile.tries {
            put(name, *confidence, How::Tried);
        }
        skills
    }
}

impl Profile {
    /// What its work has shown beyond what was said, as it should be written down: small changes are left, so that not
    /// every task writes a profile.
    pub fn shown_by(&self, record: &Record) -> BTreeMap<Capability, f64> {
        let said = |name: &Capability| {
            self.learned.contains_key(name) || self.declared().any(|declared| declared == name)
        };
        let mut shown = BTreeMap::new();
        for (name, tally) in record.by_skill.iter().filter(|(name, _)| !said(name)) {
            let sure = (tally.confidence() * 100.0).round() / 100.0;
            let before = self.shown.get(name).copied();
            let crosses = |before: f64| (before >= Profile::SURE) != (sure >= Profile::SURE);
            let kept = match before {
                Some(before) if (sure - before).abs() < STEP - 1e-9 && !crosses(before) => before,
                _ => sure,
            };
            if kept >= LEAST && shown.len() < limits::AGENT_SKILLS {
                shown.insert(name.clone(), kept);
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::super::Load;
    use super::super::record::Done;
    use super::*;
    use crate::id::AgentName;
    use crate::time::Timestamp;

    fn cap(name: &str) -> Capability {
        Capability::new(name).unwrap()
    }

    fn done(record: &mut Record, skill: &str, success: bool, times: usize) {
        let needs = [cap(skill)];
        for _ in 0..times {
            record.done(&Done {
                at: Timestamp(1),
                kind: None,
                needs: &needs,
                success,
                ms: None,
                quality: None,
            });
        }
    }

    // proves: SPEC 3.3
    #[test]
    fn what_work_shows_is_learned_with_confidence() {
        let mut profile = Profile {
            capabilities: vec![cap("review")],
            ..Profile::default()
        };
        let mut record = Record::default();
        done(&mut record, "review", true, 1);
        done(&mut record, "sql", true, 1);
        profile.shown = profile.shown_by(&record);
        assert_eq!(profile.shown, [(cap("sql"), 0.38)].into());
        assert!(!profile.has(&cap("sql")), "once is not enough");
        done(&mut record, "sql", true, 1);
        profile.shown = profile.shown_by(&record);
        assert!(profile.has(&cap("sql")));
        let before = profile.shown.clone();
        done(&mut record, "sql", true, 1);
        assert_eq!(profile.shown_by(&record)[&cap("sql")], 0.65);
        done(&mut record, "sql", false, 1);
        assert_eq!(
            profile.shown_by(&record)[&cap("sql")],
            0.43,
            "it crosses what is sure"
        );
        assert_eq!(before[&cap("sql")], 0.55);
    }

    #[test]
    fn outcomes_lower_what_was_said() {
        let mut agent = Agent {
            name: AgentName::new("a").unwrap(),
            profile: Profile {
                languages: vec![cap("go")],
                learned: [(cap("sql"), 0.6)].into(),
                ..Profile::default()
            },
            record: Record::default(),
            load: Load::default(),
        };
        let sure = |agent: &Agent, name: &str| agent.skills()[&cap(name)].confidence;
        assert_eq!((sure(&agent, "go"), sure(&agent, "sql")), (1.0, 0.6));
        done(&mut agent.record, "go", false, 5);
        assert_eq!(sure(&agent, "go"), 0.5);
        assert_eq!(agent.skills()[&cap("sql")].how, How::Told);
    }
}
