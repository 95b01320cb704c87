//! The contract of stores over the wire: for our own programs, which are of the same version as the server or near it.
//!
//! `POST /v1/store` takes a [`Call`] and answers with what the verb of that name returns. Programs of others use the
//! operations that are described.

use std::time::Duration;

use domain::book::{Book, Edit};
use domain::code::Refusal;
use domain::id::{EventNo, Key, RunId, Seq, TaskId, WorkerId};
use domain::prune::Prune;
use domain::store::{Admission, CacheEntry, Claim, Filter, Reply, Request};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Grows when old and new no longer understand each other.
pub const VERSION: u32 = 2;
/// The header that carries it.
pub const VERSION_HEADER: &str = "bellwether-store";
/// How long the server holds back the answer that nothing has changed.
pub const CHANGED_WAIT: Duration = Duration::from_secs(20);

/// A verb of the contract with what it is given, beside project and time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Info,
    Admit(Box<Admission>),
    Claim(Box<Claim>),
    Change(Vec<Request>),
    Tick,
    Lose(WorkerId),
    CachePut(Box<CacheEntry>, usize),
    Edit(Vec<Edit>),
    Lead(WorkerId, Option<Duration>),
    Prune(Prune),
    Projects,
    Views(Vec<TaskId>),
    ByKey(Key),
    List(Box<Filter>, Seq, usize),
    History(TaskId, usize),
    Events(EventNo, usize),
    Chain,
    Status,
    Runs(Option<String>, usize),
    Run(RunId),
    Neighbours(TaskId, usize),
    Edges(Vec<Seq>),
    Results(Vec<Seq>),
    Ahead(TaskId, usize),
    Locks,
    Leased(Option<WorkerId>),
    CacheGet([u8; 32]),
    Entries(Book, String, usize),
    EntriesOf(Book, Vec<Arc<str>>),
    EntriesDue(Book, Timestamp, usize),
    Check,
    Changed(u64),
}

/// What is known of the server's store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    pub engine: String,
    pub durability: domain::store::Durability,
    pub schema: u32,
}

/// What became of one request of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replied {
    Done(Reply),
    Refused(Refusal),
}

impl From<Result<Reply, Refusal>> for Replied {
    fn from(reply: Result<Reply, Refusal>) -> Replied {
        match reply {
            Ok(reply) => Replied::Done(reply),
            Err(refusal) => Replied::Refused(refusal),
        }
    }
}

impl From<Replied> for Result<Reply, Refusal> {
    fn from(replied: Replied) -> Result<Reply, Refusal> {
        match replied {
            Replied::Done(reply) => Ok(reply),
            Replied::Refused(refusal) => Err(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::store::{Command, Target};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_workers_send_all_day_changes_only_with_the_version() {
        let holder = Target::Holder("1.2.a".parse().unwrap(), None);
        let asks = [
            Command::Start {
                at: Some(Timestamp(7)),
            },
            Command::Renew {
                ttl: None,
                progress: None,
            },
            Command::Release,
        ];
        let requests = asks.map(|command| Request {
            target: holder.clone(),
            command,
            actor: "worker:w".into(),
            idempotency_key: None,
        });
        let sent = serde_json::to_value(Call::Change(requests.into())).unwrap();
        let commands: Vec<_> = sent["change"]
            .as_array()
            .unwrap()
            .iter()
            .map(|request| &request["command"])
            .collect();
        let form = [
            json!({ "Start": { "at": 7 } }),
            json!({ "Renew": { "ttl": null, "progress": null } }),
            json!("Release"),
        ];
        assert_eq!((VERSION, commands), (2, form.iter().collect()));
    }
}
