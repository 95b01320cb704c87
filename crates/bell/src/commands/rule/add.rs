//! `bell rule add`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::rule::AddedRules;
use domain::event::pattern::Pattern;
use domain::id::{EventNo, RuleName};
use domain::plan::{Format, read_rules};
use domain::rule::{
    Action, Condition, DEPTH_DEFAULT, DEPTH_MAX, Filter, Notify, Prioritize, Publish, Rule, Submit, Template,
    Way, Webhook,
};
use domain::schedule::Work;

use crate::commands::plan::file::{read, tell};
use crate::commands::schedule::plan;
use crate::commands::task::Asked;
use crate::context::{Access, Context};
use crate::error::{Error, Result, invalid};
use crate::exit::Exit;
use crate::output::theme;
use crate::parse;

/// Add a rule, or all rules of a file
///
/// A rule looks at events from now on. With --run, --prompt or --agent it hands a task in, with --plan the tasks of a
/// plan: into the run of the event, if it has one. They find the event, and the task that it is about, among their inputs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell rule add qa --on task.completed --if 'task.kind == \"dev\"' --run ./qa.sh --kind qa --with PART=task.env.PART
  bell rule add page --on task.escalated --webhook https://hooks.example.org/page
  bell rule add tell --on 'run.*' --publish env:AMQP_URL --exchange events --routing-key 'bell.{event.type}'
  bell rule add calm --on breaker.opened --pause 'kind=deploy'
  bell rule add soon --on task.completed --if 'queue.ready > 100' --reprioritize 'kind=report to low'
  bell rule add --file rules.yaml --replace")]
pub(super) struct Args {
    /// What the rule is called
    #[arg(value_parser = parse::name::<RuleName>, required_unless_present = "file", conflicts_with = "file")]
    name: Option<RuleName>,
    /// Add the rules of this file: YAML, JSON or TOML; - reads stdin
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Wait for events of this type; `*` stands for any text; may be repeated
    #[arg(long, value_name = "TYPE", value_parser = parse::name::<Pattern>, required_unless_present = "file", conflicts_with = "file")]
    on: Vec<Pattern>,
    /// Only if this holds
    #[arg(long = "if", value_name = "CONDITION", value_parser = parse::name::<Condition>, conflicts_with = "file")]
    when: Option<Condition>,
    #[command(flatten)]
    does: Does,
    /// Give the tasks a variable that is set to a fact: NAME=task.env.PART
    #[arg(long, value_name = "NAME=FACT", value_parser = fact, conflicts_with = "file")]
    with: Vec<(String, Way)>,
    /// The exchange that gets the message; without it the routing key names a queue
    #[arg(long, value_name = "NAME", requires = "publish", default_value = "")]
    exchange: String,
    /// The message's routing key, with facts in braces: bell.{event.type}
    #[arg(long, value_name = "TEXT", requires = "publish", value_parser = parse::name::<Template>)]
    routing_key: Option<Template>,
    /// At most so many rules may set each other off in a row
    #[arg(long, value_name = "N", default_value_t = DEPTH_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=i64::from(DEPTH_MAX)))]
    depth: u32,
    /// Begin after the event with this number, instead of now
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Put it in the place of a rule of the same name, which goes on where it is
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    asked: Asked,
}

/// What it does: one of these, or a task.
#[derive(Debug, clap::Args)]
#[group(id = "does", multiple = false, conflicts_with_all = ["file", "run", "agent", "prompt"])]
struct Does {
    /// Hand in the tasks of this plan
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Send the event to this URL
    #[arg(long, value_name = "URL", value_parser = hook)]
    webhook: Option<Webhook>,
    /// Send the event to the broker at this address, or at the one in a variable: env:NAME
    #[arg(long, value_name = "URL", requires = "routing_key")]
    publish: Option<String>,
    /// Start this line with `sh -c`; it finds the event on stdin
    #[arg(long, value_name = "CMD", value_parser = parse::text)]
    notify: Option<String>,
    /// Give tasks another priority: FILTER to PRIORITY
    #[arg(long, value_name = "TEXT", value_parser = parse::name::<Prioritize>)]
    reprioritize: Option<Prioritize>,
    /// Suspend tasks that nobody works on
    #[arg(long, value_name = "FILTER", value_parser = parse::name::<Filter>)]
    pause: Option<Filter>,
    /// Resume suspended tasks
    #[arg(long, value_name = "FILTER", value_parser = parse::name::<Filter>)]
    resume: Option<Filter>,
    /// Give failed tasks another go
    #[arg(long, value_name = "FILTER", value_parser = parse::name::<Filter>)]
    try_again: Option<Filter>,
}

