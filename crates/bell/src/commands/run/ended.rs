//! How a run ended, told at its end.

use api::run::{EndKind, Ended, Waiting};
use domain::id::Seq;
use domain::run::RunState;
use domain::store::Filter;
use domain::task::state::State;
use domain::time::show_duration;
use engine::engine::Engine;
use engine::runner::{self, How};

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::failure;
use crate::output::table::one_line;
use crate::output::theme::{self, paint};

/// Tells how it ended.
pub(super) async fn conclude(
    context: &Context,
    engine: &Engine,
    plan: &str,
    ended: &runner::Ended,
) -> Result {
    let (kind, waiting, exit) = match &ended.how {
        How::Finished(state) => (
            EndKind::Finished,
            &[][..],
            Exit::of(*state == RunState::Succeeded),
        ),
        How::Stuck(waiting) => (EndKind::Waiting, waiting.as_slice(), Exit::WAITS),
        How::Interrupted => (EndKind::Interrupted, &[][..], Exit::INTERRUPTED),
    };
    if context.ui.json {
        context.ui.json_line(&Ended {
            kind,
            run: ended.run.id,
            counts: ended.run.counts,
            seconds: (ended.took.as_secs_f64() * 1_000.0).round() / 1_000.0,
            state: ended.run.state,
            waiting: waiting.iter().map(wire).collect(),
        })?;
        return Ok(exit);
    }
    if context.quiet && exit == Exit::DONE {
        return Ok(exit);
    }
    let mut text = headline(ended, kind);
    text += &failures(engine, ended).await?;
    for waits in waiting {
        text += &format!(
            "  {}  {}: {}\n",
            theme::state_text(waits.state, None),
            one_line(&waits.name),
            waits.cause
        );
        text += &format!("      {}\n", paint(theme::GOOD, &waits.cure));
    }
    context.ui.text(&text)?;
    match (kind, ended.run.state) {
        (EndKind::Finished, RunState::Failed) if ended.run.counts.of(State::Failed) > 0 => {
            context.ui.hint(&format!(
                "`bell run {plan}` tries again what failed; what is done stays done"
            ))?;
        }
        // Nothing is left that could be tried again.
        (EndKind::Finished, RunState::Failed) => {
            context.ui.hint(&format!(
                "what was cancelled stays so; `bell run {plan} --new` begins anew"
            ))?;
        }
        (EndKind::Waiting | EndKind::Interrupted, _) => {
            context.ui.hint(&format!("`bell run {plan}` goes on"))?;
        }
        _ => {}
    }
    Ok(exit)
}

fn wire(waiting: &runner::Waiting) -> Waiting {
    Waiting {
        task: waiting.task.clone(),
        name: waiting.name.clone(),
        state: waiting.state,
        cause: waiting.cause.clone(),
        cure: waiting.cure.clone(),
    }
}

fn headline(ended: &runner::Ended, kind: EndKind) -> String {
    let run = &ended.run;
    let (state, style) = theme::run_state(run.state);
    let what = match kind {
        EndKind::Finished => paint(style, &state),
        EndKind::Waiting => paint(theme::ASKS, "? waits"),
        EndKind::Interrupted => paint(theme::WARN, "‖ interrupted"),
    };
    let counts = run.counts.iter().filter_map(|(state, n)| {
        let n = if state == State::Cancelled {
            n - run.skipped
        } else {
            n
        };
        (n > 0).then(|| format!("{n} {state}"))
    });
    let skipped = (run.skipped > 0).then(|| format!("{} skipped", run.skipped));
    let counts: Vec<String> = counts.chain(skipped).collect();
    let counts = match counts.is_empty() {
        true => "no tasks".to_owned(),
        false => counts.join(", "),
    };
    let took = show_duration(ended.took);
    format!("{what}  {} in {took}: {counts}\n", paint(theme::BOLD, &run.plan))
}

/// Failed tasks told of at the end; the rest is a command away.
const TOLD: usize = 20;

async fn failures(engine: &Engine, ended: &runner::Ended) -> Result<String> {
    let failed = ended.run.counts.of(State::Failed) as usize;
    if failed == 0 {
        return Ok(String::new());
    }
    let filter = Filter {
        run: Some(ended.run.id),
        states: vec![State::Failed],
        ..Filter::default()
    };
    let views = engine.store.list(&engine.project, filter, Seq(0), TOLD).await?;
    let mut text = String::new();
    for view in &views {
        let name = view
            .body
            .key
            .as_ref()
            .map_or_else(|| view.task.id.to_string(), ToString::to_string);
        let error = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
        let error = error.map(|failure| failure.message.as_str());
        text += &format!(
            "  {}  {}: {}\n",
            theme::state_text(State::Failed, None),
            one_line(&name),
            failure::line(error, view.task.reason)
        );
        if view.task.attempt() > 0 {
            let logs = format!("bell task logs {}", view.task.id);
            text += &format!("      {}\n", paint(theme::DIM, &logs));
        }
    }
    match failed.saturating_sub(views.len()) {
        0 => Ok(text),
        more => Ok(format!("{text}  and {more} more\n")),
    }
}
