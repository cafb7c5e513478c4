#!/usr/bin/env node
// Runs every client twice, directly against an upstream that executes transactions and through the
// gateway in front of it, and compares what the client saw. Needs `scripts/setup test` and a built
// gateway.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { describeDifference, normalise } from './compare.mjs';
import { EXPECTED, keysOf, plansFor } from './limits/plans.mjs';

const HERE = import.meta.dirname;
const ROOT = path.resolve(HERE, '../..');
const START_MS = 30_000;
const FLOW_MS = 120_000;
const SLOT_MS = 200;
/** Clients that offer to compress messages by themselves, and in which direction any are. */
const COMPRESSES = {
  // Their library compresses nothing as short as their calls.
  'web3.js subscriptions': ['sent'],
  'kit subscriptions': ['sent'],
  'solana-py 0.36 subscriptions': ['sent', 'received'],
  'solana-py 0.41 subscriptions': ['sent', 'received'],
};

const { values: options } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    gateway: { type: 'string', default: built('perijove-gateway') },
    only: { type: 'string', multiple: true, default: [] },
    'direct-only': { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(`usage: run.mjs [--gateway BINARY] [--only CLIENT]... [--direct-only]

  --gateway      the gateway to test (default: ${options.gateway})
  --only         run this client only: ${clients().map(({ name }) => name).join(', ')}
  --direct-only  run both times directly; checks the flows and the comparison themselves`);
  process.exit(0);
}

const children = [];
const scratch = mkdtempSync(path.join(tmpdir(), 'perijove-clients-'));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

await main();

async function main() {
  const { only } = options;
  const chosen = clients().filter(({ name }) => only.length === 0 || only.includes(name));
  const upstream = await start('upstream', process.execPath, [
    path.join(HERE, 'upstream/main.mjs'),
    '--slot-ms',
    String(SLOT_MS),
  ]);
  const sandbox = await start('sandbox', built('perijove-sandbox'), [
    ...['--print-json', '--validators', '1', '--base-port', '0', '--control', '127.0.0.1:0'],
    ...['--jupiter', 'self-hosted,hosted', '--jupiter-base-port', '0'],
    ...['--jupiter-rpc-url', upstream.rpc[0]],
  ]);
  const jupiter = (url) => ({ JUPITER_URL: url, JUPITER_CONTROL: sandbox.control });
  const toHosted = jupiter(sandbox.jupiters[1]);
  const direct = await runAll(chosen, () => upstream.rpc[0], upstream.control, toHosted);
  if (options['direct-only']) {
    const again = await runAll(chosen, () => upstream.rpc[0], upstream.control, toHosted);
    return report(chosen.map((client, i) => [client, direct[i], again[i]]));
  }

  const config = path.join(scratch, 'gateway.yaml');
  writeFileSync(config, gatewayConfig(upstream.rpc, sandbox.jupiters));
  const gateway = await start('gateway', path.resolve(options.gateway), ['run', '-c', config]);
  const [address] = gateway.rpc;
  await ready(`http://${gateway.admin}/ready`);
  const url = `http://${address}`;
  const env = { THROUGH_GATEWAY: '1', ...jupiter(url) };
  const through = await runAll(chosen, () => url, upstream.control, env, gateway.admin);
  const limited = await runLimited(limitedClients(only), upstream);
  return report([...chosen.map((client, i) => [client, direct[i], through[i]]), ...limited]);
}

/** Runs the flows over the limits of a plan, through a gateway of their own; with what they should see. */
async function runLimited(chosen, upstream) {
  const config = path.join(scratch, 'limits.yaml');
  writeFileSync(config, gatewayConfig(upstream.rpc) + plansFor(chosen));
  const gateway = await start('gateway', path.resolve(options.gateway), ['run', '-c', config]);
  await ready(`http://${gateway.admin}/ready`);
  const results = [];
  for (const [i, client] of chosen.entries()) {
    const url = `http://${gateway.rpc[0]}`;
    const seen = await record(client.command, url, upstream.control, keysOf(i));
    const expected = Object.entries(EXPECTED[client.name]);
    const steps = new Map(expected.map(([step, value]) => [step, { seen: value }]));
    results.push([{ name: `${client.name} over its plan` }, steps, seen]);
  }
  return results;
}

function limitedClients(only) {
  const files = { 'web3.js': 'web3js.mjs', kit: 'kit.mjs' };
  const limited = clients().filter(({ name }) => name in EXPECTED);
  return limited
    .filter(({ name }) => only.length === 0 || only.includes(name))
    .map(({ name, command: [program] }) => {
      const file = files[name] ?? 'solana_py.py';
      return { name, command: [program, path.join(HERE, 'limits', file)] };
    });
}

function clients() {
  const node = (file) => [process.execPath, path.join(HERE, 'flow', file)];
  const python = (line, file = 'solana_py.py') => [
    path.join(ROOT, `.venv/solana-py-${line}/bin/python`),
    path.join(HERE, 'flow', file),
  ];
  return [
    { name: 'web3.js', command: node('web3js.mjs') },
    { name: 'kit', command: node('kit.mjs') },
    { name: 'solana-py 0.36', command: python('0.36') },
    { name: 'solana-py 0.41', command: python('0.41') },
    { name: 'curl', command: node('curl.mjs') },
    { name: 'web3.js subscriptions', command: node('web3js_subscriptions.mjs') },
    { name: 'spl-token', command: node('spl_token.mjs') },
    { name: 'kit subscriptions', command: node('kit_subscriptions.mjs') },
    { name: 'solana-py 0.36 subscriptions', command: python('0.36', 'subscriptions.py') },
    { name: 'solana-py 0.41 subscriptions', command: python('0.41', 'subscriptions.py') },
    { name: '@jup-ag/api', command: node('jup_api.mjs') },
    {
      name: 'jup-python-sdk',
      command: [path.join(ROOT, '.venv/jupiter/bin/python'), path.join(HERE, 'flow/jup_sdk.py')],
    },
  ];
}

