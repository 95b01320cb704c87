//! What a task asks for, validated. Plans, the command line and programs all end in a [`Spec`]; stores keep it
//! as JSON beside the task's row and hand it to whoever does the work.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer, ser};
use serde_json::value::RawValue;

use crate::code::{Code, Refusal, nearest};
use crate::curb::budget::Cap;
use crate::curb::limit::Rate;
use crate::id::{AgentName, Capability, Key, Kind, TeamName};
use crate::limits;
use crate::task::lock::Lock;
use crate::task::replan::OnExhausted;
use crate::task::retry::Retry;
use crate::time::Timestamp;

pub use super::work::Work;

/// Serialises spans as whole milliseconds.
pub mod span {
    use super::Duration;
    use crate::time::millis;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        d.map(millis).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
    }
}

/// A validated task specification. Absent options are left out of the JSON, so that stored specs stay small
/// and old ones stay readable when an option is added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What people read; the key when nothing better was given.
    pub name: String,
    pub kind: Kind,
    pub work: Work,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Only its members may do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// All of them are needed, each matched exactly; sorted, without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
    #[serde(default)]
    pub priority: Priority,
    #[serde(default)]
    pub source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Moment>,
    #[serde(default, with = "span", skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Moment>,
    /// Of one attempt; the engine's default (1 h) when absent.
    #[serde(default, with = "span", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_upstream_failure: OnUpstreamFailure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// Normalised, sorted by name, without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The breaker that its failures count for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// Amounts that it takes from its worker, by name; none is 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// For whom a breakpoint is, and what holds when nobody answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What all its attempts together may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Cap>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variables whose values only the worker knows, by name; sorted, without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Handed to the attempt as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_ref: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Spec {
    /// A specification of `work` with every option at its default.
    pub fn new(name: &str, work: Work) -> Spec {
        Spec {
            name: name.to_owned(),
            kind: work.default_kind(),
            work,
            agent: None,
            team: None,
            needs: Vec::new(),
            priority: Priority::default(),
            source: Source::default(),
            deadline: None,
            estimate: None,
            run_at: None,
            timeout: None,
            retry: None,
            on_upstream_failure: OnUpstreamFailure::default(),
            on_exhausted: None,
            locks: Vec::new(),
            concurrency: None,
            breaker: None,
            resources: BTreeMap::new(),
            stop: None,
            budget: None,
            cache: None,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            cwd: None,
            inputs: None,
            summary: None,
            session: None,
            spec_ref: None,
        }
    }

    /// The same work, with what `other` says of when, how often and beside what else it may run.
    #[must_use]
    pub fn scheduled_like(&self, other: &Spec) -> Spec {
        Spec {
            priority: other.priority,
            source: other.source,
            deadline: other.deadline,
            estimate: other.estimate,
            run_at: other.run_at,
            timeout: other.timeout,
            retry: other.retry.clone(),
            on_upstream_failure: other.on_upstream_failure,
            locks: other.locks.clone(),
            concurrency: other.concurrency.clone(),
            breaker: other.breaker.clone(),
            resources: other.resources.clone(),
            budget: other.budget,
            ..self.clone()
        }
    }

    /// Whether a claim must look at anything beside the ready row. A breakpoint is never claimed: there it says
    /// whether the deadline answers.
    pub fn is_guarded(&self) -> bool {
        if matches!(self.work, Work::Breakpoint(_)) {
            return self.stop.as_ref().is_some_and(|stop| stop.default.is_some());
        }
        !self.locks.is_empty()
            || self.concurrency.is_some()
            || self.breaker.is_some()
            || self.budget.is_some()
    }
}

/// A breakpoint beside its question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Who is to answer; for people, nothing enforces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The answer when the task's deadline passes without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Verdict>,
}

/// An answer to a breakpoint.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub accept: bool,
    /// What the tasks that wait for it get as its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Json>,
}

/// A JSON document carried as text: compared, stored and handed on without being understood. Within another document it
/// stands on one line, however it was given: lines and streams of events are cut at line breaks.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Json(pub Box<RawValue>);

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.get().contains(BREAKS) {
            return self.0.serialize(serializer);
        }
        // In a document that was read they only stand where blanks may.
        let line = RawValue::from_string(self.get().replace(BREAKS, " ")).map_err(ser::Error::custom)?;
        line.serialize(serializer)
    }
}

