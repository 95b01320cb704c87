//! What an agent may ask for. What runs here, and with which variables and secrets, is chosen by people.

use std::fmt;

use super::each::Each;
use super::outside::Awaited;
use super::replan::OnExhausted;
use super::spec::{Json, Spec};
use super::work::Work;

/// What an agent may not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Work(&'static str),
    /// A wait that calls an endpoint.
    Call,
    /// A planner that is no agent.
    Planner,
    Unreadable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Work(name) => write!(f, "a task of the sort `{name}`"),
            Refused::Call => f.write_str("a wait that calls an endpoint"),
            Refused::Planner => f.write_str("a planner that is no agent"),
            Refused::Unreadable => f.write_str("a task that cannot be read"),
        }
    }
}

/// Lets prompts, questions, and waits for files and signals through, one by one or for each item of a list, and takes away the
/// variables and secrets that they name.
pub fn admit(spec: &mut Spec) -> Result<(), Refused> {
    spec.env.clear();
    spec.secrets.clear();
    if let Some(OnExhausted::Replan(replan)) = &mut spec.on_exhausted {
        let planner = &mut replan.planner;
        if !matches!(planner.work, Work::Prompt(_)) {
            return Err(Refused::Planner);
        }
        planner.env.clear();
        planner.secrets.clear();
    }
    match &spec.work {
        Work::Prompt(_) | Work::Breakpoint(_) => Ok(()),
        Work::Wait(awaited) => match serde_json::from_str(awaited.get()) {
            Ok(Awaited::File { .. } | Awaited::Signal { .. }) => Ok(()),
            Ok(Awaited::Http { .. }) => Err(Refused::Call),
            Err(_) => Err(Refused::Unreadable),
        },
        Work::Each(each) => {
            let mut each: Each = serde_json::from_str(each.get()).map_err(|_| Refused::Unreadable)?;
            admit(&mut each.task)?;
            spec.work = Work::Each(Json::of(&each));
            Ok(())
        }
        work => Err(Refused::Work(work.name())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::task::each::Over;
    use crate::task::replan::{Planner, Replan};

    fn of(work: Work) -> Result<(), Refused> {
        admit(&mut Spec::new("t", work))
    }

    fn each(work: Work) -> Work {
        let over = Over::Items(Json::of(&json!([1])));
        let task = Spec::new("t", work);
        Work::Each(Json::of(&Each { over, task }))
    }

    fn wait(awaited: &Awaited) -> Work {
        Work::Wait(Json::of(awaited))
    }

    // proves: DESIGN 9
    #[test]
    fn an_agent_chooses_no_command_and_no_call() {
        let prompt = || Work::Prompt("think".into());
        let file = Awaited::File {
            glob: "*".into(),
            stable: 0,
        };
        for work in [
            prompt(),
            Work::Breakpoint("?".into()),
            wait(&file),
            each(prompt()),
            each(wait(&file)),
        ] {
            assert_eq!(of(work), Ok(()));
        }
        let shell = || Work::Shell("true".into());
        let call = Awaited::Http {
            call: Default::default(),
            interval: 1,
        };
        let refused = [
            (shell(), Refused::Work("command")),
            (Work::Argv(vec!["true".into()]), Refused::Work("command")),
            (
                Work::Http(Json::of(&json!({ "url": "http://h" }))),
                Refused::Work("http"),
            ),
            (Work::Handler("h".into()), Refused::Work("handler")),
            (wait(&call), Refused::Call),
            (each(shell()), Refused::Work("command")),
            (each(wait(&call)), Refused::Call),
            (each(each(shell())), Refused::Work("command")),
        ];
        for (work, why) in refused {
            assert_eq!(of(work), Err(why));
        }
        let mut planned = Spec::new("t", prompt());
        let planner = Planner {
            work: shell(),
            ..Planner::default()
        };
        planned.on_exhausted = Some(OnExhausted::Replan(Box::new(Replan { planner, times: 0 })));
        assert_eq!(admit(&mut planned), Err(Refused::Planner));
    }

    #[test]
    fn variables_and_secrets_are_taken_away() {
        let mut inner = Spec::new("t", Work::Prompt("think".into()));
        inner.env.insert("PATH".into(), "/tmp".into());
        inner.secrets.push("TOKEN".into());
        let over = Over::Items(Json::of(&json!([1])));
        let mut outer = Spec::new(
            "t",
            Work::Each(Json::of(&Each {
                over,
                task: inner.clone(),
            })),
        );
        for spec in [&mut inner, &mut outer] {
            admit(spec).unwrap();
            let text = serde_json::to_string(spec).unwrap();
            assert!(!text.contains("PATH") && !text.contains("TOKEN"), "{text}");
        }
    }
}
