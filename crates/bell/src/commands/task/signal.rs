//! `bell task signal`

use api::answer::Signalled;
use api::time::Time;
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal};
use domain::event::Kind;
use domain::limits;
use domain::task::outside::Signal;
use domain::task::spec::Json;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::parse;

/// Send a signal to the tasks that wait for it
///
/// All tasks with `wait: { signal: NAME }` that are waiting go on, with the payload in their result. A task that begins to
/// wait later goes on too, if it says `earlier: true`; of several signals of a name it finds the latest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task signal data-arrived
  bell task signal approved --payload '{\"by\": \"ann\"}'")]
pub(crate) struct Args {
    /// The signal's name
    #[arg(value_parser = parse::text)]
    name: String,
    /// Send this JSON along; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    payload: Option<Json>,
}

/// How often a signal gives way to others of the same name that are sent at once.
const MEETINGS: usize = 50;

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        if self.name.len() > limits::KEY_BYTES || self.name.chars().any(char::is_control) {
            let detail = format!(
                "a signal's name is one line of at most {} bytes",
                limits::KEY_BYTES
            );
            return Err(invalid(detail).into());
        }
        if self
            .payload
            .as_ref()
            .is_some_and(|payload| payload.get().len() > limits::RESULT_BYTES / 2)
        {
            let detail = format!("a payload has at most {} bytes", limits::RESULT_BYTES / 2);
            let refusal = Refusal::new(Code::LimitExceeded, detail);
            return Err(refusal.help("put it into a file and send its path").into());
        }
        let engine = context.engine().await?;
        let signal = self.send(&engine).await?;
        let answer = Signalled {
            signal: self.name,
            at: Time(signal.at),
            count: signal.count,
        };
        context
            .ui
            .answer(&answer, |answer| format!("sent {}\n", answer.signal))?;
        Ok(Exit::DONE)
    }

    async fn send(&self, engine: &Engine) -> Result<Signal> {
        let (store, project) = (&engine.store, &engine.project);
        for _ in 0..MEETINGS {
            let keys = [self.name.as_str().into()];
            let before = store.entries_of(project, Book::Signal, &keys).await?.pop();
            let last = before.as_ref().map(Entry::read::<Signal>).transpose()?;
            let (now, by) = (engine.now(), &*engine.actor);
            let signal = Signal::after(last.as_ref(), now.wall, by, self.payload.clone());
            let data =
                serde_json::json!({ "signal": self.name, "count": signal.count, "payload": self.payload });
            let edit = Edit::put(Entry::new(Book::Signal, &self.name, &signal))
                .instead_of(before.as_ref())
                .with_event(Kind::SignalSent, &data);
            match store.edit(project, vec![edit], engine.actor.clone(), now).await {
                Ok(()) => return Ok(signal),
                Err(refusal) if refusal.code == Code::EntryChanged => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Err(Refusal::new(Code::EntryChanged, "others send this signal all the time").into())
    }
}
