//! `bell config set`: what a project keeps in its store for all who work in it.

use desk::find;
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::event::Kind;
use domain::prune::{RETENTION, Retention};
use domain::task::order::{ORDER, Order};
use domain::task::retry::{RETRY, Retry};
use domain::task::score::Profile;
use domain::time::parse_duration;
use engine::engine::Engine;
use serde_json::{Value, json};

use super::Line;
use crate::context::{Access, Context};
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::parse;

/// Change how the project orders its line, how often it tries, and how long it keeps what has ended
///
/// Holds for everybody who works in the project, at once: it is kept in its store. All that is set in one go is
/// changed together, so that weights can be moved from one to another. An empty value sets back to the default.
#[derive(Debug, clap::Args)]
#[command(after_help = "Options:
  order.profile            classic, critical-path or boosts
  order.weights.base       and .depth, .urgency, .blocking, .source: together 1
  order.ageing             points for each hour of waiting, at most 25 in all
  retry                    operation, task, event, or a number of tries, for tasks that do not say
  retention                how long what has ended is kept, such as 30d, or never, to keep everything

Examples:
  bell config set order.profile=boosts retry=operation
  bell config set order.weights.base=0.40 order.weights.depth=0.15
  bell config set order.ageing=
  bell config set retention=90d")]
pub(super) struct Set {
    /// What to change
    #[arg(required = true, value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

/// What a project keeps.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    order: Order,
    retry: Option<Retry>,
    retention: Retention,
}

const PROFILE: &str = "order.profile";
const AGEING: &str = "order.ageing";
const NAMES: [&str; 9] = [
    PROFILE,
    "order.weights.base",
    "order.weights.depth",
    "order.weights.urgency",
    "order.weights.blocking",
    "order.weights.source",
    AGEING,
    RETRY,
    RETENTION,
];

impl Set {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.open(Access::Existing).await?;
        let found = entries(&engine).await?;
        let mut kept = Kept::read(&found)?;
        for setting in &self.settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                invalid(format!("`{}` has no value", setting.escape_debug())).help("write NAME=VALUE")
            })?;
            kept.set(context, name, value.trim())?;
        }
        kept.order.check()?;
        let edits = kept.edits(&found);
        if !edits.is_empty() {
            let (store, actor) = (&engine.store, engine.actor.clone());
            store.edit(&engine.project, edits, actor, engine.now()).await?;
            // Those in line find their new places.
            find::catch_up(&engine).await?;
        }
        let lines = lines(&engine).await?;
        context.ui.answer(&lines, |lines| {
            let line = |line: &Line| format!("{} = {}\n", line.name, text(&line.value));
            lines.iter().map(line).collect()
        })?;
        Ok(Exit::DONE)
    }
}

async fn entries(engine: &Engine) -> Result<Vec<Entry>> {
    let keys = [ORDER.into(), RETRY.into(), RETENTION.into()];
    Ok(engine
        .store
        .entries_of(&engine.project, Book::Setting, &keys)
        .await?)
}

/// The settings of a project as they are shown.
pub(super) async fn lines(engine: &Engine) -> Result<Vec<Line>> {
    let kept = Kept::read(&entries(engine).await?)?;
    let default = Kept::default();
    let line = |name: &&str| Line {
        name: (*name).to_owned(),
        value: kept.get(name),
        origin: match kept.get(name) == default.get(name) {
            true => "default".to_owned(),
            false => format!("project {}", engine.project),
        },
    };
    Ok(NAMES.iter().map(line).collect())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Kept {
    fn read(entries: &[Entry]) -> Result<Kept> {
        let find = |key: &str| entries.iter().find(|entry| &*entry.key == key);
        Ok(Kept {
            order: find(ORDER).map(Entry::read).transpose()?.unwrap_or_default(),
            retry: find(RETRY).map(Entry::read).transpose()?,
            retention: find(RETENTION).map(Entry::read).transpose()?.unwrap_or_default(),
        })
    }

    fn get(&self, name: &str) -> Value {
        match name {
            PROFILE => json!(self.order.profile.as_str()),
            AGEING => json!(self.order.ageing),
            RETRY => json!(shown(self.retry.as_ref())),
            RETENTION => json!(span(self.retention)),
            name => {
                let mut weights = self.order.weights;
                weight(&mut weights, name).map_or(Value::Null, |weight| json!(*weight))
            }
        }
    }

    fn set(&mut self, context: &Context, name: &str, value: &str) -> Result<()> {
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
            RETRY => self.retry = Some(parse::retry(value).map_err(|why| wrong(&why))?),
            RETENTION if value.is_empty() => self.retention = default.retention,
            RETENTION => self.retention = retention(value).map_err(|why| wrong(&why))?,
            _ => {
                let mut weights = default.order.weights;
                let Some(standard) = weight(&mut weights, name).map(|weight| *weight) else {
                    return Err(unknown(context, name).into());
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
        let all = [edit(ORDER, order), edit(RETRY, retry), edit(RETENTION, retention)];
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
fn span(retention: Retention) -> String {
    match retention.seconds {
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

fn unknown(context: &Context, name: &str) -> Refusal {
    let refusal = Refusal::new(
        Code::InvalidArgument,
        format!("a project keeps no setting `{}`", name.escape_debug()),
    );
    if context.settings.iter().any(|(known, _)| known == name) {
        return refusal.help("this one is set in bell.toml; `bell config defaults` shows how");
    }
    match nearest(name, NAMES) {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal.help(format!("it keeps {}", NAMES.join(", "))),
    }
}
