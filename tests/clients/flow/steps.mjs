// The record of a flow: one JSON line per step with what the client saw, or why the step failed.
// The runner compares two records of the same flow. Values are printed as the client gave them;
// which of them must differ between two runs is the runner's business.

import { strictEqual } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 100;
const PATIENCE_MS = 20_000;

const printable = (_, value) => (typeof value === 'bigint' ? `${value}n` : value);
const print = (line) => console.log(JSON.stringify(line, printable));

/** The arguments of a flow: the endpoint it talks to and the control port of the upstream. */
export const [, , RPC_URL, CONTROL_URL] = process.argv;

/** Gives a name to an address that is new in every run. */
export function name(address, as) {
  print({ name: as, address: String(address) });
}

export async function step(title, run) {
  try {
    print({ step: title, seen: await run() });
  } catch (error) {
    print({ step: title, failed: String(error?.stack ?? error) });
  }
}

/** What a call that must fail shows of its error. */
export async function refused(call, show) {
  let value;
  try {
    value = await call();
  } catch (error) {
    return show(error);
  }
  throw new Error(`expected an error, got ${JSON.stringify(value, printable)}`);
}

/** Polls until the answer is there: subscriptions are not used. */
export async function until(what, poll) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await poll();
    if (value !== undefined && value !== null && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await sleep(POLL_MS);
  }
}

/** Tells the upstream to misbehave. */
export async function control(order) {
  const answer = await fetch(CONTROL_URL, { method: 'POST', body: JSON.stringify(order) });
  strictEqual(answer.status, 200);
}

/** Calls one after the other; after some of them the second endpoint of the upstream dies. */
export async function whileAnEndpointDies(call) {
  const answers = [];
  for (let i = 0; i < 30; i += 1) {
    if (i === 10) await control({ down: 1 });
    answers.push(await call());
  }
  await control({ up: 1 });
  return answers;
}
