//! What a project keeps for all who work in it: how its line is ordered, how often is tried, how long what has ended stays, what
//! is given to agents without being asked.

use api::ask;
use api::project::{Setting, Settings};
use domain::agent::route::Strategy;
use domain::agent::routing::{ROUTING, Routing};
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::event::Kind;
use domain::limits;
use domain::prune::{RETENTION, Retention};
use domain::store::Result;
use domain::task::order::{ORDER, Order};
use domain::task::retry::{RETRY, Retry};
use domain::task::score::Profile;
use domain::time::parse_duration;
use engine::engine::Engine;
use serde_json::{Value, json};

use crate::{find, invalid};

/// What a project keeps.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    order: Order,
    retry: Option<Retry>,
    retention: Retention,
    routing: Routing,
}

const PROFILE: &str = "order.profile";
const AGEING: &str = "order.ageing";
const AUTO: &str = "routing.auto";
const AHEAD: &str = "routing.ahead";
const HOLD: &str = "routing.hold";
const NAMES: [&str; 12] = [
    PROFILE,
    "order.weights.base",
    "order.weights.depth",
    "order.weights.urgency",
    "order.weights.blocking",
    "order.weights.source",
    AGEING,
    RETRY,
    RETENTION,
    AUTO,
    AHEAD,
    HOLD,
];

/// The settings of a project as they are shown.
pub async fn list(engine: &Engine) -> Result<Settings> {
    let kept = Kept::read(&entries(engine).await?)?;
    let default = Kept::default();
    let setting = |name: &&str| Setting {
        name: (*name).to_owned(),
        value: kept.get(name),
        origin: match kept.get(name) == default.get(name) {
            true => "default".to_owned(),
            false => format!("project {}", engine.project),
        },
    };
    Ok(Settings {
        settings: NAMES.iter().map(setting).collect(),
        count: NAMES.len(),
    })
}

/// As [`set`], of a document.
pub async fn change(engine: &Engine, asked: &ask::Settings) -> Result<Settings> {
    let text = |(name, value): (&String, &Value)| match value {
        Value::Null => Ok((name.clone(), String::new())),
        Value::String(text) => Ok((name.clone(), text.trim().to_owned())),
        Value::Number(number) => Ok((name.clone(), number.to_string())),
        _ => Err(invalid(format!(
            "`{}` is a text or a number",
            name.escape_debug()
        ))),
    };
    let settings: Vec<_> = asked.0.iter().map(text).collect::<Result<_>>()?;
    set(engine, &settings).await
}

/// Changes settings together; an empty value sets back to the default.
pub async fn set(engine: &Engine, settings: &[(String, String)]) -> Result<Settings> {
    let found = entries(engine).await?;
    let mut kept = Kept::read(&found)?;
    for (name, value) in settings {
        kept.set(name, value)?;
    }
    kept.order.check()?;
    let edits = kept.edits(&found);
    if !edits.is_empty() {
        let (store, actor) = (&engine.store, engine.actor.clone());
        store.edit(&engine.project, edits, actor, engine.now()).await?;
        // Those in line find their new places.
        find::catch_up(engine).await?;
    }
    list(engine).await
}

async fn entries(engine: &Engine) -> Result<Vec<Entry>> {
    let keys = [ORDER.into(), RETRY.into(), RETENTION.into(), ROUTING.into()];
    let (store, project) = (&engine.store, &engine.project);
    store.entries_of(project, Book::Setting, &keys).await
}

impl Kept {
    fn read(entries: &[Entry]) -> Result<Kept> {
        let find = |key: &str| entries.iter().find(|entry| &*entry.key == key);
        Ok(Kept {
            order: find(ORDER).map(Entry::read).transpose()?.unwrap_or_default(),
            retry: find(RETRY).map(Entry::read).transpose()?,
            retention: find(RETENTION).map(Entry::read).transpose()?.unwrap_or_default(),
            routing: find(ROUTING).map(Entry::read).transpose()?.unwrap_or_default(),
        })
    }