const BREAKS: [char; 2] = ['\n', '\r'];

impl Json {
    pub fn parse(text: &str) -> Result<Json, String> {
        RawValue::from_string(text.to_owned())
            .map(Json)
            .map_err(|e| e.to_string())
    }

    pub fn of(value: &impl Serialize) -> Json {
        Json(serde_json::value::to_raw_value(value).expect("our values serialise"))
    }

    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

/// Base priority, 0 to 10; 10 is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    pub const LOW: Priority = Priority(2);
    pub const NORMAL: Priority = Priority(5);
    pub const HIGH: Priority = Priority(8);
    /// Fixes go before new work.
    pub const FIX: Priority = Priority(9);
    pub const CRITICAL: Priority = Priority(10);

    const WORDS: &[(&str, Priority)] = &[
        ("low", Priority::LOW),
        ("normal", Priority::NORMAL),
        ("medium", Priority::NORMAL),
        ("high", Priority::HIGH),
        ("fix", Priority::FIX),
        ("critical", Priority::CRITICAL),
    ];

    pub fn value(self) -> u8 {
        self.0
    }

    /// Reads a word or a whole number from 0 to 10.
    pub fn parse(text: &str) -> Result<Priority, Refusal> {
        let text = text.trim();
        if let Some((_, priority)) = Priority::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*priority);
        }
        match text.parse::<i64>() {
            Ok(number) => Priority::number(number),
            Err(_) => Err(unknown(
                "priority",
                text,
                Priority::WORDS.iter().map(|(word, _)| *word),
            )),
        }
    }

    pub fn number(number: i64) -> Result<Priority, Refusal> {
        u8::try_from(number)
            .ok()
            .filter(|n| *n <= 10)
            .map(Priority)
            .ok_or_else(|| {
                Refusal::new(
                    Code::InvalidArgument,
                    format!("priority {number} is not between 0 and 10"),
                )
                .help("10 is the most urgent; or write low, normal, high or critical")
            })
    }
}

impl Default for Priority {
    fn default() -> Self {
        Priority::NORMAL
    }
}

impl TryFrom<u8> for Priority {
    type Error = Refusal;
    fn try_from(number: u8) -> Result<Self, Refusal> {
        Priority::number(i64::from(number))
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.0
    }
}

/// Where a task comes from; people go before agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    #[default]
    Human,
    AgentRequirements,
    AgentPlanner,
    AgentImplementation,
}

impl Source {
    pub const ALL: &[Source] = &[
        Source::Human,
        Source::AgentRequirements,
        Source::AgentPlanner,
        Source::AgentImplementation,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Source::Human => "human",
            Source::AgentRequirements => "agent_requirements",
            Source::AgentPlanner => "agent_planner",
            Source::AgentImplementation => "agent_implementation",
        }
    }

    pub fn parse(text: &str) -> Result<Source, Refusal> {
        word("source", text, Source::ALL, Source::as_str)
    }
}

/// What an edge waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Success,
    /// Failed, or cancelled by an upstream failure.
    Failure,
    /// Any end.
    Finished,
}

impl When {
    pub const ALL: &[When] = &[When::Success, When::Failure, When::Finished];

    pub fn as_str(self) -> &'static str {
        match self {
            When::Success => "success",
            When::Failure => "failure",
            When::Finished => "finished",
        }
    }

    pub fn parse(text: &str) -> Result<When, Refusal> {
        word("condition", text, When::ALL, When::as_str)
    }
}

/// What happens to a task when an edge of it can no longer hold because of a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUpstreamFailure {
    #[default]
    Cancel,
    /// It stays blocked until the failed task is retried.
    Block,
    /// It goes on as if the edge held.
    Continue,
}

impl OnUpstreamFailure {
    pub const ALL: &[OnUpstreamFailure] = &[
        OnUpstreamFailure::Cancel,
        OnUpstreamFailure::Block,
        OnUpstreamFailure::Continue,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            OnUpstreamFailure::Cancel => "cancel",
            OnUpstreamFailure::Block => "block",
            OnUpstreamFailure::Continue => "continue",
        }
    }

    pub fn parse(text: &str) -> Result<OnUpstreamFailure, Refusal> {
        word(
            "on_upstream_failure",
            text,
            OnUpstreamFailure::ALL,
            OnUpstreamFailure::as_str,
        )
    }
}

