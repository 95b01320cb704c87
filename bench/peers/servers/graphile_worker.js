// graphile-worker: a pool with its local queue, which fetches 500 tasks at once, and completions gathered into one
// statement, as its documentation on performance advises. Finished tasks are deleted.
//
// A local queue polls at an interval and is told of new tasks by NOTIFY; latency is taken without one, as advised.

import { makeWorkerUtils, run } from "graphile-worker";
import { job, ageMs, main, notOffered, payload, result, settled, startSpan, timeEach, timeLatency } from "./workload.js";
import { fresh, inForce } from "./postgres.js";

const concurrency = 24;
const silent = { logFactory: () => () => {} };
const { Logger } = await import("graphile-worker");
const logger = new Logger(silent.logFactory);
const storage = await inForce();

async function open(name) {
  const connectionString = await fresh(name);
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  return { connectionString, utils };
}

const worker = (connectionString, taskList, settings) =>
  run({
    connectionString,
    logger,
    taskList,
    noHandleSignals: true,
    preset: { worker: { concurrentJobs: concurrency, maxPoolSize: concurrency + 2, pollInterval: 1000, ...settings } },
  });

async function enqueueSingle() {
  const { utils } = await open("single");
  const timed = await timeEach(() => utils.addJob("noop", { payload }), job.single);
  await utils.release();
  return result({ ...timed, storage, note: "addJob" });
}

async function fill(utils, n) {
  for (let left = n; left > 0; left -= job.batch) {
    await utils.addJobs(Array.from({ length: Math.min(left, job.batch) }, () => ({ identifier: "noop", payload: { payload } })));
  }
}

async function enqueueBulk() {
  const { utils } = await open("bulk");
  const { n, span } = await timeEach(() => fill(utils, job.batch), job.bulk / job.batch);
  await utils.release();
  return result({ n: n * job.batch, span, storage, note: "addJobs" });
}

async function drain() {
  const { connectionString, utils } = await open("drain");
  await fill(utils, job.drain);
  let done = 0;
  const stop = startSpan();
  const settings = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
  const runner = await worker(connectionString, { noop: async () => {} }, settings);
  runner.events.on("job:complete", () => { done += 1; });
  const { n, span } = await settled(() => done, job.drain, stop);
  await runner.stop();
  await utils.release();
  return result({ n, span, storage, note: `its worker, local queue of 500, ${concurrency} at once; finished tasks are deleted` });
}

async function startLatency() {
  const { connectionString, utils } = await open("latency");
  const arrivals = [];
  const runner = await worker(connectionString, { noop: async ({ payload }) => { arrivals.push(ageMs(payload)); } }, {});
  const timed = await timeLatency((payload) => utils.addJob("noop", { payload }), arrivals);
  await runner.stop();
  await utils.release();
  return result({ ...timed, storage, note: "its worker in the same process, woken by NOTIFY" });
}

await main({
  enqueue_single: enqueueSingle,
  enqueue_bulk: enqueueBulk,
  drain,
  dag_1000: () => notOffered("no dependencies between tasks"),
  start_latency: startLatency,
});
