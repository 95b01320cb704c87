//! `planner`: who is asked for another way when a task has failed for good, and what is proposed.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Document;

use crate::code::Refusal;
use crate::task::replan::{OnExhausted, Planner, Replan, wrong};
use crate::task::spec::{Json, OnUpstreamFailure};

use super::at::{At, Findings, Key};
use super::draft::Draft;
use super::keys::Head;
use super::model::{Format, PlanTask};
use super::node::short;
use super::{read, schema, values, work};

pub(super) const PLANNER: &[Key<Draft>] = &[
    Key::new(
        "run",
        "A command that leaves the fragment in `$BELL_RESULT`; it finds what has failed in `$BELL_INPUT`.",
        schema::run,
        work::run,
    ),
    Key::new(
        "prompt",
        "What an agent is asked; it is told what has failed. There is a text for it.",
        schema::text,
        work::prompt,
    ),
    Key::new(
        "agent",
        "The agent that plans.",
        schema::name,
        |draft, at, found| {
            draft.spec.agent = at.name(found);
        },
    ),
    Key::new(
        "needs",
        "Capabilities that whoever plans must have, all of them.",
        schema::names,
        values::needs,
    ),
    Key::new(
        "timeout",
        "How long one attempt to plan may take.",
        schema::duration,
        |draft, at, found| draft.spec.timeout = at.positive(found),
    ),
    Key::new(
        "env",
        "Variables for the planner, by name.",
        schema::env,
        values::env,
    ),
    Key::new(
        "secrets",
        "Variables whose values the worker knows and nobody else sees, by name.",
        schema::secrets,
        values::secrets,
    ),
];

pub(super) fn planner(head: &mut Head, at: At<'_>, found: &mut Findings) {
    let mut draft = Draft::new();
    at.keys(
        found,
        "a mapping with `run`, `prompt` or `agent`",
        PLANNER,
        &mut draft,
    );
    if draft.works.is_empty() {
        if draft.spec.agent.is_none() && draft.spec.needs.is_empty() {
            return at.missing(
                found,
                "names nobody who plans",
                "add `run`, `prompt`, `agent` or `needs`",
            );
        }
        draft.does("prompt", Some(Planner::default().work));
    }
    draft.check_work(at, found);
    let Some(work) = draft.work else { return };
    head.planner = Some(Arc::new(Planner {
        work,
        agent: draft.spec.agent,
        needs: draft.spec.needs,
        timeout: draft.spec.timeout,
        env: draft.spec.env,
        secrets: draft.spec.secrets,
        cwd: None,
    }));
}

pub(super) fn on_exhausted(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    match at.text(found) {
        None => {}
        Some("dead_letter") => draft.spec.on_exhausted = Some(OnExhausted::Letter),
        Some("replan") => {
            let planner = draft.planner.as_deref().cloned().unwrap_or_default();
            let replan = Replan { planner, times: 0 };
            draft.spec.on_exhausted = Some(OnExhausted::Replan(Box::new(replan)));
        }
        Some(text) => {
            let detail = format!("`{}` is no answer to the last failure", short(text));
            at.wrong(found, detail, "known are dead_letter, replan");
        }
    }
}

impl Draft {
    /// A failed planner would count as done.
    pub(super) fn check_end(&self, at: At<'_>, found: &mut Findings) {
        let spec = &self.spec;
        if matches!(spec.on_exhausted, Some(OnExhausted::Replan(_)))
            && spec.on_upstream_failure == OnUpstreamFailure::Continue
        {
            at.wrong(
                found,
                "`on_exhausted: replan` does not go with `on_upstream_failure: continue`",
                "remove one of them",
            );
        }
    }
}

/// Reads what a planner proposes: a plan as an object, or as a text in any of the formats, as agents write it.
pub fn fragment(result: &Json) -> Result<Vec<PlanTask>, Refusal> {
    let value: Document = serde_json::from_str(result.get()).map_err(|e| wrong(e.to_string()))?;
    let plan = match &value {
        Document::String(text) => {
            let text = inside(text).as_bytes();
            read(text, Format::of(Path::new(""), text), "fragment")
        }
        Document::Object(entries) if entries.contains_key("file") && entries.contains_key("bytes") => {
            return Err(wrong("the fragment is too large").help("keep it within 32 KiB"));
        }
        _ => read(result.get().as_bytes(), Format::Json, "fragment"),
    };
    let plan = plan.map_err(|faults| wrong(faults.to_string()))?;
    if !plan.unsupported.is_empty() {
        return Err(wrong(plan.unsupported.to_string()));
    }
    if plan.tasks.is_empty() {
        return Err(wrong("the fragment has no tasks").help("a planner that knows no other way fails"));
    }
    Ok(plan.tasks)
}

/// What stands between the last pair of fences, if there is one.
fn inside(text: &str) -> &str {
    const FENCE: &str = "```";
    let Some((before, _)) = text.rsplit_once(FENCE) else {
        return text;
    };
    let Some((_, block)) = before.rsplit_once(FENCE) else {
        return text;
    };
    block.split_once('\n').map_or(block, |(_, block)| block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    fn keys(result: &str) -> Result<Vec<String>, String> {
        let tasks = fragment(&Json::parse(result).unwrap()).map_err(|refusal| {
            assert_eq!(refusal.code, Code::PlanFragment);
            refusal.to_string()
        })?;
        Ok(tasks.iter().map(|task| task.key.to_string()).collect())
    }

    fn said(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    #[test]
    fn fragments_come_as_objects_or_as_agents_write_them() {
        let plan = r#"{"tasks": {"a": {"run": "true"}, "b": {"prompt": "x", "after": ["a"]}}}"#;
        let both = Ok(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(keys(plan), both);
        assert_eq!(keys(&said(plan)), both);
        let fenced = format!("I looked at it.\n```json\n{plan}\n```\nGood luck!");
        assert_eq!(keys(&said(&fenced)), both);
        let yaml = "```yaml\ntasks:\n  a: 'true'\n  b: { prompt: x, after: a }\n```";
        assert_eq!(keys(&said(yaml)), both);
    }

    #[test]
    fn what_is_no_plan_is_told() {
        for (result, expected) in [
            ("7", "fragment:1:1"),
            (r#"{"tasks": {"a": {"runn": "true"}}}"#, "did you mean `run`?"),
            (
                r#"{"tasks": {"a": {"run": "true", "after": ["b"]}}}"#,
                "no task of this plan",
            ),
            (r#"{"file": "/x", "bytes": 40000}"#, "too large"),
            (r#"{"tasks": {}}"#, "no tasks"),
        ] {
            let told = keys(result).unwrap_err();
            assert!(told.contains(expected), "{result}: {told}");
        }
        assert!(keys(&said("I do not know")).is_err());
    }
}
