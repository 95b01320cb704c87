//! Reads the log behind a cursor and keeps what it teaches ([`domain::lesson`]).
//!
//! Cursor and lessons are written together, and only over the cursor that they were read after: whoever reads the log
//! at the same time, and whoever begins again after a crash, counts nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::agent::Profile;
use domain::agent::profile::Prior;
use domain::book::{Book, Edit, Entry, Expect};
use domain::event::Kind as Fact;
use domain::id::{AgentName, EventNo, Kind, TaskId, TeamName};
use domain::lesson::{End, KIND, Known, Lesson, Practice, Told, Usage, Whole, end};
use domain::limits::PAGE_MAX;
use domain::store::{Result, Seen};
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;

const CURSOR: &str = "lessons";
/// Where it is kept how routing has gone.
pub(super) const ROUTING: &str = "all routing";
/// Where it is kept who has done well together of late.
const CIRCLES: &str = "all circles";
/// What is kept of agents, teams and kinds. Budgets keep theirs under the plain names of kinds, which have no spaces.
pub(super) const AGENT: &str = "agent ";
pub(super) const TEAM: &str = "team ";
/// Events before the end of an attempt among which its begin is looked for: few happen to a task while it runs.
const BACK: usize = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// The last event that was learned from.
    last: u64,
}

/// How many events nobody has learned from yet.
pub async fn behind(engine: &Engine) -> Result<u64> {
    let (_, cursor) = cursor(engine).await?;
    let head = engine.store.chain(&engine.project).await?.last;
    Ok(head.0.saturating_sub(cursor.last))
}

/// Learns from everything that has happened so far, up to `pages` pages of the log, and what follows from that for agents
/// and teams. Returns whether that is all.
pub async fn catch_up(engine: &Engine, pages: usize) -> Result<bool> {
    let mut all = false;
    for _ in 0..pages {
        if !page(engine).await? {
            all = true;
            break;
        }
    }
    let (_, cursor) = cursor(engine).await?;
    super::grow::grow(engine, cursor.last).await?;
    Ok(all || behind(engine).await? == 0)
}

/// Forgets what was learned; the next readers learn it anew from the log.
pub async fn forget(engine: &Engine) -> Result<()> {
    let mut edits = vec![Edit::remove(Book::Cursor, CURSOR)];
    edits.extend([ROUTING, CIRCLES].map(|key| Edit::remove(Book::Habit, key)));
    for prefix in [AGENT, TEAM, KIND] {
        for entry in super::entries(engine, Book::Habit, prefix).await? {
            edits.push(Edit::remove(Book::Habit, &entry.key));
        }
    }
    let (store, project) = (&engine.store, &engine.project);
    store.edit(project, edits, "system".into(), engine.now()).await
}

async fn cursor(engine: &Engine) -> Result<(Option<Entry>, Cursor)> {
    let keys = [CURSOR.into()];
    let entry = engine
        .store
        .entries_of(&engine.project, Book::Cursor, &keys)
        .await?
        .pop();
    let cursor = entry.as_ref().map(Entry::read).transpose()?.unwrap_or_default();
    Ok((entry, cursor))
}

/// Learns from one page of the log. Returns whether there may be more.
async fn page(engine: &Engine) -> Result<bool> {
    let (entry, cursor) = cursor(engine).await?;
    let events = engine
        .store
        .events(&engine.project, EventNo(cursor.last), PAGE_MAX)
        .await?;
    let Some(last) = events.last().map(|seen| seen.event.no) else {
        return Ok(false);
    };
    let lessons: Vec<Lesson> = lessons(engine, &events)
        .await?
        .into_iter()
        .map(|(_, lesson)| lesson)
        .collect();
    let mut edits = learned(engine, &lessons).await?;
    let moved = Entry::new(Book::Cursor, CURSOR, &Cursor { last: last.0 });
    edits.push(Edit::put(moved).instead_of(entry.as_ref()));
    // Otherwise somebody else has learned from this page.
    let own = engine.write(edits).await?;
    Ok(!own || events.len() == PAGE_MAX)
}

/// An attempt that has ended in this page.
struct Ended<'a> {
    seen: &'a Seen,
    task: TaskId,
    end: End,
    usage: Usage,
}

