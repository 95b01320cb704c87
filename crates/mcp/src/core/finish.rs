//! `task_start`, `task_progress`, `task_complete`, `task_fail`, `task_release`: what the holder of a lease says.

use api::answer::{Completed, Failed, Moved, Renewed};
use domain::code::{Code, Refusal};
use domain::limits::RESULT_BYTES;
use domain::store::{Command, Reply, Result};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::Json;
use serde_json::json;

use crate::call::Call;
use crate::session::Session;
use crate::tool::args::Args;
use crate::tool::field::{Field, Form, has, may, must, null};
use crate::tool::{Sort, Tool, Voice};
use desk::find;

const TASK: Field = must("task", Form::Text, "");
const TOKEN: Field = may("token", Form::Text, "");
const ONCE: Field = may("idempotency_key", Form::Text, "");
const STATE: Field = has("state", Form::Text);

pub(crate) const START: Tool = Tool {
    name: "task_start",
    about: "Start a task assigned to you, or go on with one whose token you have; this session then keeps its lease.",
    sort: Sort::Settles,
    takes: &[
        TASK,
        may("token", Form::Text, "Needed unless this session claimed it"),
    ],
    gives: &[has("task", Form::Text), STATE, null("expires_at", Form::Text)],
    voice: Voice::Plain,
    run: |session, args, call| {
        Box::pin(async move {
            let reply = say(session, &args, call, Command::Start { at: None }).await?;
            Ok(json!(Renewed::from(reply)))
        })
    },
};

pub(crate) const PROGRESS: Tool = Tool {
    name: "task_progress",
    about: "Say how far you are and renew the lease. Replaces what was said before.",
    sort: Sort::Settles,
    takes: &[
        TASK,
        may("progress", Form::Any, "Any JSON, such as {\"percent\": 40}"),
        may("ttl", Form::Text, "Keep it this long, such as 1h"),
        TOKEN,
    ],
    gives: &[has("task", Form::Text), STATE, null("expires_at", Form::Text)],
    voice: Voice::Plain,
    run: |session, args, call| {
        Box::pin(async move {
            let command = Command::Renew {
                ttl: args.span("ttl")?,
                progress: document(&args, "progress")?,
            };
            let reply = say(session, &args, call, command).await?;
            Ok(json!(Renewed::from(reply)))
        })
    },
};

pub(crate) const COMPLETE: Tool = Tool {
    name: "task_complete",
    about: "End your task well. Tasks that wait for it get the result.",
    sort: Sort::Works,
    takes: &[
        TASK,
        may(
            "result",
            Form::Any,
            "Any JSON up to 32 KiB; name files instead of quoting them",
        ),
        may("usage", Form::Object, "Such as {\"tokens\": 1200}"),
        TOKEN,
        ONCE,
    ],
    gives: &[has("task", Form::Text), has("unblocked", Form::Texts)],
    voice: Voice::Plain,
    run: |session, args, call| {
        Box::pin(async move {
            let command = Command::Complete {
                outcome: Outcome {
                    result: document(&args, "result")?,
                    error: None,
                    usage: document(&args, "usage")?,
                },
                cached: false,
                children: None,
            };
            let reply = say(session, &args, call, command).await?;
            Ok(json!(Completed::from(reply)))
        })
    },
};

pub(crate) const FAIL: Tool = Tool {
    name: "task_fail",
    about: "Say that your attempt failed. The task is tried again if its policy allows.",
    sort: Sort::Works,
    takes: &[
        TASK,
        must("error", Form::Text, "What went wrong"),
        may("retry", Form::Flag, "false: do not try again"),
        TOKEN,
        ONCE,
    ],
    gives: &[
        has("task", Form::Text),
        STATE,
        has("cancelled", Form::Texts),
        null("retry_at", Form::Text),
    ],
    voice: Voice::Plain,
    run: |session, args, call| {
        Box::pin(async move {
            let command = Command::Fail {
                failure: Failure::new(args.text("error")),
                usage: None,
                timed_out: false,
                no_retry: args.flag("retry") == Some(false),
            };
            let reply = say(session, &args, call, command).await?;
            Ok(json!(Failed::from(reply)))
        })
    },
};

pub(crate) const RELEASE: Tool = Tool {
    name: "task_release",
    about: "Hand your task back unfinished; it costs no try.",
    sort: Sort::Settles,
    takes: &[TASK, TOKEN],
    gives: &[has("task", Form::Text), STATE, null("reason", Form::Text)],
    voice: Voice::Plain,
    run: |session, args, call| {
        Box::pin(async move {
            let reply = say(session, &args, call, Command::Release).await?;
            Ok(json!(Moved::from(reply)))
        })
    },
};

async fn say(session: &Session, args: &Args, call: &Call, command: Command) -> Result<Reply> {
    let task = find::id(session.engine(), args.text("task")).await?;
    session.settle(&task, args, call, command).await
}

/// A document that travels inside the store.
pub(crate) fn document(args: &Args, name: &str) -> Result<Option<Json>> {
    let Some(json) = args.json(name) else {
        return Ok(None);
    };
    let size = json.get().len();
    if size > RESULT_BYTES {
        let detail = format!("`{name}` has {size} bytes, the limit is {RESULT_BYTES}");
        return Err(Refusal::new(Code::LimitExceeded, detail).help("put it into a file and name the file"));
    }
    Ok(Some(json))
}
