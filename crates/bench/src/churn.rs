//! Many tasks through one store on a server, to see whether anything grows that should not: what a turn takes, what
//! dead rows and hot tables weigh.

use std::fmt;
use std::time::Instant;

use domain::code::Refusal;
use domain::id::Token;
use serde::Serialize;

use crate::bed::{Bed, Mix};
use crate::lab::Lab;
use crate::options::Options;
use crate::samples::{Samples, ms, rate};
use crate::space::{Connection, wait};

/// Tasks in one call.
const BATCH: usize = 500;
/// Tasks that are always in line.
const QUEUED: usize = 20_000;
const SLICES: usize = 10;

/// One tenth of the way.
#[derive(Clone, Debug, Serialize)]
pub struct Slice {
    /// Tasks that have gone through so far.
    pub done: usize,
    pub tasks_per_s: f64,
    /// Of one turn, which finishes what it holds and claims the next.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Rows that await vacuum, of the tables where rows come and go and of all; none where there is no such thing.
    pub dead_hot: Option<u64>,
    pub dead: Option<u64>,
    /// Of the tables where rows come and go.
    pub hot_bytes: Option<u64>,
    /// Of the whole store, on disk or in memory.
    pub bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Churned {
    pub store: String,
    pub durability: &'static str,
    pub slices: Vec<Slice>,
}

/// Lets so many tasks go through, a fresh batch for each that is finished.
pub async fn churn(options: Options, tasks: usize, tell: &mut dyn FnMut(&Slice)) -> Result<Churned, Refusal> {
    let lab = Lab::open(&options)?;
    let bed = lab.bed()?;
    let Some(mut space) = lab.space()? else {
        return Err(
            Refusal::new(domain::code::Code::InvalidArgument, "only a server is churned")
                .help("name one: `--store postgres://…` or `--store redis://…`"),
        );
    };
    // A server's memory is not ours alone.
    let before = match &space.connection {
        Connection::Redis(_) => used(&mut space.connection, &bed)?.bytes,
        Connection::Postgres(_) => 0,
    };
    bed.fill(lab.tasks(QUEUED, QUEUED), Mix::Ten).await?;
    let mut slices = Vec::new();
    let mut held: Vec<Token> = Vec::new();
    for slice in 1..=SLICES {
        let (began, mut turns) = (Instant::now(), Vec::new());
        let each = tasks / SLICES / BATCH;
        for _ in 0..each {
            bed.admit(bed.fresh(BATCH, Mix::Ten)).await?;
            let turn = Instant::now();
            held = bed.turn(&held, BATCH).await?;
            turns.push(turn.elapsed());
        }
        let turns = Samples::new(turns);
        let seen = used(&mut space.connection, &bed)?;
        let slice = Slice {
            done: slice * each * BATCH,
            tasks_per_s: rate(each * BATCH, began.elapsed()),
            p50_ms: ms(turns.p50()),
            p99_ms: ms(turns.p99()),
            bytes: seen.bytes - before.min(seen.bytes),
            dead_hot: seen.hot.map(|hot| hot.dead),
            dead: seen.dead,
            hot_bytes: seen.hot.map(|hot| hot.bytes),
        };
        tell(&slice);
        slices.push(slice);
    }
    Ok(Churned {
        store: lab.place.name().to_owned(),
        durability: bed.store.info().durability.as_str(),
        slices,
    })
}

#[derive(Clone, Copy)]
struct Hot {
    dead: u64,
    bytes: u64,
}

struct Used {
    hot: Option<Hot>,
    dead: Option<u64>,
    bytes: u64,
}

const TABLES: &str = "\
SELECT coalesce(sum(n_dead_tup), 0)::bigint,
       coalesce(sum(n_dead_tup) FILTER (WHERE hot), 0)::bigint,
       coalesce(sum(pg_total_relation_size(relid)), 0)::bigint,
       coalesce(sum(pg_total_relation_size(relid)) FILTER (WHERE hot), 0)::bigint
FROM (SELECT *, relname IN ('ready', 'lease', 'parked', 'timer', 'project', 'writer') AS hot
      FROM pg_stat_user_tables WHERE schemaname = $1) AS t";

fn used(connection: &mut Connection, bed: &Bed) -> Result<Used, Refusal> {
    let failed = |error: &dyn fmt::Display| {
        Refusal::new(
            domain::code::Code::StoreUnavailable,
            format!("the server does not tell what it uses: {error}"),
        )
    };
    match connection {
        Connection::Postgres(client) => {
            let schema = bed.space_name().unwrap_or_default();
            let row = wait(client.query_one(TABLES, &[&schema])).map_err(|e| failed(&e))?;
            let number = |at: usize| row.get::<_, i64>(at).max(0).unsigned_abs();
            Ok(Used {
                hot: Some(Hot {
                    dead: number(1),
                    bytes: number(3),
                }),
                dead: Some(number(0)),
                bytes: number(2),
            })
        }
        Connection::Redis(connection) => {
            let info: String = redis::cmd("INFO")
                .arg("memory")
                .query(connection)
                .map_err(|e| failed(&e))?;
            let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
            let bytes = line.and_then(|bytes| bytes.trim().parse().ok());
            Ok(Used {
                hot: None,
                dead: None,
                bytes: bytes.unwrap_or_default(),
            })
        }
    }
}

impl Slice {
    pub const HEADS: &'static str = "| tasks done | tasks/s | turn p50 ms | turn p99 ms | dead rows, hot tables | dead rows, all | hot tables MB | store MB |\n|---|---|---|---|---|---|---|---|";
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), |count| count.to_string());
        let mega = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
        write!(
            f,
            "| {} | {:.0} | {:.1} | {:.1} | {} | {} | {} | {} |",
            self.done,
            self.tasks_per_s,
            self.p50_ms,
            self.p99_ms,
            count(self.dead_hot),
            count(self.dead),
            self.hot_bytes.map_or_else(|| "–".to_owned(), mega),
            mega(self.bytes)
        )
    }
}
