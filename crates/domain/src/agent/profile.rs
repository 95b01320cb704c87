//! What is said about an agent when it is registered; an entry of [`crate::book::Book::Agent`] under its name.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal, nearest};
use crate::id::{Capability, Kind};
use crate::limits;
use crate::task::spec::Json;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The family of models that it is made of, as people name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<Capability>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub specialisations: BTreeMap<Capability, Option<Level>>,
    /// Kinds of work that it takes; any, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
    /// Tasks that it may hold at once.
    pub capacity: u32,
    /// What it learned since it was registered, and how sure that is: above 0, at most 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub learned: BTreeMap<Capability, f64>,
    /// What its work has shown that it can do, and how sure the outcomes make that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shown: BTreeMap<Capability, f64>,
    /// What a member of a team of its has learned and it may try; little is known of that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tries: BTreeMap<Capability, f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Prior>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    pub registered_at: Timestamp,
    /// When it last spoke up by itself.
    pub seen_at: Timestamp,
    /// It is being deregistered: nothing more is handed to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile {
            model: None,
            capabilities: Vec::new(),
            languages: Vec::new(),
            specialisations: BTreeMap::new(),
            kinds: Vec::new(),
            capacity: Profile::CAPACITY,
            learned: BTreeMap::new(),
            shown: BTreeMap::new(),
            tries: BTreeMap::new(),
            prior: None,
            metadata: None,
            registered_at: Timestamp(0),
            seen_at: Timestamp(0),
            leaving: false,
        }
    }
}

/// What was known of an agent before it came here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// How many tasks that was learned from.
    #[serde(default)]
    pub tasks: u32,
}

/// How good somebody is at something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Novice,
    Intermediate,
    Expert,
    Master,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Novice, Level::Intermediate, Level::Expert, Level::Master];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::Novice => "novice",
            Level::Intermediate => "intermediate",
            Level::Expert => "expert",
            Level::Master => "master",
        }
    }

    /// From 0.25 to 1.
    pub fn share(self) -> f64 {
        (self as u8 + 1) as f64 / 4.0
    }
}

impl FromStr for Level {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Level, Refusal> {
        let known = Level::ALL.map(Level::as_str);
        let found = Level::ALL.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| {
            let detail = format!("`{}` is no level of expertise", text.escape_debug());
            let help = match nearest(text, known) {
                Some(near) => format!("did you mean `{near}`? known are {}", known.join(", ")),
                None => format!("known are {}", known.join(", ")),
            };
            Refusal::new(Code::InvalidArgument, detail).help(help)
        })
    }
}

impl Profile {
    /// Unless something else is said.
    pub const CAPACITY: u32 = 5;
    /// What was learned is offered from here on.
    pub const SURE: f64 = 0.5;

    /// Everything that `needs` may name: capabilities, languages, specialisations, and what was learned well enough.
    pub fn offers(&self) -> impl Iterator<Item = &Capability> {
        let sure = |(name, confidence): (_, &f64)| (*confidence >= Profile::SURE).then_some(name);
        let learned = self.learned.iter().chain(&self.shown);
        self.declared().chain(learned.filter_map(sure))
    }

    /// What it was registered with.
    pub fn declared(&self) -> impl Iterator<Item = &Capability> {
        let named = self.capabilities.iter().chain(&self.languages);
        named.chain(self.specialisations.keys())
    }

    pub fn has(&self, need: &Capability) -> bool {
        self.offers().any(|offer| offer == need)
    }

    /// Puts lists in order, without what stands there twice, and checks every bound.
    pub fn checked(mut self) -> Result<Profile, Refusal> {
        fn tidy<T: Ord>(list: &mut Vec<T>) {
            list.sort_unstable();
            list.dedup();
        }
        tidy(&mut self.capabilities);
        tidy(&mut self.languages);
        tidy(&mut self.kinds);
        self.check()?;
        Ok(self)
    }

