// pg-boss: batches of 1,000 in, batches of 500 out. Its workers poll twice a second at most, so a queue is worked empty
// faster by a loop of fetch and complete; both are measured.

import PgBoss from "pg-boss";
import { job, ageMs, main, notOffered, payload, result, settled, startSpan, timeEach, timeLatency, now } from "./workload.js";
import { fresh, inForce } from "./postgres.js";

const queue = "noop";
const fetched = 500;
// The least that it takes.
const pollS = 0.5;
const storage = await inForce();

async function open(name) {
  const boss = new PgBoss({ connectionString: await fresh(name), max: 10, supervise: false, schedule: false });
  boss.on("error", () => {});
  await boss.start();
  await boss.createQueue(queue);
  return boss;
}

const close = (boss) => boss.stop({ graceful: false, close: true });

async function enqueueSingle() {
  const boss = await open("single");
  const timed = await timeEach(() => boss.send(queue, { payload }), job.single);
  await close(boss);
  return result({ ...timed, storage, note: "send" });
}

async function fill(boss, n) {
  for (let left = n; left > 0; left -= job.batch) {
    await boss.insert(Array.from({ length: Math.min(left, job.batch) }, () => ({ name: queue, data: { payload } })));
  }
}

async function enqueueBulk() {
  const boss = await open("bulk");
  const { n, span } = await timeEach(() => fill(boss, job.batch), job.bulk / job.batch);
  await close(boss);
  return result({ n: n * job.batch, span, storage, note: "insert" });
}

async function drainByLoop() {
  const boss = await open("drain_loop");
  await fill(boss, job.drain);
  const end = now() + job.limit_s * 1000;
  let n = 0;
  const stop = startSpan();
  while (now() < end) {
    const jobs = await boss.fetch(queue, { batchSize: fetched });
    if (jobs.length === 0) break;
    await boss.complete(queue, jobs.map((one) => one.id));
    n += jobs.length;
  }
  const span = stop();
  await close(boss);
  return result({ n, span, storage, note: `a loop of fetch + complete of ${fetched}` });
}

async function drainByWorker() {
  const boss = await open("drain_worker");
  await fill(boss, job.drain);
  let n = 0;
  const stop = startSpan();
  await boss.work(queue, { batchSize: fetched, pollingIntervalSeconds: pollS }, async (jobs) => { n += jobs.length; });
  const timed = await settled(() => n, job.drain, stop);
  await close(boss);
  return result({ ...timed, storage, note: `its worker, batches of ${fetched}, polling every ${pollS} s` });
}

async function startLatency() {
  const boss = await open("latency");
  const arrivals = [];
  await boss.work(queue, { pollingIntervalSeconds: pollS }, async ([one]) => { arrivals.push(ageMs(one.data.payload)); });
  const timed = await timeLatency((payload) => boss.send(queue, { payload }), arrivals);
  await close(boss);
  return result({ ...timed, storage, note: `its worker, polling every ${pollS} s, the least it takes` });
}

await main({
  enqueue_single: enqueueSingle,
  enqueue_bulk: enqueueBulk,
  drain: async () => [await drainByLoop(), await drainByWorker()],
  dag_1000: () => notOffered("no dependencies between tasks"),
  start_latency: startLatency,
});
