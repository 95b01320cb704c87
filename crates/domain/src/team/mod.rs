//! Teams: agents that work together, named by somebody or found by themselves among those who did well in the same
//! runs ([`find`], over the [`ties`]); an entry of [`crate::book::Book::Team`] under the team's name.
//!
//! A team has no record to keep of its own accord: what it can do, has to do and has done is that of its members
//! ([`Standing`]), and what was done for it by name is counted besides ([`crate::lesson`]).

pub mod find;
pub mod ties;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::agent::skill::How;
use crate::code::{Code, Refusal};
use crate::id::{AgentName, Capability};
use crate::limits;
use crate::time::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// In order, each once. Not all of them need be registered.
    pub members: Vec<AgentName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Nobody has named it: it follows who works with whom.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found: bool,
    pub since: Timestamp,
}

impl Team {
    pub fn has(&self, agent: &AgentName) -> bool {
        self.members.binary_search(agent).is_ok()
    }

    /// Puts the members in order, without who stands there twice, and checks every bound.
    pub fn checked(mut self) -> Result<Team, Refusal> {
        self.members.sort_unstable();
        self.members.dedup();
        self.check()?;
        Ok(self)
    }

    pub fn check(&self) -> Result<(), Refusal> {
        let wrong = |detail: &str| Err(Refusal::new(Code::InvalidArgument, detail));
        let (count, most) = (self.members.len(), limits::TEAM_MEMBERS);
        if count > most {
            let detail = format!("a team has at most {most} members, this one {count}");
            return Err(Refusal::new(Code::LimitExceeded, detail));
        }
        if count == 0 {
            return wrong("a team has at least one member");
        }
        if !self.members.is_sorted_by(|a, b| a < b) {
            return wrong("the members of a team stand in order, each once");
        }
        match &self.about {
            Some(about) if about.trim().is_empty() || about.chars().count() > ABOUT => {
                wrong("what a team is for is said in 1 to 200 characters")
            }
            _ => Ok(()),
        }
    }
}

/// Characters of what a team is for.
const ABOUT: usize = 200;

/// What a team can do, has to do and has done, as its registered members have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    pub registered: usize,
    /// Members that can be given something now.
    pub free: usize,
    pub capacity: u64,
    pub active: u64,
    pub queued: u64,
    pub skills: BTreeMap<Capability, Shared>,
    pub completed: u64,
    pub failed: u64,
    /// Successes and outcomes, each weighing less the older it is.
    wins: f64,
    weight: f64,
}

/// A skill of a team.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shared {
    /// How sure the surest member is, and by what.
    pub confidence: f64,
    pub how: How,
    /// Members that have it, and members that are to try it.
    pub members: usize,
    pub tries: usize,
}

impl Standing {
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Agent>) -> Standing {
        let mut standing = Standing::default();
        members.into_iter().for_each(|agent| standing.add(agent));
        standing
    }

    fn add(&mut self, agent: &Agent) {
        self.registered += 1;
        self.free += usize::from(agent.room() > 0);
        self.capacity += u64::from(agent.profile.capacity);
        self.active += u64::from(agent.load.active);
        self.queued += u64::from(agent.load.queued);
        let sum = &agent.record.sum;
        self.completed += sum.completed;
        self.failed += sum.failed;
        let (wins, weight) = sum.weighed();
        (self.wins, self.weight) = (self.wins + wins, self.weight + weight);
        for (name, skill) in agent.skills() {
            let shared = self.skills.entry(name.clone()).or_insert(Shared {
                confidence: skill.confidence,
                how: skill.how,
                members: 0,
                tries: 0,
            });
            if skill.confidence > shared.confidence {
                (shared.confidence, shared.how) = (skill.confidence, skill.how);
            }
            match skill.how {
                How::Tried => shared.tries += 1,
                _ => shared.members += 1,
            }
        }
    }

    pub fn success_rate(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.wins / self.weight)
    }

    /// From 0; 1 is full.
    pub fn utilisation(&self) -> f64 {
        match self.capacity {
            0 => 0.0,
            most => (self.active + self.queued) as f64 / most as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Load, Profile, Record};

    fn name(text: &str) -> AgentName {
        AgentName::new(text).unwrap()
    }

    #[test]
    fn members_stand_in_order_and_are_bounded() {
        let of = |members: Vec<AgentName>| Team {
            members,
            ..Team::default()
        };
        let team = of(vec![name("bob"), name("ann"), name("bob")]).checked().unwrap();
        assert_eq!(team.members, [name("ann"), name("bob")]);
        assert!(team.has(&name("bob")) && !team.has(&name("eve")));
        let code = |team: Team| team.check().unwrap_err().code;
        assert_eq!(code(of(vec![])), Code::InvalidArgument);
        assert_eq!(code(of(vec![name("b"), name("a")])), Code::InvalidArgument);
        let many = (0..=limits::TEAM_MEMBERS).map(|i| name(&format!("a{i}")));
        assert_eq!(
            of(many.collect()).checked().unwrap_err().code,
            Code::LimitExceeded
        );
    }

    // proves: DESIGN 9
    #[test]
    fn a_team_has_the_skills_the_load_and_the_record_of_its_members() {
        let cap = |name: &str| Capability::new(name).unwrap();
        let agent = |text: &str, can: &[&str], active| Agent {
            name: name(text),
            profile: Profile {
                capabilities: can.iter().map(|name| cap(name)).collect(),
                learned: [(cap("sql"), 0.7)].into(),
                tries: [(cap("go"), 0.2)].into(),
                ..Profile::default()
            },
            record: Record::default(),
            load: Load { active, queued: 1 },
        };
        let mut ann = agent("ann", &["review"], 4);
        ann.record.done(&crate::agent::record::Done {
            at: Timestamp(1),
            kind: None,
            needs: &[cap("review")],
            success: true,
            ms: None,
            quality: None,
        });
        let standing = Standing::of(&[ann, agent("bob", &[], 1)]);
        assert_eq!(
            (
                standing.registered,
                standing.free,
                standing.capacity,
                standing.active
            ),
            (2, 1, 10, 5)
        );
        assert_eq!(
            (standing.success_rate(), standing.utilisation()),
            (Some(1.0), 0.7)
        );
        let review = standing.skills[&cap("review")];
        assert_eq!(
            (review.members, review.how, review.confidence),
            (1, How::Declared, 1.0)
        );
        assert_eq!(standing.skills[&cap("sql")].members, 2);
        let go = standing.skills[&cap("go")];
        assert_eq!((go.members, go.tries, go.how), (0, 2, How::Tried));
    }
}