    pub fn check(&self) -> Result<(), Refusal> {
        let wrong = |detail: String| Err(Refusal::new(Code::InvalidArgument, detail));
        let most = limits::AGENT_SKILLS;
        let declared = self.capabilities.len() + self.languages.len() + self.specialisations.len();
        let learned = self.learned.len().max(self.shown.len()).max(self.tries.len());
        let counts = [declared, self.kinds.len(), learned];
        if let Some(count) = counts.into_iter().find(|count| *count > most) {
            let detail = format!("an agent has at most {most} skills and as many kinds, this one {count}");
            return Err(Refusal::new(Code::LimitExceeded, detail));
        }
        if !(1..=limits::AGENT_CAPACITY).contains(&self.capacity) {
            return wrong(format!(
                "the capacity {} is not between 1 and {}",
                self.capacity,
                limits::AGENT_CAPACITY
            ));
        }
        if let Some(model) = self.model.as_ref()
            && (model.is_empty() || model.len() > limits::NAME_BYTES || model.contains(char::is_control))
        {
            return wrong(format!(
                "a model is named in 1 to {} bytes on one line",
                limits::NAME_BYTES
            ));
        }
        if self
            .metadata
            .as_ref()
            .is_some_and(|json| json.get().len() > limits::AGENT_METADATA_BYTES)
        {
            let detail = format!("metadata has at most {} bytes", limits::AGENT_METADATA_BYTES);
            return Err(Refusal::new(Code::LimitExceeded, detail));
        }
        let prior = self.prior.unwrap_or_default();
        let learned = self.learned.values().chain(self.shown.values());
        let shares = learned.chain(self.tries.values()).copied().map(Some);
        let shares = shares.chain([prior.success_rate, prior.quality]);
        if let Some(share) = shares.flatten().find(|share| !(0.0..=1.0).contains(share)) {
            return wrong(format!("{share} is not between 0 and 1"));
        }
        match prior.latency_ms {
            Some(ms) if !(ms.is_finite() && ms >= 0.0) => wrong(format!("{ms} ms is no latency")),
            _ => Ok(()),
        }
    }

    /// Remembers that the agent can do something; what was said before and is surer stays. Returns whether anything
    /// has changed.
    pub fn learn(&mut self, capability: &Capability, confidence: f64) -> bool {
        let declared = self.capabilities.contains(capability)
            || self.languages.contains(capability)
            || self.specialisations.contains_key(capability);
        let known = self.learned.get(capability).copied().unwrap_or(0.0);
        if declared || known >= confidence {
            return false;
        }
        self.learned.insert(capability.clone(), confidence);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(name: &str) -> Capability {
        Capability::new(name).unwrap()
    }

    #[test]
    fn offers_are_matched_exactly_and_cover_every_sort_of_skill() {
        let profile = Profile {
            capabilities: vec![cap("review")],
            languages: vec![cap("python3")],
            specialisations: [(cap("auth"), Some(Level::Expert))].into(),
            learned: [(cap("sql"), 0.7), (cap("k8s"), 0.2)].into(),
            ..Profile::default()
        };
        for (need, has) in [
            ("review", true),
            ("python3", true),
            ("python", false),
            ("auth", true),
            ("sql", true),
            ("k8s", false),
        ] {
            assert_eq!(profile.has(&cap(need)), has, "{need}");
        }
    }

    #[test]
    fn bounds_hold() {
        let many = (0..=limits::AGENT_SKILLS)
            .map(|i| cap(&format!("c{i}")))
            .collect();
        let with = |change: fn(&mut Profile)| {
            let mut profile = Profile::default();
            change(&mut profile);
            profile.check().map_err(|refusal| refusal.code)
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|p| p.capacity = 0), Err(Code::InvalidArgument));
        assert_eq!(
            with(|p| p.model = Some("a\nb".into())),
            Err(Code::InvalidArgument)
        );
        let wild = |rate| Prior {
            success_rate: Some(rate),
            ..Prior::default()
        };
        assert_eq!(
            Profile {
                prior: Some(wild(f64::NAN)),
                ..Profile::default()
            }
            .check()
            .unwrap_err()
            .code,
            Code::InvalidArgument
        );
        let crowded = Profile {
            capabilities: many,
            ..Profile::default()
        };
        assert_eq!(crowded.check().unwrap_err().code, Code::LimitExceeded);
    }

    #[test]
    fn learning_only_adds() {
        let mut profile = Profile {
            languages: vec![cap("rust")],
            ..Profile::default()
        };
        assert!(!profile.learn(&cap("rust"), 1.0));
        assert!(profile.learn(&cap("sql"), 0.4));
        assert!(!profile.has(&cap("sql")));
        assert!(profile.learn(&cap("sql"), 1.0));
        assert!(!profile.learn(&cap("sql"), 0.4));
        assert!(profile.has(&cap("sql")));
    }
}
