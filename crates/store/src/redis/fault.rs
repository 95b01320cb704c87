//! What goes wrong between us and the server, and what it means.

use domain::code::{Code, Refusal};
use redis::{ErrorKind, RedisError, ServerError};

#[derive(Debug)]
pub(super) enum Fault {
    /// The connection broke: what was sent may or may not have been carried out.
    Lost(String),
    /// The server will answer later: it loads, fails over, or moves things.
    Later(String),
    /// The keys are on another node.
    Moved(String),
    Refused(Refusal),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

impl Fault {
    /// For those who cannot try again.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Fault::Refused(refusal) => refusal,
            Fault::Lost(why) | Fault::Later(why) => Refusal::new(Code::StoreUnavailable, why),
            Fault::Moved(to) => Refusal::new(
                Code::StoreUnavailable,
                format!("the keys of the project have moved to {to}"),
            ),
        }
    }
}

/// What an answer that is an error means.
pub(super) fn answered(error: &ServerError) -> Fault {
    let detail = error.details().unwrap_or_default();
    let said = format!("the server says: {} {detail}", error.code());
    match error.code() {
        "MOVED" | "ASK" => Fault::Moved(detail.rsplit(' ').next().unwrap_or_default().to_owned()),
        "LOADING" | "CLUSTERDOWN" | "TRYAGAIN" | "MASTERDOWN" | "READONLY" | "BUSY" | "NOREPLICAS" => {
            Fault::Later(said)
        }
        "OOM" => Fault::Refused(Refusal::new(
            Code::StoreFull,
            "the server has no memory left (`maxmemory` is reached)",
        )),
        "MISCONF" => Fault::Refused(Refusal::new(Code::StoreFull, said)),
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Fault::Refused(denied(&said)),
        "WRONGTYPE" => Fault::Refused(Refusal::new(
            Code::StoreCorrupt,
            "a key of the store holds something that is not ours",
        )),
        _ => Fault::Refused(Refusal::new(Code::StoreUnavailable, said)),
    }
}

pub(super) fn denied(said: &str) -> Refusal {
    Refusal::new(Code::StoreDenied, said)
        .help("check the user and password in the URL and what `ACL GETUSER` says of that user")
}

/// What an error of the client library means. Its words never hold the URL.
pub(super) fn broken(error: &RedisError) -> Fault {
    match error.kind() {
        ErrorKind::AuthenticationFailed => {
            Fault::Refused(denied("the server refuses the user or the password"))
        }
        ErrorKind::InvalidClientConfig => {
            Fault::Refused(Refusal::new(Code::StoreUrl, error.category().to_owned()))
        }
        ErrorKind::Server(_) | ErrorKind::Extension => {
            let code = error.code().unwrap_or_default();
            match code {
                "NOAUTH" | "WRONGPASS" | "NOPERM" => {
                    Fault::Refused(denied("the server refuses the user or the password"))
                }
                "LOADING" | "BUSY" => Fault::Later(format!("the server says: {code}")),
                _ => Fault::Lost(format!("the server says: {error}")),
            }
        }
        _ => Fault::Lost(format!("{error}")),
    }
}
