//! Learns from what has happened, once enough has: who wants to know more exactly catches up by itself.

use async_trait::async_trait;
use domain::store::Result;
use domain::time::Timestamp;

use super::{Duty, Lead};
use crate::agents::learn;
use crate::engine::Engine;

#[derive(Clone, Copy, Debug)]
pub struct Lessons;

/// So many events are worth a look.
const ENOUGH: u64 = 1_000;
/// Pages of the log in one round.
const ROUND: usize = 10;

#[async_trait]
impl Duty for Lessons {
    fn name(&self) -> &'static str {
        "lessons"
    }

    async fn wanted(&self, engine: &Engine, _: Timestamp) -> Result<bool> {
        Ok(learn::behind(engine).await? >= ENOUGH)
    }

    async fn run(&mut self, engine: &Engine, lead: &Lead) -> Result<Option<Timestamp>> {
        while lead.holds(engine) && learn::behind(engine).await? >= ENOUGH {
            if learn::catch_up(engine, ROUND).await? {
                break;
            }
        }
        Ok(None)
    }
}
