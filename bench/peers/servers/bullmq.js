// BullMQ on ioredis: addBulk, a worker that is woken, flows.
//
// A flow is a tree: a job has one parent. The graph of the other peers cannot be said in it; measured is the nearest
// tree, in which one task of each layer waits for all ten of the layer before and the others for nothing. That is less
// than is asked for, and the row says so.

import { FlowProducer, Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { job, ageMs, main, payload, result, settled, startSpan, timeEach, timeLatency } from "./workload.js";

const { hostname: host, port } = new URL(job.url);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
// Tried on two cores: 1, 10, 50, 100, 200; 10 and 50 were fastest.
const concurrency = 50;
const tidy = { removeOnComplete: true, removeOnFail: true };
const admin = new Redis(connection);

async function inForce() {
  const version = /redis_version:(\S+)/.exec(await admin.info("server"))[1];
  const [, only] = await admin.config("GET", "appendonly");
  const [, level] = await admin.config("GET", "appendfsync");
  return `Redis ${version}, appendonly=${only}, appendfsync=${level}`;
}

const storage = await inForce();

async function open() {
  await admin.flushall();
  const queue = new Queue("noop", { connection, defaultJobOptions: tidy });
  await queue.waitUntilReady();
  return queue;
}

function work(call, settings = {}) {
  return new Worker("noop", call, { connection, concurrency, ...settings });
}

async function enqueueSingle() {
  const queue = await open();
  const timed = await timeEach(() => queue.add("noop", { payload }), job.single);
  await queue.close();
  return result({ ...timed, storage, note: "add" });
}

async function fill(queue, n) {
  for (let left = n; left > 0; left -= job.batch) {
    await queue.addBulk(Array.from({ length: Math.min(left, job.batch) }, () => ({ name: "noop", data: { payload } })));
  }
}

async function enqueueBulk() {
  const queue = await open();
  const { n, span } = await timeEach(() => fill(queue, job.batch), job.bulk / job.batch);
  await queue.close();
  return result({ n: n * job.batch, span, storage, note: "addBulk" });
}

async function drain() {
  const queue = await open();
  await fill(queue, job.drain);
  let done = 0;
  const stop = startSpan();
  const worker = work(async () => {});
  worker.on("completed", () => { done += 1; });
  const { n, span } = await settled(() => done, job.drain, stop);
  await worker.close(true);
  await queue.close();
  return result({ n, span, storage, note: `its worker, ${concurrency} at once; finished tasks are deleted` });
}

async function dag1000() {
  const queue = await open();
  let done = 0;
  const worker = work(async () => {});
  worker.on("completed", () => { done += 1; });
  await worker.waitUntilReady();
  const flows = new FlowProducer({ connection });
  await flows.waitUntilReady();
  const task = (children) => ({ name: "noop", queueName: "noop", data: { payload }, opts: tidy, children });
  let layer = Array.from({ length: 10 }, () => task());
  for (let at = 1; at < 100; at += 1) {
    layer = [task(layer), ...Array.from({ length: 9 }, () => task())];
  }
  const stop = startSpan();
  await flows.addBulk(layer);
  const { n, span } = await settled(() => done, 1000, stop, 4 * job.limit_s);
  await worker.close(true);
  await flows.close();
  await queue.close();
  return result({ n, span, storage, note: "less than asked for: a flow is a tree, so 99 of the tasks wait for ten each and 901 for none" });
}

async function startLatency() {
  const queue = await open();
  const arrivals = [];
  const worker = work(async (task) => { arrivals.push(ageMs(task.data.payload)); }, { concurrency: 1 });
  await worker.waitUntilReady();
  const timed = await timeLatency((payload) => queue.add("noop", { payload }), arrivals);
  await worker.close(true);
  await queue.close();
  return result({ ...timed, storage, note: "its worker in the same process, woken by BZPOPMIN" });
}

await main({
  enqueue_single: enqueueSingle,
  enqueue_bulk: enqueueBulk,
  drain,
  dag_1000: dag1000,
  start_latency: startLatency,
});
