// What a peer on Node needs to be measured: the workloads and the report are those of workload.py.

import fs from "node:fs";

export const job = JSON.parse(process.argv[2]);
export const payloadBytes = 150;
export const payload = "x".repeat(payloadBytes);
export const warmUp = 3;

export const now = () => Number(process.hrtime.bigint()) / 1e6;
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const notOffered = (why) => ({ not_offered: why });

/** A payload of the usual size that says when it was made. */
export const stamp = () => String(now()).padEnd(payloadBytes);
export const ageMs = (text) => now() - Number(text);

function syncCount() {
  const file = process.env.PEERS_SYNC_COUNTER;
  return file ? Number(fs.readFileSync(file).readBigUInt64LE()) : null;
}

export function startSpan() {
  const from = now();
  const syncs = syncCount();
  return () => ({ seconds: (now() - from) / 1000, syncs: syncs === null ? null : syncCount() - syncs });
}

function percentile(samples, q) {
  const ordered = [...samples].sort((a, b) => a - b);
  return ordered[Math.min(ordered.length - 1, Math.floor(q * ordered.length))];
}

export function result({ n, span, storage, samples, note = "" }) {
  const row = { n, ...span, storage, note };
  if (samples?.length) Object.assign(row, { p50_ms: percentile(samples, 0.5), p99_ms: percentile(samples, 0.99) });
  return row;
}

/** Calls up to n times within the limit, each call timed. */
export async function timeEach(call, n) {
  const samples = [];
  const end = now() + job.limit_s * 1000;
  const stop = startSpan();
  while (samples.length < n) {
    const before = now();
    if (before > end) break;
    await call();
    samples.push(now() - before);
  }
  return { n: samples.length, span: stop(), samples };
}

/** Enqueues one stamped task at a time and waits for it; `arrivals` is filled by the task with its age. */
export async function timeLatency(enqueue, arrivals) {
  let sent = 0;
  async function one() {
    await sleep(4 + 4 * Math.random());
    await enqueue(stamp());
    sent += 1;
    const until = now() + 20_000;
    while (arrivals.length < sent) {
      if (now() > until) throw new Error("a task did not start within 20 s");
      await sleep(0.2);
    }
  }
  while (sent < warmUp) await one();
  const end = now() + job.limit_s * 1000;
  const stop = startSpan();
  while (sent < warmUp + job.latency && now() < end) await one();
  return { n: sent - warmUp, span: stop(), samples: arrivals.slice(warmUp) };
}

/** Waits until `done()` tasks are settled, or the time is up; the span runs from `stop` to then. */
export async function settled(done, n, stop, limit_s = job.limit_s) {
  const end = now() + limit_s * 1000;
  while (done() < n && now() < end) await sleep(0.5);
  const span = stop();
  return { n: Math.min(done(), n), span };
}

/** Runs every workload; one that fails is a line of its own and the others go on. */
export async function main(workloads) {
  for (const [workload, run] of Object.entries(workloads)) {
    let rows;
    try {
      rows = [await run()].flat();
    } catch (error) {
      rows = [{ failed: String(error) }];
    }
    for (const row of rows) console.log(JSON.stringify({ workload, ...row }));
  }
  process.exit(0);
}
