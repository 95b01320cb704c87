//! Tickets to the stream, for browsers: their WebSockets carry no header of ours.
//!
//! A page asks for a ticket with its token (`POST /v1/stream/ticket`) and connects with the subprotocols `bellwether` and the ticket.
//! It is good once, for moments, and at the server that gave it; so one that is seen by others on its way is of no use to
//! them. It travels as a subprotocol and not in the address, which logs keep.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use desk::token::Secret;
use domain::code::{Code, Refusal};
use domain::store::Result;
use engine::ids;
use rustc_hash::FxHashMap;

/// How long a ticket is good.
pub(crate) const GOOD: Duration = Duration::from_secs(30);
/// Tickets that are out at the same time.
const OUT: usize = 10_000;
/// What is spoken over the stream, as the handshake names it.
pub(crate) const PROTOCOL: &str = "bellwether";
const PREFIX: &str = "ticket.";

#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<FxHashMap<String, Ticket>>);

#[derive(Debug)]
struct Ticket {
    /// Whoever comes with it comes as who asked for it.
    authorization: Option<HeaderValue>,
    given: Instant,
}

impl Tickets {
    pub(crate) fn give(&self, authorization: Option<HeaderValue>) -> Result<String> {
        let text: String = ids::secret().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut out = self.lock();
        out.retain(|_, ticket| ticket.given.elapsed() < GOOD);
        if out.len() >= OUT {
            let detail = format!("{OUT} tickets are out");
            return Err(Refusal::new(Code::TooManyRequests, detail));
        }
        let given = Instant::now();
        // Kept by its digest, so that looking it up tells nothing about others.
        let key = Secret::new(&text).digest();
        out.insert(key, Ticket { authorization, given });
        Ok(format!("{PREFIX}{text}"))
    }

    /// Takes the ticket of a handshake, if there is one, and lets its bearer be who asked for it.
    pub(crate) fn redeem(&self, headers: &mut HeaderMap) -> Result<()> {
        let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let mut words = offered
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let Some(text) = words.find_map(|word| word.trim().strip_prefix(PREFIX)) else {
            return Ok(());
        };
        let key = Secret::new(text).digest();
        let found = self
            .lock()
            .remove(&key)
            .filter(|ticket| ticket.given.elapsed() < GOOD);
        let Some(ticket) = found else {
            let refusal = Refusal::new(
                Code::Unauthorized,
                "the ticket is not known, was used, or is too old",
            );
            return Err(refusal.help("`POST /v1/stream/ticket` gives one, for 30 s and one connection"));
        };
        if let Some(authorization) = ticket.authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<String, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(text: &str) -> HeaderMap {
        [(header::SEC_WEBSOCKET_PROTOCOL, text.parse().unwrap())]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_ticket_is_good_once() {
        let tickets = Tickets::default();
        let ticket = tickets.give(Some(HeaderValue::from_static("Bearer x"))).unwrap();
        let mut first = offer(&format!("{PROTOCOL}, {ticket}"));
        tickets.redeem(&mut first).unwrap();
        assert_eq!(first[header::AUTHORIZATION], "Bearer x");
        assert!(tickets.redeem(&mut offer(&ticket)).is_err());
        assert!(tickets.redeem(&mut offer("ticket.made-up")).is_err());
        let mut none = offer(PROTOCOL);
        tickets.redeem(&mut none).unwrap();
        assert!(!none.contains_key(header::AUTHORIZATION));
    }
}
