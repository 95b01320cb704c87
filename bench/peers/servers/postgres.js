// A database of its own for each workload, and what the server says of its durability.

import pg from "pg";
import { job } from "./workload.js";

async function ask(url, sql) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Returns the URL of a fresh database. */
export async function fresh(name) {
  await ask(job.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await ask(job.url, `CREATE DATABASE ${name}`);
  const url = new URL(job.url);
  url.pathname = `/${name}`;
  return url.href;
}

export async function inForce() {
  const sql = "SELECT current_setting('server_version') AS v, current_setting('synchronous_commit') AS c, current_setting('fsync') AS f";
  const { v, c, f } = (await ask(job.url, sql)).rows[0];
  return `PostgreSQL ${v.split(" ")[0]}, synchronous_commit=${c}, fsync=${f}`;
}