fn fact(text: &str) -> std::result::Result<(String, Way), String> {
    let (name, way) = parse::variable(text)?;
    Ok((name, parse::name(&way)?))
}

fn hook(text: &str) -> std::result::Result<Webhook, String> {
    Webhook::new(text).map_err(|refusal| refusal.detail)
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result {
        let rules = match (&self.file, &self.name) {
            (Some(file), _) => self.of_file(context, file)?,
            (None, Some(name)) => vec![(name.clone(), self.one(context, name)?)],
            (None, None) => Vec::new(),
        };
        let engine = context.open(Access::Create).await?;
        let after = self.after.map(EventNo);
        let answer = desk::rule::add_read(&engine, rules, after, self.replace).await?;
        context.ui.answer(&answer, people)?;
        context
            .ui
            .hint("it is carried out while `bell worker` or `bell run` is running somewhere on this store")?;
        Ok(Exit::DONE)
    }

    fn of_file(&self, context: &Context, file: &Path) -> Result<Vec<(RuleName, Rule)>> {
        self.nothing_asked(context, "a file of rules says itself what they do")?;
        let bytes = read(file)?;
        let path = context.cwd.join(file);
        let folder = path.parent().unwrap_or(&context.cwd).display().to_string();
        let shown = file.display().to_string();
        read_rules(&bytes, Format::of(file, &bytes), &shown, &folder).map_err(|faults| {
            match tell(context, &faults, &bytes) {
                Ok(()) => Error::Told(Exit::USAGE),
                Err(error) => error,
            }
        })
    }

    fn one(&self, context: &Context, name: &RuleName) -> Result<Rule> {
        let action = self.action(context, name)?;
        if !matches!(action, Action::Submit(_)) && !self.with.is_empty() {
            return Err(invalid("--with is for rules that hand tasks in").into());
        }
        Ok(Rule {
            on: self.on.clone(),
            when: self.when.clone(),
            action,
            depth: self.depth,
        })
    }

    fn action(&self, context: &Context, name: &RuleName) -> Result<Action> {
        let with: BTreeMap<String, Way> = self.with.iter().cloned().collect();
        let does = &self.does;
        if let Some(path) = &does.plan {
            let work = plan(context, path, &self.asked)?;
            return Ok(Action::Submit(Submit { work, with }));
        }
        let cwd = context.cwd.display().to_string();
        let notify = does
            .notify
            .as_ref()
            .map(|line| Action::Notify(Notify::shell(line, &cwd)));
        // Beside another action the argument parser lets them pass.
        if does.publish.is_none() && (self.routing_key.is_some() || !self.exchange.is_empty()) {
            return Err(invalid("--routing-key and --exchange are of a message: add --publish").into());
        }
        let publish = does.publish.as_ref().zip(self.routing_key.clone());
        let publish = publish
            .map(|(url, key)| Publish::new(url, &self.exchange, key))
            .transpose()?;
        let action = notify
            .or_else(|| publish.map(Action::Publish))
            .or_else(|| does.webhook.clone().map(Action::Webhook))
            .or_else(|| does.reprioritize.clone().map(Action::Reprioritize))
            .or_else(|| does.pause.clone().map(Action::Pause))
            .or_else(|| does.resume.clone().map(Action::Resume))
            .or_else(|| does.try_again.clone().map(Action::Retry));
        if let Some(action) = action {
            self.nothing_asked(
                context,
                "only a rule that hands a task in takes what a task asks for",
            )?;
            return Ok(action);
        }
        if !self.asked.names_work() {
            let refusal = invalid("it is not said what the rule does");
            return Err(refusal
                .help("write for example --run CMD, --webhook URL or --pause FILTER")
                .into());
        }
        let spec = self.asked.spec(name.as_str(), context)?;
        let work = Work::Task(Box::new(spec));
        Ok(Action::Submit(Submit { work, with }))
    }

    /// Flags of a task would be ignored.
    fn nothing_asked(&self, context: &Context, why: &str) -> Result<()> {
        match self.asked.is_empty(context)? {
            true => Ok(()),
            false => Err(invalid(why).into()),
        }
    }
}

fn people(answer: &AddedRules) -> String {
    let parts = [
        ("added", &answer.added),
        ("replaced", &answer.replaced),
        ("unchanged", &answer.unchanged),
    ];
    let lines = parts.into_iter().flat_map(|(what, names)| {
        names
            .iter()
            .map(move |name| format!("{what}  {}\n", theme::paint(theme::GOOD, name.as_str())))
    });
    lines.collect()
}