function built(program) {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target');
  return path.resolve(ROOT, target, 'debug', program);
}

/**
 * Two upstreams that share one ledger, as two validators share a cluster; a swap API of one's own, and a
 * hosted one behind it.
 */
function gatewayConfig(urls, jupiters) {
  const upstreams = urls.map((url, i) => {
    const socket = url.replace(/^http/, 'ws');
    return `  - { id: node-${i + 1}, url: "${url}", ws_url: "${socket}", tier: local }`;
  });
  const common = `listen: { rpc: ["127.0.0.1:0"] }
admin: { listen: "127.0.0.1:0" }
cluster: { slot_time: ${SLOT_MS}ms }
upstreams:
${upstreams.join('\n')}
`;
  if (!jupiters) return common;
  const [own, hosted] = jupiters;
  // Short messages, too, so that all clients are told in compressed ones.
  return `${common}websocket: { compression: { min_bytes: 0 } }
jupiter:
  health: { interval: 200ms, metered_interval: 1s, timeout: 1s, slow_start: 1s }
  upstreams:
    - { id: own, kind: self-hosted, url: "${own}", timeouts: { first_byte: 1s } }
    - { id: hosted, kind: hosted, url: "${hosted}" }
`;
}

/** Starts a server and waits for the line that says where it listens. */
async function start(what, command, args) {
  if (!existsSync(command)) fail(`${command} is missing; \`make build\` makes it`);
  const log = [];
  const child = spawn(command, args, { cwd: scratch, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const listening = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = parsed(line);
      if (event?.event === 'listening') resolve(event);
      else log.push(line);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${what} ended with ${code}`)));
    setTimeout(() => reject(new Error(`${what} did not start`)), START_MS).unref();
  });
  return listening.catch((error) => fail(`${error.message}\n${log.slice(-20).join('\n')}`));
}

async function ready(url) {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) return;
    if (Date.now() > deadline) fail(`${url} did not become ready`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Runs one client after the other, each with the URL that is meant for it; through a gateway with this admin
 * port, if any.
 */
async function runAll(chosen, urlOf, control, env = {}, admin = null) {
  const records = [];
  for (const client of chosen) {
    const directions = admin === null ? [] : (COMPRESSES[client.name] ?? []);
    const before = await compressedMessages(admin, directions);
    const steps = await record(client.command, urlOf(client), control, env);
    const after = await compressedMessages(admin, directions);
    for (const [i, direction] of directions.entries()) {
      const title = `messages ${direction === 'sent' ? 'to' : 'from'} it are compressed`;
      const none = { failed: `none was ${direction}` };
      steps.set(title, after[i] > before[i] ? { seen: true } : none);
    }
    records.push(steps);
  }
  return records;
}

/** How many compressed messages there were in each direction. */
async function compressedMessages(admin, directions) {
  if (directions.length === 0) return [];
  const metrics = await (await fetch(`http://${admin}/metrics`)).text();
  return directions.map((direction) => {
    const line = `perijove_websocket_compressed_messages_total{direction="${direction}"} `;
    return Number(metrics.split(line)[1]?.split('\n')[0] ?? NaN);
  });
}

/** Runs one flow; the normalised steps by title. */
async function record([program, ...args], url, control, env) {
  if (!existsSync(program)) fail(`${program} is missing; \`scripts/setup test\` installs it`);
  const child = spawn(program, [...args, url, control], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FLOW_MS,
  });
  children.push(child);
  const lines = [];
  const errors = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const code = await new Promise((resolve) => child.once('close', resolve));
  const steps = normalise(lines.map(parsed).filter(Boolean));
  if (code !== 0) steps.set('ran to its end', { failed: [`exit ${code}`, ...errors].join('\n') });
  return steps;
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function report(results) {
  let passed = 0;
  const failures = [];
  const row = (name, ...cells) =>
    name.padEnd(30) + cells.map((cell) => String(cell).padStart(7)).join('');
  console.log(row('client', 'steps', 'equal'));
  for (const [{ name }, direct, through] of results) {
    const titles = [...new Set([...direct.keys(), ...through.keys()])];
    const wrong = titles
      .map((title) => [title, describeDifference(title, direct.get(title), through.get(title))])
      .filter(([, difference]) => difference !== null);
    const equal = titles.length - wrong.length;
    passed += equal;
    for (const [title, difference] of wrong) failures.push(`${name}: ${title}\n${difference}`);
    console.log(row(name, titles.length, equal));
    if (titles.length === 0) failures.push(`${name}: no step ran`);
  }
  for (const failure of failures) console.log(`\nFAILED ${failure}`);
  console.log(`\nclients: ${passed} passed, ${failures.length} failed`);
  process.exit(failures.length === 0 ? 0 : 1);
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}
