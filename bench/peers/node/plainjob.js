// plainjob on better-sqlite3: batches, a worker that claims one task at a time and polls when idle.
//
// defineQueue sets WAL and synchronous=NORMAL on the connection it is given; that connection stays ours, so the FULL
// variant sets it back. Its worker runs in this process.

import fs from "node:fs";
import path from "node:path";
import Database from "better-sqlite3";
import { better, defineQueue, defineWorker } from "plainjob";
import { ageMs, job, main, notOffered, now, payload, result, startSpan, timeEach, timeLatency } from "./workload.js";

const silent = { error() {}, warn() {}, info() {}, debug() {} };
// 1,000 ms unless set.
const pollMs = 1;

function open(name) {
  const dir = path.join(job.dir, name);
  fs.mkdirSync(dir, { recursive: true });
  const database = new Database(path.join(dir, "plainjob.db"));
  const queue = defineQueue({ connection: better(database), logger: silent });
  if (job.variant === "FULL") database.pragma("synchronous = FULL");
  return { database, queue };
}

function inForce(database) {
  const version = database.prepare("SELECT sqlite_version() AS v").get().v;
  const journal = database.pragma("journal_mode", { simple: true });
  const level = ["OFF", "NORMAL", "FULL", "EXTRA"][database.pragma("synchronous", { simple: true })];
  return `SQLite ${version}, ${journal.toUpperCase()}, synchronous=${level}`;
}

async function enqueueSingle() {
  const { database, queue } = open("single");
  const timed = await timeEach(() => queue.add("noop", payload), job.single);
  return result({ ...timed, storage: inForce(database) });
}

async function enqueueBulk() {
  const { database, queue } = open("bulk");
  const batch = Array(job.batch).fill(payload);
  const { n, span } = await timeEach(() => queue.addMany("noop", batch), job.bulk / job.batch);
  return result({ n: n * job.batch, span, storage: inForce(database), note: "addMany" });
}

async function drain() {
  const { database, queue } = open("drain");
  queue.addMany("noop", Array(job.drain).fill(payload));
  let n = 0;
  const end = now() + job.limit_s * 1000;
  const options = {
    queue,
    logger: silent,
    pollIntervall: pollMs,
    onCompleted: () => {
      n += 1;
      if (n === job.drain || now() > end) worker.stop();
    },
  };
  const worker = defineWorker("noop", () => {}, options);
  const stop = startSpan();
  await worker.start();
  return result({ n, span: stop(), storage: inForce(database), note: "its worker, one task at a time" });
}

async function startLatency() {
  const { database, queue } = open("latency");
  const arrivals = [];
  const arrive = (task) => arrivals.push(ageMs(JSON.parse(task.data)));
  const worker = defineWorker("noop", arrive, { queue, logger: silent, pollIntervall: pollMs });
  const running = worker.start();
  const timed = await timeLatency((stamped) => queue.add("noop", stamped), arrivals);
  await worker.stop();
  await running;
  const note = "its worker in the same process, polling every 1 ms (unset: 1,000 ms)";
  return result({ ...timed, storage: inForce(database), note });
}

await main({
  enqueue_single: enqueueSingle,
  enqueue_bulk: enqueueBulk,
  drain,
  dag_1000: () => notOffered("no dependencies between tasks"),
  start_latency: startLatency,
});
