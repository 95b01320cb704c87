//! Which tasks a rule changes: `kind=dev state=ready,blocked run=same`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Way;
use crate::code::{Code, Refusal, nearest};
use crate::event::pattern::glob;
use crate::store::View;
use crate::task::spec::Source;
use crate::task::state::State;

/// A longer filter is no filter.
const TEXT_MAX: usize = 1_024;

/// Terms that must all hold; in each, any of the values will do. `all` stands for every task.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter {
    written: String,
    terms: Vec<(Field, Vec<Wanted>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Task,
    Key,
    Kind,
    State,
    Agent,
    Source,
    Run,
}

#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Text(String),
    /// What this fact of the event is.
    Fact(Way),
    /// The run of the event.
    Same,
}

/// What a filter means for one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen(Vec<(Field, Vec<String>)>);

impl Field {
    const ALL: [(&'static str, Field); 7] = [
        ("task", Field::Task),
        ("key", Field::Key),
        ("kind", Field::Kind),
        ("state", Field::State),
        ("agent", Field::Agent),
        ("source", Field::Source),
        ("run", Field::Run),
    ];
}

impl Filter {
    /// Fills in what the event says. A fact that is not there matches no task.
    pub fn choose(&self, facts: &Value) -> Chosen {
        let fill = |wanted: &Wanted| match wanted {
            Wanted::Text(text) => Some(text.clone()),
            Wanted::Fact(way) => way.text(facts),
            Wanted::Same => facts["event"]["run"].as_str().map(str::to_owned),
        };
        let term =
            |(field, wanted): &(Field, Vec<Wanted>)| (*field, wanted.iter().filter_map(fill).collect());
        Chosen(self.terms.iter().map(term).collect())
    }
}

impl Chosen {
    fn of(&self, field: Field) -> Option<&[String]> {
        let term = self.0.iter().find(|(known, _)| *known == field);
        term.map(|(_, values)| values.as_slice())
    }

    /// The ids, if the filter names tasks.
    pub fn tasks(&self) -> Option<&[String]> {
        self.of(Field::Task)
    }

    pub fn runs(&self) -> Option<&[String]> {
        self.of(Field::Run)
    }

    /// The only kind that is meant, if there is just one.
    pub fn kind(&self) -> Option<&str> {
        match self.of(Field::Kind) {
            Some([kind]) if !kind.contains('*') => Some(kind),
            _ => None,
        }
    }

    /// The states asked for, else `others`.
    pub fn states(&self, others: &[State]) -> Vec<State> {
        match self.of(Field::State) {
            Some(states) => states.iter().filter_map(|state| State::parse(state)).collect(),
            None => others.to_vec(),
        }
    }

    /// Whether a task is meant, whatever its state.
    pub fn takes(&self, view: &View) -> bool {
        let any = |values: &[String], text: Option<&str>| {
            text.is_some_and(|text| values.iter().any(|value| glob(value, text)))
        };
        self.0.iter().all(|(field, values)| match field {
            Field::Task => values.contains(&view.task.id.to_string()),
            Field::Key => any(values, view.body.key.as_ref().map(crate::id::Key::as_str)),
            Field::Kind => any(values, Some(view.class.kind.as_str())),
            Field::Agent => any(
                values,
                view.class.agent.as_ref().map(crate::id::AgentName::as_str),
            ),
            Field::Source => any(values, Some(view.task.source.as_str())),
            Field::Run => view.run.is_some_and(|run| values.contains(&run.to_string())),
            Field::State => true,
        })
    }
}

impl FromStr for Filter {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Filter, Refusal> {
        let written = text.trim().to_owned();
        let wrong = |detail: String| {
            Refusal::new(Code::InvalidArgument, detail)
                .help("write for example `kind=dev state=ready,blocked run=same`, or `all`")
        };
        if written.len() > TEXT_MAX {
            return Err(wrong(format!("a filter has at most {TEXT_MAX} bytes")));
        }
        let mut terms: Vec<(Field, Vec<Wanted>)> = Vec::new();
        for term in written.split_whitespace().filter(|term| *term != "all") {
            let (name, values) = term
                .split_once('=')
                .ok_or_else(|| wrong(format!("`{}` is no term of a filter", term.escape_debug())))?;
            let Some((_, field)) = Field::ALL.into_iter().find(|(known, _)| *known == name) else {
                let refusal = wrong(format!("tasks are not chosen by `{}`", name.escape_debug()));
                let near = nearest(name, Field::ALL.map(|(known, _)| known));
                return Err(match near {
                    Some(near) => refusal.help(format!("did you mean `{near}`?")),
                    None => refusal,
                });
            };
            if terms.iter().any(|(known, _)| *known == field) {
                return Err(wrong(format!(
                    "`{name}` stands twice; put commas between its values"
                )));
            }
            let values = values.split(',').map(|value| wanted(field, value));
            terms.push((field, values.collect::<Result<_, _>>()?));
        }
        if written.is_empty() {
            return Err(wrong("the filter is empty".to_owned()));
        }
        Ok(Filter { written, terms })
    }
}

fn wanted(field: Field, value: &str) -> Result<Wanted, Refusal> {
    if let Some(way) = value.strip_prefix('@') {
        return way.parse().map(Wanted::Fact);
    }
    match field {
        Field::Run if value == "same" => return Ok(Wanted::Same),
        Field::Source => drop(Source::parse(value)?),
        Field::State if State::parse(value).is_none() => {
            let known = State::ALL.map(State::as_str);
            let detail = format!("`{}` is no state", value.escape_debug());
            let refusal = Refusal::new(Code::InvalidArgument, detail);
            return Err(refusal.help(format!("known are {}", known.join(", "))));
        }
        _ => {}
    }
    match value {
        "" => Err(Refusal::new(
            Code::InvalidArgument,
            "a term of the filter has no value",
        )),
        text => Ok(Wanted::Text(text.to_owned())),
    }
}

impl TryFrom<String> for Filter {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Filter, Refusal> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> String {
        filter.written
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.written)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_are_filled_in_by_the_event() {
        let facts = json!({ "event": { "run": "r1" }, "task": { "inputs": { "of": 7 }, "kind": "qa" } });
        let filter: Filter = "task=@task.inputs.of,x run=same kind=@task.kind state=ready"
            .parse()
            .unwrap();
        let chosen = filter.choose(&facts);
        assert_eq!(chosen.tasks().unwrap(), ["7", "x"]);
        assert_eq!(chosen.runs().unwrap(), ["r1"]);
        assert_eq!(chosen.kind(), Some("qa"));
        assert_eq!(chosen.states(&[]), [State::Ready]);
        let nothing = filter.choose(&json!({}));
        assert_eq!(nothing.runs().unwrap().len(), 0);
        let all: Filter = "all".parse().unwrap();
        assert_eq!(all.choose(&facts).states(&[State::Blocked]), [State::Blocked]);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for (text, detail) in [
            ("", "the filter is empty"),
            ("dev", "`dev` is no term of a filter"),
            ("knd=dev", "tasks are not chosen by `knd`"),
            ("kind=", "a term of the filter has no value"),
            (
                "kind=a kind=b",
                "`kind` stands twice; put commas between its values",
            ),
            ("state=redy", "`redy` is no state"),
            ("task=@task.idd", "`task` has no `idd`"),
        ] {
            assert_eq!(text.parse::<Filter>().unwrap_err().detail, detail, "{text}");
        }
    }
}
