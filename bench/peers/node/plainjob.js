// plainjob on better-sqlite3: batches, a worker that claims one task at a time and polls when idle.
//
// defineQueue sets WAL and synchronous=NORMAL on the connection it is given; that connection stays ours, so the FULL
// variant sets it back. Its worker runs in this process. The workloads and the report are those of workload.py.

import fs from "node:fs";
import path from "node:path";
import Database from "better-sqlite3";
import { better, defineQueue, defineWorker } from "plainjob";

const job = JSON.parse(process.argv[2]);
const payloadBytes = 150;
const payload = "x".repeat(payloadBytes);
const warmUp = 3;
const silent = { error() {}, warn() {}, info() {}, debug() {} };
// 1,000 ms unless set.
const pollMs = 1;

const now = () => Number(process.hrtime.bigint()) / 1e6;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function syncCount() {
  const file = process.env.PEERS_SYNC_COUNTER;
  return file ? Number(fs.readFileSync(file).readBigUInt64LE()) : null;
}

function startSpan() {
  const from = now();
  const syncs = syncCount();
  return () => ({ seconds: (now() - from) / 1000, syncs: syncs === null ? null : syncCount() - syncs });
}

function percentile(samples, q) {
  const ordered = [...samples].sort((a, b) => a - b);
  return ordered[Math.min(ordered.length - 1, Math.floor(q * ordered.length))];
}

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

function result({ n, span, database, samples, note = "" }) {
  const row = { n, ...span, storage: inForce(database), note };
  if (samples) Object.assign(row, { p50_ms: percentile(samples, 0.5), p99_ms: percentile(samples, 0.99) });
  return row;
}

function enqueueSingle() {
  const { database, queue } = open("single");
  const samples = [];
  const end = now() + job.limit_s * 1000;
  const stop = startSpan();
  while (samples.length < job.single) {
    const before = now();
    if (before > end) break;
    queue.add("noop", payload);
    samples.push(now() - before);
  }
  return result({ n: samples.length, span: stop(), database, samples });
}

function enqueueBulk() {
  const { database, queue } = open("bulk");
  const batch = Array(job.batch).fill(payload);
  const end = now() + job.limit_s * 1000;
  let n = 0;
  const stop = startSpan();
  while (n < job.bulk && now() < end) {
    queue.addMany("noop", batch);
    n += job.batch;
  }
  return result({ n, span: stop(), database, note: "addMany" });
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
  return result({ n, span: stop(), database, note: "its worker, one task at a time" });
}

async function startLatency() {
  const { database, queue } = open("latency");
  const samples = [];
  const worker = defineWorker(
    "noop",
    (task) => samples.push(now() - Number(JSON.parse(task.data))),
    { queue, logger: silent, pollIntervall: pollMs },
  );
  const running = worker.start();
  let sent = 0;
  async function one() {
    await sleep(4 + 4 * Math.random());
    queue.add("noop", String(now()).padEnd(payloadBytes));
    sent += 1;
    while (samples.length < sent) await sleep(1);
  }
  while (sent < warmUp) await one();
  const end = now() + job.limit_s * 1000;
  const stop = startSpan();
  while (sent < warmUp + job.latency && now() < end) await one();
  const span = stop();
  samples.splice(0, warmUp);
  await worker.stop();
  await running;
  return result({ n: samples.length, span, database, samples, note: "its worker in the same process, polling every 1 ms (unset: 1,000 ms)" });
}

const workloads = {
  enqueue_single: enqueueSingle,
  enqueue_bulk: enqueueBulk,
  drain,
  dag_1000: () => ({ not_offered: "no dependencies between tasks" }),
  start_latency: startLatency,
};

for (const [workload, run] of Object.entries(workloads)) {
  let row;
  try {
    row = await run();
  } catch (error) {
    row = { failed: String(error) };
  }
  console.log(JSON.stringify({ workload, ...row }));
}
process.exit(0);