#[derive(Deserialize)]
struct CameData {
    agent: AgentName,
    #[serde(default)]
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct TeamData {
    team: TeamName,
}

#[derive(Deserialize)]
struct RoutedData {
    #[serde(default)]
    confidence: Option<f64>,
}

#[derive(Deserialize)]
struct ReportData {
    agent: AgentName,
    success: bool,
    duration_ms: f64,
    #[serde(default)]
    quality: Option<f64>,
}

pub(super) fn told<T: DeserializeOwned>(seen: &Seen) -> Option<T> {
    let data = seen.event.fact.data.as_ref()?;
    serde_json::from_str(data.get()).ok()
}

/// What a page teaches, in the order of its events, each with the event that it follows from.
pub(super) async fn lessons<'a>(engine: &Engine, events: &'a [Seen]) -> Result<Vec<(&'a Seen, Lesson)>> {
    enum Found<'e> {
        Lesson(&'e Seen, Lesson),
        Ended(Ended<'e>),
    }
    let mut found = Vec::new();
    for seen in events {
        let fact = &seen.event.fact;
        match fact.kind {
            Fact::AgentRegistered => found.extend(told::<CameData>(seen).map(|came| {
                let came = Lesson::Came {
                    at: fact.at,
                    agent: came.agent,
                    prior: came.profile.and_then(|profile| profile.prior).map(sound),
                };
                Found::Lesson(seen, came)
            })),
            Fact::AgentDeregistered => {
                found.extend(
                    told::<CameData>(seen)
                        .map(|left| Found::Lesson(seen, Lesson::Left { agent: left.agent })),
                );
            }
            Fact::AgentReported => found.extend(told::<ReportData>(seen).map(|report| {
                let reported = Lesson::Reported {
                    at: fact.at,
                    agent: report.agent,
                    success: report.success,
                    ms: report.duration_ms,
                    quality: report.quality,
                };
                Found::Lesson(seen, reported)
            })),
            Fact::TaskRouted => found.extend(told::<RoutedData>(seen).map(|routed| {
                let routed = Lesson::Routed {
                    confidence: routed.confidence,
                };
                Found::Lesson(seen, routed)
            })),
            Fact::TeamRemoved => found.extend(
                told::<TeamData>(seen).map(|gone| Found::Lesson(seen, Lesson::Dissolved { team: gone.team })),
            ),
            Fact::TaskEntered(_) => {
                if let (Some(told), Some(task)) = (told::<Told>(seen), &seen.task)
                    && let Some(end) = end(fact.kind, fact.reason, &told)
                {
                    found.push(Found::Ended(Ended {
                        seen,
                        task: task.clone(),
                        end,
                        usage: told.usage.unwrap_or_default(),
                    }));
                }
            }
            _ => {}
        }
    }
    let ids: Vec<TaskId> = found
        .iter()
        .filter_map(|found| match found {
            Found::Ended(ended) => Some(ended.task.clone()),
            Found::Lesson(..) => None,
        })
        .collect();
    let mut views = engine.store.views(&engine.project, &ids).await?.into_iter();
    let begins = Begins::new(events);
    let mut lessons = Vec::with_capacity(found.len());
    for found in found {
        match found {
            Found::Lesson(seen, lesson) => lessons.push((seen, lesson)),
            Found::Ended(ended) => {
                let Some(view) = views.next().flatten() else {
                    continue;
                };
                let began = begins.find(engine, ended.seen).await?;
                let lesson = Lesson::Ended {
                    at: ended.seen.event.fact.at,
                    end: ended.end,
                    began: began.at,
                    agent: began.agent,
                    kind: view.class.kind,
                    needs: view.class.needs,
                    team: view.class.team,
                    within: Whole::of(&view.task, view.run),
                    usage: ended.usage,
                };
                lessons.push((ended.seen, lesson));
            }
        }
    }
    Ok(lessons)
}

fn sound(prior: Prior) -> Prior {
    let share = |share: Option<f64>| share.filter(|share| (0.0..=1.0).contains(share));
    Prior {
        success_rate: share(prior.success_rate),
        quality: share(prior.quality),
        ..prior
    }
}

/// Looks for where attempts began: in the page itself, else in the log.
struct Begins<'a> {
    page: FxHashMap<EventNo, &'a Seen>,
}

#[derive(Debug, Default)]
struct Began {
    at: Option<Timestamp>,
    agent: Option<AgentName>,
}