    fn get(&self, name: &str) -> Value {
        match name {
            PROFILE => json!(self.order.profile.as_str()),
            AGEING => json!(self.order.ageing),
            RETRY => json!(shown(self.retry.as_ref())),
            RETENTION => json!(span(self.retention.seconds)),
            AUTO => json!(self.routing.auto.map_or("off", Strategy::as_str)),
            AHEAD => json!(
                self.routing
                    .ahead
                    .map_or("off".to_owned(), |ahead| span(Some(ahead)))
            ),
            HOLD => json!(span(Some(self.routing.hold.unwrap_or(Routing::HOLD)))),
            name => {
                let mut weights = self.order.weights;
                weight(&mut weights, name).map_or(Value::Null, |weight| json!(*weight))
            }
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let default = Kept::default();
        let wrong = |why: &str| invalid(format!("{name} = `{}`: {why}", value.escape_debug()));
        let number = || value.parse::<f64>().ok().filter(|number| number.is_finite());
        match name {
            PROFILE if value.is_empty() => self.order.profile = default.order.profile,
            PROFILE => {
                let known = Profile::ALL.into_iter().find(|profile| profile.as_str() == value);
                self.order.profile = known.ok_or_else(|| wrong("write classic, critical-path or boosts"))?;
            }
            AGEING if value.is_empty() => self.order.ageing = default.order.ageing,
            AGEING => self.order.ageing = number().ok_or_else(|| wrong("write a number"))?,
            RETRY if value.is_empty() => self.retry = None,
            RETRY => self.retry = Some(tries(value).map_err(|why| wrong(&why))?),
            RETENTION if value.is_empty() => self.retention = default.retention,
            RETENTION => self.retention = retention(value).map_err(|why| wrong(&why))?,
            AUTO | AHEAD if value.is_empty() || value == "off" => match name {
                AUTO => self.routing.auto = None,
                _ => self.routing.ahead = None,
            },
            AUTO => {
                let known = Strategy::ALL.into_iter().find(|known| known.as_str() == value);
                let known = known.ok_or_else(|| wrong("write off, quality, bandit, capability or team"))?;
                self.routing.auto = Some(known);
            }
            AHEAD => self.routing.ahead = Some(moment(value).map_err(|why| wrong(&why))?),
            HOLD if value.is_empty() => self.routing.hold = None,
            HOLD => self.routing.hold = Some(moment(value).map_err(|why| wrong(&why))?),
            _ => {
                let mut weights = default.order.weights;
                let Some(standard) = weight(&mut weights, name).map(|weight| *weight) else {
                    return Err(unknown(name));
                };
                let given = match value.is_empty() {
                    true => standard,
                    false => number().ok_or_else(|| wrong("write a number from 0 to 1"))?,
                };
                if let Some(weight) = weight(&mut self.order.weights, name) {
                    *weight = given;
                }
            }
        }
        Ok(())
    }

    /// What differs from what was found, if it is still so.
    fn edits(&self, found: &[Entry]) -> Vec<Edit> {
        let order = (self.order != Order::default()).then(|| Entry::new(Book::Setting, ORDER, &self.order));
        let retry = self
            .retry
            .as_ref()
            .map(|retry| Entry::new(Book::Setting, RETRY, retry));
        let retention = (self.retention != Retention::default())
            .then(|| Entry::new(Book::Setting, RETENTION, &self.retention));
        let routing =
            (self.routing != Routing::default()).then(|| Entry::new(Book::Setting, ROUTING, &self.routing));
        let edit = |key: &str, to: Option<Entry>| {
            let before = found.iter().find(|entry| &*entry.key == key);
            if before.map(|entry| &entry.value) == to.as_ref().map(|entry| &entry.value) {
                return None;
            }
            let value = to.as_ref().map(|entry| entry.value.clone());
            let edit = to.map_or_else(|| Edit::remove(Book::Setting, key), Edit::put);
            let data = json!({ "setting": key, "value": value });
            Some(edit.instead_of(before).with_event(Kind::SettingChanged, &data))
        };
        let all = [
            edit(ORDER, order),
            edit(RETRY, retry),
            edit(RETENTION, retention),
            edit(ROUTING, routing),
        ];
        all.into_iter().flatten().collect()
    }
}

fn weight<'a>(weights: &'a mut domain::task::score::Weights, name: &str) -> Option<&'a mut f64> {
    match name.strip_prefix("order.weights.")? {
        "base" => Some(&mut weights.base),
        "depth" => Some(&mut weights.depth),
        "urgency" => Some(&mut weights.urgency),
        "blocking" => Some(&mut weights.blocking),
        "source" => Some(&mut weights.source),
        _ => None,
    }
}

/// A preset by its name, a plain number of tries, or what is known of another policy.
fn shown(retry: Option<&Retry>) -> String {
    let Some(retry) = retry else { return "1".to_owned() };
    let preset = Retry::PRESETS
        .iter()
        .find(|name| Retry::preset(name).as_ref() == Some(retry));
    preset.map_or_else(|| retry.attempts.to_string(), |name| (*name).to_owned())
}

/// In the largest unit of which it is a whole number.
fn span(seconds: Option<u64>) -> String {
    match seconds {
        None => "never".to_owned(),
        Some(s) if s % 86_400 == 0 => format!("{}d", s / 86_400),
        Some(s) if s % 3_600 == 0 => format!("{}h", s / 3_600),
        Some(s) if s % 60 == 0 => format!("{}m", s / 60),
        Some(s) => format!("{s}s"),
    }
}

fn retention(value: &str) -> std::result::Result<Retention, String> {
    if value == "never" {
        return Ok(Retention { seconds: None });
    }
    let kept = parse_duration(value).map_err(|why| format!("{why}, or never, to keep everything"))?;
    let retention = Retention {
        seconds: Some(kept.as_secs()),
    };
    match retention.is_sensible() {
        true => Ok(retention),
        false => Err("write a minute to a hundred years, or never, to keep everything".to_owned()),
    }
}

/// How long an agent may be held.
fn moment(value: &str) -> std::result::Result<u64, String> {
    let seconds = parse_duration(value)?.as_secs();
    match (1..=Routing::MOST).contains(&seconds) {
        true => Ok(seconds),
        false => Err("write a second to a day".to_owned()),
    }
}

/// A preset of retries by its name, or a number of tries.
pub fn tries(text: &str) -> std::result::Result<Retry, String> {
    if let Some(preset) = Retry::preset(text) {
        return Ok(preset);
    }
    match text.parse::<u32>() {
        Ok(attempts) if (1..=limits::ATTEMPTS).contains(&attempts) => Ok(Retry {
            attempts,
            ..Retry::default()
        }),
        _ => Err(format!(
            "neither one of {} nor a number of tries from 1 to {}",
            Retry::PRESETS.join(", "),
            limits::ATTEMPTS
        )),
    }
}

fn unknown(name: &str) -> Refusal {
    let refusal = Refusal::new(
        Code::InvalidArgument,
        format!("a project keeps no setting `{}`", name.escape_debug()),
    );
    match nearest(name, NAMES) {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal.help(format!("it keeps {}", NAMES.join(", "))),
    }
}
