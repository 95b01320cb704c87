//! Rows in one PostgreSQL table, claimed with SKIP LOCKED, one pipelined transaction for each turn.

use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{failed, millis};
use crate::bed::{Dice, Mix, PAYLOAD, Result};
use crate::space::{Space, wait};

pub(super) struct PgRaw {
    insert: Statement,
    finish: Statement,
    claim: Statement,
    dice: Dice,
    held: Vec<i64>,
    space: Space,
}

const SCHEMA: &str = "
CREATE TABLE raw (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bytea NOT NULL, rank bigint NOT NULL,
                  at bigint NOT NULL, state smallint NOT NULL, payload text NOT NULL)
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX line ON raw (rank, at, seq) WHERE state = 0;";
const INSERT: &str = "INSERT INTO raw (id, rank, at, state, payload)
  SELECT id, rank, at, 0, payload FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[])
    AS fresh (id, rank, at, payload)";
const FINISH: &str = "UPDATE raw SET state = 2 WHERE seq = ANY($1::bigint[])";
const CLAIM: &str = "UPDATE raw SET state = 1
  WHERE seq = ANY(ARRAY(SELECT seq FROM raw WHERE state = 0 ORDER BY rank, at, seq LIMIT $1
                        FOR UPDATE SKIP LOCKED))
  RETURNING seq, id, payload";

impl PgRaw {
    pub(super) fn open(space: Space) -> Result<PgRaw> {
        let client = space.postgres()?;
        let (insert, finish, claim) = wait(async {
            client.batch_execute(SCHEMA).await?;
            Ok::<_, tokio_postgres::Error>((
                client.prepare(INSERT).await?,
                client.prepare(FINISH).await?,
                client.prepare(CLAIM).await?,
            ))
        })
        .map_err(|e| failed(&e))?;
        Ok(PgRaw {
            insert,
            finish,
            claim,
            dice: Dice::new(11),
            held: Vec::new(),
            space,
        })
    }

    pub(super) fn insert(&mut self, count: usize, mix: Mix) -> Result<()> {
        let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        let bytes: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
        let ranks: Vec<i64> = ids.iter().map(|_| self.dice.rank(mix)).collect();
        let times: Vec<i64> = ids.iter().map(|id| millis(*id)).collect();
        let payload = "x".repeat(PAYLOAD);
        let payloads = vec![&payload[..]; count];
        let client = self.space.postgres()?;
        wait(client.execute(&self.insert, &[&bytes, &ranks, &times, &payloads])).map_err(|e| failed(&e))?;
        Ok(())
    }

    /// All four statements travel at once, and are answered together.
    pub(super) fn turn(&mut self, max: usize) -> Result<usize> {
        let client = self.space.postgres()?;
        let (held, max) = (&self.held[..], max as i64);
        let (finished, wanted): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 1]) = ([&held], [&max]);
        let rows = wait(async {
            let (_, _, rows, _) = tokio::try_join!(
                client.batch_execute("BEGIN"),
                client.execute(&self.finish, &finished),
                client.query(&self.claim, &wanted),
                client.batch_execute("COMMIT"),
            )?;
            Ok::<_, tokio_postgres::Error>(rows)
        })
        .map_err(|e| failed(&e))?;
        self.held = rows.iter().map(|row| row.get(0)).collect();
        for row in &rows {
            std::hint::black_box((row.get::<_, &[u8]>(1), row.get::<_, &str>(2)));
        }
        Ok(self.held.len())
    }
}