impl<'a> Begins<'a> {
    fn new(events: &'a [Seen]) -> Begins<'a> {
        Begins {
            page: events.iter().map(|seen| (seen.event.no, seen)).collect(),
        }
    }

    /// Goes back over the events of the task to the one that handed it out.
    async fn find(&self, engine: &Engine, ended: &Seen) -> Result<Began> {
        let mut began = Began::default();
        let mut prev = ended.event.prev;
        for _ in 0..BACK {
            if prev == EventNo(0) {
                break;
            }
            let read;
            let seen = match self.page.get(&prev) {
                Some(seen) => *seen,
                None => {
                    let before = EventNo(prev.0 - 1);
                    let found = engine.store.events(&engine.project, before, 1).await?.pop();
                    let Some(found) = found.filter(|found| found.event.no == prev) else {
                        break;
                    };
                    read = found;
                    &read
                }
            };
            let fact = &seen.event.fact;
            match fact.kind {
                Fact::TaskEntered(State::Running) if fact.reason.is_none() => {
                    // Going on after a pause says nothing of the attempt.
                    if let Some(told) = told::<Told>(seen) {
                        began.at = Some(fact.at);
                        began.agent = told.agent.or(began.agent);
                    }
                }
                Fact::TaskEntered(State::Assigned) => {
                    began.agent = told::<Told>(seen).and_then(|told| told.agent).or(began.agent);
                    break;
                }
                Fact::TaskEntered(State::Ready | State::Retrying | State::Failed | State::Blocked) => break,
                _ => {}
            }
            prev = seen.event.prev;
        }
        Ok(began)
    }
}

fn agent_key(agent: &AgentName) -> Arc<str> {
    format!("{AGENT}{agent}").into()
}

fn team_key(team: &TeamName) -> Arc<str> {
    format!("{TEAM}{team}").into()
}

fn kind_key(kind: &Kind) -> Arc<str> {
    format!("{KIND}{kind}").into()
}

/// The entries that change by these lessons.
async fn learned(engine: &Engine, lessons: &[Lesson]) -> Result<Vec<Edit>> {
    let mut agents: Vec<AgentName> = lessons.iter().filter_map(Lesson::agent).cloned().collect();
    agents.sort_unstable();
    agents.dedup();
    let mut kinds: Vec<Kind> = lessons.iter().filter_map(Lesson::kind).cloned().collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut teams: Vec<TeamName> = lessons.iter().filter_map(Lesson::team).cloned().collect();
    teams.sort_unstable();
    teams.dedup();
    let all = all(engine).await?;
    let circles = all.iter().find(|entry| &*entry.key == CIRCLES);
    let mut known = Known {
        agents: read(engine, &agents, agent_key).await?,
        kinds: read(engine, &kinds, kind_key).await?,
        teams: read(engine, &teams, team_key).await?,
        circles: circles.map(Entry::read).transpose()?.unwrap_or_default(),
        routing: super::router::routing(&all)?,
    };
    let before = known.clone();
    lessons.iter().for_each(|lesson| known.learn(lesson));
    let put = |key: Arc<str>, entry: Entry| Edit {
        key,
        expect: Expect::Anything,
        ..Edit::put(entry)
    };
    let mut edits = Vec::new();
    if known.routing != before.routing {
        edits.push(put(
            ROUTING.into(),
            Entry::new(Book::Habit, ROUTING, &known.routing),
        ));
    }
    if known.circles != before.circles {
        edits.push(put(
            CIRCLES.into(),
            Entry::new(Book::Habit, CIRCLES, &known.circles),
        ));
    }
    let agents = agents.iter().map(|agent| {
        (
            agent_key(agent),
            before.agents.get(agent),
            known.agents.get(agent),
        )
    });
    let teams = teams
        .iter()
        .map(|team| (team_key(team), before.teams.get(team), known.teams.get(team)));
    for (key, before, now) in agents.chain(teams) {
        match (before, now) {
            (before, Some(record)) if before == Some(record) => {}
            (_, Some(record)) => edits.push(put(key.clone(), Entry::new(Book::Habit, &key, record))),
            (Some(_), None) => edits.push(Edit::remove(Book::Habit, &key)),
            (None, None) => {}
        }
    }
    for (kind, practice) in &known.kinds {
        if before.kinds.get(kind) != Some(practice) {
            let key = kind_key(kind);
            edits.push(put(key.clone(), Entry::new(Book::Habit, &key, practice)));
        }
    }
    Ok(edits)
}

/// What is kept of the whole project.
pub(super) async fn all(engine: &Engine) -> Result<Vec<Entry>> {
    let keys = [ROUTING.into(), CIRCLES.into()];
    engine.store.entries_of(&engine.project, Book::Habit, &keys).await
}

async fn read<K: Ord + Clone, T: DeserializeOwned>(
    engine: &Engine,
    names: &[K],
    key: impl Fn(&K) -> Arc<str>,
) -> Result<BTreeMap<K, T>> {
    let keys: Vec<Arc<str>> = names.iter().map(&key).collect();
    let found = engine
        .store
        .entries_of(&engine.project, Book::Habit, &keys)
        .await?;
    let mut found = found.iter().peekable();
    let mut known = BTreeMap::new();
    for (name, key) in names.iter().zip(&keys) {
        if let Some(entry) = found.next_if(|entry| entry.key == *key) {
            known.insert(name.clone(), entry.read()?);
        }
    }
    Ok(known)
}

/// How tasks of each kind usually go, as far as anybody has learned it.
pub async fn practices(engine: &Engine) -> Result<BTreeMap<Kind, Practice>> {
    let mut practices = BTreeMap::new();
    for entry in super::entries(engine, Book::Habit, KIND).await? {
        if let Some(kind) = entry.key.strip_prefix(KIND).and_then(|kind| Kind::new(kind).ok()) {
            practices.insert(kind, entry.read()?);
        }
    }
    Ok(practices)
}
