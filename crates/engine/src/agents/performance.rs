//! What agents did, record by record, for whoever wants to learn from it elsewhere (SPEC 2.8).
//!
//! The log is what is kept, for as long as the project keeps it; this reads it. Titles, prompts, results and errors are
//! never told. Names may be told as keyed digests: equal within one export, and to be traced by nobody without the key.

use std::collections::BTreeMap;

use domain::book::Book;
use domain::event::Kind as Fact;
use domain::id::{AgentName, EventNo, TaskId, TeamName};
use domain::lesson::{End, Lesson};
use domain::limits::PAGE_MAX;
use domain::prune::{BEGINNING, Beginning};
use domain::store::{Result, Seen};
use domain::time::Timestamp;
use serde::Deserialize;

use super::learn::{lessons, told};
use crate::engine::Engine;

/// Records of one export (SPEC 2.8).
pub const RECORDS: usize = 10_000;
/// Events that are looked through for them.
const EVENTS: usize = 1_000 * PAGE_MAX;

/// One thing that happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub no: u64,
    pub at: Timestamp,
    pub what: What,
    pub agent: Option<String>,
    pub team: Option<String>,
    pub task: Option<String>,
    pub run: Option<String>,
    pub kind: Option<String>,
    pub needs: Vec<String>,
    pub outcome: Option<&'static str>,
    pub duration_ms: Option<f64>,
    pub quality: Option<f64>,
    pub strategy: Option<String>,
    pub confidence: Option<f64>,
    /// Others that were thought of.
    pub alternatives: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    #[default]
    TaskExecution,
    AgentRegistration,
    AgentStatusChange,
    RoutingDecision,
    /// An outcome that was told from outside.
    EvaluationOutcome,
}

