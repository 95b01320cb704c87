//! The raw limit: the same rows on the same engine, without events, fencing or rules.

mod postgres;
mod redis;
mod same;
mod sqlite;

use std::time::{Duration, Instant};

use domain::code::{Code, Refusal};
use uuid::Uuid;

use crate::bed::{Mix, Result, too_few};
use crate::lab::Lab;
use crate::space::Connection;
use postgres::PgRaw;
use redis::RedisRaw;
pub(crate) use same::SameRows;
use sqlite::SqliteRaw;

pub(crate) struct Raw {
    engine: Engine,
    held: usize,
}

enum Engine {
    Sqlite(Box<SqliteRaw>),
    Postgres(Box<PgRaw>),
    Redis(Box<RedisRaw>),
}

impl Raw {
    pub(crate) fn open(lab: &Lab) -> Result<Raw> {
        let engine = match lab.space()? {
            None => Engine::Sqlite(Box::new(SqliteRaw::open(lab)?)),
            Some(space) if matches!(space.connection, Connection::Postgres(_)) => {
                Engine::Postgres(Box::new(PgRaw::open(space)?))
            }
            Some(space) => Engine::Redis(Box::new(RedisRaw::open(space)?)),
        };
        Ok(Raw { engine, held: 0 })
    }

    /// Stores one row in a transaction of its own: the least that anything durable costs.
    pub(crate) fn commit(&mut self) -> Result<Duration> {
        self.insert(1, Mix::One)
    }

    pub(crate) fn insert(&mut self, count: usize, mix: Mix) -> Result<Duration> {
        let start = Instant::now();
        match &mut self.engine {
            Engine::Sqlite(raw) => raw.insert(count, mix)?,
            Engine::Postgres(raw) => raw.insert(count, mix)?,
            Engine::Redis(raw) => raw.insert(count, mix)?,
        }
        Ok(start.elapsed())
    }

    /// Inserts `count` rows, `batch` in each transaction.
    pub(crate) fn fill(&mut self, count: usize, batch: usize, mix: Mix) -> Result<Duration> {
        let (mut took, mut left) = (Duration::ZERO, count);
        while left > 0 {
            let next = left.min(batch);
            took += self.insert(next, mix)?;
            left -= next;
        }
        Ok(took)
    }

    /// Claims and finishes `count` rows, `batch` of each in a transaction, as [`crate::bed::Bed::drain`] does.
    pub(crate) fn drain(&mut self, count: usize, batch: usize) -> Result<Duration> {
        let start = Instant::now();
        let mut claimed = 0;
        while claimed < count || self.held > 0 {
            let next = batch.min(count - claimed);
            self.held = match &mut self.engine {
                Engine::Sqlite(raw) => raw.turn(next)?,
                Engine::Postgres(raw) => raw.turn(next)?,
                Engine::Redis(raw) => raw.turn(next)?,
            };
            if next > 0 && self.held == 0 {
                return Err(too_few(claimed, count));
            }
            claimed += self.held;
        }
        Ok(start.elapsed())
    }
}

fn millis(id: Uuid) -> i64 {
    (id.as_u128() >> 80) as i64
}

fn failed(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(Code::StoreUnavailable, format!("the raw loop failed: {error}"))
}