fn word<T: Copy>(
    what: &str,
    text: &str,
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> Result<T, Refusal> {
    let text = text.trim();
    all.iter()
        .copied()
        .find(|value| name(*value) == text)
        .ok_or_else(|| unknown(what, text, all.iter().map(|value| name(*value))))
}

fn unknown(what: &str, text: &str, known: impl Iterator<Item = &'static str> + Clone) -> Refusal {
    let all: Vec<_> = known.clone().collect();
    let refusal = Refusal::new(
        Code::InvalidArgument,
        format!("`{}` is no {what}", text.escape_debug()),
    );
    match nearest(text, known) {
        Some(name) => refusal.help(format!("did you mean `{name}`? known are {}", all.join(", "))),
        None => refusal.help(format!("known are {}", all.join(", "))),
    }
}

/// A time of the wall clock, or one that counts from submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    At(Timestamp),
    In(#[serde(with = "plain_span")] Duration),
}

mod plain_span {
    use super::Duration;
    use crate::time::millis;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(millis(*d))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}

impl Moment {
    /// Reads a duration (`2h`, counted from submission) or RFC 3339.
    pub fn parse(text: &str) -> Result<Moment, String> {
        if let Ok(span) = crate::time::parse_duration(text) {
            return Ok(Moment::In(span));
        }
        Timestamp::parse(text, Timestamp(0)).map(Moment::At)
    }

    pub fn resolve(self, submitted: Timestamp) -> Timestamp {
        match self {
            Moment::At(at) => at,
            Moment::In(span) => submitted.after(span),
        }
    }
}

/// Tasks with the same key take turns with those of other keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    pub key: String,
    /// So many of them run at once.
    pub limit: u32,
    /// So many of them begin in a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// What a result depends on; only what is declared is cached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Globs relative to the task's folder; the content counts, not the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Names of variables whose values count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(default, with = "span", skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
}

/// One entry of `after` in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct After {
    pub task: Key,
    #[serde(default)]
    pub when: When,
}

/// Refuses a text that belongs into a file.
pub fn check_text(what: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > limits::TEXT_BYTES {
        return Err(Refusal::new(
            Code::LimitExceeded,
            format!(
                "{what} has {} bytes, the limit is {}",
                text.len(),
                limits::TEXT_BYTES
            ),
        )
        .help("put it into a file and name the file"));
    }
    if text.contains('\0') {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("{what} contains a zero byte"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stands_on_one_line_within_other_json() {
        let json = Json::parse("{\r\n  \"a\": \"b\\n\",\n  \"c\": 1.50\n}").unwrap();
        assert_eq!(
            serde_json::to_string(&[json]).unwrap(),
            "[{    \"a\": \"b\\n\",   \"c\": 1.50 }]"
        );
        let plain = Json::parse("[1,  2]").unwrap();
        assert_eq!(serde_json::to_string(&plain).unwrap(), "[1,  2]");
    }

    // proves: SPEC 5.3
    #[test]
    fn priorities_are_words_or_numbers() {
        assert_eq!(Priority::parse("high").unwrap(), Priority::HIGH);
        assert_eq!(Priority::parse("medium").unwrap(), Priority::NORMAL);
        assert_eq!(Priority::parse("10").unwrap(), Priority::CRITICAL);
        for bad in ["11", "-1", "hgih", ""] {
            assert!(Priority::parse(bad).is_err());
        }
        assert!(
            Priority::parse("hihg")
                .unwrap_err()
                .help
                .unwrap()
                .contains("`high`")
        );
    }

    #[test]
    fn a_small_spec_is_small_json_and_comes_back() {
        let spec = Spec::new("lint", Work::Shell("npm run lint".into()));
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(
            json,
            r#"{"name":"lint","kind":"command","work":{"shell":"npm run lint"},"priority":5,"source":"human"}"#
        );
        assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
    }

    #[test]
    fn moments_count_from_submission() {
        assert_eq!(
            Moment::parse("2s").unwrap().resolve(Timestamp(1)),
            Timestamp(2_001)
        );
        assert_eq!(
            Moment::parse("1970-01-01T00:00:01Z")
                .unwrap()
                .resolve(Timestamp(9)),
            Timestamp(1_000)
        );
    }
}