impl What {
    pub fn as_str(self) -> &'static str {
        match self {
            What::TaskExecution => "task_execution",
            What::AgentRegistration => "agent_registration",
            What::AgentStatusChange => "agent_status_change",
            What::RoutingDecision => "routing_decision",
            What::EvaluationOutcome => "evaluation_outcome",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub by: BTreeMap<What, u64>,
    pub completed: u64,
    pub failed: u64,
    pub lost: u64,
    took: (f64, u64),
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

impl Stats {
    /// Milliseconds of what succeeded, on average.
    pub fn average_ms(&self) -> Option<f64> {
        (self.took.1 > 0).then(|| self.took.0 / self.took.1 as f64)
    }

    pub fn success_rate(&self) -> Option<f64> {
        let ended = self.completed + self.failed;
        (ended > 0).then(|| self.completed as f64 / ended as f64)
    }

    fn add(&mut self, record: &Record) {
        *self.by.entry(record.what).or_default() += 1;
        match record.outcome {
            Some("success") => {
                self.completed += 1;
                if let Some(ms) = record.duration_ms {
                    self.took = (self.took.0 + ms, self.took.1 + 1);
                }
            }
            Some("failure") => self.failed += 1,
            Some(_) => self.lost += 1,
            None => {}
        }
        self.first = self.first.or(Some(record.at));
        self.last = Some(record.at);
    }
}

#[derive(Clone, Debug, Default)]
pub struct Export {
    pub records: Vec<Record>,
    pub stats: Stats,
    /// There is more after this event.
    pub next: Option<u64>,
}

/// What to export.
#[derive(Clone, Debug)]
pub struct Asked {
    /// After this event.
    pub after: Option<u64>,
    /// What happened since.
    pub since: Option<Timestamp>,
    /// Only of this agent.
    pub agent: Option<AgentName>,
    /// Names are told as digests under this key.
    pub key: Option<[u8; 32]>,
    pub limit: usize,
}

pub async fn export(engine: &Engine, asked: &Asked) -> Result<Export> {
    let mut after = EventNo(asked.after.unwrap_or(0));
    if let Some(since) = asked.since {
        after = after.max(before(engine, since).await?);
    }
    let mut export = Export::default();
    let mut looked = 0;
    loop {
        let (store, project) = (&engine.store, &engine.project);
        let events = store.events(project, after, PAGE_MAX).await?;
        let Some(last) = events.last().map(|seen| seen.event.no) else {
            return Ok(export);
        };
        for record in page(engine, &events, asked.agent.as_ref()).await? {
            if export.records.len() == asked.limit {
                export.next = export.records.last().map(|record| record.no);
                return Ok(export);
            }
            export.stats.add(&record);
            export.records.push(match &asked.key {
                Some(key) => hidden(record, key),
                None => record,
            });
        }
        after = last;
        looked += events.len();
        if looked >= EVENTS {
            export.next = Some(last.0);
            return Ok(export);
        }
    }
}

/// The last event that is older, found by halves: events are numbered in the order of their times.
async fn before(engine: &Engine, since: Timestamp) -> Result<EventNo> {
    let (store, project) = (&engine.store, &engine.project);
    let keys = [BEGINNING.into()];
    let found = store.entries_of(project, Book::Cursor, &keys).await?;
    let mut low = Beginning::read(project, &found)?.after.last.0;
    let mut high = store.chain(project).await?.last.0;
    while low < high {
        let middle = low + (high - low) / 2;
        let event = store.events(project, EventNo(middle), 1).await?.pop();
        match event {
            Some(seen) if seen.event.fact.at < since => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(EventNo(low))
}

#[derive(Deserialize)]
struct Routed {
    #[serde(default)]
    selected: Option<AgentName>,
    #[serde(default)]
    strategy: Option<String>,
    #[serde(default)]
    team: Option<TeamName>,
    #[serde(default)]
    candidates: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct About {
    agent: AgentName,
}

async fn page(engine: &Engine, events: &[Seen], of: Option<&AgentName>) -> Result<Vec<Record>> {
    let mut lessons = lessons(engine, events).await?.into_iter().peekable();
    let mut records = Vec::new();
    for seen in events {
        let base = base(seen);
        if seen.event.fact.kind == Fact::AgentEdited
            && let Some(about) = told::<About>(seen)
        {
            records.push(Record {
                what: What::AgentStatusChange,
                agent: Some(about.agent.to_string()),
                ..base.clone()
            });
        }
        while let Some((_, lesson)) = lessons.next_if(|(by, _)| by.event.no == seen.event.no) {
            records.extend(record(base.clone(), seen, lesson));
        }
    }
    records.retain(|record| of.is_none_or(|of| record.agent.as_deref() == Some(of.as_str())));
    Ok(records)
}

fn base(seen: &Seen) -> Record {
    Record {
        no: seen.event.no.0,
        at: seen.event.fact.at,
        task: seen.task.as_ref().map(TaskId::to_string),
        run: seen.run.map(|run| run.to_string()),
        ..Record::default()
    }
}

fn record(base: Record, seen: &Seen, lesson: Lesson) -> Option<Record> {
    let record = match lesson {
        Lesson::Came { agent, .. } => Record {
            what: What::AgentRegistration,
            agent: Some(agent.to_string()),
            ..base
        },
        Lesson::Left { agent } => Record {
            what: What::AgentStatusChange,
            agent: Some(agent.to_string()),
            ..base
        },
        Lesson::Dissolved { .. } => return None,
        Lesson::Routed { confidence } => {
            let routed = told::<Routed>(seen)?;
            Record {
                what: What::RoutingDecision,
                agent: routed.selected.map(|agent| agent.to_string()),
                team: routed.team.map(|team| team.to_string()),
                strategy: routed.strategy,
                alternatives: Some(routed.candidates.len().saturating_sub(1)),
                confidence,
                ..base
            }
        }
        Lesson::Reported {
            agent,
            success,
            ms,
            quality,
            ..
        } => Record {
            what: What::EvaluationOutcome,
            agent: Some(agent.to_string()),
            outcome: Some(if success { "success" } else { "failure" }),
            duration_ms: Some(ms),
            quality,
            ..base
        },
        Lesson::Ended {
            at,
            end,
            began,
            agent,
            kind,
            needs,
            team,
            usage,
            ..
        } => Record {
            what: What::TaskExecution,
            agent: agent.map(|agent| agent.to_string()),
            team: team.map(|team| team.to_string()),
            kind: Some(kind.to_string()),
            needs: needs.iter().map(ToString::to_string).collect(),
            outcome: Some(match end {
                End::Success => "success",
                End::Failure => "failure",
                End::Lost => "lost",
            }),
            duration_ms: began.map(|began| at.since(began).as_secs_f64() * 1e3),
            quality: usage.quality,
            ..base
        },
    };
    Some(record)
}

/// The same without names; kinds and capabilities are sorts, not names.
fn hidden(record: Record, key: &[u8; 32]) -> Record {
    let hide = |sort: &str, name: Option<String>| {
        name.map(|name| {
            let digest = blake3::keyed_hash(key, format!("{sort}\0{name}").as_bytes());
            digest.to_hex()[..16].to_owned()
        })
    };
    Record {
        agent: hide("agent", record.agent),
        team: hide("team", record.team),
        task: hide("task", record.task),
        run: hide("run", record.run),
        ..record
    }
}

/// A key from what somebody chose, so that several exports have the same digests; a fresh one that nobody knows otherwise.
pub fn key(chosen: Option<&str>) -> [u8; 32] {
    match chosen {
        Some(text) => *blake3::hash(text.as_bytes()).as_bytes(),
        None => crate::ids::secret(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: SPEC 2.8
    #[test]
    fn names_are_hidden_and_sorts_are_not() {
        let record = Record {
            agent: Some("ann".into()),
            task: Some("ann".into()),
            kind: Some("review".into()),
            ..Record::default()
        };
        let (a, b) = (
            hidden(record.clone(), &key(Some("x"))),
            hidden(record.clone(), &key(Some("x"))),
        );
        assert_eq!(a, b);
        assert_eq!(a.kind, record.kind);
        assert!(a.agent != a.task, "an agent and a task of one name are two");
        assert!(!format!("{a:?}").contains("ann"));
        assert_ne!(
            hidden(record.clone(), &key(None)).agent,
            hidden(record, &key(None)).agent
        );
    }
}
