//! Rows in one Redis hash, beside the line and the leases as sorted sets; a script for each turn.

use ::redis::Value;
use uuid::Uuid;

use super::{failed, millis};
use crate::bed::{Dice, Mix, PAYLOAD, Result};
use crate::space::Space;

pub(super) struct RedisRaw {
    insert: Vec<u8>,
    turn: Vec<u8>,
    keys: [Vec<u8>; 3],
    dice: Dice,
    number: u64,
    held: Vec<Vec<u8>>,
    space: Space,
}

/// Keys: bodies, line, leases. Arguments: score, member and body of each.
const INSERT: &str = "
for i = 1, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[i + 1], ARGV[i + 2])
  redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1])
end
return 0";
/// Arguments: how many, until when; then the members that are finished.
const TURN: &str = "
if #ARGV > 2 then redis.call('ZREM', KEYS[3], unpack(ARGV, 3)) end
local count = tonumber(ARGV[1])
if count == 0 then return {} end
local popped = redis.call('ZPOPMIN', KEYS[2], count)
local members, leases = {}, {}
for i = 1, #popped, 2 do
  members[#members + 1] = popped[i]
  leases[#leases + 1] = ARGV[2]
  leases[#leases + 1] = popped[i]
end
if #members == 0 then return {} end
redis.call('ZADD', KEYS[3], unpack(leases))
return {members, redis.call('HMGET', KEYS[1], unpack(members))}";

impl RedisRaw {
    pub(super) fn open(mut space: Space) -> Result<RedisRaw> {
        let mut load = |script: &str| -> Result<Vec<u8>> {
            let loaded = ::redis::cmd("SCRIPT")
                .arg("LOAD")
                .arg(script)
                .query(space.redis()?);
            loaded.map_err(|e| failed(&e))
        };
        Ok(RedisRaw {
            insert: load(INSERT)?,
            turn: load(TURN)?,
            keys: ["body", "line", "lease"].map(|name| space.key(name)),
            dice: Dice::new(11),
            number: 0,
            held: Vec::new(),
            space,
        })
    }

    pub(super) fn insert(&mut self, count: usize, mix: Mix) -> Result<()> {
        let payload = "x".repeat(PAYLOAD);
        let mut call = ::redis::cmd("EVALSHA");
        call.arg(&self.insert).arg(3).arg(&self.keys[..]);
        for _ in 0..count {
            let id = Uuid::now_v7();
            self.number += 1;
            let mut member = millis(id).to_be_bytes()[2..].to_vec();
            member.extend(&self.number.to_be_bytes()[2..]);
            call.arg(self.dice.rank(mix)).arg(member).arg(&payload);
        }
        call.query(self.space.redis()?).map_err(|e| failed(&e))
    }

    pub(super) fn turn(&mut self, max: usize) -> Result<usize> {
        let mut call = ::redis::cmd("EVALSHA");
        call.arg(&self.turn).arg(3).arg(&self.keys[..]);
        call.arg(max).arg(i64::MAX / 2).arg(&self.held[..]);
        let answer: Vec<Value> = call.query(self.space.redis()?).map_err(|e| failed(&e))?;
        let mut lists = answer.into_iter();
        self.held = match lists.next() {
            Some(members) => ::redis::from_redis_value(members).map_err(|e| failed(&e))?,
            None => Vec::new(),
        };
        std::hint::black_box(lists.next());
        Ok(self.held.len())
    }
}
