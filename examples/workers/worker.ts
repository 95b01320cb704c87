// A worker in plain TypeScript: takes prompts from a server, answers them, and stops when told to.
//
// usage: BELLWETHER_TOKEN=… node worker.ts URL [CAPABILITY…]        (Node 22.18 or newer reads it as it is)
type Lease = { task: string; token: string; prompt: string };
type End = { complete: { token: string; result: unknown } } | { fail: { token: string; error: string } };

const [url, ...capabilities] = process.argv.slice(2);
const name = `typescript-${process.pid}`;
const leaving = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => leaving.abort());
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** One operation; tried again, after longer and longer pauses, while the server is away. */
async function ask<T>(path: string, body: unknown): Promise<T> {
  const token = process.env.BELLWETHER_TOKEN;
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  for (let pause = 100; ; pause = Math.min(pause * 2, 10_000)) {
    const signal = AbortSignal.timeout(90_000);
    const request = { method: "POST", headers, body: JSON.stringify(body), signal };
    const answer = await fetch(url + path, request).catch(() => undefined);
    if (answer?.ok) return (await answer.json()) as T;
    if (answer && ![429, 503].includes(answer.status)) {
      const problem = (await answer.json()) as { code: string; detail: string };
      throw new Error(`${problem.code}: ${problem.detail}`);
    }
    if (leaving.signal.aborted) throw new Error("the server is away");
    await sleep(pause);
  }
}

/** The work itself. Puts what a prompt says into capitals, unless it says to fail. */
async function work(lease: Lease, wanted: AbortSignal): Promise<unknown> {
  wanted.throwIfAborted();
  if (lease.prompt.includes("fail")) throw new Error("told to fail");
  return { said: lease.prompt.toUpperCase() };
}

async function attempt(lease: Lease): Promise<void> {
  const { token } = lease;
  const unwanted = new AbortController();
  // Keeps the lease while the work goes on, and hears when nobody wants it any more.
  const beat = setInterval(async () => {
    const body = { leases: [{ token }] };
    const told = await ask<{ leases: { wish: string }[] }>("/v1/leases/heartbeat", body).catch(() => undefined);
    if (told?.leases[0].wish === "cancel") unwanted.abort();
  }, 10_000);
  let end: End;
  try {
    const output = { token, output: `${name} works\n` };
    await ask(`/v1/tasks/${encodeURIComponent(lease.task)}/output`, output);
    end = { complete: { token, result: await work(lease, unwanted.signal) } };
  } catch (error) {
    end = { fail: { token, error: error instanceof Error ? error.message : String(error) } };
  } finally {
    clearInterval(beat);
  }
  if (!unwanted.signal.aborted) await ask("/v1/leases/settle", { ends: [end] });
}

const want = { worker: name, capabilities, works: ["prompt"], ttl: "30s", wait: "5s" };
while (!leaving.signal.aborted) {
  const { leases } = await ask<{ leases: Lease[] }>("/v1/leases", want);
  for (const lease of leases) await attempt(lease);
}
