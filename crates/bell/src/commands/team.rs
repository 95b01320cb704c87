//! `bell team`: who works with whom.

use api::ask;
use api::team::{Did, Member, Team, Teams};
use clap::Subcommand;
use domain::agent::skill::How;
use domain::id::{AgentName, TeamName};
use domain::limits::PAGE_MAX;
use domain::time::{Timestamp, show_duration};
use std::time::Duration;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::{Table, fields};
use crate::output::{theme, time};
use crate::parse;

/// See the teams of agents, and name them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Set(Set),
    Remove(Remove),
}

/// List the teams with their members, load and record
///
/// Beside those that somebody has named, these are agents that often did well in the same runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell team list")]
struct List {
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
    /// Begin after this team
    #[arg(long, value_name = "NAME")]
    cursor: Option<String>,
}

/// Show what is known of a team
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell team show web")]
struct Show {
    #[arg(value_parser = parse::name::<TeamName>)]
    name: TeamName,
}

/// Make a team of agents, or change who is in it
///
/// A team that was found by itself is yours from then on, and no longer follows who works with whom. Members need not be
/// registered.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell team set web --member ann --member bob --about \"everything with a face\"
  bell team set web --add eve --drop bob")]
struct Set {
    #[arg(value_parser = parse::name::<TeamName>)]
    name: TeamName,
    /// This is a member, and nobody who is not named
    #[arg(long, value_name = "AGENT", value_parser = parse::name::<AgentName>)]
    member: Vec<AgentName>,
    /// This comes to the team
    #[arg(long, value_name = "AGENT", value_parser = parse::name::<AgentName>)]
    add: Vec<AgentName>,
    /// This leaves the team
    #[arg(long, value_name = "AGENT", value_parser = parse::name::<AgentName>)]
    drop: Vec<AgentName>,
    /// Say what it is for
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
}

/// Take a team away
///
/// What is for it waits until there is a team of that name again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell team remove web")]
struct Remove {
    #[arg(value_parser = parse::name::<TeamName>)]
    name: TeamName,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let now = engine.now().wall;
        match self.command {
            Command::List(args) => {
                let asked = ask::Page {
                    limit: Some(args.limit),
                    cursor: args.cursor,
                };
                let list = desk::team::list(&engine, &asked).await?;
                context.ui.answer(&list, table)?;
            }
            Command::Show(args) => {
                let team = desk::team::show(&engine, &args.name).await?;
                context.ui.answer(&team, |team| one(team, now))?;
            }
            Command::Set(args) => {
                let asked = ask::Team {
                    members: (!args.member.is_empty()).then_some(args.member),
                    add: args.add,
                    remove: args.drop,
                    about: args.about,
                };
                let team = desk::team::set(&engine, &args.name, asked).await?;
                context.ui.answer(&team, |team| one(team, now))?;
                context.ui.hint(&format!(
                    "`bell task add NAME --team {0}`, or `team: {0}` in a plan, is work for it",
                    team.name
                ))?;
            }
            Command::Remove(args) => {
                let team = desk::team::remove(&engine, &args.name).await?;
                context
                    .ui
                    .answer(&team, |team| format!("the team {} is no more\n", team.name))?;
            }
        }
        Ok(Exit::DONE)
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{:.0}%", share * 100.0))
}

fn table(list: &Teams) -> String {
    if list.teams.is_empty() {
        return "there are no teams\n".to_owned();
    }
    let mut table = Table::new(&["TEAM", "BY", ">LOAD", ">DONE", ">SUCCESS", "MEMBERS", "CAN DO"]);
    for team in &list.teams {
        let members: Vec<&str> = team.members.iter().map(|member| member.agent.as_str()).collect();
        let can: Vec<&str> = team.skills.iter().map(|skill| skill.name.as_str()).collect();
        let (load, together) = (&team.load, &team.together);
        table.row([
            team.name.to_string().into(),
            if team.found { "work" } else { "name" }.into(),
            format!("{}/{}", load.active + load.queued, team.capacity).into(),
            together.completed.to_string().into(),
            percent(together.success_rate).into(),
            members.join(", ").into(),
            can.join(", ").into(),
        ]);
    }
    table.render()
}

fn one(team: &Team, now: Timestamp) -> String {
    let load = &team.load;
    let origin = match team.found {
        true => "found by who works with whom",
        false => "named",
    };
    let rows = [
        ("team", Some(theme::paint(theme::BOLD, team.name.as_str()))),
        ("about", team.about.clone()),
        (
            "since",
            Some(format!("{}, {origin}", time::relative(team.since, now))),
        ),
        (
            "load",
            Some(format!(
                "{} held, {} waiting, of {}",
                load.active, load.queued, team.capacity
            )),
        ),
        ("its work", Some(did(&team.record))),
        ("together", Some(did(&team.together))),
    ];
    let mut text = fields(&rows);
    let mut members = Table::new(&["MEMBER", "IS", ">SUCCESS", "WORKED WITH"]);
    for member in &team.members {
        let with = member
            .worked_with
            .iter()
            .map(|tie| format!("{} ({})", tie.agent, tie.runs));
        members.row([
            member.agent.to_string().into(),
            is(member).into(),
            percent(member.success_rate).into(),
            with.collect::<Vec<_>>().join(", ").into(),
        ]);
    }
    text += "\n";
    text += &members.render();
    if !team.skills.is_empty() {
        let mut skills = Table::new(&["SKILL", ">SURE", "BY", ">MEMBERS", ">TRY"]);
        for skill in &team.skills {
            let how = match skill.how {
                How::Declared => "declared",
                How::Told => "told",
                How::Shown => "work",
                How::Tried => "to be tried",
            };
            skills.row([
                skill.name.to_string().into(),
                percent(Some(skill.confidence)).into(),
                how.into(),
                skill.members.to_string().into(),
                skill.tries.to_string().into(),
            ]);
        }
        text += "\n";
        text += &skills.render();
    }
    text
}

fn is(member: &Member) -> &'static str {
    match (member.registered, member.free) {
        (false, _) => "not registered",
        (true, true) => "free",
        (true, false) => "busy",
    }
}

fn did(did: &Did) -> String {
    if did.completed + did.failed == 0 {
        return "nothing yet".to_owned();
    }
    let took = did.avg_completion_ms.map_or_else(String::new, |ms| {
        format!(
            ", {} on average",
            show_duration(Duration::from_secs_f64(ms / 1e3))
        )
    });
    format!(
        "{} completed, {} failed; {} succeed{took}",
        did.completed,
        did.failed,
        percent(did.success_rate)
    )
}
