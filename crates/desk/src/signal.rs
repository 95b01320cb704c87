//! Signals to the tasks that wait for them.

use api::answer::Signalled;
use api::time::Time;
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal};
use domain::event::Kind;
use domain::limits;
use domain::store::Result;
use domain::task::outside::Signal;
use domain::task::spec::Json;
use engine::engine::Engine;
use serde_json::json;

use crate::invalid;

/// How often a signal gives way to others of the same name that are sent at once.
const MEETINGS: usize = 50;
/// A result has room for it, and for what stands around it.
const PAYLOAD_BYTES: usize = limits::RESULT_BYTES / 2;

/// Refuses what is no signal.
pub fn check(name: &str, payload: Option<&Json>) -> Result<()> {
    if name.trim().is_empty() || name.len() > limits::KEY_BYTES || name.chars().any(char::is_control) {
        let most = limits::KEY_BYTES;
        return Err(invalid(format!(
            "a signal's name is one line of 1 to {most} bytes"
        )));
    }
    match payload {
        Some(payload) if payload.get().len() > PAYLOAD_BYTES => {
            let detail = format!("a payload has at most {PAYLOAD_BYTES} bytes");
            let refusal = Refusal::new(Code::LimitExceeded, detail);
            Err(refusal.help("put it into a file and send its path"))
        }
        _ => Ok(()),
    }
}

pub async fn send(engine: &Engine, name: &str, payload: Option<Json>) -> Result<Signalled> {
    check(name, payload.as_ref())?;
    let (store, project) = (&engine.store, &engine.project);
    for _ in 0..MEETINGS {
        let before = store
            .entries_of(project, Book::Signal, &[name.into()])
            .await?
            .pop();
        let last = before.as_ref().map(Entry::read::<Signal>).transpose()?;
        let (now, by) = (engine.now(), &*engine.actor);
        let signal = Signal::after(last.as_ref(), now.wall, by, payload.clone());
        let data = json!({ "signal": name, "count": signal.count, "payload": payload });
        let edit = Edit::put(Entry::new(Book::Signal, name, &signal))
            .instead_of(before.as_ref())
            .with_event(Kind::SignalSent, &data);
        match store.edit(project, vec![edit], engine.actor.clone(), now).await {
            Ok(()) => {
                return Ok(Signalled {
                    signal: name.to_owned(),
                    at: Time(signal.at),
                    count: signal.count,
                });
            }
            Err(refusal) if refusal.code == Code::EntryChanged => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Err(Refusal::new(
        Code::EntryChanged,
        "others send this signal all the time",
    ))
}
