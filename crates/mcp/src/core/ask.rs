//! `task_ask`: a question for a person.

use api::answer::Moved;
use domain::store::NewTask;
use domain::task::record::Join;
use domain::task::spec::{Moment, Source, Spec, Stop, Verdict, Work};
use engine::ids;
use serde_json::json;

use super::add::{admit, leave, text_of};
use super::finish::document;
use crate::call::Call;
use crate::session::Session;
use crate::tool::args::{Args, wrong};
use crate::tool::field::{Form, has, may, must};
use crate::tool::{Answer, Sort, Tool, Voice};
use desk::find;

pub(crate) const TOOL: Tool = Tool {
    name: "task_ask",
    about: "Ask a person. With your task, it waits for the answer and you are free: it is ready again with the answer \
            in its results. Without, look at the question's task later.",
    sort: Sort::Works,
    takes: &[
        must("question", Form::Text, ""),
        may("task", Form::Text, ""),
        may("owner", Form::Text, "Who is to answer"),
        may("within", Form::Text, "Such as 2h; then `default` holds"),
        may("default", Form::Any, "The answer if nobody answers"),
        may("token", Form::Text, ""),
    ],
    gives: &[has("question", Form::Text), has("state", Form::Text)],
    voice: Voice::Plain,
    run: |session, args, call| Box::pin(ask(session, args, call)),
};

async fn ask(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    let question = text_of(&args, "question")?;
    let mut spec = Spec::new(question, Work::Breakpoint(question.to_owned()));
    spec.source = Source::AgentImplementation;
    if let Some(within) = args.span("within")? {
        spec.deadline = Some(Moment::In(within));
    }
    let default = document(&args, "default")?;
    if default.is_some() && spec.deadline.is_none() {
        return Err(
            wrong("default", "it holds when a time is over, and `within` is missing")
                .help("pass `within` too"),
        );
    }
    spec.stop = Some(Stop {
        owner: args.maybe("owner").map(str::to_owned),
        default: default.map(|answer| Verdict {
            accept: true,
            answer: Some(answer),
        }),
    });
    let new = NewTask::new(ids::task(), None, &spec, engine.now().wall);
    let id = new.id.clone();
    let Some(task) = args.maybe("task") else {
        let (_, state) = admit(session, call, new, None).await?;
        return Ok(json!({ "question": id, "state": state }));
    };
    let task = find::id(engine, task).await?;
    let reply = leave(session, &args, call, &task, vec![new], Join::Continue).await?;
    let mut answer = json!(Moved::from(reply));
    answer["question"] = json!(id);
    Ok(answer)
}
